r"""Characters and texts -> every way in which JSON can spell them inside a string.

A character stands for itself, or `\n` and its like, or `\u` and four hexadecimal digits in
either case, or, above U+FFFF, two such escapes. All of them are spellings of the same text,
so a constraint on a string's contents is rewritten character by character. A half of a
surrogate pair by itself spells no text and is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TypeAlias

from lmql_like.grammars.automata.finite import FiniteAutomaton
from lmql_like.grammars.regex.charsets import ALL_CHARACTERS, Ranges, intersect
from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Choice,
    Concat,
    Finite,
    Node,
    Repeat,
)
from lmql_like.grammars.utf8 import utf8_automaton

__all__ = [
    "ANY_STRING",
    "spell_automaton",
    "spell_character",
    "spell_node",
    "spell_text",
    "spell_texts",
]

_PLAIN: Ranges = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0xD7FF), (0xE000, 0x10FFFF))
_SHORT = {0x22: '"', 0x5C: "\\", 0x2F: "/", 8: "b", 12: "f", 10: "n", 13: "r", 9: "t"}
_BMP: Ranges = ((0, 0xD7FF), (0xE000, 0xFFFF))
_ASTRAL: Ranges = ((0x10000, 0x10FFFF),)

# How the digits of an escape go: (bits, value of the first digit) or a text in between.
_Steps: TypeAlias = "tuple[tuple[int, int] | str, ...]"
_FOUR_DIGITS: _Steps = ((4, 0),) * 4
_PAIR: _Steps = ("D", (2, 8), (4, 0), (4, 0), "\\u", "D", (2, 12), (4, 0), (4, 0))
_MOST_SPELLED = 20_000  # nodes of a trie; above, letters and digits have one spelling

Edge: TypeAlias = tuple[int, int, int, int]


class _Template:
    """Collects the edges of one set of characters, from state 0 to state 1."""

    def __init__(self) -> None:
        self.edges: list[Edge] = []
        self.n_states = 2
        self._known: dict[tuple[Ranges, _Steps], int] = {}

    def state(self) -> int:
        self.n_states += 1
        return self.n_states - 1

    def add_literal(self, ranges: Ranges) -> None:
        nodes = utf8_automaton(ranges).edges
        base = self.n_states - 2
        self.n_states += len(nodes) - 2
        for source, edges in enumerate(nodes):
            from_state = 0 if source == 0 else base + source
            for low, high, target in edges:
                self.edges.append((from_state, low, high, 1 if target == 1 else base + target))

    def add_escapes(self, ranges: Ranges) -> None:
        behind = self.state()
        self.edges.append((0, 0x5C, 0x5C, behind))
        for code, letter in _SHORT.items():
            if any(low <= code <= high for low, high in ranges):
                self.edges.append((behind, ord(letter), ord(letter), 1))
        code_point = self.state()
        self.edges.append((behind, 0x75, 0x75, code_point))
        basic = intersect(ranges, _BMP)
        self._digits(code_point, basic, _FOUR_DIGITS)
        astral = intersect(ranges, _ASTRAL)
        shifted = tuple((low - 0x10000, high - 0x10000) for low, high in astral)
        self._digits(code_point, shifted, _PAIR)

    def _node(self, ranges: Ranges, steps: _Steps) -> int:
        if not steps:
            return 1
        key = ranges, steps
        if key not in self._known:
            self._known[key] = state = self.state()
            self._digits(state, ranges, steps)
        return self._known[key]

    def _digits(self, state: int, ranges: Ranges, steps: _Steps) -> None:
        """Let a state read the values in the ranges, written as the steps say."""
        if not ranges:
            return
        step, rest = steps[0], steps[1:]
        if isinstance(step, str):
            target = self._node(ranges, rest)
            for char in step[:-1]:
                following = self.state()
                self.edges.append((state, ord(char), ord(char), following))
                state = following
            self._edge(state, step[-1], step[-1], target)
            return
        bits, offset = step
        block = 1 << sum(s[0] for s in rest if not isinstance(s, str))
        by_target: dict[int, list[int]] = {}
        for digit in range(1 << bits):
            start = digit * block
            inside = tuple(
                (low - start, high - start)
                for low, high in intersect(ranges, ((start, start + block - 1),))
            )
            if inside:
                by_target.setdefault(self._node(inside, rest), []).append(digit + offset)
        for target, digits in by_target.items():
            for low, high in _runs(digits):
                self._edge_of_digits(state, low, high, target)

    def _edge_of_digits(self, state: int, low: int, high: int, target: int) -> None:
        if low <= 9:
            self.edges.append((state, 0x30 + low, 0x30 + min(high, 9), target))
        if high >= 10:
            first, last = "ABCDEF"[max(low, 10) - 10], "ABCDEF"[high - 10]
            self._edge(state, first, last, target)

    def _edge(self, state: int, low: str, high: str, target: int) -> None:
        self.edges.append((state, ord(low), ord(high), target))
        if low.isalpha() and low.isupper():
            self.edges.append((state, ord(low.lower()), ord(high.lower()), target))


def _runs(values: Sequence[int]) -> Iterable[tuple[int, int]]:
    first = previous = values[0]
    for value in values[1:]:
        if value != previous + 1:
            yield first, previous
            first = value
        previous = value
    yield first, previous


@lru_cache(maxsize=4096)
def _template(ranges: Ranges, escapes: bool = True) -> tuple[int, tuple[Edge, ...]]:  # noqa: FBT002
    """Return the number of states and the edges that spell one character, from 0 to 1."""
    builder = _Template()
    builder.add_literal(intersect(ranges, _PLAIN))
    if escapes or intersect(ranges, _PLAIN) != ranges:
        builder.add_escapes(ranges)
    return builder.n_states, tuple(builder.edges)


class _Builder:
    """Puts templates between the states of an automaton."""

    def __init__(self, n_states: int) -> None:
        self.n_states = n_states
        self.columns: tuple[list[int], list[int], list[int], list[int]] = ([], [], [], [])

    def put(self, source: int, ranges: Ranges, target: int, *, escapes: bool = True) -> None:
        size, edges = _template(ranges, escapes)
        base = self.n_states - 2
        self.n_states += size - 2
        sources, lows, highs, targets = self.columns
        for a, low, high, b in edges:
            sources.append(base + a if a > 1 else source)
            lows.append(low)
            highs.append(high)
            targets.append(base + b if b > 1 else target)

    def finish(self, accepting: Iterable[int]) -> Finite:
        return Finite(self.n_states, self.columns, tuple(accepting))


@lru_cache(maxsize=4096)
def spell_character(ranges: Ranges) -> Finite:
    """Return the spellings of one character of a set."""
    builder = _Builder(2)
    builder.put(0, ranges, 1)
    return builder.finish((1,))


@lru_cache(maxsize=65536)
def spell_text(text: str) -> Finite:
    """Return the spellings of a text, without the quotes."""
    builder = _Builder(len(text) + 1)
    for index, char in enumerate(text):
        builder.put(index, ((ord(char), ord(char)),), index + 1)
    return builder.finish((len(text),))


def spell_texts(texts: Sequence[str]) -> Finite:
    """Return the spellings of any of some texts, as one trie.

    In a trie of more than 20,000 nodes, characters that may stand for themselves do: no
    serializer escapes a letter, and escapes for all of them would be most of the automaton.
    """
    if len(texts) == 1:
        return spell_text(texts[0])
    children: dict[tuple[int, str], int] = {}
    count, accepting = 1, []
    for text in texts:
        state = 0
        for char in text:
            target = children.get((state, char))
            if target is None:
                target = children[state, char] = count
                count += 1
            state = target
        accepting.append(state)
    builder = _Builder(count)
    escapes = count <= _MOST_SPELLED
    for (source, char), target in children.items():
        plain = char.isascii() and char.isalnum()
        builder.put(source, ((ord(char), ord(char)),), target, escapes=escapes or not plain)
    return builder.finish(dict.fromkeys(accepting))


def spell_automaton(automaton: FiniteAutomaton) -> Finite:
    """Return the spellings of the texts that an automaton accepts."""
    builder = _Builder(len(automaton.table))
    for source, target, ranges in automaton.moves():
        builder.put(source, ranges, target)
    return builder.finish(state for state, accept in enumerate(automaton.accepting) if accept)


def spell_node(node: Node) -> Node:
    """Return the spellings of the texts that a node without references matches."""
    if isinstance(node, CharSet):
        return spell_character(node.ranges)
    if isinstance(node, Concat):
        return Concat(tuple(map(spell_node, node.parts)))
    if isinstance(node, Alternation):
        return Alternation(tuple(map(spell_node, node.options)))
    if isinstance(node, Choice):
        return spell_texts(node.texts)
    if isinstance(node, Repeat):
        return Repeat(spell_node(node.item), node.low, node.high)
    return node


ANY_STRING: Node = Repeat(spell_character(ALL_CHARACTERS), 0, None)
