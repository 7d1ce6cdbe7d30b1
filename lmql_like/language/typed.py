"""Operators about what a text is read as: types, dates, JSON.

[X: list[int]]     type(X) is Person     DATE(X)     JSON(X, schema, whitespace=, key_order=)

They say which texts a hole may have, and give the hole its Python value.
"""

from __future__ import annotations

import ast
import datetime as dt
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lmql_like.errors import GrammarError, LmqlLikeError, SchemaError
from lmql_like.files import read_text
from lmql_like.grammars.formulas import Formula
from lmql_like.language.code import Code
from lmql_like.language.constraints import Binding, Test
from lmql_like.source import Source, Span

__all__ = ["JSON_KEYWORDS", "IsDate", "IsJson", "IsOfType", "Known", "Reading", "Typed"]

JSON_KEYWORDS = ("whitespace", "key_order", "additional", "formats", "file")


class Reading(Protocol):
    """The texts of a type, and how they are read; see `TypedText`."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def formula(self) -> Formula:
        """Which texts they are."""
        ...

    @property
    def checks(self) -> tuple[str, ...]:
        """What only Python code decides, when the hole has ended."""
        ...

    def read(self, text: str) -> Any:
        """Return the value of a text.

        Raises:
            ValueError: it has none.
        """
        ...


class Known(Code):
    """A type that is known before the program runs: its expression, and what it gives."""

    def __init__(self, code: Code, value: Any) -> None:
        super().__init__(code.tree, code.text, code.span, code.file_name)
        object.__setattr__(self, "_value", value)

    @property
    def is_literal(self) -> bool:
        """Whether the value is known."""
        return True

    @property
    def literal(self) -> Any:
        """The value."""
        return self.__dict__["_value"]


class Typed(Test):
    """A test that also gives its hole a value."""

    operator = "a type"

    def reading(self, value: Any, names: Mapping[str, Any]) -> Reading:
        """Return which texts the hole may have, and how they are read.

        Args:
            value: the operand's.
            names: those around, for forward references.

        Raises:
            GrammarError: S4 for a type, S1 to S3 for a schema.
        """
        raise NotImplementedError

    def formula(self, value: Any) -> Formula:
        """Return the texts that can be read."""
        return self.reading(value, {}).formula

    def demanded(self, binding: Binding) -> Formula:
        """Return the texts that can be read, where the names around are known."""
        return self.reading(binding.evaluate(self.operand), binding.names).formula


class IsOfType(Typed):
    """`[X: T]`, `type(X) is T`: the text is one of a Python type's."""

    def reading(self, value: Any, names: Mapping[str, Any]) -> Reading:
        """Return the texts of a type."""
        from lmql_like.grammars.python_types import read_type

        try:
            return read_type(value, names)
        except SchemaError as error:
            raise _of_query(error) from None


class IsDate(IsOfType):
    """`DATE(X)`."""

    operator = "DATE"

    def reading(self, value: Any, names: Mapping[str, Any]) -> Reading:
        """Return the texts of dates."""
        del value
        return super().reading(dt.date, names)


@dataclass(frozen=True)
class IsJson(Typed):
    """`JSON(X, schema)`: the text is JSON that satisfies a schema.

    `options` are those of `read_json_schema`; `file` is the schema's file, if it has one.
    """

    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    file: str = ""

    operator = "JSON"

    def reading(self, value: Any, names: Mapping[str, Any]) -> Reading:
        """Return the JSON texts of a schema: JSON text, a dictionary, a truth value, a type."""
        from lmql_like.grammars.python_types import read_schema, read_type

        options = tuple(sorted(self.options.items()))
        try:
            if isinstance(value, os.PathLike):
                return read_schema(read_text(Path(value), "the schema file"), options)
            if isinstance(value, str):
                return read_schema(self.text(value), options)
            if isinstance(value, Mapping | bool):
                return read_schema(_as_text(value), options)
            return read_type(value, names).as_document(options)
        except SchemaError as error:
            raise _of_query(error, self.file) from None


def _as_text(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SchemaError("S101", f"the schema is not JSON: {error}") from error


def _of_query(error: LmqlLikeError, file: str = "") -> GrammarError:
    """Return the error of a schema or a type as one that has a place in the query."""
    pointer = getattr(error, "pointer", None)
    message = error.message
    if pointer is not None:
        message += f", at {file}#{pointer}"
    return GrammarError(error.code, message, help=error.help)


def read_json_call(call: ast.Call, subject: str, span: Span, source: Source) -> IsJson | str:
    """Return what a call of JSON demands, or what is wrong with its arguments.

    Raises:
        QueryError: Q007, the schema's file cannot be read.
    """
    options: dict[str, str] = {}
    for keyword in call.keywords:
        if keyword.arg not in JSON_KEYWORDS:
            return f"'{keyword.arg}' is none of {', '.join(JSON_KEYWORDS)}"
        if not isinstance(keyword.value, ast.Constant) or not isinstance(keyword.value.value, str):
            return f"the value of '{keyword.arg}' is not written out as a string"
        options[keyword.arg] = keyword.value.value
    file = options.pop("file", "")
    if len(call.args) not in ((1,) if file else (1, 2)):
        return "expected a hole and a schema, or a hole and file="
    if len(call.args) == 2:
        return IsJson(subject, Code.of(source, call.args[1]), frozenset(), span, options)
    value: Any = True
    if file:
        value = read_text(Path(source.name).parent / file, "the schema file")
    tree = ast.copy_location(ast.Constant(value), call)
    return IsJson(subject, Code.of(source, tree, span), frozenset(), span, options, file)
