"""The operator table: what may be said about a hole, by name."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from lmql_like.language.constraints import (
    EndsWith,
    IsBoolean,
    IsDecimal,
    IsInteger,
    Matches,
    StartsWith,
    StopsAt,
    StopsBefore,
    Test,
)

__all__ = ["COMPARISONS", "FLIPPED", "LATER_OPERATORS", "METHODS", "OPERATORS", "UNITS", "Operator"]


@dataclass(frozen=True)
class Operator:
    """An operator: the class of its test, and its operand in words ("" for none)."""

    test: type[Test]
    operand: str


_STOPS = "a phrase, a list of phrases or a compiled pattern"

OPERATORS: dict[str, Operator] = {
    "STARTS_WITH": Operator(StartsWith, "a string or list of strings"),
    "ENDS_WITH": Operator(EndsWith, "a string or list of strings"),
    "REGEX": Operator(Matches, "a pattern"),
    "INT": Operator(IsInteger, ""),
    "FLOAT": Operator(IsDecimal, ""),
    "BOOL": Operator(IsBoolean, ""),
    "STOPS_AT": Operator(StopsAt, _STOPS),
    "STOPS_BEFORE": Operator(StopsBefore, _STOPS),
}
OPERATORS |= {
    name.lower(): OPERATORS[name]
    for name in ("STARTS_WITH", "ENDS_WITH", "REGEX", "STOPS_AT", "STOPS_BEFORE")
}

LATER_OPERATORS = (
    "DATE",
    "ESCAPED",
    "ERASE",
    "GBNF",
    "GRAMMAR",
    "INCLUDES",
    "JSON",
    "SENTENCES",
    "SUBSTRING_OF",
)

METHODS: dict[str, type[Test]] = {"startswith": StartsWith, "endswith": EndsWith}

# What `len` counts, and how Python counts it in the text of a filled hole.
UNITS: dict[str, str] = {"BYTES": "bytes", "WORDS": "words", "TOKENS": "tokens"}

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "==",
    ast.In: "in",
    ast.NotIn: "in",
}

FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}
