"""Where an expression stands in the author's Python file, for errors that point at it."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from types import CodeType

from lmql_like.errors import LmqlLikeError, SchemaError
from lmql_like.source import Source, Span

__all__ = ["Place", "here", "pointing_at"]

_OWN = "lmql_like.dsl."


@dataclass(frozen=True)
class Place:
    """A call in the author's code: the code object, and the instruction that makes it."""

    code: CodeType
    instruction: int
    line: int

    def located(self) -> tuple[Source, Span] | None:
        """Return the file and the place of the call in it; None where there is no file."""
        lines = linecache.getlines(self.code.co_filename)
        if not lines:
            return None
        source = Source("".join(lines), self.code.co_filename)
        first, last, start, end = self._positions()
        if first is None or last is None or start is None or end is None or last > len(lines):
            at = source.offset(self.line, 1)
            return source, Span(at, at + len(source.line_text(self.line)))
        start_offset = source.offset(first, _characters(source.line_text(first), start) + 1)
        end_offset = source.offset(last, _characters(source.line_text(last), end) + 1)
        return source, Span(start_offset, end_offset)

    def _positions(self) -> tuple[int | None, int | None, int | None, int | None]:
        """Return first and last line, and first and last column in bytes (Python 3.11 on)."""
        positions = getattr(self.code, "co_positions", None)
        if positions is None:
            return None, None, None, None
        found: tuple[int | None, int | None, int | None, int | None] = next(
            islice(positions(), self.instruction // 2, None), (None, None, None, None)
        )
        return found


def here() -> Place:
    """Return the place in the author's code that this package was called from."""
    frame = sys._getframe(1)  # noqa: SLF001 - documented, and `inspect` costs milliseconds
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_OWN):
        frame = frame.f_back
    return Place(frame.f_code, frame.f_lasti, frame.f_lineno)


@contextmanager
def pointing_at(source: Source, places: Sequence[tuple[Span, Place]]) -> Iterator[None]:
    """Let errors at places of a written-out query point at the expressions it was made of.

    Args:
        source: the query's text.
        places: of its parts, and the expressions they come from.
    """
    try:
        yield
    except LmqlLikeError as error:
        if error.source == source and error.span is not None and not isinstance(error, SchemaError):
            _point(error, source, error.span, places)
        raise


def _point(
    error: LmqlLikeError, source: Source, span: Span, places: Sequence[tuple[Span, Place]]
) -> None:
    """Give an error the place of the smallest expression around it."""
    around = [
        (part.end - part.start, place)
        for part, place in places
        if part.start <= span.start and span.end <= part.end
    ]
    found = min(around, key=lambda pair: pair[0])[1].located() if around else None
    if found is None:
        return
    error.source, error.span = found
    written, call = source.slice(span), error.source.slice(error.span)
    if call.count(written) == 1:  # the very characters, such as those of a pattern
        start = error.span.start + call.index(written)
        error.span = Span(start, start + len(written))


def _characters(line: str, n_bytes: int) -> int:
    return len(line.encode()[:n_bytes].decode(errors="replace"))
