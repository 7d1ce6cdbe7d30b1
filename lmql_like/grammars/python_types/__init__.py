"""Python types -> the texts that can be read as a value of them, and how they are read."""

from __future__ import annotations

from lmql_like.grammars.python_types.typed_text import (
    JsonText,
    TypedText,
    has_names,
    read_schema,
    read_type,
)

__all__ = ["JsonText", "TypedText", "has_names", "read_schema", "read_type"]
