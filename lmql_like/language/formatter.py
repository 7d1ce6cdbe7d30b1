"""Programs in one layout: `lmql-like fmt`.

Changed are only indentation, white space between lexemes, blank lines, and the case of
keywords. Comments, line breaks and strings, prompt strings among them, stay as written.
The program that is parsed from the result is the one that was parsed from the text, and
formatting a result gives it back.

A line that goes on is shifted together with the line it began on.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from lmql_like.errors import QueryError
from lmql_like.language.lexemes import Lexeme, keyword
from lmql_like.language.lexer import Lexer
from lmql_like.language.lines import Line, clause_starts, clause_words_bound, read_lines
from lmql_like.language.parser import parse_query
from lmql_like.language.spacing import blanks_before
from lmql_like.source import Source, Span

__all__ = ["format_query", "outline", "write_lines"]

_INDENT = 4
_CONDITION_WORDS = ("and", "or", "not", "in", "is")


def format_query(text: str, *, name: str = "<query>") -> str:
    """Return a program in the layout of the house.

    Raises:
        QueryError: Q0 to Q3 where the text is no program; Q009 where the result would be
            another program, which is a fault of the formatter.
    """
    source = Source(text, name)
    query = parse_query(source)
    written = write_lines(source, decoder=query.decoder.span.start if query.decoder else -1)
    if outline(parse_query(Source(written, name))) != outline(query):
        raise QueryError("Q009", f"formatting '{name}' would change what it does")
    return written


def outline(value: Any) -> Any:
    """Return a tree without its places: equal for equal programs."""
    if isinstance(value, ast.AST):
        return ast.dump(value)
    if is_dataclass(value) and not isinstance(value, type):
        parts = [getattr(value, f.name) for f in fields(value)]
        kept = [part for part in parts if not isinstance(part, Span | Source)]
        return (type(value).__name__, *map(outline, kept))
    if isinstance(value, list | tuple):
        return tuple(outline(item) for item in value)
    if isinstance(value, dict):
        return {key: outline(item) for key, item in value.items()}
    return value


def write_lines(source: Source, *, decoder: int = -1, header: int = -1) -> str:
    """Return the text of a program, laid out.

    Args:
        source: the text.
        decoder: offset of the decoder clause's word, which is written in lower case.
        header: offset of a line to leave out, with its block one level further out.
    """
    lexemes = list(Lexer(source))
    own = clause_words_bound(lexemes)
    lines = read_lines(lexemes, source, own)
    blocks = _Blocks()
    levels = []
    for line in lines:
        level = blocks.enter(line.indent)
        start = line.lexemes[0].span.start
        shift = 0 <= header < start
        levels.append(_Level(level - shift, line.indent, tuple(blocks.indents), int(shift)))
    writer = _Writer(source)
    writer.gap_before(lines, levels)
    for i, line in enumerate(lines):
        if line.lexemes[0].span.start != header:
            writer.line(line, levels[i], own, decoder)
        writer.gap(line, levels[i], lines[i + 1 : i + 2], levels[i + 1 : i + 2])
    return writer.text()


@dataclass(frozen=True)
class _Level:
    """Where a line stands: its level, its column in the source, the columns of the blocks."""

    number: int
    indent: int
    blocks: tuple[int, ...]
    shift: int


class _Blocks:
    """The columns of the blocks that are open."""

    def __init__(self) -> None:
        self.indents: list[int] = []

    def enter(self, indent: int) -> int:
        """Return the level of a line at a column."""
        while len(self.indents) > 1 and indent < self.indents[-1]:
            self.indents.pop()
        if not self.indents or indent > self.indents[-1]:
            self.indents.append(indent)
        return len(self.indents) - 1


class _Writer:
    """Collects the laid-out text."""

    def __init__(self, source: Source) -> None:
        self._source = source.text
        self._pieces: list[str] = []

    def text(self) -> str:
        """Return what was written, with one line end at its end."""
        written = "".join(self._pieces).strip("\n")
        return f"{written}\n" if written else ""

    def line(self, line: Line, level: _Level, own: frozenset[str], decoder: int) -> None:
        """Write a logical line."""
        starts = set(clause_starts(line, own))
        lexemes = _lowered(line.lexemes, starts, decoder)
        blanks = blanks_before(lexemes, starts | _soft_keywords(lexemes))
        self._pieces.append(" " * (_INDENT * level.number))
        for i, lexeme in enumerate(lexemes):
            if i:
                between = self._source[lexemes[i - 1].span.end : lexeme.span.start]
                self._between(between, blanks[i], level)
            self._pieces.append(lexeme.text)

    def _between(self, gap: str, blank: str, level: _Level) -> None:
        """Write what stands between two lexemes of a line."""
        if "\n" not in gap:
            self._pieces.append(blank)
            return
        first, *middle, last = gap.split("\n")
        self._pieces.append(_trailing(first))
        was_blank = False
        for piece in middle:
            stripped = piece.strip()
            if stripped or not was_blank:
                indent = _column(piece) - level.indent + _INDENT * level.number
                self._pieces.append("\n" + (" " * max(0, indent) + _comment(stripped)).rstrip())
            was_blank = not stripped
        indent = _column(last) - level.indent + _INDENT * level.number
        self._pieces.append("\n" + " " * max(0, indent))

    def gap_before(self, lines: Sequence[Line], levels: Sequence[_Level]) -> None:
        """Write what stands before the first line."""
        end = lines[0].lexemes[0].span.start if lines else len(self._source)
        pieces = self._source[:end].split("\n")
        self._own_lines(pieces if not lines else pieces[:-1], None, levels[0] if levels else None)

    def gap(
        self, line: Line, level: _Level, following: Sequence[Line], next_level: Sequence[_Level]
    ) -> None:
        """Write what stands between a line and the one that follows, if one does."""
        end = following[0].lexemes[0].span.start if following else len(self._source)
        first, *rest = self._source[line.lexemes[-1].span.end : end].split("\n")
        self._pieces.append(_trailing(first) + "\n")
        if following and rest:
            rest = rest[:-1]
        self._own_lines(rest, level, next_level[0] if next_level else None)

    def _own_lines(
        self, pieces: Sequence[str], before: _Level | None, after: _Level | None
    ) -> None:
        """Write lines that hold comments or nothing."""
        n_blank = 0
        for piece in pieces:
            stripped = piece.strip()
            if not stripped:
                n_blank += 1
                continue
            level = _comment_level(_column(piece), before, after)
            self._blank_lines(n_blank, level)
            self._pieces.append(" " * (_INDENT * level) + _comment(stripped) + "\n")
            n_blank = 0
        if after is not None:
            self._blank_lines(n_blank, after.number)

    def _blank_lines(self, count: int, level: int) -> None:
        self._pieces.append("\n" * min(count, 1 if level else 2))


def _lowered(lexemes: Sequence[Lexeme], starts: Collection[int], decoder: int) -> list[Lexeme]:
    """Return the lexemes of a line, the query language's own words in lower case."""
    first_clause = min(starts, default=len(lexemes))
    return [
        replace(lexeme, text=keyword(lexeme.text))
        if i in starts
        or lexeme.span.start == decoder
        or (i > first_clause and lexeme.is_word(*_CONDITION_WORDS))
        else lexeme
        for i, lexeme in enumerate(lexemes)
    ]


def _soft_keywords(lexemes: Sequence[Lexeme]) -> set[int]:
    """Return the index of a `match` or `case` that opens a block."""
    opens = lexemes[0].text in ("match", "case") and lexemes[-1].is_operator(":")
    return {0} if opens else set()


def _comment_level(column: int, before: _Level | None, after: _Level | None) -> int:
    """Return the level of a comment: of the deepest block around it that it is inside of."""
    floor = after.number if after else 0
    best = floor
    for level in (before, after):
        if level is not None:
            inside = [i for i, indent in enumerate(level.blocks) if indent <= column]
            best = max(best, inside[-1] - level.shift if inside else 0)
    return best


def _column(prefix: str) -> int:
    """Return the column that a line's white space leads to."""
    blank = prefix[: len(prefix) - len(prefix.lstrip(" \t\f\r"))]
    return len(blank.replace("\f", "").replace("\r", "").expandtabs(8))


def _trailing(piece: str) -> str:
    """Return what ends a line: a comment, a backslash or nothing."""
    stripped = piece.strip()
    if stripped == "\\":
        return " \\"
    return f"  {_comment(stripped)}" if stripped else ""


def _comment(text: str) -> str:
    """Return a comment with a blank behind its `#`; a shebang and `#:` stay."""
    if len(text) > 1 and text[0] == "#" and text[1] not in "# !:":
        return f"# {text[1:]}"
    return text
