"""Every error the package raises on purpose, its code, and its one rendering.

    LmqlLikeError              has a code, and knows how to render itself
    ├── QueryError    Q...     the query's author: syntax, scopes, constraints, arguments
    ├── GrammarError  G...     a pattern or grammar: dialect, limits, vocabulary
    ├── SchemaError   S...     a JSON Schema (reserved)
    ├── RunError      R...     a run that cannot start or go on
    └── ModelError    M...     a model or tokenizer that cannot be loaded or used

`CODES` names each code once; `docs/errors/<code>.md` explains it, and
`lmql-like explain <code>` prints that page.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from lmql_like.source import Source, Span

__all__ = [
    "CODES",
    "GrammarError",
    "LmqlLikeError",
    "ModelError",
    "QueryError",
    "RunError",
    "SchemaError",
    "did_you_mean",
]

CODES: dict[str, str] = {
    # Q0: the text cannot be read or parsed
    # Q1: names and scopes
    # Q2: constraints
    # Q3: decoders and clauses
    # Q4: arguments and calls
    # G1: patterns
    "G101": "the pattern is not a regular expression",
    "G102": "the pattern uses a feature outside the dialect",
    # G2: limits
    "G201": "the constraint needs more automaton states than the limit allows",
    # G3: vocabularies
    "G301": "the tokenizer has no fast version",
    "G302": "the tokenizer's tokens cannot be read as bytes",
    "G303": "the vocabulary is empty or malformed",
    # R: running a program
    # M: models
}


class LmqlLikeError(Exception):
    """An error with a code, a place where one is known, and a way out.

    Args:
        code: a key of `CODES`, such as "Q104".
        message: what is wrong, in one line, found before expected.
        source: the text the error is about.
        span: the place in that text.
        label: a few words behind the carets.
        help: one edit that would mend it.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        source: Source | None = None,
        span: Span | None = None,
        label: str = "",
        help: str = "",  # noqa: A002 - the word that the rendering shows
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.source = source
        self.span = span
        self.label = label
        self.help = help

    @property
    def position(self) -> tuple[int, int] | None:
        """Line and column of the error, both counted from 1, where a place is known."""
        if self.source is None or self.span is None:
            return None
        return self.source.position(self.span.start)

    def located(self, source: Source, span: Span, label: str = "") -> LmqlLikeError:
        """Return this error; give it a place if it has none yet."""
        if self.source is None:
            self.source, self.span, self.label = source, span, self.label or label
        return self

    def render(self) -> str:
        """Return the error as a user reads it: code, place with carets, help."""
        lines = [f"error[{self.code}]: {self.message}"]
        gutter = "  "
        if self.source is not None and self.span is not None:
            lines.append(self.source.excerpt(self.span, self.label))
            gutter = " " * (len(str(self.source.position(self.span.start)[0])) + 2)
        if self.help:
            lines.append(f"{gutter}= help: {self.help}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.render()


class QueryError(LmqlLikeError):
    """The query is wrong: its syntax, its names, its constraints or its arguments."""


class GrammarError(LmqlLikeError):
    """A pattern, grammar or vocabulary is wrong, unsupported or over a limit."""


class SchemaError(LmqlLikeError):
    """A JSON Schema is wrong or cannot be enforced."""


class RunError(LmqlLikeError):
    """A run cannot start or cannot go on."""


class ModelError(LmqlLikeError):
    """A model or tokenizer cannot be loaded or used."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?" for the nearest known name, or an empty string."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean '{nearest[0]}'?" if nearest else ""
