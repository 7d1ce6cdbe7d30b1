"""JSON Schema -> rules over bytes, exactly or refused."""

from __future__ import annotations

from lmql_like.grammars.json_schema.compiler import (
    Schema,
    SchemaRules,
    UnenforcedWarning,
    compile_json,
    compile_json_schema,
    read_json_schema,
)
from lmql_like.grammars.json_schema.evaluation import Unenforced

__all__ = [
    "Schema",
    "SchemaRules",
    "Unenforced",
    "UnenforcedWarning",
    "compile_json",
    "compile_json_schema",
    "read_json_schema",
]
