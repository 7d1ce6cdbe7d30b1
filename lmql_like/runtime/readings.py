"""The text of a hole -> its value, as the hole's type says."""

from __future__ import annotations

from typing import Any

from lmql_like.errors import RunError
from lmql_like.language.program import HoleCall
from lmql_like.language.typed import Reading
from lmql_like.source import Source

__all__ = ["read_hole"]


def read_hole(hole: HoleCall, reading: Reading | None, text: str, source: Source) -> Any:
    """Return the value of a hole's text.

    Args:
        hole: the hole.
        reading: of its type; None where that is str, int, float or bool.
        text: its text.
        source: the program.

    Raises:
        RunError: R103, the text is none of the type's.
        ValueError: the type's own code refuses it.
    """
    try:
        return _read_plain(hole.type, text) if reading is None else reading.read(text)
    except ValueError as error:
        if reading is not None and reading.checks:
            raise
        kind = hole.type if reading is None else reading.name
        raise RunError(
            "R103",
            f"the text {text!r} of hole '{hole.name}' is no {kind}",
            source=source,
            span=hole.span,
            help="was the hole cut off by a token limit?",
        ) from error


def _read_plain(kind: str, text: str) -> Any:
    if kind == "int":
        return int(text)
    if kind == "float":
        return float(text)
    if kind != "bool":
        return text
    word = text.strip().lower()
    if word not in ("true", "false"):
        raise ValueError(text)
    return word == "true"
