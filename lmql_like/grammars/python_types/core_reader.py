"""pydantic's core schema of a type -> a JSON schema of the texts that it takes.

The core schema is what pydantic validates by, so it is read instead of the JSON schema that
pydantic would write, which leaves out what JSON Schema has no word for. A table gives for
each kind the function that reads it; a kind that has none is refused. What only Python code
can decide, such as a validator function, is noted as *checked*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from lmql_like.errors import SchemaError

__all__ = ["PLAIN", "Core", "CoreReader", "Kind", "Schema"]

Core: TypeAlias = Mapping[str, Any]
Schema: TypeAlias = "dict[str, Any]"
Kind: TypeAlias = "Callable[[CoreReader, Core], Schema]"

PLAIN = "urn:lmql-like:plain-integer"
"""Identifies the schema of integers without point and exponent, which are draft 4's."""

_PLAIN_INTEGER = {
    "$id": PLAIN,
    "id": PLAIN,
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "integer",
}
_SHARED = ("model", "dataclass", "typed-dict")
# What every kind may have and no text depends on.
_NEUTRAL = {
    *("type", "ref", "metadata", "serialization", "strict", "cls", "cls_name", "schema"),
    *("custom_error_type", "custom_error_message", "custom_error_context", "config"),
}


class CoreReader:
    """Reads the core schema of one type.

    Args:
        kinds: a function for each kind of core schema.
        name: what the type is called in messages.

    Attributes:
        checks: what pydantic checks beyond the JSON schema, in words.
        config: the settings of the model around.
    """

    def __init__(self, kinds: Mapping[str, Kind], name: str) -> None:
        self.checks: list[str] = []
        self.config: Core = {}
        self._kinds = kinds
        self._path = [name]
        self._cores: dict[str, Core] = {}
        self._names: dict[str, str] = {}
        self._definitions: dict[str, Schema] = {}
        self._has_integers = False

    def read(self, core: Core) -> Schema:
        """Return the JSON schema of a whole type, with the definitions it refers to.

        Raises:
            SchemaError: S401 where a part of it has no text that could be enforced.
        """
        schema = self.schema(core)
        definitions: Schema = dict(self._definitions)
        if self._has_integers:
            definitions[" integer"] = _PLAIN_INTEGER
        return {**schema, "$defs": definitions} if definitions else schema

    def schema(self, core: Core) -> Schema:
        """Return the JSON schema of a part of a type."""
        kind = core["type"]
        if kind == "definitions":
            self._cores |= {one["ref"]: one for one in core["definitions"]}
            return self.schema(core["schema"])
        if kind == "definition-ref" and self._cores[core["schema_ref"]]["type"] != "enum":
            return {"$ref": f"#/$defs/{self._defined(core['schema_ref'])}"}
        if kind == "definition-ref":
            core = self._cores[core["schema_ref"]]
            kind = core["type"]
        if kind in _SHARED and "ref" in core:  # it may stand in many places, each time whole
            self._cores.setdefault(core["ref"], core)
            return {"$ref": f"#/$defs/{self._defined(core['ref'])}"}
        return self._read(core, kind)

    def _read(self, core: Core, kind: str) -> Schema:
        read = self._kinds.get(kind)
        if read is None:
            raise self.refuse(f"a type of the kind '{kind}'")
        with self._under(core.get("config")):
            return read(self, core)

    def integer(self) -> Schema:
        """Return the schema of integers."""
        self._has_integers = True
        return {"$ref": PLAIN}

    def refuse(self, what: str, help_: str = "") -> SchemaError:
        """Return the error for a part of a type that has no text."""
        return SchemaError(
            "S401", f"{what} cannot be written as text and read back: {self.place}", help=help_
        )

    def check(self, what: str) -> None:
        """Note that pydantic's own code decides something when the hole has ended."""
        note = f"{what} ({self.place})"
        if note not in self.checks:
            self.checks.append(note)

    def check_others(self, core: Core, known: set[str]) -> None:
        """Note the settings of a core schema that are neither read nor neutral."""
        for key in sorted(core.keys() - known - _NEUTRAL):
            if core[key] is not None:
                self.check(f"the condition '{key}'")

    def option(self, core: Core, key: str, setting: str) -> Any:
        """Return a setting of a core schema, or of the model around."""
        value = core.get(key)
        return self.config.get(setting) if value is None else value

    @property
    def place(self) -> str:
        """Where in the type the reader is, such as `Person.address`."""
        return ".".join(self._path)

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Go on inside a member."""
        self._path.append(name)
        yield
        self._path.pop()

    @contextmanager
    def _under(self, config: Core | None) -> Iterator[None]:
        """Go on with the settings of a model."""
        around, self.config = self.config, self.config if config is None else config
        yield
        self.config = around

    def _defined(self, ref: str) -> str:
        """Return the name of a definition, read when it is first referred to."""
        known = self._names.get(ref)
        if known is not None:
            return known
        base = ref.split(":", maxsplit=1)[0].rsplit(".", maxsplit=1)[-1]
        name = "".join(char if char.isalnum() else "_" for char in base)
        taken = sum(other.rpartition("-")[0] == name for other in self._names.values())
        self._names[ref] = name = f"{name}-{taken + 1}"
        self._path, path = [base], self._path
        core = self._cores[ref]
        self._definitions[name] = self._read(core, core["type"])
        self._path = path
        return name
