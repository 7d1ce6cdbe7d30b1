"""Names: which holes, variables and free names a program has.

A program runs in one scope, like a Python module. A name is *free* where the program
reads it before any of its statements binds it, and it is neither a hole nor a built-in
name: the caller has to give it. Inside a loop, every name the loop binds counts as
bound; inside a function, every name the program binds anywhere.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lmql_like.errors import QueryError
from lmql_like.language.embedded import span_of
from lmql_like.language.names import collect_names, is_built_in
from lmql_like.language.nodes import (
    Annotation,
    For,
    Hole,
    If,
    Interpolation,
    LibraryImport,
    Match,
    Part,
    Prompt,
    Python,
    Query,
    QueryDefinition,
    Return,
    Statement,
    Try,
    While,
    With,
)
from lmql_like.source import Source, Span

__all__ = [
    "Scopes",
    "Use",
    "blocks_of",
    "names_bound_by",
    "prompts_of",
    "resolve_scopes",
    "statements_in",
]

_IGNORED = {"__name__", "__builtins__", "__debug__"}


@dataclass(frozen=True)
class Use:
    """A name where the program reads it."""

    name: str
    span: Span


@dataclass(frozen=True)
class Scopes:
    """The names of a program.

    Attributes:
        holes: the occurrences of each hole, in the order of the text.
        bound: the names that statements bind, prompt strings included.
        assigned: the names that other statements than prompt strings bind.
        free: the first read of each free name outside `where`.
        outer: the names given from outside that it reads, outside `where`.
        types: the free names of them that stand in the type of a hole.
    """

    holes: Mapping[str, Sequence[Hole]]
    bound: frozenset[str]
    assigned: frozenset[str]
    free: tuple[Use, ...]
    outer: frozenset[str]
    types: tuple[Use, ...] = ()

    @property
    def known(self) -> frozenset[str]:
        """Every name that has a meaning somewhere in the program."""
        return self.bound | frozenset(self.holes) | {use.name for use in self.free}


def resolve_scopes(query: Query, given: Iterable[str] = ()) -> Scopes:
    """Return the names of a program.

    Args:
        query: the program.
        given: names that have a value before it begins.

    Raises:
        QueryError: Q101 where a hole is read that cannot be filled yet.
    """
    holes: dict[str, list[Hole]] = {}
    for prompt in prompts_of(query.statements):
        for hole in prompt.holes:
            holes.setdefault(hole.name, []).append(hole)
    return _ScopeResolver(query.source, holes, given).resolve(query.statements)


def prompts_of(statements: Iterable[Statement]) -> Iterator[Prompt]:
    """Yield the prompt strings of some statements and of those inside them."""
    return (node for node in statements_in(statements) if isinstance(node, Prompt))


def statements_in(statements: Iterable[Statement]) -> Iterator[Statement]:
    """Yield some statements and those inside them, in the order of the text."""
    for statement in statements:
        yield statement
        for block in blocks_of(statement):
            yield from statements_in(block)


def blocks_of(statement: Statement) -> Iterator[Sequence[Statement]]:
    """Yield the blocks of a compound statement, in the order of the text."""
    if isinstance(statement, If | While | For):
        yield from (statement.body, statement.orelse)
    elif isinstance(statement, Try):
        yield statement.body
        yield from (handler.body for handler in statement.handlers)
        yield from (statement.orelse, statement.final)
    elif isinstance(statement, With):
        yield statement.body
    elif isinstance(statement, Match):
        yield from statement.bodies


class _ScopeResolver:
    """Walks a program in the order of its text."""

    def __init__(
        self, source: Source, holes: Mapping[str, Sequence[Hole]], given: Iterable[str]
    ) -> None:
        self.source = source
        self.holes = holes
        self.given = frozenset(given)
        self.bound: set[str] = set()
        self.free: dict[str, Use] = {}
        self.outer: set[str] = set()
        self.later: list[ast.Name] = []
        self.types: list[Use] = []

    def resolve(self, statements: Sequence[Statement]) -> Scopes:
        """Return the names of the whole program."""
        self._block(statements)
        for node in self.later:
            if node.id not in self.bound and node.id not in self.holes:
                self._read(node)
        assigned = frozenset(_bound_inside(statements, with_holes=False))
        free = tuple(sorted(self.free.values(), key=lambda use: use.span.start))
        types = tuple(use for use in self.types if use in free)
        bound = frozenset(self.bound)
        return Scopes(self.holes, bound, assigned, free, frozenset(self.outer), types)

    def _block(self, statements: Sequence[Statement]) -> None:
        for statement in statements:
            self._statement(statement)

    def _statement(self, statement: Statement) -> None:
        if isinstance(statement, Prompt):
            for part in statement.parts:
                self._part(part)
        elif isinstance(statement, Python):
            self._python(statement.tree)
        elif isinstance(statement, Return):
            self._python(statement.value)
        elif isinstance(statement, QueryDefinition):
            self._python(statement.signature)
        elif isinstance(statement, LibraryImport):
            self.bound |= {name for _, name in statement.names}
        elif isinstance(statement, While | For):
            self._loop(statement)
        elif isinstance(statement, Match):
            self._match(statement)
        else:
            self._compound(statement)

    def _compound(self, statement: Statement) -> None:
        if isinstance(statement, If):
            self._python(statement.test)
        elif isinstance(statement, With):
            self._python(statement.manager)
            self._python(statement.target)
        elif isinstance(statement, Try):
            self._block(statement.body)
            for handler in statement.handlers:
                self._python(handler.kind)
                self.bound |= {handler.name} if handler.name else set()
                self._block(handler.body)
            self._block(statement.orelse)
            self._block(statement.final)
            return
        for block in blocks_of(statement):
            self._block(block)

    def _loop(self, loop: While | For) -> None:
        if isinstance(loop, For):
            self._python(loop.iterable)
            self._python(loop.target)
        self.bound |= _bound_inside(loop.body)
        if isinstance(loop, While):
            self._python(loop.test)
        self._block(loop.body)
        self._block(loop.orelse)

    def _match(self, match: Match) -> None:
        self._python(match.tree.subject)
        for case, body in zip(match.tree.cases, match.bodies, strict=True):
            self._python(case.pattern)
            self._python(case.guard)
            self._block(body)

    def _part(self, part: Part) -> None:
        if isinstance(part, Hole):
            for decorator in part.decorators:
                self._python(decorator)
            if part.annotation is not None:
                self._annotation(part.annotation)
            self.bound.add(part.name)
        elif isinstance(part, Interpolation):
            self._python(part.expression)
            for inner in part.format:
                self._part(inner)

    def _annotation(self, annotation: Annotation) -> None:
        before = set(self.free)
        self._python(annotation.call or annotation.kind)
        if annotation.kind is not None and _is_surely_type(annotation.kind):
            self.types += [use for name, use in self.free.items() if name not in before]

    def _python(self, tree: ast.AST | None) -> None:
        if tree is None:
            return
        uses = collect_names([tree])
        for kind, node in uses.events:
            if kind == "bind":
                self.bound.add(node.id)
            else:
                self._read(node)
        self.later += uses.later

    def _read(self, node: ast.Name) -> None:
        name = node.id
        if name in self.bound:
            return
        if name in self.given:
            self.outer.add(name)
            return
        if name in self.holes:
            raise self._unfilled(node)
        if not is_built_in(node) and name not in _IGNORED and name not in self.free:
            self.free[name] = Use(name, span_of(self.source, node))

    def _unfilled(self, node: ast.Name) -> QueryError:
        line = self.source.position(self.holes[node.id][0].span.start)[0]
        return QueryError(
            "Q101",
            f"the hole '{node.id}' is read before it is filled",
            source=self.source,
            span=span_of(self.source, node),
            label="it has no value yet",
            help=f"it is first filled on line {line}; move this behind it",
        )


def _is_surely_type(tree: ast.expr) -> bool:
    """Tell whether an annotation reads like a type: no plain name, or one in CapWords."""
    while isinstance(tree, ast.Attribute):
        tree = tree.value
    return not isinstance(tree, ast.Name) or tree.id[:1].isupper()


def names_bound_by(statements: Iterable[Statement]) -> frozenset[str]:
    """Return every name that some statements may give a value to, holes left out."""
    return frozenset(_bound_inside(statements, with_holes=False))


def _bound_inside(statements: Iterable[Statement], *, with_holes: bool = True) -> set[str]:
    """Return every name that some statements may bind."""
    names: set[str] = set()
    for statement in statements:
        if isinstance(statement, Prompt):
            names |= {hole.name for hole in statement.holes} if with_holes else set()
            continue
        if isinstance(statement, LibraryImport):
            names |= {name for _, name in statement.names}
        if isinstance(statement, Try):
            names |= {handler.name for handler in statement.handlers if handler.name}
        names |= collect_names(_trees_of(statement)).bound
        for block in blocks_of(statement):
            names |= _bound_inside(block, with_holes=with_holes)
    return names


def _trees_of(statement: Statement) -> Iterator[ast.AST]:
    if isinstance(statement, Python):
        yield statement.tree
    elif isinstance(statement, If | While):
        yield statement.test
    elif isinstance(statement, For):
        yield from (statement.iterable, statement.target)
    elif isinstance(statement, QueryDefinition):
        yield statement.signature
    elif isinstance(statement, With):
        yield statement.manager
        if statement.target is not None:
            yield statement.target
    elif isinstance(statement, Match):
        yield statement.tree.subject
        yield from (case.pattern for case in statement.tree.cases)
