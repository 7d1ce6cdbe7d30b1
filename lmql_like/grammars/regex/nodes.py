"""What a pattern means: languages over characters, without the way they were written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from lmql_like.grammars.regex.charsets import ALL_CHARACTERS, Ranges
from lmql_like.source import Span

__all__ = [
    "ANY_TEXT",
    "Alternation",
    "AnyByte",
    "CharSet",
    "Choice",
    "Concat",
    "Node",
    "Reference",
    "Repeat",
    "Symbol",
    "is_nullable",
]


@dataclass(frozen=True)
class CharSet:
    """One character out of a set; the empty set matches nothing."""

    ranges: Ranges


@dataclass(frozen=True)
class AnyByte:
    """One byte, whatever it is: only for counting bytes, beside a test for valid UTF-8."""


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


@dataclass(frozen=True)
class Reference:
    """A rule of a context-free grammar, by its name; patterns have none."""

    name: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Symbol:
    """One terminal of a lexed grammar, by its index: a leaf of rules, never of patterns."""

    index: int


Node: TypeAlias = Symbol | Reference | CharSet | AnyByte | Concat | Alternation | Repeat | Choice


ANY_TEXT: Node = Repeat(CharSet(ALL_CHARACTERS), 0, None)


def is_nullable(node: Node) -> bool:
    """Tell whether a node matches the empty text."""
    if isinstance(node, Concat):
        return all(is_nullable(part) for part in node.parts)
    if isinstance(node, Alternation):
        return any(is_nullable(option) for option in node.options)
    if isinstance(node, Repeat):
        return node.low == 0 or is_nullable(node.item)
    return isinstance(node, Choice) and "" in node.texts
