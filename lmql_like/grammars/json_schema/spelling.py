r"""Characters and texts -> every way in which JSON can spell them inside a string.

A character stands for itself, or `\n` and its like, or `\u` and four hexadecimal digits in
either case, or, above U+FFFF, two such escapes. All of them are spellings of the same text,
so a constraint on a string's contents is rewritten character by character. A half of a
surrogate pair by itself spells no text and is refused.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import TypeAlias

from lmql_like.grammars.automata.finite import FiniteAutomaton
from lmql_like.grammars.regex.charsets import ALL_CHARACTERS, Ranges, complement, intersect, union
from lmql_like.grammars.regex.nodes import (
    Finite,
    Node,
    Repeat,
)
from lmql_like.grammars.utf8 import utf8_automaton

__all__ = [
    "ANY_SPACE",
    "ANY_STRING",
    "NEW_LINE",
    "punctuation",
    "spell_character",
    "spell_name",
    "spell_other_texts",
    "spell_rest",
    "spell_small_automaton",
    "spell_text",
    "spell_texts",
]

ANY_SPACE = "~"
"""In `punctuation`: any white space, or none."""
NEW_LINE = "^"
"""In `punctuation`: a line's end, and any blanks behind it."""

_PLAIN: Ranges = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0xD7FF), (0xE000, 0x10FFFF))
_SHORT = {0x22: '"', 0x5C: "\\", 0x2F: "/", 8: "b", 12: "f", 10: "n", 13: "r", 9: "t"}
_BMP: Ranges = ((0, 0xD7FF), (0xE000, 0xFFFF))
_ASTRAL: Ranges = ((0x10000, 0x10FFFF),)

# How the digits of an escape go: (bits, value of the first digit) or a text in between.
_Steps: TypeAlias = "tuple[tuple[int, int] | str, ...]"
_Columns: TypeAlias = "tuple[list[int], list[int], list[int], list[int]]"
_FOUR_DIGITS: _Steps = ((4, 0),) * 4
_PAIR: _Steps = ("D", (2, 8), (4, 0), (4, 0), "\\", "u", "D", (2, 12), (4, 0), (4, 0))
_MOST_SPELLED = 20_000  # nodes of a trie; above, letters and digits have one spelling


class _Template:
    """The edges of one set of characters, from state 0 to state 1.

    Attributes:
        edges: columns of local states and bytes.
        n_states: how many local states there are.
        shared: the local states that read a whole block of values, whatever the set: for
            one target they need to exist only once.
    """

    def __init__(self) -> None:
        self.edges: _Columns = ([], [], [], [])
        self.n_states = 2
        self.shared: dict[int, Hashable] = {}
        self._known: dict[tuple[Ranges, _Steps], int] = {}

    def state(self) -> int:
        self.n_states += 1
        return self.n_states - 1

    def edge(self, source: int, low: int, high: int, target: int) -> None:
        for column, value in zip(self.edges, (source, low, high, target), strict=True):
            column.append(value)

    def add_literal(self, ranges: Ranges) -> None:
        nodes = utf8_automaton(ranges).edges
        base = self.n_states - 2
        self.n_states += len(nodes) - 2
        whole = ((0x80, 0xBF, 1),)
        tails = {1: 0}  # nodes that read a number of continuation bytes, whatever they are
        for source, edges in enumerate(nodes):
            from_state = 0 if source == 0 else base + source
            if source > 1 and len(edges) == 1 and edges[0][:2] == whole[0][:2]:
                rest = tails.get(edges[0][2])
                if rest is not None:
                    tails[source] = rest + 1
                    self.shared[from_state] = ("utf-8", rest + 1)
            for low, high, target in edges:
                self.edge(from_state, low, high, 1 if target == 1 else base + target)

    def add_escapes(self, ranges: Ranges) -> None:
        behind = self.state()
        self.edge(0, 0x5C, 0x5C, behind)
        for code, letter in _SHORT.items():
            if any(low <= code <= high for low, high in ranges):
                self.edge(behind, ord(letter), ord(letter), 1)
        code_point = self.state()
        self.edge(behind, 0x75, 0x75, code_point)
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
            if ranges == ((0, (1 << _bits(steps)) - 1),):
                self.shared[state] = steps
            self._digits(state, ranges, steps)
        return self._known[key]

    def _digits(self, state: int, ranges: Ranges, steps: _Steps) -> None:
        """Let a state read the values in the ranges, written as the steps say."""
        if not ranges:
            return
        step, rest = steps[0], steps[1:]
        if isinstance(step, str):
            self._edge_of_digit(state, step, step, self._node(ranges, rest))
            return
        by_target: dict[int, list[int]] = {}
        for digit, inside in _blocks(ranges, step[0], _bits(rest)):
            by_target.setdefault(self._node(inside, rest), []).append(digit + step[1])
        for target, digits in by_target.items():
            for low, high in _runs(digits):
                if low <= 9:
                    self.edge(state, 0x30 + low, 0x30 + min(high, 9), target)
                if high >= 10:
                    letters = "ABCDEF"[max(low, 10) - 10], "ABCDEF"[high - 10]
                    self._edge_of_digit(state, *letters, target)

    def _edge_of_digit(self, state: int, low: str, high: str, target: int) -> None:
        self.edge(state, ord(low), ord(high), target)
        if low.isupper():
            self.edge(state, ord(low.lower()), ord(high.lower()), target)


def _blocks(ranges: Ranges, bits: int, rest: int) -> Iterator[tuple[int, Ranges]]:
    """Yield each first digit of the values in the ranges, and what follows it.

    Args:
        ranges: of values.
        bits: of the first digit.
        rest: bits behind it.
    """
    block, at = 1 << rest, 0
    whole: Ranges = ((0, block - 1),)
    for digit in range(1 << bits):
        start, stop = digit * block, digit * block + block - 1
        while at < len(ranges) and ranges[at][1] < start:
            at += 1
        if at == len(ranges):
            return
        if ranges[at][0] <= start and stop <= ranges[at][1]:
            yield digit, whole
        elif ranges[at][0] <= stop:
            within = takewhile(lambda pair: pair[0] <= stop, ranges[at:])  # noqa: B023
            yield digit, tuple((max(a, start) - start, min(b, stop) - start) for a, b in within)


@lru_cache(maxsize=64)
def _bits(steps: _Steps) -> int:
    return sum(step[0] for step in steps if not isinstance(step, str))


def _runs(values: Sequence[int]) -> Iterable[tuple[int, int]]:
    first = previous = values[0]
    for value in values[1:]:
        if value != previous + 1:
            yield first, previous
            first = value
        previous = value
    yield first, previous


@dataclass(frozen=True)
class _Pieces:
    """A template cut in two: what is made anew each time, and what one target needs once.

    States are numbered 0 and 1, then those made anew, then the shared ones.
    """

    n_fresh: int
    fresh: _Columns
    keys: tuple[Hashable, ...]
    shared: _Columns


@lru_cache(maxsize=4096)
def _pieces(ranges: Ranges, escapes: bool = True) -> _Pieces:
    """Return the edges that spell one character of a set."""
    template = _Template()
    template.add_literal(intersect(ranges, _PLAIN))
    if escapes or intersect(ranges, _PLAIN) != ranges:
        template.add_escapes(ranges)
    fresh = [state for state in range(template.n_states) if state not in template.shared]
    place = {state: number for number, state in enumerate((*fresh, *template.shared))}
    sides: tuple[_Columns, _Columns] = (([], [], [], []), ([], [], [], []))
    for a, low, high, b in zip(*template.edges, strict=True):
        row = (place[a], low, high, place[b])
        for column, value in zip(sides[a in template.shared], row, strict=True):
            column.append(value)
    return _Pieces(len(fresh) - 2, sides[0], tuple(template.shared.values()), sides[1])


@lru_cache(maxsize=4096)
def _character(char: str) -> _Pieces:
    return _pieces(((ord(char), ord(char)),))


@lru_cache(maxsize=4096)
def _other_characters(chars: str) -> _Pieces:
    return _pieces(complement(union([((ord(char), ord(char)),) for char in chars])))


class _Builder:
    """Puts templates between the states of an automaton."""

    def __init__(self, n_states: int) -> None:
        self.n_states = n_states
        self.columns: _Columns = ([], [], [], [])
        self._shared: dict[tuple[Hashable, int], int] = {}
        self._sets: dict[tuple[tuple[Hashable, ...], int], list[int]] = {}

    def put(self, source: int, ranges: Ranges, target: int, *, escapes: bool = True) -> None:
        """Read a character of a set between two states."""
        self._put(_pieces(ranges, escapes), source, target)

    def put_character(self, source: int, char: str, target: int) -> None:
        """Read one character between two states."""
        self._put(_character(char), source, target)

    def put_others(self, source: int, chars: str, target: int) -> None:
        """Read any character but some between two states."""
        self._put(_other_characters(chars), source, target)

    def _put(self, pieces: _Pieces, source: int, target: int) -> None:
        first = self.n_states
        self.n_states += pieces.n_fresh
        place = [source, target, *range(first, self.n_states)]
        if pieces.keys:
            known = self._sets.get((pieces.keys, target))
            if known is None:
                known = self._sets[pieces.keys, target] = self._share(pieces, target)
            place += known
        self._extend(pieces.fresh, place)

    def _share(self, pieces: _Pieces, target: int) -> list[int]:
        """Return the shared states that lead to a target; make those that are not there."""
        ids: list[int] = []
        made: list[int] = []
        for key in pieces.keys:
            state = self._shared.get((key, target))
            if state is None:
                state, self.n_states = self.n_states, self.n_states + 1
                self._shared[key, target] = state
                made.append(2 + pieces.n_fresh + len(ids))
            ids.append(state)
        place = [0, target, *([0] * pieces.n_fresh), *ids]
        rows = zip(*pieces.shared, strict=True)
        kept = [row for row in rows if row[0] in made]
        if kept:
            a, low, high, b = map(list, zip(*kept, strict=True))
            self._extend((a, low, high, b), place)
        return ids

    def _extend(self, edges: _Columns, place: list[int]) -> None:
        sources, lows, highs, targets = self.columns
        sources.extend([place[local] for local in edges[0]])
        lows.extend(edges[1])
        highs.extend(edges[2])
        targets.extend([place[local] for local in edges[3]])

    def finish(self, accepting: Iterable[int]) -> Finite:
        return Finite(self.n_states, self.columns, tuple(accepting))

    def marks(self, source: int, text: str) -> int:
        """Read marks of `punctuation` behind a state; return the state behind them."""
        for mark in text:
            if mark == NEW_LINE:
                source = self._loop(self._byte(source, 0x0A), "\t ")
            elif mark == ANY_SPACE:
                source = self._loop(source, "\t\n\r ")
            else:
                source = self._byte(source, ord(mark))
        return source

    def _loop(self, source: int, chars: str) -> int:
        codes, here = list(map(ord, chars)), [0] * len(chars)
        self._extend((here, codes, codes, here), [source])
        return source

    def _byte(self, source: int, byte: int) -> int:
        self._extend(([0], [byte], [byte], [1]), [source, self.n_states])
        self.n_states += 1
        return self.n_states - 1


@lru_cache(maxsize=64)
def punctuation(marks: str) -> Finite:
    """Return the texts of some marks: characters, `ANY_SPACE`, or `NEW_LINE` and blanks."""
    builder = _Builder(1)
    return builder.finish((builder.marks(0, marks),))


@lru_cache(maxsize=65536)
def spell_name(text: str, colon: str) -> Finite:
    """Return the spellings of a member's name, quoted, and of the marks behind it."""
    builder = _Builder(1)
    state = builder.marks(0, '"')
    for char in text:
        target, builder.n_states = builder.n_states, builder.n_states + 1
        builder.put_character(state, char, target)
        state = target
    return builder.finish((builder.marks(state, '"' + colon),))


@lru_cache(maxsize=4096)
def spell_character(ranges: Ranges) -> Finite:
    """Return the spellings of one character of a set."""
    builder = _Builder(2)
    builder.put(0, ranges, 1)
    return builder.finish((1,))


def spell_rest(ranges: Ranges, plain: Ranges) -> Finite:
    """Return the spellings of one character of a set but those that are a plain character."""
    template = _Template()
    template.add_literal(intersect(intersect(ranges, _PLAIN), complement(plain)))
    template.add_escapes(ranges)
    return Finite(template.n_states, template.edges, (1,))


@lru_cache(maxsize=65536)
def spell_text(text: str) -> Finite:
    """Return the spellings of a text, without the quotes."""
    builder = _Builder(len(text) + 1)
    for index, char in enumerate(text):
        builder.put_character(index, char, index + 1)
    return builder.finish((len(text),))


def spell_texts(texts: Sequence[str]) -> Finite:
    """Return the spellings of any of some texts, as one trie.

    In a trie of more than 20,000 nodes, letters and digits only stand for themselves: no
    serializer escapes them, and escapes for all of them would be most of the automaton.
    """
    if len(texts) == 1:
        return spell_text(texts[0])
    children, ends = _trie(texts)
    builder = _Builder(len(children))
    escapes = len(children) <= _MOST_SPELLED
    for source, row in enumerate(children):
        for char, target in row.items():
            plain = char.isascii() and char.isalnum()
            builder.put(source, ((ord(char), ord(char)),), target, escapes=escapes or not plain)
    return builder.finish(dict.fromkeys(ends))


@lru_cache(maxsize=256)
def spell_other_texts(texts: tuple[str, ...]) -> Finite:
    """Return the spellings of all texts but some."""
    children, ends = _trie(texts)
    free = len(children)
    builder = _Builder(free + 1)
    for source, row in enumerate(children):
        for char, target in row.items():
            builder.put_character(source, char, target)
        builder.put_others(source, "".join(sorted(row)), free)
    builder.put(free, ALL_CHARACTERS, free)
    refused = set(ends)
    return builder.finish(state for state in range(free + 1) if state not in refused)


def _trie(texts: Iterable[str]) -> tuple[list[dict[str, int]], list[int]]:
    """Return the children of each node of a trie, and the nodes in which the texts end."""
    children: list[dict[str, int]] = [{}]
    ends = []
    for text in texts:
        state = 0
        for char in text:
            target = children[state].get(char)
            if target is None:
                target = children[state][char] = len(children)
                children.append({})
            state = target
        ends.append(state)
    return children, ends


def spell_small_automaton(automaton: FiniteAutomaton) -> Finite:
    """Return the spellings of the texts that an automaton accepts."""
    builder = _Builder(len(automaton.table))
    for source, target, ranges in automaton.moves():
        builder.put(source, ranges, target)
    return builder.finish(state for state, accept in enumerate(automaton.accepting) if accept)


ANY_STRING: Node = Repeat(spell_character(ALL_CHARACTERS), 0, None)
