"""Names in Python's trees: which a piece of Python reads and binds, and in what order."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["QUERY_FUNCTIONS", "NameUses", "collect_names", "is_built_in", "parameters_of", "reads"]

QUERY_FUNCTIONS = frozenset(("score", "once", "pre", "post", "stream", "constraint"))
"""Functions that every query has; elsewhere than in a call the name is any name."""


@dataclass(frozen=True)
class NameUses:
    """What a piece of Python does with names.

    `events` are ("read" | "bind", name) of the scope around it, in the order Python
    performs them, `later` the reads inside functions, which happen when those are called.
    """

    events: Sequence[tuple[str, ast.Name]]
    later: Sequence[ast.Name]

    @property
    def bound(self) -> set[str]:
        """The names that are bound."""
        return {node.id for kind, node in self.events if kind == "bind"}


def collect_names(trees: Iterable[ast.AST]) -> NameUses:
    """Return what some pieces of Python do with names, one after the other."""
    collector = _NameCollector()
    for tree in trees:
        collector.visit(tree)
    return NameUses(collector.events, collector.later)


def reads(tree: ast.AST) -> list[ast.Name]:
    """Return the names that a piece of Python reads from the scope around it, in order."""
    uses = collect_names([tree])
    bound: set[str] = set()
    found = []
    for kind, node in uses.events:
        if kind == "bind":
            bound.add(node.id)
        elif node.id not in bound:
            found.append(node)
    return [*found, *uses.later]


def parameters_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Return the names of a function's parameters, in order."""
    args = function.args
    every = [*args.posonlyargs, *args.args, args.vararg, *args.kwonlyargs, args.kwarg]
    return [arg.arg for arg in every if arg is not None]


def is_built_in(name: ast.Name) -> bool:
    """Tell whether a name has a value that neither the program nor its caller gives it."""
    if name.id.startswith("."):  # one of the interpreter's own
        return True
    return hasattr(builtins, name.id) or getattr(name, "is_query_function", False)


class _NameCollector(ast.NodeVisitor):
    """Collects reads and bindings in the order Python performs them.

    `events` are ("read" | "bind", name) of the scope itself, `later` the reads inside
    functions, which happen when the functions are called.
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, ast.Name]] = []
        self.later: list[ast.Name] = []

    # The methods are named after Python's nodes, as `ast.NodeVisitor` asks for.

    def visit_Name(self, node: ast.Name) -> None:
        self.events.append(("read" if isinstance(node.ctx, ast.Load) else "bind", node))

    def visit_Call(self, node: ast.Call) -> None:
        _mark_function(node.func)
        self.generic_visit(node)

    def _bind(self, name: str | None, node: ast.AST) -> None:
        if name:
            self.events.append(("bind", ast.copy_location(ast.Name(name, ast.Store()), node)))

    def visit_Assign(self, node: ast.Assign) -> None:
        self._visit_all([node.value, *node.targets])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._visit_all([node.value, node.annotation])
        if node.value is not None or not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.events.append(("read", node.target))
        self._visit_all([node.value, node.target])

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._visit_all([node.value, node.target])

    def visit_For(self, node: ast.For) -> None:
        inner = _NameCollector()
        inner._visit_all(node.body)
        self._visit_all([node.iter, node.target])
        self.events += [event for event in inner.events if event[0] == "bind"]
        self._visit_all([*node.body, *node.orelse])

    def visit_While(self, node: ast.While) -> None:
        inner = _NameCollector()
        inner._visit_all(node.body)
        self.visit(node.test)
        self.events += [event for event in inner.events if event[0] == "bind"]
        self._visit_all([*node.body, *node.orelse])

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self._visit_all([node.iter, node.target, *node.body, *node.orelse])

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self._visit_all([node.type])
        self._bind(node.name, node)
        self._visit_all(node.body)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._bind((alias.asname or alias.name).split(".")[0], alias)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self._bind(alias.asname or alias.name, alias)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self.generic_visit(node)
        self._bind(node.name, node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        self._bind(node.name, node)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.generic_visit(node)
        self._bind(node.rest, node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            _mark_function(decorator)
        self._visit_all([*node.decorator_list, node.returns])
        self._visit_function(node.args, node.body)
        self._bind(node.name, node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_function(node.args, [node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for decorator in node.decorator_list:
            _mark_function(decorator)
        self._visit_all([*node.decorator_list, *node.bases, *node.keywords])
        inner = _NameCollector()
        inner._visit_all(node.body)
        own: set[str] = set()
        for kind, name in inner.events:
            if kind == "bind":
                own.add(name.id)
            elif name.id not in own:
                self.events.append((kind, name))
        self.later += inner.later
        self._bind(node.name, node)

    def _visit_function(self, args: ast.arguments, body: Sequence[ast.AST]) -> None:
        self._visit_all([*args.defaults, *args.kw_defaults])
        everything = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
        own = {arg.arg for arg in everything if arg is not None}
        self._visit_all([arg.annotation for arg in everything if arg is not None])
        inner = _NameCollector()
        inner._visit_all(body)
        own |= {node.id for kind, node in inner.events if kind == "bind"}
        inside = [node for kind, node in inner.events if kind == "read"] + inner.later
        self.later += [node for node in inside if node.id not in own]

    def _visit_comprehension(self, node: ast.AST) -> None:
        inner = _NameCollector()
        generators = getattr(node, "generators", [])
        self.visit(generators[0].iter)
        own: set[str] = set()
        for i, generator in enumerate(generators):
            targets = _NameCollector()
            targets.visit(generator.target)
            own |= {name.id for kind, name in targets.events if kind == "bind"}
            inner._visit_all([*([generator.iter] if i else []), *generator.ifs])
        for part in ("key", "value", "elt"):
            inner._visit_all([getattr(node, part, None)])
        self.events += [(kind, name) for kind, name in inner.events if name.id not in own]
        self.later += [name for name in inner.later if name.id not in own]

    visit_ListComp = _visit_comprehension  # noqa: N815 - named after Python's node
    visit_SetComp = _visit_comprehension  # noqa: N815 - named after Python's node
    visit_DictComp = _visit_comprehension  # noqa: N815 - named after Python's node
    visit_GeneratorExp = _visit_comprehension  # noqa: N815 - named after Python's node

    def _visit_all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)


def _mark_function(called: ast.expr) -> None:
    """Note on a name that it is called as a function that every query has."""
    if isinstance(called, ast.Name) and called.id in QUERY_FUNCTIONS:
        called.is_query_function = True  # type: ignore[attr-defined]
