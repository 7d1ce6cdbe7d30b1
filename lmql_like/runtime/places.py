"""Where in a program's text an exception was raised."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import CodeType
from typing import Any

from lmql_like.source import Source, Span

__all__ = ["place_of"]


def place_of(error: BaseException, source: Source, namespace: Mapping[str, Any]) -> Span | None:
    """Return the innermost place of a program's text that an exception passed.

    Args:
        error: the exception.
        source: the program's text.
        namespace: the globals of the program's code, by which its frames are known.
    """
    place = None
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if trace.tb_frame.f_globals is namespace and code.co_filename == source.name:
            place = _span_at(source, code, trace.tb_lasti, trace.tb_lineno)
        trace = trace.tb_next
    return place


def _span_at(source: Source, code: CodeType, instruction: int, line: int) -> Span:
    """Return the place of an instruction of a code object; its line where Python knows no more."""
    if sys.version_info >= (3, 11):
        positions = list(code.co_positions())[instruction // 2]
        first, last, start, end = positions
        if first is not None and last is not None and start is not None and end is not None:
            return Span(source.offset(first, start + 1), source.offset(last, end + 1))
    text = source.line_text(line)
    indent = len(text) - len(text.lstrip())
    start_of_line = source.offset(line, 1)
    return Span(start_of_line + indent, start_of_line + len(text.rstrip()))
