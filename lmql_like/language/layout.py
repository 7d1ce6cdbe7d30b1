"""Logical lines to the terminals that `query.lark` is written in.

Only what is the query language's own gets a terminal of its own: the decoder clause,
prompt strings, clause words and the block structure. Everything else is CODE, which
Python's parser reads later.
"""

from __future__ import annotations

import builtins
import keyword as python
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lmql_like.errors import QueryError, did_you_mean
from lmql_like.language.decoders import DECODERS
from lmql_like.language.lexemes import Kind, Lexeme, keyword
from lmql_like.language.lines import CLAUSE_WORDS, Line, clause_starts, skip_prompt
from lmql_like.source import Source, Span

__all__ = ["Terminal", "lay_out"]

_BLOCK_WORDS = frozenset(
    (
        *("if", "elif", "else", "for", "while", "try", "except", "finally"),
        *("with", "def", "class", "async", "match", "case"),
    )
)


@dataclass(frozen=True)
class Terminal:
    """One terminal of `query.lark`: its name and the lexeme it stands for."""

    type: str
    lexeme: Lexeme


def lay_out(lines: Sequence[Line], source: Source, bound: frozenset[str]) -> Iterator[Terminal]:
    """Yield the terminals of a program.

    Args:
        lines: the logical lines, clauses joined.
        source: the text, for errors.
        bound: names that have a value before the program begins, so that a call of one
            of them is no decoder clause.

    Raises:
        QueryError: Q004 where a line is indented to no open block, Q301 where a block
            follows a word that is almost a decoder.
    """
    if lines and len(lines[0].lexemes) == 1 and lines[0].lexemes[0].text == "lmql":
        yield Terminal("MARKER", lines[0].lexemes[0])
        lines = lines[1:]
    indents = [lines[0].indent] if lines else []
    names = set(bound)
    in_prologue = True
    for i, line in enumerate(lines):
        yield from _block_edges(line, indents, source)
        has_block = i + 1 < len(lines) and lines[i + 1].indent > line.indent
        at_top = len(indents) == 1
        first = in_prologue and at_top and not _is_prologue(line)
        if at_top and _is_decoder(line, names, source, first=first, has_block=has_block):
            yield from _decoder_line(line)
        else:
            yield from _line(line, bound)
        in_prologue = in_prologue and (not at_top or not first)
        names |= _names_bound_by(line)
    last = lines[-1].newline.span.end if lines else 0
    yield from (_mark("DEDENT", Kind.DEDENT, last) for _ in indents[1:])


def _mark(name: str, kind: Kind, offset: int) -> Terminal:
    return Terminal(name, Lexeme(kind, "", Span(offset, offset)))


def _block_edges(line: Line, indents: list[int], source: Source) -> Iterator[Terminal]:
    """Yield INDENT or DEDENTs before a line, and keep the stack of open blocks."""
    start = line.lexemes[0].span.start
    if line.indent > indents[-1]:
        indents.append(line.indent)
        yield _mark("INDENT", Kind.INDENT, start)
    while line.indent < indents[-1] and len(indents) > 1:
        indents.pop()
        yield _mark("DEDENT", Kind.DEDENT, start)
    if line.indent != indents[-1]:
        raise QueryError(
            "Q004",
            "this line is indented to no open block",
            source=source,
            span=line.lexemes[0].span,
            label="neither inside the block above nor beside the line that opened it",
        )


def _line(line: Line, own_words: frozenset[str]) -> Iterator[Terminal]:
    """Yield the terminals of a line that is no decoder clause."""
    starts = set(clause_starts(line, own_words))
    colons = _block_colons(line)
    i, at_start, in_prompt = 0, True, False
    depths = line.depths
    while i < len(line.lexemes):
        lexeme = line.lexemes[i]
        end = skip_prompt(line.lexemes, i) if at_start else i
        if end > i:
            yield from (Terminal("PROMPT", piece) for piece in line.lexemes[i:end])
            i, at_start, in_prompt = end, False, True
            continue
        separator = i in colons or (lexeme.is_operator(";") and not depths[i])
        if i in starts:
            yield Terminal(keyword(lexeme.text).upper(), lexeme)
            in_prompt = False
        elif separator:
            yield Terminal("SEPARATOR", lexeme)
        else:
            yield Terminal("STRAY" if in_prompt else "CODE", lexeme)
        at_start = separator
        in_prompt = in_prompt and not separator
        i += 1
    yield Terminal("NEWLINE", line.newline)


def _block_colons(line: Line) -> set[int]:
    """Return the index of the colon that ends a compound statement's header, if any."""
    if line.lexemes[0].text not in _BLOCK_WORDS:
        return set()
    lambdas = 0
    for i, (lexeme, depth) in enumerate(zip(line.lexemes, line.depths, strict=True)):
        lambdas += lexeme.text == "lambda" and not depth
        if lexeme.is_operator(":") and not depth:
            if not lambdas:
                return {i}
            lambdas -= 1
    return set()


def _decoder_line(line: Line) -> Iterator[Terminal]:
    """Yield the terminals of a decoder clause, and of a body on the same line."""
    yield Terminal("DECODER", line.lexemes[0])
    depths, i = line.depths, 1
    if i < len(line.lexemes) and line.lexemes[i].is_operator("("):
        while i < len(line.lexemes):
            yield Terminal("ARGUMENT", line.lexemes[i])
            i += 1
            if line.lexemes[i - 1].is_operator(")") and not depths[i - 1]:
                break
    if i == len(line.lexemes):
        yield Terminal("NEWLINE", line.newline)
    else:
        yield from _line(Line(line.lexemes[i:], line.indent, line.newline), frozenset())


def _is_decoder(
    line: Line, bound: set[str], source: Source, *, first: bool, has_block: bool
) -> bool:
    """Tell whether a line is a decoder clause by its syntax, not just by its first word."""
    word = line.lexemes[0]
    if word.kind is not Kind.NAME or python.iskeyword(word.text) or word.is_word(*CLAUSE_WORDS):
        return False
    end = 1
    if len(line.lexemes) > 1 and line.lexemes[1].is_operator("("):
        depths = line.depths
        end = next(
            i + 1
            for i, lexeme in enumerate(line.lexemes)
            if lexeme.is_operator(")") and not depths[i]
        )
    known = keyword(word.text) in DECODERS
    has_body = end < len(line.lexemes) and skip_prompt(line.lexemes, end) > end
    if has_body and not python.issoftkeyword(word.text):
        return known or _blame_decoder(word, source)
    if known and has_block and [lexeme.text for lexeme in line.lexemes[end:]] == [":"]:
        _blame_colon(line.lexemes[end], source)
    if end != len(line.lexemes):
        return False
    if has_block:
        return known or _blame_decoder(word, source)
    if not first or word.text in bound:
        return False
    if not known and _looks_like_decoder(line):
        _blame_decoder(word, source)
    return known


def _looks_like_decoder(line: Line) -> bool:
    """Tell whether a call of an unknown name is a misspelt decoder clause."""
    word = line.lexemes[0].text
    named = len(line.lexemes) <= 3 or line.lexemes[3].is_operator("=")
    return named and not hasattr(builtins, word) and bool(did_you_mean(word, DECODERS))


def _blame_colon(colon: Lexeme, source: Source) -> None:
    raise QueryError(
        "Q307",
        "a colon behind a decoder clause",
        source=source,
        span=colon.span,
        label="expected the end of the line",
        help="leave the colon out: the indented body follows on the next line",
    )


def _blame_decoder(word: Lexeme, source: Source) -> bool:
    hint = did_you_mean(keyword(word.text), DECODERS)
    raise QueryError(
        "Q301",
        f"there is no decoder '{word.text}'",
        source=source,
        span=word.span,
        label="expected a decoder before this body",
        help=f"{hint} The decoders are {', '.join(DECODERS)}.".strip(),
    )


def _is_prologue(line: Line) -> bool:
    """Tell whether a line at the top may stand before the decoder clause."""
    first = line.lexemes[0]
    if first.text in ("import", "from", "def", "class", "async") or first.is_operator("@"):
        return True
    if first.text in _BLOCK_WORDS and _block_colons(line):
        return False
    return any(
        not depth and lexeme.is_operator("=", ":", "+=")
        for lexeme, depth in zip(line.lexemes, line.depths, strict=True)
    )


def _names_bound_by(line: Line) -> set[str]:
    """Return the names that a line of the prologue may bind, judged by its words alone."""
    first = line.lexemes[0]
    if first.text in ("def", "class") and len(line.lexemes) > 1:
        return {line.lexemes[1].text}
    names = [
        i
        for i, lexeme in enumerate(line.lexemes)
        if lexeme.kind is Kind.NAME and not line.depths[i]
    ]
    if first.text in ("import", "from"):
        return {line.lexemes[i].text for i in names}
    equals = [i for i, lexeme in enumerate(line.lexemes) if lexeme.is_operator("=", ":")]
    return {line.lexemes[i].text for i in names if equals and i < equals[-1]}
