"""The text of a query that a docstring holds, as it is written in its file."""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize
from types import FunctionType
from typing import cast

from lmql_like.errors import QueryError

__all__ = ["program_text"]


def program_text(function: FunctionType) -> tuple[str, int]:
    r"""Return a function's docstring as it is written, and the number of its first line.

    The text is taken from the source file, so that a query's own `\n` needs no second
    backslash. Where there is no source, such as at a prompt, it is the docstring's value.
    """
    if not function.__doc__ or not function.__doc__.strip():
        raise QueryError(
            "Q405",
            f"the function '{function.__name__}' has no docstring",
            help="write the query as the function's docstring",
        )
    literal, first_line = _docstring_in_source(function)
    if literal is None:
        return textwrap.dedent(function.__doc__), function.__code__.co_firstlineno
    text = literal.lstrip("rRuU")
    quotes = 3 if text[:3] in ("'''", '"""') else 1
    return _without_indent(text[quotes:-quotes]), first_line


def _docstring_in_source(function: FunctionType) -> tuple[str | None, int]:
    """Return the docstring's literal as it is written, and the number of its line.

    None where there is no source, where it is not this function's, or where the
    docstring is put together of several literals.
    """
    try:
        lines, first_line = inspect.getsourcelines(function)
        source = textwrap.dedent("".join(lines))
        definition = ast.parse(source).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return None, 0
    if not isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None, 0
    value = ast.get_docstring(definition, clean=False) or ""
    if value.split() != (function.__doc__ or "").split():  # indents differ: the source lost its own
        return None, 0
    literal = cast("ast.Expr", definition.body[0]).value
    written = ast.get_source_segment(source, literal) or ""
    try:
        pieces = list(tokenize.generate_tokens(io.StringIO(written).readline))
    except (tokenize.TokenError, SyntaxError):
        return None, 0
    if sum(piece.type == tokenize.STRING for piece in pieces) != 1:
        return None, 0
    return written, first_line + literal.lineno - 1


def _without_indent(text: str) -> str:
    """Return a text without its lines' common indent, the first line's aside."""
    first, newline, rest = text.partition("\n")
    return first.lstrip() + newline + textwrap.dedent(rest)
