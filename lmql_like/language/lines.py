"""Lexemes to logical lines: where a statement, and a clause behind it, begins and ends.

Python ends a statement at the end of its line. A clause (`where ...`) goes on where a
reader sees it go on: on lines indented deeper than the line it stands on, on lines that
begin with `and` or `or`, and behind an operator at the end of a line. A clause may also
begin on an indented line below its prompt string.
"""

from __future__ import annotations

import keyword as python
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from lmql_like.language.lexemes import Kind, Lexeme, keyword
from lmql_like.source import Source

__all__ = [
    "CLAUSE_WORDS",
    "Line",
    "clause_starts",
    "clause_words_bound",
    "read_lines",
    "skip_prompt",
]

CLAUSE_WORDS = ("where", "from", "distribution", "scoring")
_JOINING_WORDS = ("and", "or", "not", "in", "is", *CLAUSE_WORDS)
_OPENING, _CLOSING = ("(", "[", "{"), (")", "]", "}")
# Words that make a line such as `where in xs` or `"a" if b else "c"` plain Python.
_INFIX_WORDS = ("in", "is", "if", "and", "or", "else", "for", "async")


@dataclass(frozen=True)
class Line:
    """One logical line: its lexemes, without the NEWLINE at their end.

    `depths[i]` is the number of brackets open around lexeme `i`.
    """

    lexemes: tuple[Lexeme, ...]
    indent: int
    newline: Lexeme

    @cached_property
    def depths(self) -> list[int]:
        """The number of brackets around each lexeme; a bracket is not inside itself."""
        depths, depth = [], 0
        for lexeme in self.lexemes:
            depth -= lexeme.is_operator(*_CLOSING)
            depths.append(depth)
            depth += lexeme.is_operator(*_OPENING)
        return depths


def read_lines(
    lexemes: Iterable[Lexeme], source: Source, own_words: frozenset[str] = frozenset()
) -> list[Line]:
    """Return the logical lines of a program, continued clauses joined.

    Args:
        lexemes: the program's lexemes.
        source: the program.
        own_words: clause words that are names of the program's own.
    """
    groups: list[list[Line]] = []
    has_clause = False
    for line in _raw_lines(lexemes, source):
        if groups and _continues(groups[-1], line, own_words, has_clause=has_clause):
            groups[-1].append(line)
            has_clause = True
        else:
            groups.append([line])
            has_clause = any(True for _ in clause_starts(line, own_words))
    return [_joined(group) for group in groups]


def _joined(lines: Sequence[Line]) -> Line:
    """Return a line with others as its continuation."""
    lexemes = chain.from_iterable(line.lexemes for line in lines)
    return Line(tuple(lexemes), lines[0].indent, lines[-1].newline)


def _raw_lines(lexemes: Iterable[Lexeme], source: Source) -> Iterator[Line]:
    current: list[Lexeme] = []
    for lexeme in lexemes:
        if lexeme.kind is not Kind.NEWLINE:
            current.append(lexeme)
            continue
        line, column = source.position(current[0].span.start)
        blank = source.line_text(line)[: column - 1]
        yield Line(tuple(current), len(blank.expandtabs(8)), lexeme)
        current = []


def clause_words_bound(lexemes: Sequence[Lexeme]) -> frozenset[str]:
    """Return the clause words that a program uses as names of its own."""
    own = set()
    for i, lexeme in enumerate(lexemes):
        assigned = i + 1 < len(lexemes) and lexemes[i + 1].is_operator("=")
        named = i > 0 and lexemes[i - 1].text in ("import", "as", "def", "class", "for")
        if assigned or named:
            own.add(lexeme.text)
    return frozenset(own.intersection(CLAUSE_WORDS) - {"from"})


def _continues(
    lines: Sequence[Line], following: Line, own_words: frozenset[str], *, has_clause: bool
) -> bool:
    """Tell whether `following` continues a clause, or adds one to a prompt string.

    Args:
        lines: a line, and the continuations that it has already.
        following: what comes next.
        own_words: clause words that are names of the program's own.
        has_clause: whether a clause begins somewhere in `lines`.
    """
    first, last = following.lexemes[0], lines[-1].lexemes[-1]
    deeper = following.indent > lines[0].indent
    if has_clause:
        starts_clause = bool(_clause_at_start(following.lexemes, own_words))
        if deeper or (first.is_word("and", "or") and not starts_clause):
            return True
        return last.is_word(*_JOINING_WORDS) or (
            last.kind is Kind.OPERATOR and not last.is_operator(*_CLOSING)
        )
    ends_with_prompt = _ends_prompt(lines[0].lexemes, len(lines[0].lexemes))
    return ends_with_prompt and deeper and first.is_word(*CLAUSE_WORDS)


def clause_starts(line: Line, own_words: frozenset[str] = frozenset()) -> Iterator[int]:
    """Yield the indices of the lexemes that begin a clause of this line.

    Args:
        line: the logical line.
        own_words: clause words that are names of the program's own.
    """
    lexemes, depths = line.lexemes, line.depths
    in_clause = False
    if _clause_at_start(lexemes, own_words):
        in_clause = True
        yield 0
    for i in range(1, len(lexemes)):
        if depths[i] or lexemes[i].kind is not Kind.NAME:
            continue
        if not in_clause and not _ends_prompt(lexemes, i):
            continue
        if lexemes[i].is_word(*CLAUSE_WORDS) and _is_operand_end(lexemes[i - 1]):
            in_clause = True
            yield i


def _clause_at_start(lexemes: tuple[Lexeme, ...], own_words: frozenset[str]) -> bool:
    """Tell whether a line begins with a clause word that is no name and no import."""
    word = lexemes[0]
    if word.kind is not Kind.NAME or keyword(word.text) not in CLAUSE_WORDS:
        return False
    if keyword(word.text) == "from":
        return not any(lexeme.text == "import" for lexeme in lexemes)
    if word.text in own_words:
        return False
    if len(lexemes) == 1:
        return True
    after = lexemes[1]
    if after.kind is Kind.NAME:
        negated = after.text == "not" and len(lexemes) > 2 and lexemes[2].text == "in"
        return after.text not in _INFIX_WORDS and not negated
    return after.kind is not Kind.OPERATOR or after.is_operator("(", "[", "{", "-", "~")


def _ends_prompt(lexemes: tuple[Lexeme, ...], end: int) -> bool:
    """Tell whether a prompt string ends just before lexeme `end`."""
    start = end - 1
    while start >= 0 and (
        lexemes[start].kind is Kind.STRING or lexemes[start].is_operator("(", ")")
    ):
        start -= 1
    return start < end - 1 and skip_prompt(lexemes, start + 1) == end


def skip_prompt(lexemes: tuple[Lexeme, ...], start: int) -> int:
    """Return the index behind the prompt string that begins at `start`; `start` if none does.

    A prompt string is one or more string literals, in parentheses or not, that nothing
    turns into a larger Python expression.
    """
    end, opened, strings = start, 0, 0
    while end < len(lexemes):
        lexeme = lexemes[end]
        if lexeme.is_operator("(") and not strings:
            opened += 1
        elif lexeme.is_operator(")") and strings and opened:
            opened -= 1
        elif lexeme.kind is Kind.STRING and not (end > start and lexemes[end - 1].is_operator(")")):
            strings += 1
        else:
            break
        end += 1
    if opened or not strings:
        return start
    following = lexemes[end] if end < len(lexemes) else None
    if following is None or following.is_operator(";"):
        return end
    infix = python.iskeyword(following.text) and following.text != "from"
    return end if following.kind is Kind.NAME and not infix else start


def _is_operand_end(lexeme: Lexeme) -> bool:
    """Tell whether an operand ends with this lexeme, so that no word may follow in Python."""
    if lexeme.kind is Kind.NAME:
        return not python.iskeyword(keyword(lexeme.text)) or lexeme.text in (
            "True",
            "False",
            "None",
        )
    return lexeme.kind is not Kind.OPERATOR or lexeme.is_operator(*_CLOSING)
