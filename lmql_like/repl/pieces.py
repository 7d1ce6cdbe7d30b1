"""Inputs: what each adds to the program of a session, and the program they make together.

An input is a program of its own that goes on behind the others. What concerns a whole
program has to fit the others: a `return` at an input's end gives the name `_` its value as
soon as another input follows; a `where` below an input is about holes that no other input
fills.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmql_like.errors import QueryError
from lmql_like.language.embedded import span_of
from lmql_like.language.formatter import format_query, write_lines
from lmql_like.language.lexer import Lexer
from lmql_like.language.lines import Line, clause_words_bound, read_lines
from lmql_like.language.names import reads
from lmql_like.language.nodes import Python, Query, Return
from lmql_like.language.parser import parse_query
from lmql_like.language.scopes import prompts_of
from lmql_like.source import Source, Span

__all__ = ["Piece", "join_pieces", "read_piece", "with_arguments"]

_RETURN, _KEEP = "return", "_ ="


@dataclass(frozen=True)
class Piece:
    """One input.

    Attributes:
        query: its nodes; `query.source` is its text as it was typed.
        bound: the names that had a value before it.
        holes: the names of the holes that it fills.
        clause_holes: those of them that clauses below the whole input are about.
    """

    query: Query
    bound: frozenset[str]
    holes: frozenset[str]
    clause_holes: frozenset[str]

    @property
    def source(self) -> Source:
        """Its text as it was typed."""
        return self.query.source

    @property
    def last_return(self) -> Return | None:
        """The `return` at its end, if it has one."""
        last = self.query.statements[-1] if self.query.statements else None
        return last if isinstance(last, Return) else None

    @property
    def last_expression(self) -> ast.Expr | None:
        """The expression at its end, if it ends with one that is no prompt string."""
        last = self.query.statements[-1] if self.query.statements else None
        tree = last.tree if isinstance(last, Python) else None
        return tree if isinstance(tree, ast.Expr) else None

    @property
    def going_on(self) -> str:
        """Its text with the `return` at its end as an assignment to `_`, in the same places."""
        text, last = self.source.text, self.last_return
        if last is None:
            return text
        word = _KEEP if last.value is not None else "pass"
        start = last.span.start
        return text[:start] + word.ljust(len(_RETURN)) + text[start + len(_RETURN) :]


def read_piece(source: Source, bound: Collection[str]) -> Piece:
    """Return what an input consists of.

    Args:
        source: the input.
        bound: the names that have a value already.

    Raises:
        QueryError: Q0, Q3 where it is no program; Q503 where a condition below it is about
            none of its holes.
    """
    query = parse_query(source, frozenset(bound))
    holes = frozenset(hole.name for prompt in prompts_of(query.statements) for hole in prompt.holes)
    about: set[str] = {clause.hole for clause in query.distributions}
    for clause in query.where:
        for condition in _conjuncts(clause.condition):
            named = holes.intersection(name.id for name in reads(condition))
            if not named:
                raise QueryError(
                    "Q503",
                    "this condition is about no hole of the input",
                    source=source,
                    span=span_of(source, condition),
                    label="it would hold for the holes of other inputs too",
                    help="put it behind a prompt string of this input",
                )
            about |= named
    return Piece(query, frozenset(bound), holes, frozenset(about))


def _conjuncts(condition: ast.expr) -> Iterator[ast.expr]:
    if isinstance(condition, ast.BoolOp) and isinstance(condition.op, ast.And):
        for part in condition.values:
            yield from _conjuncts(part)
    else:
        yield condition


def with_arguments(source: Source, arguments: Mapping[str, Any]) -> Source:
    """Return a file with the values of its arguments written into it.

    A declaration such as `n: int` gets the value as its default; other names are assigned
    in a line above the first.

    Raises:
        QueryError: Q506 where a value cannot be written as Python's literals are.
    """
    text, left = source.text, dict(arguments)
    for name, value in arguments.items():
        if not _is_written(value):
            raise QueryError(
                "Q506",
                f"the value of '{name}' cannot be written into the program: {value!r}",
                help=f"assign it in the session instead: {name} = ...",
            )
    query = parse_query(source)
    for statement in reversed(query.statements[: query.prologue]):
        tree = statement.tree if isinstance(statement, Python) else None
        if not isinstance(tree, ast.AnnAssign) or not isinstance(tree.target, ast.Name):
            continue
        if tree.target.id in left:
            end = span_of(source, tree.annotation).end
            value = repr(left.pop(tree.target.id))
            text = f"{text[:end]} = {value}{text[statement.span.end :]}"
    lines = [f"{name} = {value!r}\n" for name, value in left.items()]
    return Source("".join(lines) + text, source.name, source.first_line - len(lines))


def _is_written(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError):
        return False


def join_pieces(
    pieces: Sequence[Piece], *, decoder: str | None = None, model: str | None = None
) -> str:
    """Return the program that some inputs make together, laid out.

    Args:
        pieces: the inputs.
        decoder: a decoder call for the whole of it.
        model: the name of the model for its `from` clause.
    """
    parts = [decoder] if decoder else []
    for piece in pieces:
        text = piece.source.text if piece is pieces[-1] else piece.going_on
        parts.append(_body(piece, text))
    parts += [f'from "{model}"'] if model else []
    for piece in pieces:
        parts += [piece.source.slice(span) for span in _clause_spans(piece.query)]
    return format_query("\n".join(parts), name="<session>")


def _clause_spans(query: Query) -> list[Span]:
    """Return the places of the clauses about a whole input, `from` left out."""
    where = [clause.span for clause in query.where]
    return where + [clause.span for clause in query.distributions]


def _body(piece: Piece, text: str) -> str:
    """Return an input's text without what is said about it as a whole, laid out."""
    query = piece.query
    spans = _clause_spans(query)
    if query.model is not None:
        spans.append(query.model.span)
    for span in spans:
        text = _blanked(text, span)
    header = -1
    source = piece.source
    lexemes = list(Lexer(source))
    own = piece.bound | clause_words_bound(lexemes)
    lines = read_lines(lexemes, source, own)
    if lines and len(lines[0].lexemes) == 1 and lines[0].lexemes[0].text == "lmql":
        text = _blanked(text, lines[0].lexemes[0].span)
    if query.decoder is not None:
        text, header = _without_decoder(text, query.decoder.span, lines)
    return write_lines(Source(text), header=header)


def _blanked(text: str, span: Span) -> str:
    blank = "".join("\n" if char == "\n" else " " for char in text[span.start : span.end])
    return text[: span.start] + blank + text[span.end :]


def _without_decoder(text: str, span: Span, lines: Sequence[Line]) -> tuple[str, int]:
    """Return a text without its decoder clause, and the offset of the header in its place."""
    at = next(i for i, line in enumerate(lines) if line.lexemes[0].span.start == span.start)
    line, following = lines[at], lines[at + 1 : at + 2]
    before, behind = text[: span.start], text[span.end :]
    if line.lexemes[-1].span.end > span.end:
        return before + behind.lstrip(" \t"), -1
    if following and following[0].indent > line.indent:
        return f"{before}if 1:{behind}", span.start
    return before + behind, -1
