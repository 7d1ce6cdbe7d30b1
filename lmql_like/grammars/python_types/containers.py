"""Core schemas of containers, unions and wrappers -> JSON schemas."""

from __future__ import annotations

from typing import Any

from lmql_like.grammars.python_types import spellings
from lmql_like.grammars.python_types.core_reader import PLAIN, Core, CoreReader, Kind, Schema

__all__ = ["CONTAINERS"]

_MOST_UNIQUE = 8


# -- arrays ----------------------------------------------------------------------------------


def _items(reader: CoreReader, core: Core) -> Schema:
    items = core.get("items_schema")
    with reader.inside("[]"):
        return {} if items is None else reader.schema(items)


def _bounded(schema: Schema, core: Core, low: str, high: str) -> Schema:
    if core.get("min_length"):
        schema[low] = core["min_length"]
    if core.get("max_length") is not None:
        schema[high] = core["max_length"]
    return schema


def _list(reader: CoreReader, core: Core) -> Schema:
    reader.check_others(core, {"items_schema", "min_length", "max_length", "fail_fast"})
    schema: Schema = {"type": "array", "items": _items(reader, core)}
    return _bounded(schema, core, "minItems", "maxItems")


def _set(reader: CoreReader, core: Core) -> Schema:
    """Read a set: a value that is written twice is in it once, so only `min_length` forbids it.

    Where items have few values, texts without repetition are asked for anyway.
    """
    schema = _list(reader, core)
    if core.get("min_length", 0) > 1 or _is_small(schema["items"]):
        schema["uniqueItems"] = True
    return schema


def _is_small(schema: Schema) -> bool:
    values = schema.get("enum")
    return schema.get("type") == "boolean" or (values is not None and len(values) <= _MOST_UNIQUE)


def _tuple(reader: CoreReader, core: Core) -> Schema:
    reader.check_others(
        core,
        {"items_schema", "variadic_item_index", "min_length", "max_length", "fail_fast"},
    )
    items = []
    for number, item in enumerate(core["items_schema"]):
        with reader.inside(f"[{number}]"):
            items.append(reader.schema(item))
    index = core.get("variadic_item_index")
    if index is None:
        return _row(items)
    if index != len(items) - 1:
        raise reader.refuse("a tuple with items behind those of any number")
    schema: Schema = {"type": "array", "items": items[-1], "minItems": index}
    if index:
        schema["prefixItems"] = items[:-1]
    if core.get("min_length"):
        schema["minItems"] = max(index, core["min_length"])
    if core.get("max_length") is not None:
        schema["maxItems"] = core["max_length"]
    return schema


def _row(items: list[Schema], required: int | None = None) -> Schema:
    """Return the arrays of some items in a row."""
    if not items:
        return {"type": "array", "maxItems": 0}
    return {
        "type": "array",
        "prefixItems": items,
        "items": False,
        "minItems": len(items) if required is None else required,
    }


def _named_tuple(reader: CoreReader, core: Core) -> Schema:
    items = []
    required = 0
    for number, field in enumerate(core["fields"]):
        with reader.inside(field["name"]):
            items.append(reader.schema(field["schema"]))
        if field["schema"]["type"] != "default":
            required = number + 1
    return _row(items, required)


# -- objects ---------------------------------------------------------------------------------


def _dict(reader: CoreReader, core: Core) -> Schema:
    reader.check_others(
        core, {"keys_schema", "values_schema", "min_length", "max_length", "fail_fast"}
    )
    schema: Schema = {"type": "object"}
    keys, values = core.get("keys_schema"), core.get("values_schema")
    if values is not None:
        with reader.inside("{}"):
            schema["additionalProperties"] = reader.schema(values)
    if keys is not None and keys["type"] != "any":
        with reader.inside("keys"):
            names = _names(reader, reader.schema(keys))
        if names != {"type": "string"}:
            schema["propertyNames"] = names
    if (core.get("min_length") or 0) > 1:
        # A name may be written twice; the value then has it once.
        reader.check("the condition 'min_length'")
    return _bounded(schema, core, "minProperties", "maxProperties")


def _names(reader: CoreReader, schema: Schema) -> Schema:
    """Return the schema of an object's names that are read as keys."""
    if schema == {"$ref": PLAIN}:
        return {"type": "string", "pattern": f"^(?:{spellings.PLAIN_INTEGER})$"}
    if schema.get("type") == "boolean":
        return {"enum": ["true", "false"]}
    if schema.get("type") == "string" or "#/" in schema.get("$ref", ""):
        return schema
    if all(isinstance(value, str) for value in schema.get("enum", [0])):
        return schema
    raise reader.refuse("keys of this type", "use str, int, an Enum of strings or a date")


# -- choices ---------------------------------------------------------------------------------


def _nullable(reader: CoreReader, core: Core) -> Schema:
    return {"anyOf": [reader.schema(core["schema"]), {"type": "null"}]}


def _union(reader: CoreReader, core: Core) -> Schema:
    reader.check_others(core, {"choices", "mode", "auto_collapse"})
    choices = [one[0] if isinstance(one, tuple) else one for one in core["choices"]]
    options = [reader.schema(one) for one in choices]
    return options[0] if len(options) == 1 else {"anyOf": options}


def _tagged_union(reader: CoreReader, core: Core) -> Schema:
    tag = core["discriminator"]
    if not isinstance(tag, str):
        raise reader.refuse("a union told apart by more than one member's name")
    grouped: dict[str, tuple[Schema, list[Any]]] = {}
    for value, choice in core["choices"].items():
        schema = reader.schema(choice)
        grouped.setdefault(repr(schema), (schema, []))[1].append(getattr(value, "value", value))
    options = [
        {"allOf": [schema, {"properties": {tag: {"enum": values}}, "required": [tag]}]}
        for schema, values in grouped.values()
    ]
    return options[0] if len(options) == 1 else {"anyOf": options}


# -- wrappers --------------------------------------------------------------------------------


def _inner(reader: CoreReader, core: Core) -> Schema:
    return reader.schema(core["schema"])


def _default(reader: CoreReader, core: Core) -> Schema:
    if core.get("validate_default"):
        reader.check("the default value")
    return reader.schema(core["schema"])


def _json_or_python(reader: CoreReader, core: Core) -> Schema:
    return reader.schema(core["json_schema"])


def _lax_or_strict(reader: CoreReader, core: Core) -> Schema:
    strict = core.get("strict") or reader.config.get("strict")
    return reader.schema(core["strict_schema" if strict else "lax_schema"])


def _chain(reader: CoreReader, core: Core) -> Schema:
    first, *others = core["steps"]
    for other in others:
        if other["type"] != "any":
            reader.check("a further step of validation")
    return reader.schema(first)


def _function(reader: CoreReader, core: Core) -> Schema:
    function = core["function"]["function"]
    name = getattr(function, "__name__", type(function).__name__)
    reader.check(f"the validator '{name}'")
    return reader.schema(core["schema"])


CONTAINERS: dict[str, Kind] = {
    "list": _list,
    "deque": _list,
    "set": _set,
    "frozenset": _set,
    "tuple": _tuple,
    "named-tuple": _named_tuple,
    "dict": _dict,
    "ordered-dict": _dict,
    "frozendict": _dict,
    "nullable": _nullable,
    "union": _union,
    "tagged-union": _tagged_union,
    "default": _default,
    "custom-error": _inner,
    "json-or-python": _json_or_python,
    "lax-or-strict": _lax_or_strict,
    "chain": _chain,
    "function-after": _function,
    "function-before": _function,
    "function-wrap": _function,
}
