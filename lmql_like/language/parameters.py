"""Arguments of a query: which it has, and how a caller's texts become their values.

The parameters of a file are its free names. It may declare them at its top, before any
prompt string: `country: str` needs a value, `n: int = 3` has the literal as default.
"""

from __future__ import annotations

import ast
import builtins
import datetime as dt
import decimal
import typing
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from lmql_like.errors import QueryError, did_you_mean
from lmql_like.language.embedded import span_of
from lmql_like.language.nodes import Python, Query, Statement
from lmql_like.source import Source

__all__ = ["MISSING", "Parameter", "bind_arguments", "parse_argument", "split_declarations"]


class _Missing:
    """The type of `MISSING`."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()
"""The default of a parameter that has none."""


@dataclass(frozen=True)
class Parameter:
    """An argument that a query takes; `annotation` is a type, or None if it has none."""

    name: str
    annotation: Any = None
    default: Any = MISSING

    @property
    def is_required(self) -> bool:
        """Whether a caller has to give it."""
        return self.default is MISSING


_TYPES: dict[str, Any] = {
    name: value
    for module in (typing, builtins)
    for name, value in vars(module).items()
    if not name.startswith("_") and (module is typing or isinstance(value, type))
}
_TYPES |= {
    "date": dt.date,
    "time": dt.time,
    "datetime": dt.datetime,
    "Decimal": decimal.Decimal,
    "UUID": uuid.UUID,
    "typing": typing,
}
_TYPE_SYNTAX = (
    ast.Name,
    ast.Attribute,
    ast.Subscript,
    ast.Tuple,
    ast.List,
    ast.Constant,
    ast.BinOp,
    ast.BitOr,
    ast.Load,
    ast.UnaryOp,
    ast.USub,
)


def split_declarations(query: Query) -> tuple[list[Parameter], list[Statement]]:
    """Return the parameters declared at a file's top, and its other statements.

    Raises:
        QueryError: Q404 where an annotation is no known type.
    """
    declared: list[Parameter] = []
    others: list[Statement] = []
    for i, statement in enumerate(query.statements):
        tree = statement.tree if isinstance(statement, Python) else None
        is_declaration = (
            i < query.prologue
            and isinstance(tree, ast.AnnAssign)
            and isinstance(tree.target, ast.Name)
            and (tree.value is None or _is_literal(tree.value))
        )
        if is_declaration:
            declared.append(_declaration(query.source, tree))  # type: ignore[arg-type]
        else:
            others.append(statement)
    return declared, others


def _is_literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError):
        return False
    return True


def _declaration(source: Source, tree: ast.AnnAssign) -> Parameter:
    default = MISSING if tree.value is None else ast.literal_eval(tree.value)
    name = typing.cast("ast.Name", tree.target).id
    return Parameter(name, _read_type(source, tree.annotation), default)


def _read_type(source: Source, tree: ast.expr) -> Any:
    """Return the type that an annotation names; only known types, nothing is run."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    unknown = next((node for node in names if node.id not in _TYPES), None)
    simple = all(isinstance(node, _TYPE_SYNTAX) for node in ast.walk(tree))
    if unknown is None and simple:
        code = compile(ast.Expression(tree), source.name, "eval")
        try:
            return eval(code, {"__builtins__": {}}, _TYPES)  # noqa: S307 - names of types only
        except (TypeError, AttributeError):
            pass
    raise QueryError(
        "Q404",
        "this annotation is no type that is known before the query runs",
        source=source,
        span=span_of(source, unknown or tree),
        label="unknown type",
        help="use a type of Python's, such as str, int or list[str]",
    )


def parse_argument(parameter: Parameter, text: str) -> Any:
    """Return the value that a text, such as one of the command line, stands for.

    A text is read as the annotation says; lists and other containers are JSON.

    Raises:
        QueryError: Q403 where the text is no value of the parameter's type.
    """
    if parameter.annotation in (None, str, Any):
        return text
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(parameter.annotation)
    except PydanticSchemaGenerationError as error:
        raise QueryError(
            "Q403", f"argument '{parameter.name}' cannot be read from a text: {error}"
        ) from None
    try:
        return adapter.validate_python(text)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
    with suppress(ValueError):  # of which pydantic's ValidationError is one
        return adapter.validate_json(text)
    kind = getattr(parameter.annotation, "__name__", None) or str(parameter.annotation)
    if typing.get_origin(parameter.annotation) is not None:
        kind = str(parameter.annotation)
    raise QueryError(
        "Q403",
        f"argument '{parameter.name}' is {text!r}, expected {kind}",
        help=problem,
    )


def bind_arguments(parameters: Sequence[Parameter], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of every parameter: the caller's, or the default.

    Raises:
        QueryError: Q401 where one is missing, Q402 where one is unknown.
    """
    known = {parameter.name for parameter in parameters}
    listed = f"The query takes {', '.join(sorted(known))}." if known else "The query takes none."
    for name in arguments:
        if name not in known:
            hint = did_you_mean(name, known)
            raise QueryError(
                "Q402", f"the query has no argument '{name}'", help=f"{hint} {listed}".strip()
            )
    missing = [p.name for p in parameters if p.is_required and p.name not in arguments]
    if missing:
        names = ", ".join(f"'{name}'" for name in missing)
        plural = "s" if len(missing) > 1 else ""
        raise QueryError("Q401", f"argument{plural} {names} missing", help=listed)
    return {p.name: arguments.get(p.name, p.default) for p in parameters}
