"""What a pattern means: languages over characters, without the way they were written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from lmql_like.grammars.regex.charsets import Ranges
from lmql_like.source import Span

__all__ = ["Alternation", "CharSet", "Choice", "Concat", "Node", "Repeat", "literal"]


@dataclass(frozen=True)
class CharSet:
    """One character out of a set; the empty set matches nothing."""

    ranges: Ranges


@dataclass(frozen=True)
class Concat:
    """One part after another; no parts match the empty text."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Alternation:
    """Any one of the options."""

    options: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """At least `low` and at most `high` copies of an item; None means no upper bound."""

    item: Node
    low: int
    high: int | None
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Choice:
    """One of many texts, kept as texts: they become a trie, not an alternation."""

    texts: tuple[str, ...]


Node: TypeAlias = CharSet | Concat | Alternation | Repeat | Choice


def literal(text: str) -> Node:
    """Return the node that matches exactly one text."""
    return Choice((text,))
