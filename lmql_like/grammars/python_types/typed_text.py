"""A Python type as texts: which texts are values of it, and what their values are.

    int, date, Literal["a", "b"], int | None, ...      written bare:  2024-02-29
    str                                                any text
    everything else                                    JSON:          {"day": "2024-02-29"}

Both may begin with one space. What is written is narrower than what pydantic takes, and what
is accepted here is what pydantic takes: `TypedText.read` cannot fail, but for what the type's
own validators decide (`checks`).
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias

from pydantic import PydanticUserError, TypeAdapter

from lmql_like.errors import SchemaError
from lmql_like.grammars.cfg.rules import RuleSet
from lmql_like.grammars.formulas import Derives, Formula
from lmql_like.grammars.json_schema import read_json_schema
from lmql_like.grammars.python_types.bare import OPTIONAL_SPACE, Bare, bare_form
from lmql_like.grammars.python_types.containers import CONTAINERS
from lmql_like.grammars.python_types.core_reader import CoreReader, Schema
from lmql_like.grammars.python_types.records import RECORDS
from lmql_like.grammars.python_types.scalars import SCALARS
from lmql_like.grammars.regex.nodes import Concat

__all__ = ["JsonText", "TypedText", "has_names", "read_schema", "read_type", "write_schema"]

Options: TypeAlias = "tuple[tuple[str, str], ...]"

_KINDS = {**SCALARS, **CONTAINERS, **RECORDS}
_CACHED = 256
_ON_A_LINE = (("whitespace", "line"),)  # a model that is free to write blanks may never stop
_MODULES = re.compile(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])")


@dataclass(frozen=True, eq=False)
class TypedText:
    """The texts of a type.

    Attributes:
        name: the type, as messages call it.
        formula: which texts they are.
        schema: the JSON schema of the values.
        checks: what only the type's own code decides, when the hole has ended.
        bare: how values are written without quotes; None where the text is JSON.
    """

    name: str
    formula: Formula
    schema: Schema
    checks: tuple[str, ...]
    bare: Bare | None
    adapter: TypeAdapter[Any] = field(repr=False)

    def read(self, text: str) -> Any:
        """Return the value of a text.

        Raises:
            ValidationError: the type's own code refuses it, or the text does not satisfy
                the formula.
        """
        return self.adapter.validate_json(text if self.bare is None else self.bare.as_json(text))

    def as_document(self, options: Options = ()) -> JsonText:
        """Return the same values as JSON, strings at the top in quotes too."""
        formula = _json_formula(write_schema(self.schema), options)
        return JsonText(self.name, formula, self.adapter.validate_json, self.checks)

    def __deepcopy__(self, memo: object) -> TypedText:
        """Return the type itself: it never changes."""
        return self


@dataclass(frozen=True, eq=False)
class JsonText:
    """The JSON texts of a schema; `read` gives what one stands for."""

    name: str
    formula: Formula
    read: Callable[[str], Any]
    checks: tuple[str, ...] = ()

    def __deepcopy__(self, memo: object) -> JsonText:
        """Return the schema itself: it never changes."""
        return self


def read_schema(schema: str, options: Options = ()) -> JsonText:
    """Return the JSON texts of a schema that is given as JSON text.

    Args:
        schema: the schema.
        options: keywords of `read_json_schema` with their values.

    Raises:
        SchemaError: S1 to S3, as `compile_json_schema`.
    """
    return JsonText("JSON", _json_formula(schema, options), json.loads)


def read_type(kind: Any, names: Mapping[str, Any] | None = None) -> TypedText:
    """Return the texts of a type.

    Args:
        kind: anything that pydantic makes a `TypeAdapter` of.
        names: the names that forward references in it may be about.

    Raises:
        SchemaError: S401 for a type that has no text, S402 for a pattern in it, S403 where
            pydantic knows no such type; S1 to S3 as `compile_json_schema`.
    """
    key = _key(kind)
    if key is not None and key in _known:
        return _known[key]
    typed = _read(kind, names or {})
    if key is not None:
        if len(_known) >= _CACHED:
            _known.pop(next(iter(_known)))
        _known[key] = typed
    return typed


_known: dict[tuple[Any, str], TypedText] = {}


def _key(kind: Any) -> tuple[Any, str] | None:
    """Return what tells a type from others; None where it depends on names around it."""
    try:
        hash(kind)
    except TypeError:
        return None
    return None if has_names(kind) else (kind, repr(kind))


def has_names(kind: Any) -> bool:
    """Tell whether a type refers to others by their names."""
    if isinstance(kind, str | typing.ForwardRef):
        return True
    if typing.get_origin(kind) is typing.Literal:
        return False
    return any(map(has_names, typing.get_args(kind)))


def type_name(kind: Any) -> str:
    """Return a type as it is written."""
    if isinstance(kind, type) and not typing.get_args(kind):
        return str(kind.__name__)
    if hasattr(kind, "__metadata__"):  # Annotated: the conditions are no part of its name
        return type_name(kind.__origin__)
    return _MODULES.sub("", repr(kind))


def _read(kind: Any, names: Mapping[str, Any]) -> TypedText:
    name = type_name(kind)
    adapter = _adapter(kind, name, names)
    reader = CoreReader(_KINDS, name)
    schema = reader.read(adapter.core_schema)
    text = write_schema(schema)
    bare = bare_form(schema, text)
    formula = _json_formula(text, _ON_A_LINE) if bare is None else bare.formula
    return TypedText(name, formula, schema, tuple(reader.checks), bare, adapter)


def _adapter(kind: Any, name: str, names: Mapping[str, Any]) -> TypeAdapter[Any]:
    """Return pydantic's adapter, made where the names around are seen."""
    surroundings = {**names, "_make_adapter": TypeAdapter, "_kind": kind}
    try:
        # pydantic looks names up in the frame that calls it.
        adapter: TypeAdapter[Any] = eval("_make_adapter(_kind)", surroundings)  # noqa: S307
        adapter.core_schema["type"]
    except (PydanticUserError, NameError, TypeError, ImportError) as error:
        problem = str(error).split("\n", 1)[0].split(". ", 1)[0].rstrip(".")
        if getattr(error, "code", None) == "class-not-fully-defined":
            problem = "it names another one that is not there"
        raise SchemaError(
            "S403",
            f"'{name}' is no type that a text can be a value of: {problem}",
            help="use a type that pydantic knows, or a class with fields",
        ) from None
    return adapter


@lru_cache(maxsize=_CACHED)
def _json_formula(schema: str, options: Options = ()) -> Formula:
    """Return the JSON texts of a schema; the same formula for the same schema."""
    rules = read_json_schema(schema, **dict(options)).rules
    start = Concat((OPTIONAL_SPACE, rules.rules[rules.start]))
    return Derives(
        RuleSet({**rules.rules, rules.start: start}, rules.start, rules.source, inlined=True)
    )


def write_schema(value: Any) -> str:
    """Return a schema as JSON text, its numbers exact."""
    if isinstance(value, dict):
        members = (f"{json.dumps(key)}: {write_schema(item)}" for key, item in value.items())
        return f"{{{', '.join(members)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(write_schema, value))}]"
    return f"{value:f}" if isinstance(value, Decimal) else json.dumps(value)
