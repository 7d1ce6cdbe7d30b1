"""Refuse operands that take the value of a typed hole for its text.

    "[X: int]"                                    X is a number from here on
    "[Y]" where Y == X            refused, X is no text; Y == str(X) says what is meant
    "[Y]" where len(Y) == len(X)  refused, a number has no length
    "[Y]" where len(Y) == X       as it says

Only what goes wrong whatever the number is: the rest is the run's to find out (R102).
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator

from lmql_like.errors import QueryError
from lmql_like.language.constraints import Test
from lmql_like.language.embedded import span_of
from lmql_like.language.operators import CountIs
from lmql_like.language.program import HoleCall
from lmql_like.source import Source

__all__ = ["check_typed_operands"]

_TYPES: dict[str, type] = {"int": int, "float": float, "bool": bool}
# What is evaluated only sometimes, or with names of its own.
_GUARDED = (
    *(ast.IfExp, ast.BoolOp, ast.Lambda),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)


def check_typed_operands(
    calls: Collection[HoleCall], assigned: Collection[str], source: Source
) -> None:
    """Check the operands of a program's conditions.

    Args:
        calls: its holes, in the order of the text.
        assigned: names that it binds by other statements than prompt strings.
        source: the program.

    Raises:
        QueryError: Q208 at the hole's name, with the way out.
    """
    order = [call.name for call in calls]
    kinds = _kinds(calls, assigned)
    for call in calls:
        tests = [test for constraint in call.constraints for test in constraint.tests()]
        for test in tests:
            earlier = order[: _last(order, test.subject)]
            for name in sorted(test.reads & kinds.keys() & set(earlier)):
                _check_operand(test, name, kinds[name], source)


def _kinds(calls: Iterable[HoleCall], assigned: Collection[str]) -> dict[str, str]:
    """Return the type of each hole that is no text wherever it is filled."""
    kinds: dict[str, set[str]] = {}
    for call in calls:
        kinds.setdefault(call.name, set()).add(call.type)
    return {
        name: next(iter(types))
        for name, types in kinds.items()
        if len(types) == 1 and types <= _TYPES.keys() and name not in assigned
    }


def _last(order: list[str], name: str) -> int:
    return max((i for i, other in enumerate(order) if other == name), default=0)


def _check_operand(test: Test, name: str, kind: str, source: Source) -> None:
    tree = test.operand.tree
    if not isinstance(tree, ast.expr):
        return
    is_list = isinstance(tree, ast.List | ast.Tuple | ast.Set)
    for node in tree.elts if isinstance(tree, ast.List | ast.Tuple | ast.Set) else [tree]:
        if not isinstance(node, ast.Name) or node.id != name:
            continue
        if not isinstance(test, CountIs):
            raise _refused(f"{test.operator} expects a string", node, kind, source)
        if kind != "int" or (test.comparison == "in" and not is_list):
            expected = "a list of numbers" if test.comparison == "in" else "a whole number"
            raise _refused(f"{test.operator} expects {expected}", node, kind, source, help_="")
    for node, reason in _read_as_text(tree, name, kind):
        raise _refused(reason, node, kind, source)


def _read_as_text(tree: ast.AST, name: str, kind: str) -> Iterator[tuple[ast.Name, str]]:
    """Yield where a hole's value is used as only a text can be, and what that expects."""
    if isinstance(tree, _GUARDED):
        return
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "len":
        for argument in tree.args[:1]:
            if isinstance(argument, ast.Name) and argument.id == name:
                yield argument, "'len' expects a text"
    if isinstance(tree, ast.Attribute | ast.Subscript):
        value = tree.value
        has = isinstance(tree, ast.Attribute) and hasattr(_TYPES[kind], tree.attr)
        if isinstance(value, ast.Name) and value.id == name and not has:
            yield value, "this expects a text"
    for child in ast.iter_child_nodes(tree):
        yield from _read_as_text(child, name, kind)


def _refused(
    expected: str, node: ast.Name, kind: str, source: Source, help_: str | None = None
) -> QueryError:
    return QueryError(
        "Q208",
        f"{expected}, and the value of '{node.id}' is no text but of type {kind}",
        source=source,
        span=span_of(source, node),
        label="wrong kind of value",
        help=f"write str({node.id})" if help_ is None else help_,
    )
