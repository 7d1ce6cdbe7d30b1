"""A grammar as data: what every grammar language is read into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lmql_like.grammars.regex.nodes import Node
from lmql_like.source import Source, Span

__all__ = ["RuleSet"]


@dataclass(frozen=True)
class RuleSet:
    """Rules over characters, read without a lexer in between.

    Attributes:
        rules: name -> what it matches; `Reference` nodes name other rules.
        start: the rule that whole texts match.
        source: the text the rules came from; spans of references point into it.
        places: name -> where it is defined, as far as the reader knows.
        inlined: small rules stand in place already where that is wanted.
    """

    rules: Mapping[str, Node]
    start: str
    source: Source
    places: Mapping[str, Span] = field(default_factory=dict)
    inlined: bool = False
