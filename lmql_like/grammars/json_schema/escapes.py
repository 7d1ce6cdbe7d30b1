r"""Characters as escapes: what may stand behind a backslash in a JSON string.

`\n` and its like, or `\u` and four hexadecimal digits in either case, or, above U+FFFF, two
such escapes. For each set of characters that is one rule, shared by all places in all grammars
where a backslash may begin a character of the set: texts hardly ever hold one, so a place pays
for one call only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import takewhile
from typing import TypeAlias

from lmql_like.grammars.json_schema.sharing import Shared, shared
from lmql_like.grammars.regex.charsets import Ranges, intersect
from lmql_like.grammars.regex.nodes import Finite, Reference

__all__ = ["escapes"]

_SHORT = {0x22: '"', 0x5C: "\\", 0x2F: "/", 8: "b", 12: "f", 10: "n", 13: "r", 9: "t"}
_BMP: Ranges = ((0, 0xD7FF), (0xE000, 0xFFFF))
_ASTRAL: Ranges = ((0x10000, 0x10FFFF),)

# How the digits of an escape go: (bits, value of the first digit) or a text in between.
_Steps: TypeAlias = "tuple[tuple[int, int] | str, ...]"
_FOUR_DIGITS: _Steps = ((4, 0),) * 4
_PAIR: _Steps = ("D", (2, 8), (4, 0), (4, 0), "\\", "u", "D", (2, 12), (4, 0), (4, 0))


@lru_cache(maxsize=8192)
def escapes(ranges: Ranges) -> Shared:
    """Return the rule of what stands behind the backslash of an escaped character of a set."""
    return shared(partial(_escapes, ranges))


def _escapes(ranges: Ranges) -> Finite:
    builder = _Digits()
    for code, letter in _SHORT.items():
        if any(low <= code <= high for low, high in ranges):
            builder.edge(0, ord(letter), ord(letter), 1)
    code_point = builder.state()
    builder.edge(0, 0x75, 0x75, code_point)
    builder.read(code_point, intersect(ranges, _BMP), _FOUR_DIGITS)
    astral = intersect(ranges, _ASTRAL)
    shifted = tuple((low - 0x10000, high - 0x10000) for low, high in astral)
    builder.read(code_point, shifted, _PAIR)
    return Finite(builder.n_states, builder.edges, (1,), tuple(builder.calls))


@lru_cache(maxsize=64)
def _any_digits(steps: _Steps) -> Shared:
    """Return the rule of all values that some steps can write."""
    return shared(partial(_all_values, steps))


def _all_values(steps: _Steps) -> Finite:
    builder = _Digits()
    state = 0
    for index, step in enumerate(steps):
        target = 1 if index == len(steps) - 1 else builder.state()
        if isinstance(step, str):
            builder.digits(state, step, step, target)
        else:
            builder.values(state, range(step[1], step[1] + (1 << step[0])), target)
        state = target
    return Finite(builder.n_states, builder.edges, (1,))


class _Digits:
    """An automaton from state 0 to state 1 that reads values digit by digit."""

    def __init__(self) -> None:
        self.edges: tuple[list[int], list[int], list[int], list[int]] = ([], [], [], [])
        self.calls: list[tuple[int, Reference, int]] = []
        self.n_states = 2
        self._known: dict[tuple[Ranges, _Steps], int] = {}

    def state(self) -> int:
        self.n_states += 1
        return self.n_states - 1

    def edge(self, source: int, low: int, high: int, target: int) -> None:
        for column, value in zip(self.edges, (source, low, high, target), strict=True):
            column.append(value)

    def read(self, state: int, ranges: Ranges, steps: _Steps) -> None:
        """Let a state read the values in the ranges, written as the steps say."""
        if not ranges:
            return
        step, rest = steps[0], steps[1:]
        if isinstance(step, str):
            self.digits(state, step, step, self._node(ranges, rest))
            return
        by_target: dict[int, list[int]] = {}
        for digit, inside in _blocks(ranges, step[0], _bits(rest)):
            by_target.setdefault(self._node(inside, rest), []).append(digit + step[1])
        for target, digits in by_target.items():
            self.values(state, digits, target)

    def _node(self, ranges: Ranges, steps: _Steps) -> int:
        if not steps:
            return 1
        key = ranges, steps
        if key not in self._known:
            self._known[key] = state = self.state()
            if ranges == ((0, (1 << _bits(steps)) - 1),):
                self.calls.append((state, _any_digits(steps), 1))
            else:
                self.read(state, ranges, steps)
        return self._known[key]

    def values(self, state: int, digits: Sequence[int], target: int) -> None:
        """Read one of some digits, given by their values."""
        for low, high in _runs(digits):
            if low <= 9:
                self.edge(state, 0x30 + low, 0x30 + min(high, 9), target)
            if high >= 10:
                self.digits(state, "ABCDEF"[max(low, 10) - 10], "ABCDEF"[high - 10], target)

    def digits(self, state: int, low: str, high: str, target: int) -> None:
        """Read a letter of an interval in either case, or a sign that has none."""
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
