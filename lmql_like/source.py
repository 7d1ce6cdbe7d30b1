"""Where a piece of text stands: sources, spans, and the only caret drawing.

A `Span` is a half-open range of character offsets into a `Source`. Every node and
every error of the query language carries one; `Source.excerpt` draws it.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

__all__ = ["Source", "Span", "is_unicode", "printable"]

_LONGEST_LINE = 400  # characters that an excerpt shows


def is_unicode(text: str) -> bool:
    """Tell whether a text can be written as UTF-8: it holds no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """Return a text with halves of surrogate pairs as escapes, so that it can be written."""
    return text.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class Span:
    """The characters `start` (inclusive) to `end` (exclusive) of a source text."""

    start: int
    end: int

    def to(self, other: Span) -> Span:
        """Return the smallest span that covers both."""
        return Span(min(self.start, other.start), max(self.end, other.end))


@dataclass(frozen=True)
class Source:
    """A text with a name: a query file, a pattern, a grammar, a docstring.

    Args:
        text: the characters.
        name: what an error shows before the line number, such as a file name.
        first_line: number of the text's first line; larger than 1 for a docstring
            that starts in the middle of a Python file.
    """

    text: str
    name: str = "<query>"
    first_line: int = 1
    _line_starts: list[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        starts = [0] + [i + 1 for i, char in enumerate(self.text) if char == "\n"]
        object.__setattr__(self, "_line_starts", starts)

    def position(self, offset: int) -> tuple[int, int]:
        """Return (line, column) of a character offset; both count from 1."""
        line = bisect_right(self._line_starts, offset) - 1
        return self.first_line + line, offset - self._line_starts[line] + 1

    def offset(self, line: int, column: int) -> int:
        """Return the character offset of (line, column), both counted from 1."""
        return self._line_starts[line - self.first_line] + column - 1

    def line_text(self, line: int) -> str:
        """Return line number `line` without its line end."""
        start = self._line_starts[line - self.first_line]
        end = self.text.find("\n", start)
        return self.text[start:] if end < 0 else self.text[start:end]

    def slice(self, span: Span) -> str:
        """Return the characters of a span."""
        return self.text[span.start : span.end]

    def excerpt(self, span: Span, label: str = "") -> str:
        """Draw the first line of a span with carets under it and a label behind them.

        Of a very long line only the part around the span is shown.
        """
        line, column = self.position(span.start)
        text, before = _window(self.line_text(line), column - 1)
        width = max(1, min(span.end - span.start, len(text) - before))
        # Tabs are kept in front of the carets, so they line up whatever a tab's width is.
        head = printable(text[:before])
        marked = printable(text[before : before + width])
        indent = "".join("\t" if char == "\t" else " " for char in head)
        pad = " " * len(str(line))
        marks = f"{indent}{'^' * max(1, len(marked))} {label}".rstrip()
        shown = printable(text)
        return (
            f" {pad}--> {self.name}:{line}:{column}\n {pad} |\n {line} | {shown}\n {pad} | {marks}"
        )


def _window(line: str, at: int) -> tuple[str, int]:
    """Return what is shown of a line around a place, and where the place is in that."""
    if len(line) <= _LONGEST_LINE:
        return line, at
    start = max(0, min(at - _LONGEST_LINE // 3, len(line) - _LONGEST_LINE))
    end = start + _LONGEST_LINE
    begun = "..." if start else ""
    return begun + line[start:end] + ("..." if end < len(line) else ""), at - start + len(begun)
