r"""Characters and texts -> every way in which JSON can spell them inside a string.

A character stands for itself, or `\n` and its like, or `\u` and four hexadecimal digits in
either case, or, above U+FFFF, two such escapes. All of them are spellings of the same text,
so a constraint on a string's contents is rewritten character by character. A half of a
surrogate pair by itself spells no text and is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from lmql_like.grammars.automata.finite import FiniteAutomaton
from lmql_like.grammars.json_schema.escapes import escapes
from lmql_like.grammars.regex.charsets import ALL_CHARACTERS, Ranges, complement, intersect, union
from lmql_like.grammars.regex.nodes import Finite, Node, Reference, Repeat
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
_NOT_ASCII: Ranges = ((0x80, 0x10FFFF),)
_Columns: TypeAlias = "tuple[list[int], list[int], list[int], list[int]]"
_MOST_SPELLED = 20_000  # nodes of a trie; above, letters and digits have one spelling


@lru_cache(maxsize=4096)
def _point(char: str) -> Ranges:
    return ((ord(char), ord(char)),)


@lru_cache(maxsize=4096)
def _others(chars: str) -> Ranges:
    return complement(union(map(_point, chars)))


@dataclass(frozen=True)
class _Plain:
    """What of a set of characters stands for itself in a string.

    Attributes:
        lows: the first characters of its ranges in ASCII.
        highs: the last ones.
        wide: its characters beyond ASCII.
        is_all: whether that is the whole set.
    """

    lows: list[int]
    highs: list[int]
    wide: Ranges
    is_all: bool


@lru_cache(maxsize=4096)
def _plain(ranges: Ranges) -> _Plain:
    plain = intersect(ranges, _PLAIN)
    narrow = intersect(plain, ((0, 0x7F),))
    lows, highs = [low for low, _ in narrow], [high for _, high in narrow]
    return _Plain(lows, highs, intersect(plain, _NOT_ASCII), plain == ranges)


@lru_cache(maxsize=1024)
def _wide_form(ranges: Ranges) -> tuple[int, list[tuple[int, int, int, int]], _Columns]:
    """Return the automaton of characters beyond ASCII: states inside, their edges, first edges."""
    first, *inner = utf8_automaton(ranges).edges
    within = [(node, *edge) for node, edges in enumerate(inner, 1) for edge in edges]
    lows, highs, targets = map(list, zip(*first, strict=True))
    return len(inner) - 1, within, ([], lows, highs, targets)


class _Builder:
    """Puts the spellings of characters between the states of an automaton."""

    def __init__(self, n_states: int) -> None:
        self.n_states = n_states
        self.columns: _Columns = ([], [], [], [])
        self.calls: list[tuple[int, Reference, int]] = []
        self._escaped: dict[tuple[Ranges, int], int] = {}
        self._forms: dict[tuple[Ranges, int], list[int]] = {}

    def state(self) -> int:
        """Return a new state."""
        self.n_states += 1
        return self.n_states - 1

    def edge(self, source: int, low: int, high: int, target: int) -> None:
        """Read a byte of an interval between two states."""
        sources, lows, highs, targets = self.columns
        sources.append(source)
        lows.append(low)
        highs.append(high)
        targets.append(target)

    def put(self, source: int, ranges: Ranges, target: int, *, escaped: bool = True) -> None:
        """Read a character of a set between two states."""
        plain = _plain(ranges)
        sources, lows, highs, targets = self.columns
        sources += [source] * len(plain.lows)
        lows += plain.lows
        highs += plain.highs
        targets += [target] * len(plain.lows)
        if plain.wide:
            self._put_wide(source, plain.wide, target)
        if escaped or not plain.is_all:
            self.put_escaped(source, ranges, target)

    def _put_wide(self, source: int, ranges: Ranges, target: int) -> None:
        """Read a character beyond ASCII; the states inside of it are shared by all sources."""
        n_inside, within, first = _wide_form(ranges)
        place = self._forms.get((ranges, target))
        if place is None:
            place = [source, target, *range(self.n_states, self.n_states + n_inside)]
            self._forms[ranges, target] = place
            self.n_states += n_inside
            for node, low, high, to in within:
                self.edge(place[node], low, high, place[to])
        sources, lows, highs, targets = self.columns
        sources += [source] * len(first[1])
        lows += first[1]
        highs += first[2]
        targets += [place[to] for to in first[3]]

    def put_escaped(self, source: int, ranges: Ranges, target: int) -> None:
        """Read an escaped character; the state behind the backslash is shared by all sources."""
        behind = self._escaped.get((ranges, target))
        if behind is None:
            behind = self._escaped[ranges, target] = self.state()
            self.calls.append((behind, escapes(ranges), target))
        self.edge(source, 0x5C, 0x5C, behind)

    def finish(self, accepting: Iterable[int]) -> Finite:
        return Finite(self.n_states, self.columns, tuple(accepting), tuple(self.calls))

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
        for char in chars:
            self.edge(source, ord(char), ord(char), source)
        return source

    def _byte(self, source: int, byte: int) -> int:
        target = self.state()
        self.edge(source, byte, byte, target)
        return target


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
        target = builder.state()
        builder.put(state, _point(char), target)
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
    builder = _Builder(2)
    builder.put(0, intersect(intersect(ranges, _PLAIN), complement(plain)), 1, escaped=False)
    builder.put_escaped(0, ranges, 1)
    return builder.finish((1,))


@lru_cache(maxsize=65536)
def spell_text(text: str) -> Finite:
    """Return the spellings of a text, without the quotes."""
    builder = _Builder(len(text) + 1)
    for index, char in enumerate(text):
        builder.put(index, _point(char), index + 1)
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
    all_escaped = len(children) <= _MOST_SPELLED
    for source, row in enumerate(children):
        for char, target in row.items():
            plain = char.isascii() and char.isalnum()
            builder.put(source, _point(char), target, escaped=all_escaped or not plain)
    return builder.finish(dict.fromkeys(ends))


@lru_cache(maxsize=256)
def spell_other_texts(texts: tuple[str, ...]) -> Finite:
    """Return the spellings of all texts but some."""
    children, ends = _trie(texts)
    free = len(children)
    builder = _Builder(free + 1)
    for source, row in enumerate(children):
        for char, target in row.items():
            builder.put(source, _point(char), target)
        builder.put(source, _others("".join(row) if len(row) < 2 else "".join(sorted(row))), free)
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
