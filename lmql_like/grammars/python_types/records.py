"""Core schemas of models, dataclasses and TypedDicts -> JSON schemas.

Members that are not declared are never written, unless the type keeps them (`extra="allow"`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lmql_like.grammars.python_types.core_reader import Core, CoreReader, Kind, Schema

__all__ = ["RECORDS"]


def _model(reader: CoreReader, core: Core) -> Schema:
    if core.get("custom_init"):
        reader.check(f"what the __init__ of '{core['cls'].__name__}' does")
    hook = core.get("post_init")
    if hook and getattr(core["cls"], hook).__name__ != "init_private_attributes":
        reader.check(f"the method '{hook}'")
    return reader.schema(core["schema"])


def _dataclass(reader: CoreReader, core: Core) -> Schema:
    if core.get("post_init"):
        reader.check("the method '__post_init__'")
    return reader.schema(core["schema"])


def _model_fields(reader: CoreReader, core: Core) -> Schema:
    fields = core["fields"].items()
    return _object(reader, core, [(name, _is_required(field), field) for name, field in fields])


def _dataclass_args(reader: CoreReader, core: Core) -> Schema:
    fields = [field for field in core["fields"] if field.get("init", True)]
    return _object(reader, core, [(one["name"], _is_required(one), one) for one in fields])


def _typed_dict(reader: CoreReader, core: Core) -> Schema:
    total = core.get("total", True)
    fields = core["fields"].items()
    return _object(
        reader, core, [(name, field.get("required", total), field) for name, field in fields]
    )


def _is_required(field: Core) -> bool:
    return bool(field["schema"]["type"] != "default")


def _object(reader: CoreReader, core: Core, fields: Iterable[tuple[str, bool, Core]]) -> Schema:
    properties: Schema = {}
    required = []
    for own_name, is_required, field in fields:
        name = _name(reader, own_name, field)
        with reader.inside(own_name):
            properties[name] = reader.schema(field["schema"])
        if is_required:
            required.append(name)
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    schema["additionalProperties"] = _extra(reader, core)
    return schema


def _name(reader: CoreReader, name: str, field: Core) -> str:
    """Return how a member is called in a text."""
    alias: Any = field.get("validation_alias", name)
    if reader.config.get("validate_by_alias") is False:
        alias = name
    if isinstance(alias, str):
        return alias
    paths = alias if isinstance(alias[0], list) else [alias]
    for path in paths:
        if len(path) == 1 and isinstance(path[0], str):
            return str(path[0])
    raise reader.refuse(f"the alias of '{name}', a path into other members,")


def _extra(reader: CoreReader, core: Core) -> Any:
    """Return the schema of members that are not declared."""
    behavior = core.get("extra_behavior") or reader.config.get("extra_fields_behavior")
    if behavior != "allow":
        return False
    if core.get("extras_keys_schema") is not None:
        raise reader.refuse("members whose names have a type")
    values = core.get("extras_schema")
    return {} if values is None else reader.schema(values)


RECORDS: dict[str, Kind] = {
    "model": _model,
    "model-fields": _model_fields,
    "dataclass": _dataclass,
    "dataclass-args": _dataclass_args,
    "typed-dict": _typed_dict,
}
