"""What a check of a grammar says: a code, how bad it is, the place, a way out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lmql_like.errors import CODES, LmqlLikeError, render_report
from lmql_like.source import Source, Span

__all__ = ["Finding", "of_error"]

_SEVERITIES = {
    "G501": "warning",
    "G502": "warning",
    "G503": "warning",
    "G504": "note",
    "G505": "warning",
    "G506": "warning",
    "G507": "warning",
    "G508": "warning",
    "G509": "note",
    "G510": "warning",
    "G511": "warning",
    "G512": "warning",
    "G513": "note",
    "G514": "note",
    "G515": "warning",
}


@dataclass(frozen=True)
class Finding:
    """Something to know about a grammar.

    Attributes:
        code: a key of `errors.CODES`.
        message: what is found, in one line.
        source: the grammar.
        span: the place in it, None where there is none.
        label: a few words behind the carets.
        help: an edit that would mend it.
        severity: "error": the grammar cannot be used; "warning": a part of it does nothing
            or too much; "note": it may well be meant.
    """

    code: str
    message: str
    source: Source
    span: Span | None
    label: str = ""
    help: str = ""
    severity: str = ""

    def __post_init__(self) -> None:
        if not self.severity:
            object.__setattr__(self, "severity", _SEVERITIES.get(self.code, "error"))

    def render(self) -> str:
        """Return the finding as a user reads it: code, place with carets, help."""
        return render_report(
            f"{self.severity}[{self.code}]: {self.message}",
            self.source,
            self.span,
            self.label,
            self.help,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON values; line and column count from 1."""
        line, column = self.source.position(self.span.start) if self.span else (None, None)
        return {
            "code": self.code,
            "title": CODES[self.code],
            "severity": self.severity,
            "message": self.message,
            "file": self.source.name,
            "line": line,
            "column": column,
            "start": self.span.start if self.span else None,
            "end": self.span.end if self.span else None,
            "help": self.help,
        }


def of_error(error: LmqlLikeError, source: Source) -> Finding:
    """Return the finding that a grammar cannot be read or used."""
    is_here = error.source is not None and error.source.text == source.text
    return Finding(
        error.code,
        error.message,
        source if is_here or error.source is None else error.source,
        error.span,
        error.label,
        error.help,
        "error",
    )
