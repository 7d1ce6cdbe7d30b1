"""What a condition on numbers can say: atoms, and how each follows a number digit by digit.

Every atom is a small automaton over the digits before an exponent:

* `start(negative)`: its state behind the sign;
* `digit(state, digit, fraction)` and `point(state)`: the state behind one more character;
* `verdict(state, negative, nonzero)`: whether it holds for the number read so far;
* `test(value)`: whether it holds for a number that is known.

A state is a tuple, or None where nothing that follows makes a difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TypeAlias

__all__ = [
    "Above",
    "AtomState",
    "MultipleOf",
    "NumberAtom",
    "NumberIn",
    "Whole",
    "canonical",
    "exponent_of",
]

AtomState: TypeAlias = "tuple[int, ...] | None"


@dataclass(frozen=True)
class Whole:
    """The number is an integer; `plain`: and is written without point and exponent."""

    plain: bool = False

    def start(self, negative: bool) -> AtomState:  # noqa: ARG002
        return (True,)

    def point(self, state: AtomState) -> AtomState:
        return (False,) if self.plain else state

    def digit(self, state: AtomState, digit: int, fraction: bool) -> AtomState:
        return (False,) if fraction and digit else state

    def verdict(self, state: AtomState, negative: bool, nonzero: bool) -> bool:  # noqa: ARG002
        return bool(state and state[0])

    def test(self, value: Decimal) -> bool:
        return value.as_integer_ratio()[1] == 1


@dataclass(frozen=True)
class MultipleOf:
    """The number is a multiple of `step` / 10 ** `places`."""

    step: int
    places: int

    def start(self, negative: bool) -> AtomState:  # noqa: ARG002
        return (0, -1)

    def point(self, state: AtomState) -> AtomState:
        return (state[0], 0) if state else None

    def digit(self, state: AtomState, digit: int, fraction: bool) -> AtomState:
        if state is None:
            return None
        rest, place = state
        if fraction and place == self.places:
            return None if digit else state
        return ((10 * rest + digit) % self.step, place + 1 if fraction else place)

    def verdict(self, state: AtomState, negative: bool, nonzero: bool) -> bool:  # noqa: ARG002
        if state is None:
            return False
        rest, place = state
        missing: int = 10 ** (self.places - max(place, 0))
        return bool(rest * missing % self.step == 0)

    def test(self, value: Decimal) -> bool:
        above, below = value.as_integer_ratio()
        return bool(above * 10**self.places % (below * self.step) == 0)


@dataclass(frozen=True)
class NumberIn:
    """The number is one of these, written canonically: see `canonical`."""

    values: frozenset[Decimal]

    # A state is a node of the trie of the canonical spellings.

    def start(self, negative: bool) -> AtomState:
        return self._at("-" if negative else "")

    def point(self, state: AtomState) -> AtomState:
        return self._at(f"{self._text(state)}.") if state else None

    def digit(self, state: AtomState, digit: int, fraction: bool) -> AtomState:
        if state is None:
            return None
        text = self._text(state)
        following = self._at(f"{text}{digit}")
        if following is None and fraction and not digit and _stripped(text) in self._spelled():
            return state  # a zero behind the last digit that counts
        return following

    def verdict(self, state: AtomState, negative: bool, nonzero: bool) -> bool:  # noqa: ARG002
        if not nonzero:
            return Decimal(0) in self.values
        return state is not None and _stripped(self._text(state)) in self._spelled()

    def _at(self, text: str) -> AtomState:
        place = _trie(self.values)[0].get(text)
        return None if place is None else (place,)

    def _text(self, state: tuple[int, ...]) -> str:
        return _trie(self.values)[1][state[0]]

    def _spelled(self) -> frozenset[str]:
        return _trie(self.values)[2]

    def test(self, value: Decimal) -> bool:
        return value in self.values


@dataclass(frozen=True)
class Above:
    """The number is greater than a bound, or equal to it where `inclusive`."""

    bound: Decimal
    inclusive: bool

    def start(self, negative: bool) -> AtomState:
        if not self.bound or negative == (self.bound > 0):
            return None  # the sign decides
        return (0, 0, 0, 0)

    def point(self, state: AtomState) -> AtomState:
        if state is None:
            return None
        read, order, mantissa_read, mantissa = state
        return (-1, self._order(read, order), mantissa_read, mantissa)

    def digit(self, state: AtomState, digit: int, fraction: bool) -> AtomState:
        if state is None:
            return None
        read, order, mantissa_read, mantissa = state
        whole, rest, significand, _ = _digits(self.bound)
        # The place of a fraction's digit is counted downwards: -1 is the first.
        expected = rest if fraction else whole
        place = -1 - read if fraction else read
        if not order:
            known = int(expected[place]) if place < len(expected) else 0
            if fraction or place < len(whole):
                order = (digit > known) - (digit < known)
        if fraction:
            read = -1 if order else max(read - 1, -1 - len(rest))
        else:
            read = min(read + 1, len(whole) + 1)
        if not mantissa and mantissa_read >= 0:
            known = int(significand[mantissa_read]) if mantissa_read < len(significand) else 0
            mantissa = (digit > known) - (digit < known)
            mantissa_read = 0 if mantissa else min(mantissa_read + 1, len(significand))
        return (read, order, mantissa_read, mantissa)

    def _order(self, read: int, order: int) -> int:
        """Compare the whole parts, all digits of which were read."""
        length = len(_digits(self.bound)[0])
        return (read > length) - (read < length) or order

    def verdict(self, state: AtomState, negative: bool, nonzero: bool) -> bool:
        if not nonzero:
            return self._answer((self.bound < 0) - (self.bound > 0))
        if state is None:
            return self._answer(-1 if negative else 1)
        read, order, _, _ = state
        rest = _digits(self.bound)[1]
        if read >= 0:
            order, read = self._order(read, order), -1
        if not order and rest[-1 - read :].strip("0"):
            order = -1
        return self._answer(-order if negative else order)

    def scientific(self, state: AtomState) -> AtomState:
        """Keep what matters behind the letter E: the mantissa's order."""
        if state is None:
            return None
        read, order = state[2], state[3]
        significand = _digits(self.bound)[2]
        return (order or (-1 if significand[read:].strip("0") else 0),)

    def scientific_verdict(
        self, state: AtomState, negative: bool, nonzero: bool, exponent: int
    ) -> bool:
        if not nonzero or state is None:
            return self.verdict(None, negative, nonzero)
        own = _digits(self.bound)[3]
        order = (exponent > own) - (exponent < own) or state[0]
        return self._answer(-order if negative else order)

    def _answer(self, order: int) -> bool:
        return order > 0 or (order == 0 and self.inclusive)

    def test(self, value: Decimal) -> bool:
        return value > self.bound or (self.inclusive and value == self.bound)


NumberAtom: TypeAlias = "Whole | MultipleOf | NumberIn | Above"


@lru_cache(maxsize=4096)
def _digits(bound: Decimal) -> tuple[str, str, str, int]:
    """Return a number's whole digits, fraction, significant digits and decimal exponent."""
    whole, _, fraction = f"{bound.copy_abs():f}".partition(".")
    significand = (whole + fraction).lstrip("0")
    return whole, fraction, significand, bound.adjusted()


@lru_cache(maxsize=256)
def _trie(values: frozenset[Decimal]) -> tuple[dict[str, int], list[str], frozenset[str]]:
    """Return the beginnings of canonical spellings with their numbers, and the spellings."""
    spelled = frozenset(map(canonical, values))
    beginnings = {text[:end] for text in spelled for end in range(len(text) + 1)}
    beginnings |= {f"{text}." for text in spelled if "." not in text} | {"", "-", "0", "-0"}
    listed = sorted(beginnings)
    return {text: number for number, text in enumerate(listed)}, listed, spelled


def canonical(value: Decimal) -> str:
    """Return the shortest spelling without an exponent."""
    return _stripped(f"{value:f}") if value else "0"


def _stripped(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def exponent_of(bound: Decimal) -> int:
    """Return the exponent of a number in scientific notation."""
    return bound.adjusted()
