"""Annotations of holes that are known before the program runs: types, and queries.

Nothing of the author's is run to know them: built-in types, names that the program imports
from the standard library's modules of types, and the values of names around a `@query`
function. All others are looked at when their hole begins.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import typing
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from lmql_like.grammars.python_types import has_names
from lmql_like.language.nodes import LibraryImport, Python, Query, QueryDefinition
from lmql_like.language.scopes import names_bound_by, statements_in

__all__ = ["MISSING", "KnownTypes", "import_hint", "is_type_like"]

MISSING = object()
_MODULES = (
    *("typing", "datetime", "decimal", "uuid", "collections", "collections.abc"),
    *("fractions", "ipaddress", "pathlib", "dataclasses", "enum", "typing_extensions"),
)
_SYNTAX = (
    *(ast.Name, ast.Attribute, ast.Subscript, ast.Tuple, ast.List, ast.Constant),
    *(ast.BinOp, ast.BitOr, ast.Load, ast.UnaryOp, ast.USub),
)


class KnownTypes:
    """What a program's annotations are, as far as that is known.

    Args:
        query: the program.
        scope: names that have a value around it, with their values if it is a mapping.
        outer: what is known of the program that defines it.

    Attributes:
        values: the names whose values are known.
        queries: names that are queries.
        classes: names that are classes of the program's own.
    """

    def __init__(
        self, query: Query, scope: Collection[str] = (), outer: KnownTypes | None = None
    ) -> None:
        statements = list(statements_in(query.statements))
        self.queries = {
            name
            for statement in statements
            if isinstance(statement, QueryDefinition | LibraryImport)
            for name in _names_of(statement)
        }
        trees = [one.tree for one in statements if isinstance(one, Python)]
        self.classes = {tree.name for tree in trees if isinstance(tree, ast.ClassDef)}
        bindings = Counter(name for tree in trees for name in _bound(tree))
        bound = names_bound_by(query.statements)
        values = {n: value for n, value in vars(builtins).items() if isinstance(value, type)}
        if isinstance(scope, Mapping):
            values |= scope
        if outer is not None:
            values |= outer.values
            self.queries |= outer.queries - bound
            self.classes |= outer.classes - bound
        self.values: dict[str, Any] = {name: v for name, v in values.items() if name not in bound}
        for tree in trees:
            if isinstance(tree, ast.Import | ast.ImportFrom):
                imported = dict(_imported(tree))
                self.values |= {n: v for n, v in imported.items() if bindings[n] == 1}

    def value(self, tree: ast.expr) -> Any:
        """Return what an annotation is; `MISSING` where that is not known yet."""
        nodes = list(ast.walk(tree))
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        if not names <= self.values.keys() or not all(isinstance(n, _SYNTAX) for n in nodes):
            return MISSING
        code = compile(ast.Expression(tree), "<annotation>", "eval")
        try:
            value = eval(code, {"__builtins__": {}}, self.values)  # noqa: S307 - names of types
        except Exception:  # noqa: BLE001 - what is wrong with it is said when the hole begins
            return MISSING
        is_one = is_type_like(value) or hasattr(value, "invocation")
        return value if is_one and not has_names(value) else MISSING

    def is_query(self, tree: ast.expr) -> bool:
        """Tell whether an annotation is surely a query."""
        root = tree
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(root, ast.Name) and root.id in self.queries:
            return True
        return hasattr(self.value(tree), "invocation")

    def is_type(self, tree: ast.expr) -> bool:
        """Tell whether an annotation is surely a type."""
        if isinstance(tree, ast.Name) and tree.id in self.classes - self.queries:
            return True
        return isinstance(self.value(tree), type)


def is_type_like(value: Any) -> bool:
    """Tell whether a value may be meant as a type; what is wrong with it is said then."""
    return (
        value is None
        or isinstance(value, type)
        or typing.get_origin(value) is not None
        or type(value).__module__ == "typing"
        or type(value).__name__ == "TypeAliasType"
    )


def import_hint(name: str) -> str:
    """Return the import that would give a name its usual meaning, or an empty string."""
    for module in _MODULES[:6]:
        if hasattr(importlib.import_module(module), name):
            return f"write 'from {module} import {name}' in front of it"
    if name in ("BaseModel", "Field"):
        return f"write 'from pydantic import {name}' in front of it"
    return ""


def _names_of(statement: QueryDefinition | LibraryImport) -> Iterator[str]:
    if isinstance(statement, QueryDefinition):
        yield statement.signature.name
    else:
        yield from (name for _, name in statement.names)


def _bound(tree: ast.AST) -> list[str]:
    from lmql_like.language.names import collect_names

    return [node.id for kind, node in collect_names([tree]).events if kind == "bind"]


def _imported(tree: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Any]]:
    """Yield the names that an import of known modules gives, with their values."""
    for alias in tree.names:
        if isinstance(tree, ast.Import):
            if alias.name in _MODULES:
                top = alias.name if alias.asname else alias.name.split(".")[0]
                yield alias.asname or top, importlib.import_module(top)
        elif tree.level == 0 and tree.module in _MODULES:
            module = importlib.import_module(tree.module)
            if hasattr(module, alias.name):
                yield alias.asname or alias.name, getattr(module, alias.name)
