"""What a pattern means: languages over characters, without the way they were written.

A node may know its span, the place it was written at; nodes that differ in their spans
only are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
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
    "Diagram",
    "Finite",
    "Layered",
    "Node",
    "Reference",
    "Repeat",
    "Symbol",
    "is_nullable",
    "is_nullable_diagram",
]


@dataclass(frozen=True)
class CharSet:
    """One character out of a set; the empty set matches nothing."""

    ranges: Ranges
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class AnyByte:
    """One byte, whatever it is: only for counting bytes, beside a test for valid UTF-8."""


@dataclass(frozen=True)
class Concat:
    """One part after another; no parts match the empty text."""

    parts: tuple[Node, ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Alternation:
    """Any one of the options."""

    options: tuple[Node, ...]
    span: Span | None = field(default=None, compare=False)


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
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Reference:
    """A rule of a context-free grammar, by its name; patterns have none."""

    name: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Symbol:
    """One terminal of a lexed grammar, by its index: a leaf of rules, never of patterns."""

    index: int


@dataclass(frozen=True, eq=False)
class Finite:
    """A finite automaton over bytes, put in place; state 0 is the start.

    Attributes:
        n_states: how many states there are.
        edges: columns source, first byte, last byte, target.
        accepting: the states in which it ends.
        calls: (source, rule, target) of rules that it reads; none matches the empty text.
    """

    n_states: int
    edges: tuple[list[int], list[int], list[int], list[int]]
    accepting: tuple[int, ...]
    calls: tuple[tuple[int, Reference, int], ...] = ()

    @cached_property
    def rules(self) -> tuple[Reference, ...]:
        """The rules that it reads, each once."""
        return tuple({reference.name: reference for _, reference, _ in self.calls}.values())


@dataclass(frozen=True, eq=False)
class Diagram:
    """A finite automaton whose moves read nodes; state 0 is the start.

    Attributes:
        n_states: how many states there are.
        moves: (source, node, target).
        accepting: the states in which it ends.
    """

    n_states: int
    moves: tuple[tuple[int, Node, int], ...]
    accepting: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Layered:
    """A finite automaton whose steps are counted: a copy of it for each number of steps.

    Attributes:
        n: how many states it has; state 0 is the start.
        step: what one step reads: states 0 to n - 1 are those of the automaton before it, n to
            2 n - 1 those behind it, and others lie inside of it.
        accepting: the automaton's accepting states.
        low: steps at least.
        high: steps at most.
    """

    n: int
    step: Finite
    accepting: tuple[int, ...]
    low: int
    high: int


Node: TypeAlias = (
    Symbol
    | Reference
    | CharSet
    | AnyByte
    | Concat
    | Alternation
    | Repeat
    | Choice
    | Finite
    | Diagram
    | Layered
)


ANY_TEXT: Node = Repeat(CharSet(ALL_CHARACTERS), 0, None)


def is_nullable(node: Node) -> bool:
    """Tell whether a node matches the empty text."""
    if isinstance(node, Concat):
        return all(is_nullable(part) for part in node.parts)
    if isinstance(node, Alternation):
        return any(is_nullable(option) for option in node.options)
    if isinstance(node, Repeat):
        return node.low == 0 or is_nullable(node.item)
    if isinstance(node, Finite):
        return 0 in node.accepting
    if isinstance(node, Diagram):
        return is_nullable_diagram(node, is_nullable)
    if isinstance(node, Layered):
        return node.low == 0 and 0 in node.accepting
    return isinstance(node, Choice) and "" in node.texts


def is_nullable_diagram(node: Diagram, is_empty: Callable[[Node], bool]) -> bool:
    """Tell whether moves that can read nothing lead through a diagram."""
    seen, stack = {0}, [0]
    while stack:
        state = stack.pop()
        if state in node.accepting:
            return True
        for source, part, target in node.moves:
            if source == state and target not in seen and is_empty(part):
                seen.add(target)
                stack.append(target)
    return False
