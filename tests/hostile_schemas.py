"""Schemas that are large, deep or made to hurt: name -> (schema, a valid text, an invalid one).

`benchmarks/schema_sizes.py` measures what they cost; a test holds that each ends in a result
or in a coded error, soon.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["SCHEMAS", "linked_models", "megabyte", "pydantic_models", "wide_and_deep"]

_CLOSED = {"type": "object", "additionalProperties": False}


def linked_models(count: int) -> dict[str, Any]:
    """Return a schema of `count` types, each with a list of the next ones, all in use."""
    kinds = [{"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "boolean"}]
    types = {}
    for i in range(count):
        fields = {f"field_{i}_{k}": kinds[(i + k) % 4] for k in range(5)}
        fields["next"] = {"anyOf": [{"$ref": f"#/$defs/Model{(i + 1) % count}"}, {"type": "null"}]}
        fields["more"] = {"type": "array", "items": {"$ref": f"#/$defs/Model{(7 * i) % count}"}}
        types[f"Model{i}"] = {
            "title": f"Model{i}",
            "type": "object",
            "properties": fields,
            "required": [f"field_{i}_0"],
        }
    return {"$ref": "#/$defs/Model0", "$defs": types}


def pydantic_models(count: int) -> dict[str, Any]:
    """Return the schema that pydantic makes of a tree of `count` models."""
    from pydantic import create_model

    models: dict[int, Any] = {}
    for i in reversed(range(count)):
        fields: dict[str, Any] = {f"name_{i}": (str, ...), f"count_{i}": (int, 0)}
        for side, child in (("left", 2 * i + 1), ("right", 2 * i + 2)):
            if child < count:
                fields[side] = (list[models[child]], [])
        models[i] = create_model(f"Type{i}", **fields)
    schema: dict[str, Any] = models[0].model_json_schema()
    return schema


def megabyte(*, all_used: bool) -> dict[str, Any]:
    """Return a schema of a million characters in 5,000 definitions, all in use or three of them."""
    count = 5000
    types = {
        f"d{i}": {
            **_CLOSED,
            "description": f"Definition {i}. " + "What it is for takes some words. " * 2,
            "properties": {
                f"p{i}": {"type": "integer", "minimum": i % 7},
                "next": {"$ref": f"#/$defs/d{(i + 1) % count if all_used else min(i + 1, 2)}"},
            },
        }
        for i in range(count)
    }
    return {"$ref": "#/$defs/d0", "$defs": types}


def wide_and_deep(width: int, depth: int) -> dict[str, Any]:
    """Return nested objects of many members each."""
    schema: dict[str, Any] = {"type": "string"}
    for level in range(depth):
        names = {f"level{level}_{i}": {"type": "string", "maxLength": i} for i in range(width)}
        schema = {**_CLOSED, "properties": {**names, "inner": schema}, "required": ["inner"]}
    return schema


def _levels(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


def _chain(count: int) -> dict[str, Any]:
    links: dict[str, Any] = {f"r{i}": {"$ref": f"#/$defs/r{i + 1}"} for i in range(count)}
    return {"$ref": "#/$defs/r0", "$defs": {**links, f"r{count}": {"const": 1}}}


def _pattern(pattern: str, **also: Any) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern, **also}


SCHEMAS: dict[str, tuple[Any, str, str]] = {
    "60 linked types": (
        linked_models(60),
        '{"field_0_0": "x", "next": {"field_1_0": 1, "next": null}}',
        '{"field_0_0": "x", "next": {"field_1_0": "x"}}',
    ),
    "a megabyte, three definitions used": (
        json.dumps(megabyte(all_used=False)),
        '{"next": {"next": {"p2": 7}}}',
        '{"next": {"next": {"p3": 7}}}',
    ),
    "10,000 values": (
        {"enum": [f"value number {i}" for i in range(10_000)]},
        '"value number 4711"',
        '"value number 10000"',
    ),
    "100 levels": (_levels(100), '{"a":' * 100 + '"x"' + "}" * 100, '{"a":' * 99 + '"x"'),
    "20 levels of 20 members": (
        wide_and_deep(20, 20),
        '{"inner":' * 20 + '"x"' + "}" * 20,
        '{"level19_1":"xx","inner":' + '{"inner":' * 19 + '"x"' + "}" * 20,
    ),
    "a chain of 400 references": (_chain(400), "1", "2"),
    "recursion in every member": (
        {
            "type": "object",
            "properties": {name: {"$ref": "#"} for name in "abcdefgh"},
            "additionalProperties": {"anyOf": [{"$ref": "#"}, {"items": {"$ref": "#"}}]},
        },
        '{"a": {"b": {}}, "x": [{"c": {}}]}',
        '{"a": {"b": 1}}',
    ),
    "items up to two billion": (
        {"items": {"const": 1}, "minItems": 5000, "maxItems": 2**31 - 1, "type": "array"},
        "[" + "1," * 4999 + "1]",
        "[1]",
    ),
    "loops in loops": (_pattern("^(((a+)+)+b?)+$"), '"aaaaaaaaaaaaaaaaaaaaab"', '"b"'),
    "a subset construction": (_pattern("^(a|b)*a(a|b){12}$"), '"abbbbbbbbbbbb"', '"bb"'),
    "eight lookaheads": (
        _pattern("^" + "".join(f"(?=.*{c})" for c in "abcdefgh") + ".*$"),
        '"hgfedcba"',
        '"hgfedcb"',
    ),
    "characters that are counted twice": (
        _pattern("^(\\w+ ){0,20}\\w+$", maxLength=200),
        '"one two three"',
        '"' + "w " * 21 + 'w"',
    ),
}

SCHEMAS["an address of 1,024 characters"] = (
    {"type": "string", "format": "email", "maxLength": 1024},
    '"' + "a" * 1012 + '@example.com"',
    '"' + "a" * 1013 + '@example.com"',
)

REFUSED: dict[str, Any] = {
    "a lookahead over a large count": _pattern("(?!x)(a{50}){50}"),
    "a product of formats": {"allOf": [{"format": "email"}, {"maxLength": 100_000}]},
    "brackets without end": '{"items":' * 100_000 + "{}" + "}" * 100_000,
    "a number of a million digits": '{"minimum": 1' + "0" * 4000 + "}",
}
