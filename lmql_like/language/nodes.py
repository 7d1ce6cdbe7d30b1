"""The tree of a query: what the author wrote, each part with its place.

    Query        statements, decoder, model, where
    Statement    Prompt | Python | If | While | For | Try | With | Match | Return | Jump
                 | QueryDefinition | LibraryImport
    Part         Text | Interpolation | Hole | Role         (what a prompt string is made of)

Embedded Python stays a tree of Python's own (`ast`), with the file's lines and columns.
A compound statement without prompt strings, `return` or a jump out of it is one
`Python` node: nothing in it concerns the query.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmql_like.language.decoders import DecoderClause
from lmql_like.source import Source, Span

__all__ = [
    "Annotation",
    "DistributionClause",
    "Except",
    "For",
    "Hole",
    "If",
    "Interpolation",
    "Jump",
    "LibraryImport",
    "Match",
    "ModelClause",
    "Part",
    "Prompt",
    "Python",
    "Query",
    "QueryDefinition",
    "Return",
    "Role",
    "Statement",
    "Text",
    "Try",
    "WhereClause",
    "While",
    "With",
]


@dataclass(frozen=True)
class Text:
    """Characters of a prompt string, escapes resolved."""

    text: str
    span: Span


@dataclass(frozen=True)
class Interpolation:
    """`{expression!conversion:format}`; `conversion` is "", "r", "s" or "a"."""

    expression: ast.expr
    conversion: str
    format: tuple[Text | Interpolation, ...]
    span: Span


@dataclass(frozen=True)
class Annotation:
    """What stands behind a hole's colon: a type, a pattern, or a nested query.

    Attributes:
        type: str, int, float or bool, where it is one of these names.
        pattern: a pattern.
        call: a query by itself, or a call of it.
        kind: any other type; a name may turn out to be either.
    """

    type: str | None
    pattern: str | None
    span: Span
    call: ast.expr | None = None
    kind: ast.expr | None = None


@dataclass(frozen=True)
class Hole:
    """`[@decorator NAME: annotation]`; `span` covers the brackets."""

    name: str
    annotation: Annotation | None
    name_span: Span
    span: Span
    decorators: tuple[ast.expr, ...] = ()


@dataclass(frozen=True)
class Role:
    """`{:system}`, `{:user}` or `{:assistant}`: a message of this role begins."""

    name: str
    span: Span


Part = Text | Interpolation | Hole | Role


@dataclass(frozen=True)
class WhereClause:
    """The condition behind `where`; `span` begins at the keyword."""

    condition: ast.expr
    span: Span


@dataclass(frozen=True)
class DistributionClause:
    """`distribution X in values`, or `distribution TOKENIZATIONS(X) in values`."""

    hole: str
    values: ast.expr
    all_tokenizations: bool
    hole_span: Span
    span: Span


@dataclass(frozen=True)
class ModelClause:
    """The name behind `from`; `span` begins at the keyword."""

    name: str
    span: Span


@dataclass(frozen=True)
class Prompt:
    """A prompt string, and the clauses behind it."""

    parts: tuple[Part, ...]
    where: tuple[WhereClause, ...]
    span: Span
    distributions: tuple[DistributionClause, ...] = ()

    @property
    def holes(self) -> tuple[Hole, ...]:
        """The holes, from left to right."""
        return tuple(part for part in self.parts if isinstance(part, Hole))


@dataclass(frozen=True)
class Python:
    """A statement that is Python's alone."""

    tree: ast.stmt
    span: Span


@dataclass(frozen=True)
class If:
    """`if` with its `else`; an `elif` is an `If` in the `else`."""

    test: ast.expr
    body: Sequence[Statement]
    orelse: Sequence[Statement]
    span: Span


@dataclass(frozen=True)
class While:
    """`while` with its `else`."""

    test: ast.expr
    body: Sequence[Statement]
    orelse: Sequence[Statement]
    span: Span


@dataclass(frozen=True)
class For:
    """`for` with its `else`."""

    target: ast.expr
    iterable: ast.expr
    body: Sequence[Statement]
    orelse: Sequence[Statement]
    span: Span


@dataclass(frozen=True)
class Except:
    """One `except` clause; `kind` is None for a bare one."""

    kind: ast.expr | None
    name: str | None
    body: Sequence[Statement]
    span: Span


@dataclass(frozen=True)
class Try:
    """`try` with all its clauses; empty sequences where one is missing."""

    body: Sequence[Statement]
    handlers: Sequence[Except]
    orelse: Sequence[Statement]
    final: Sequence[Statement]
    span: Span


@dataclass(frozen=True)
class With:
    """`with` and one context manager; several managers are `With`s inside each other."""

    manager: ast.expr
    target: ast.expr | None
    body: Sequence[Statement]
    span: Span


@dataclass(frozen=True)
class Match:
    """`match`: the tree keeps subject, patterns and guards; `bodies[i]` is case `i`'s body."""

    tree: ast.Match
    bodies: Sequence[Sequence[Statement]]
    span: Span


@dataclass(frozen=True)
class Return:
    """`return`, with its value if it has one."""

    value: ast.expr | None
    span: Span


@dataclass(frozen=True)
class Jump:
    """`break` or `continue`, as `word` says."""

    word: str
    span: Span


@dataclass(frozen=True)
class QueryDefinition:
    """`@query` above a `def` whose body is a query.

    Attributes:
        name: of the function.
        signature: the function without decorators and body.
        options: the keywords of `@query(...)`.
        body: the query; its own decoder, model and `where` only where it is written as a
            docstring.
        span: the `def` line.
    """

    name: str
    signature: ast.FunctionDef | ast.AsyncFunctionDef
    options: Mapping[str, Any]
    body: Query
    span: Span


@dataclass(frozen=True)
class LibraryImport:
    """`import` of another query file.

    Attributes:
        path: the file.
        names: (name in the file, name here); the first is None for the file itself.
        span: the statement.
    """

    path: Path
    names: tuple[tuple[str | None, str], ...]
    span: Span


Statement = (
    Prompt
    | Python
    | If
    | While
    | For
    | Try
    | With
    | Match
    | Return
    | Jump
    | QueryDefinition
    | LibraryImport
)


@dataclass(frozen=True)
class Query:
    """A whole program.

    `prologue` is the number of statements at its top that stand before the decoder
    clause, or, without one, before the first statement that is no import, definition,
    declaration or assignment.
    """

    statements: Sequence[Statement]
    prologue: int
    decoder: DecoderClause | None
    model: ModelClause | None
    where: tuple[WhereClause, ...]
    source: Source
    distributions: tuple[DistributionClause, ...] = ()
