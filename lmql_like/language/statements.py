"""Python's statements to the query's: which of them are prompts, and which matter to it."""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from lmql_like.errors import QueryError
from lmql_like.language.definitions import DefinitionReader, is_query_definition
from lmql_like.language.embedded import span_of
from lmql_like.language.lexemes import Lexeme
from lmql_like.language.libraries import read_library_imports
from lmql_like.language.nodes import (
    DistributionClause,
    Except,
    For,
    If,
    Interpolation,
    Jump,
    LibraryImport,
    Match,
    Prompt,
    Python,
    Return,
    Statement,
    Try,
    WhereClause,
    While,
    With,
)
from lmql_like.language.templates import holes_of, read_template
from lmql_like.source import Source, Span

__all__ = ["StatementReader"]

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_LATER = {
    "AsyncFor": "an 'async for' around prompt strings",
    "AsyncWith": "an 'async with' around prompt strings",
    "TryStar": "an 'except*' around prompt strings",
}
_NEVER = {
    ast.Yield: "'yield'",
    ast.YieldFrom: "'yield from'",
    ast.Global: "'global'",
    ast.Nonlocal: "'nonlocal'",
}


class StatementReader:
    """Turns the statements of a program into nodes.

    Args:
        source: the program.
        strings: its string lexemes, in order.
        clauses: the clauses behind each prompt string, by its first literal's offset.
        definitions: reads the queries that it defines.
    """

    def __init__(
        self,
        source: Source,
        strings: Sequence[Lexeme],
        clauses: Mapping[int, Sequence[WhereClause | DistributionClause]],
        definitions: DefinitionReader,
    ) -> None:
        self.source = source
        self.strings = strings
        self.clauses = clauses
        self.definitions = definitions
        self._starts = [lexeme.span.start for lexeme in strings]
        self._loops = 0

    def read_block(self, statements: Sequence[ast.stmt]) -> tuple[Statement, ...]:
        """Return the nodes of some statements, `pass` and bare constants left out."""
        return tuple(node for stmt in statements for node in self._read(stmt))

    def _read(self, stmt: ast.stmt) -> Iterator[Statement]:
        if isinstance(stmt, ast.Pass):
            return
        if is_query_definition(stmt):
            yield self.definitions.read(stmt, self)
            return
        if libraries := read_library_imports(stmt, self.source, self._span(stmt)):
            for found in libraries:
                if isinstance(found, LibraryImport):
                    yield found
                else:
                    yield Python(found, self._span(found))
            return
        if isinstance(stmt, ast.Expr) and self._is_string(stmt.value):
            yield self._read_prompt(stmt.value)
        elif _is_plain(stmt):
            self._check_plain(stmt)
            yield Python(stmt, self._span(stmt))
        else:
            reader = getattr(self, f"_read_{type(stmt).__name__.lower()}", None)
            if reader is None:
                raise self._unsupported(_LATER[type(stmt).__name__], stmt)
            yield reader(stmt)

    def _is_string(self, value: ast.expr) -> bool:
        """Tell whether a value is a prompt string; raise where it nearly is one."""
        if isinstance(value, ast.JoinedStr):
            raise self._foreign_string(
                value,
                "f",
                "an f-string where a prompt string is expected",
                "leave out the f: prompt strings interpolate {expressions} themselves",
            )
        if not isinstance(value, ast.Constant):
            return False
        if isinstance(value.value, bytes):
            raise self._foreign_string(
                value,
                "b",
                "bytes where a prompt string is expected",
                "leave out the b: a prompt is text",
            )
        return isinstance(value.value, str)

    def _foreign_string(self, value: ast.expr, letter: str, message: str, hint: str) -> QueryError:
        """Return the error for a literal with a prefix that no prompt string has."""
        literals = [
            x for x in self.literals(value) if letter in x.text.lower().split(x.text[-1])[0]
        ]
        start = (literals or self.literals(value))[0].span.start
        code = {"f": "Q014", "b": "Q015"}[letter]
        span, label = Span(start, start + 1), f"the {letter}"
        return QueryError(code, message, source=self.source, span=span, label=label, help=hint)

    def read_body(self, statements: Sequence[ast.stmt]) -> tuple[Statement, ...]:
        """Return the nodes of the body of a query that the program defines."""
        outer, self._loops = self._loops, 0
        body = self.read_block(statements)
        self._loops = outer
        return body

    def _read_prompt(self, value: ast.expr) -> Prompt:
        literals = self.literals(value)
        span = literals[0].span.to(literals[-1].span)
        clauses = self.clauses.get(literals[0].span.start, ())
        parts = read_template(self.source, literals)
        for part in parts:
            if isinstance(part, Interpolation):
                self._check_names(part.expression)
        where = tuple(clause for clause in clauses if isinstance(clause, WhereClause))
        others = tuple(clause for clause in clauses if isinstance(clause, DistributionClause))
        return Prompt(parts, where, span, others)

    def literals(self, node: ast.AST) -> Sequence[Lexeme]:
        """Return the string lexemes of a node."""
        span = span_of(self.source, node)
        first, last = bisect_left(self._starts, span.start), bisect_left(self._starts, span.end)
        return self.strings[first:last]

    def _span(self, node: ast.AST) -> Span:
        """Return a statement's place: of a compound one, its header alone."""
        whole = span_of(self.source, node)
        body = getattr(node, "body", None) or getattr(node, "cases", None)
        if isinstance(node, ast.stmt) and isinstance(body, list):
            line_end = self.source.text.find("\n", whole.start)
            line_end = len(self.source.text) if line_end < 0 else line_end
            return Span(whole.start, min(whole.end, line_end))
        return whole

    # One method for each compound statement and jump, named after Python's node.

    def _read_return(self, stmt: ast.Return) -> Return:
        if stmt.value is not None:
            self._check_names(stmt.value)
        return Return(stmt.value, self._span(stmt))

    def _read_break(self, stmt: ast.Break) -> Jump:
        return self._jump("break", stmt)

    def _read_continue(self, stmt: ast.Continue) -> Jump:
        return self._jump("continue", stmt)

    def _jump(self, word: str, stmt: ast.stmt) -> Jump:
        if not self._loops:
            raise QueryError(
                "Q019", f"'{word}' outside a loop", source=self.source, span=self._span(stmt)
            )
        return Jump(word, self._span(stmt))

    def _read_if(self, stmt: ast.If) -> If:
        self._check_names(stmt.test)
        body, orelse = self.read_block(stmt.body), self.read_block(stmt.orelse)
        return If(stmt.test, body, orelse, self._span(stmt))

    def _read_while(self, stmt: ast.While) -> While:
        self._check_names(stmt.test)
        body, orelse = self._read_loop(stmt), self.read_block(stmt.orelse)
        return While(stmt.test, body, orelse, self._span(stmt))

    def _read_for(self, stmt: ast.For) -> For:
        self._check_names(stmt.iter)
        body, orelse = self._read_loop(stmt), self.read_block(stmt.orelse)
        return For(stmt.target, stmt.iter, body, orelse, self._span(stmt))

    def _read_loop(self, stmt: ast.For | ast.While) -> tuple[Statement, ...]:
        self._loops += 1
        body = self.read_block(stmt.body)
        self._loops -= 1
        return body

    def _read_try(self, stmt: ast.Try) -> Try:
        body = self.read_block(stmt.body)
        handlers = tuple(
            Except(h.type, h.name, self.read_block(h.body), span_of(self.source, h))
            for h in stmt.handlers
        )
        orelse, final = self.read_block(stmt.orelse), self.read_block(stmt.finalbody)
        return Try(body, handlers, orelse, final, self._span(stmt))

    def _read_with(self, stmt: ast.With) -> With:
        body: Sequence[Statement] = self.read_block(stmt.body)
        for item in reversed(stmt.items):
            self._check_names(item.context_expr)
            place = span_of(self.source, item.context_expr)
            body = (With(item.context_expr, item.optional_vars, body, place),)
        node = body[0]
        if not isinstance(node, With):  # pragma: no cover - Python requires an item
            raise TypeError(node)
        return node

    def _read_match(self, stmt: ast.Match) -> Match:
        self._check_names(stmt.subject)
        bodies = tuple(self.read_block(case.body) for case in stmt.cases)
        return Match(stmt, bodies, self._span(stmt))

    # Checks: what Python would accept, and a query must not.

    def _check_plain(self, stmt: ast.stmt) -> None:
        """Raise where a plain statement holds a lost prompt string or a foreign word."""
        self._check_names(stmt)
        for node in _outside_functions(stmt):
            if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Call):
                for lost in _computed_strings(node.value):
                    raise self._lost("a string is computed and thrown away", lost)
        docstrings = {_docstring_of(node) for node in ast.walk(stmt)}
        for node in ast.walk(stmt):
            for lost in _lost_strings(node):
                for literal in self.literals(lost):
                    self._check_lost(literal, is_docstring=lost in docstrings)

    def _check_lost(self, literal: Lexeme, *, is_docstring: bool) -> None:
        """Raise where a string that is thrown away has a hole.

        A docstring may write types such as `list[int]`.
        """
        for hole in holes_of(self.source, literal):
            before = self.source.text[hole.span.start - 1]
            if is_docstring and (before.isalnum() or before == "_"):
                continue
            raise self._lost("a hole in a string that is no prompt string", hole.span)

    def _lost(self, message: str, place: ast.AST | Span) -> QueryError:
        """Return the error for a string that never gets into the prompt."""
        is_hole = isinstance(place, Span)
        return QueryError(
            "Q016",
            message,
            source=self.source,
            span=place if isinstance(place, Span) else span_of(self.source, place),
            label="nothing would fill it" if is_hole else "it does not get into the prompt",
            help="let the string stand as a statement of the query itself"
            + (", or double the brackets if they are text" if is_hole else ""),
        )

    def _check_names(self, tree: ast.AST) -> None:
        """Raise for words that only mean something inside a function of Python's own."""
        for node in _outside_functions(tree):
            for kind, word in _NEVER.items():
                if isinstance(node, kind):
                    raise self._unsupported(word, node)
            if isinstance(node, ast.ImportFrom) and any(a.name == "*" for a in node.names):
                raise QueryError(
                    "Q106",
                    "'import *' in a query",
                    source=self.source,
                    span=self._span(node),
                    label="which names does it bind?",
                    help="import the names that the query uses",
                )

    def _unsupported(self, what: str, node: ast.AST) -> QueryError:
        return QueryError(
            "Q020",
            f"a query cannot contain {what}",
            source=self.source,
            span=self._span(node),
            help="move it into a function and call the function",
        )


def _is_plain(stmt: ast.stmt) -> bool:
    """Tell whether a statement is Python's alone: no prompt, `return` or jump out of it."""
    return not any(_concerns_query(node, in_loop=False) for node in [stmt])


def _concerns_query(node: ast.AST, *, in_loop: bool) -> bool:
    if is_query_definition(node):
        return True
    if isinstance(node, _SCOPES):
        return False
    if isinstance(node, ast.Return):
        return True
    if isinstance(node, ast.Break | ast.Continue):
        return not in_loop
    if isinstance(node, ast.Expr):
        value = node.value
        text = isinstance(value, ast.Constant) and isinstance(value.value, str | bytes)
        return text or isinstance(value, ast.JoinedStr)
    if isinstance(node, _LOOPS):
        body = any(_concerns_query(child, in_loop=True) for child in node.body)
        return body or any(_concerns_query(child, in_loop=in_loop) for child in node.orelse)
    return any(
        _concerns_query(child, in_loop=in_loop)
        for child in ast.iter_child_nodes(node)
        if not isinstance(child, ast.expr)
    )


def _outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield a tree's nodes, without those inside functions and classes."""
    yield tree
    if isinstance(tree, _SCOPES):
        return
    for child in ast.iter_child_nodes(tree):
        yield from _outside_functions(child)


def _docstring_of(node: ast.AST) -> ast.expr | None:
    """Return the docstring of a function or class, if it is one and has one."""
    if isinstance(node, _SCOPES) and not isinstance(node, ast.Lambda):
        first = node.body[0]
        return first.value if isinstance(first, ast.Expr) else None
    return None


def _lost_strings(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the strings that an expression statement computes and throws away."""
    if isinstance(node, ast.Expr):
        yield from _computed_strings(node.value)


def _computed_strings(value: ast.expr) -> Iterator[ast.expr]:
    """Yield the string literals that are, or are joined into, an expression's value."""
    if isinstance(value, ast.JoinedStr) or (
        isinstance(value, ast.Constant) and isinstance(value.value, str)
    ):
        yield value
    elif isinstance(value, ast.ListComp | ast.SetComp | ast.GeneratorExp):
        yield from _computed_strings(value.elt)
    elif isinstance(value, ast.Call):
        if isinstance(value.func, ast.Attribute):
            yield from _computed_strings(value.func.value)
    elif isinstance(value, ast.BoolOp | ast.IfExp | ast.Tuple | ast.List | ast.Set) or (
        isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add | ast.Mod)
    ):
        for child in ast.iter_child_nodes(value):
            if isinstance(child, ast.expr):
                yield from _computed_strings(child)
