"""Python inside a query: parsed by Python's own parser, at its place in the file.

Every tree that leaves this module carries the lines and columns of the query's file
(columns counted in characters), so errors and tracebacks point at the author's text.
"""

from __future__ import annotations

import ast
import warnings

from lmql_like.errors import QueryError
from lmql_like.source import Source, Span

__all__ = ["parse_body", "parse_expression", "span_of", "syntax_error"]

_MAX_NESTING = 100  # the passes behind the parser call themselves at each level

_PLACED = ast.expr | ast.stmt | ast.excepthandler | ast.keyword | ast.pattern | ast.arg | ast.alias


def parse_body(source: Source, text: str) -> list[ast.stmt]:
    """Parse the statements of a program.

    Args:
        source: the file.
        text: its text with everything blanked that is no Python; every line and column
            is where it is in the file. A first line that is indented opens no block.

    Raises:
        QueryError: Q005, at the place that Python's parser blames.
    """
    first_code = next((line for line in text.splitlines() if _is_code(line)), "")
    indented = first_code[:1] in (" ", "\t")
    header = "if 1:\n" if indented else ""
    statements = _parse(source, header + text, source.first_line - bool(header)).body
    if indented and isinstance(statements[0], ast.If):
        return statements[0].body + statements[1:]
    return statements


def parse_expression(source: Source, span: Span, code: str | None = None) -> ast.expr:
    """Parse the expression that stands at a span.

    Args:
        source: the file.
        span: the place of the expression.
        code: what to parse instead of the span's own characters, of the same length.

    Raises:
        QueryError: Q005, at the place that Python's parser blames.
    """
    line, column = source.position(span.start)
    text = source.slice(span) if code is None else code
    # The parenthesis lets the expression go on over several lines. It stands in column 1
    # of the expression's own line, where a quote, a brace or a keyword is in the file.
    # Only the call of a decoder clause can begin there itself; it has its own parentheses.
    padded = "(" + " " * (column - 2) + text + "\n)" if column > 1 else text
    module = _parse(source, padded, line, span)
    statement = module.body[0] if len(module.body) == 1 else None
    if not isinstance(statement, ast.Expr):
        raise syntax_error(source, span, "expected one expression")
    return _in_its_place(source, span, text, statement.value)


def _in_its_place(source: Source, span: Span, text: str, tree: ast.expr) -> ast.expr:
    """Give a tuple or generator, which claims our parentheses, its own place."""
    if source.offset(tree.lineno, tree.col_offset + 1) < span.start:
        start, end = span.start + len(text) - len(text.lstrip()), span.start + len(text.rstrip())
        tree.lineno, column = source.position(start)
        tree.end_lineno, end_column = source.position(end)
        tree.col_offset, tree.end_col_offset = column - 1, end_column - 1
    return tree


def span_of(source: Source, node: ast.AST) -> Span:
    """Return the place of a tree's node in the file."""
    start = source.offset(node.lineno, node.col_offset + 1)  # type: ignore[attr-defined]
    end = source.offset(node.end_lineno, node.end_col_offset + 1)  # type: ignore[attr-defined]
    return Span(start, end)


def _is_code(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _parse(source: Source, text: str, first_line: int, span: Span | None = None) -> ast.Module:
    """Parse a module; give its nodes the file's lines and columns in characters."""
    try:
        with warnings.catch_warnings():
            # Escapes such as "\d" are prompt text or patterns here, and mean themselves.
            warnings.simplefilter("ignore")
            module = ast.parse(text)
    except SyntaxError as error:
        raise _located(source, error, first_line, span) from None
    except ValueError as error:  # a null byte, or half a surrogate pair
        raise syntax_error(source, span or Span(0, 1), str(error)) from None
    except (RecursionError, MemoryError):
        raise _too_deep(source, span or Span(0, 1)) from None
    deep = _deep_node(module)
    if deep is not None:
        line = deep.lineno + first_line - 1
        raise _too_deep(source, span or Span(source.offset(line, 1), source.offset(line, 1) + 1))
    _count_characters(module, text)
    ast.increment_lineno(module, first_line - 1)
    return module


def _deep_node(module: ast.Module) -> ast.expr | ast.stmt | None:
    """Return an outermost node that nests more than `_MAX_NESTING` others, if there is one."""
    for statement in module.body:
        level: list[ast.AST] = [statement]
        for _ in range(_MAX_NESTING):
            level = [child for node in level for child in ast.iter_child_nodes(node)]
        if level:
            return statement
    return None


def _too_deep(source: Source, span: Span) -> QueryError:
    error = syntax_error(source, span, "it nests too deep")
    error.label = f"more than {_MAX_NESTING} levels"
    error.help = "compute a part of it in a variable or function of its own"
    return error


def _count_characters(tree: ast.AST, text: str) -> None:
    """Turn columns counted in UTF-8 bytes into columns counted in characters."""
    if text.isascii():
        return
    lines = [line.encode() for line in text.split("\n")]
    for node in ast.walk(tree):
        if isinstance(node, _PLACED):
            node.col_offset = len(lines[node.lineno - 1][: node.col_offset].decode())
            if node.end_lineno is not None and node.end_col_offset is not None:
                end = lines[node.end_lineno - 1][: node.end_col_offset]
                node.end_col_offset = len(end.decode())


def _located(source: Source, error: SyntaxError, first_line: int, span: Span | None) -> QueryError:
    """Return Python's syntax error as an error at the file's own place."""
    last_line = source.position(len(source.text))[0]
    line = min((error.lineno or 1) + first_line - 1, last_line)
    line = max(line, source.first_line)
    start = source.offset(line, max(error.offset or 1, 1))
    end = start + 1
    if error.end_offset and error.end_lineno == error.lineno:
        end = max(end, start + error.end_offset - max(error.offset or 1, 1))
    if span is not None:  # the closing parenthesis is ours, not the author's
        start = min(max(start, span.start), max(span.start, span.end - 1))
        end = max(start + 1, min(end, span.end))
    return syntax_error(source, Span(start, end), error.msg)


def syntax_error(source: Source, span: Span, message: str) -> QueryError:
    """Return the error for Python that Python does not accept."""
    return QueryError(
        "Q005",
        f"Python cannot read this: {message}",
        source=source,
        span=span,
    )
