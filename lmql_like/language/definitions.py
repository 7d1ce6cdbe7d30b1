"""Queries that a program defines: `@query` above a `def` whose body is a query.

    @query
    def capital(country):
        "The capital of {country} is[CITY]" where STOPS_BEFORE(CITY, ".")
        return CITY.strip()

The body may also be a docstring that begins with the word `lmql`; then it is a whole
program, with clauses of its own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from lmql_like.errors import QueryError, did_you_mean
from lmql_like.language.code import copied
from lmql_like.language.embedded import span_of
from lmql_like.language.lexemes import Lexeme
from lmql_like.language.nodes import Query, QueryDefinition, Statement
from lmql_like.source import Source, Span

__all__ = ["DefinitionReader", "is_query_definition"]

_MODULES = ("lmql_like", "lmql")
_OPTIONS = ("decoder", "model", "seed")
_MARKER = re.compile(r"\s*lmql\b")


class BodyReader(Protocol):
    """What reads the statements of a definition's body."""

    def read_body(self, statements: Sequence[ast.stmt]) -> tuple[Statement, ...]:
        """Return the nodes of some statements."""
        ...

    def literals(self, node: ast.AST) -> Sequence[Lexeme]:
        """Return the string lexemes of a node."""
        ...


class DefinitionReader:
    """Reads the definitions of queries in a program.

    Args:
        source: the program.
        parse: reads a whole program, for bodies that are docstrings.
    """

    def __init__(self, source: Source, parse: Callable[[Source], Query]) -> None:
        self._source = source
        self._parse = parse
        self._is_inside = False

    def read(self, stmt: ast.stmt, reader: BodyReader) -> QueryDefinition:
        """Return the node of a definition.

        Raises:
            QueryError: Q057.
        """
        if not isinstance(stmt, ast.FunctionDef | ast.AsyncFunctionDef):
            raise TypeError(stmt)
        span = self._header(stmt)
        if self._is_inside:
            raise self._refused("a query is defined inside another one", span)
        for other in stmt.decorator_list:
            if not _is_query(other):
                raise self._refused(
                    "a decorator beside @query",
                    span_of(self._source, other),
                    "decorate a function that runs the query",
                )
        signature = copied(stmt)
        signature.decorator_list = []
        signature.body = [ast.copy_location(ast.Pass(), stmt)]
        options = self._options(stmt.decorator_list[0])
        return QueryDefinition(stmt.name, signature, options, self._body(stmt, reader), span)

    def _body(self, stmt: ast.FunctionDef | ast.AsyncFunctionDef, reader: BodyReader) -> Query:
        text = ast.get_docstring(stmt, clean=False)
        if text is not None and len(stmt.body) == 1 and _MARKER.match(text):
            literals = reader.literals(stmt.body[0])
            if len(literals) == 1:
                return self._parse(_inside(self._source, literals[0]))
        self._is_inside = True
        statements = reader.read_body(stmt.body)
        self._is_inside = False
        return Query(statements, 0, None, None, (), self._source)

    def _options(self, decorator: ast.expr) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for keyword in decorator.keywords if isinstance(decorator, ast.Call) else ():
            place = span_of(self._source, keyword)
            if keyword.arg not in _OPTIONS:
                hint = did_you_mean(keyword.arg or "", _OPTIONS)
                raise self._refused(f"@query has no option '{keyword.arg}'", place, hint)
            try:
                options[keyword.arg] = ast.literal_eval(keyword.value)
            except (ValueError, TypeError):
                raise self._refused("an option of @query is not a constant", place) from None
        return options

    def _header(self, stmt: ast.stmt) -> Span:
        whole = span_of(self._source, stmt)
        end = self._source.text.find("\n", whole.start)
        return Span(whole.start, whole.end if end < 0 else min(whole.end, end))

    def _refused(self, problem: str, span: Span, hint: str = "") -> QueryError:
        return QueryError("Q057", problem, source=self._source, span=span, help=hint)


def is_query_definition(node: ast.AST) -> bool:
    """Tell whether a statement defines a query."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return any(_is_query(decorator) for decorator in node.decorator_list)


def _is_query(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
        return called.attr == "query" and called.value.id in _MODULES
    return isinstance(called, ast.Name) and called.id == "query"


def _inside(source: Source, literal: Lexeme) -> Source:
    """Return the source with everything blank but the characters of a string literal."""
    prefix = len(literal.text) - len(literal.text.lstrip("rRuU"))
    quotes = 3 if literal.text[prefix : prefix + 3] in ("'''", '"""') else 1
    start, end = literal.span.start + prefix + quotes, literal.span.end - quotes
    blank = re.compile(r"[^\n]")
    text = (
        blank.sub(" ", source.text[:start])
        + source.text[start:end]
        + blank.sub(" ", source.text[end:])
    )
    return Source(text, source.name, source.first_line)
