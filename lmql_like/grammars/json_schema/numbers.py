"""Conditions on numbers -> automata over the ways to write them.

A condition speaks of values; a JSON number has many spellings: `5`, `5.0`, `-0`. One machine
reads a spelling digit by digit, with one small tracker for each atom, and asks the
condition at the end; nothing is complemented or multiplied out.

Exponents: where nothing but bounds is asked, numbers in scientific notation with one digit
before the point (`1.5e-3`) are decided exactly and other exponents refused; without any
condition every spelling is taken; a plain integer may have an exponent of at most two digits
behind a whole number (`1e6`). Elsewhere exponents are refused: whether `0.00...1e4711` is
whole is no regular question.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TypeAlias

from lmql_like.grammars.json_schema.conditions import (
    FALSE,
    TRUE,
    All,
    Condition,
    atoms_of,
    holds,
)
from lmql_like.grammars.regex.nodes import Alternation, Choice, Concat, Finite, Node, Repeat
from lmql_like.grammars.regex.parser import parse_pattern

__all__ = [
    "ANY_NUMBER",
    "INTEGER",
    "PLAIN_INTEGER",
    "Above",
    "MultipleOf",
    "NumberIn",
    "Whole",
    "number_holds",
    "number_node",
    "numbers_are_empty",
]

ANY_NUMBER: Node = parse_pattern(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+\-]?[0-9]+)?")
INTEGER: Node = parse_pattern(r"-?(0|[1-9][0-9]*)(\.0+)?([eE]\+?[0-9]{1,2})?")
PLAIN_INTEGER: Node = parse_pattern(r"-?(0|[1-9][0-9]*)")
_ZEROS = parse_pattern(r"0*")
_ZERO_FRACTION = Repeat(parse_pattern(r"\.0+"), 0, 1)

_START, _MINUS, _ZERO, _INT, _POINT, _FRACTION, _E, _SIGN, _EXPONENT = range(9)
_State: TypeAlias = "tuple[object, ...] | None"


@dataclass(frozen=True)
class Whole:
    """The number is an integer; `plain`: and is written without point and exponent."""

    plain: bool = False

    def start(self, negative: bool) -> _State:  # noqa: ARG002
        return (True,)

    def point(self, state: _State) -> _State:
        return (False,) if self.plain else state

    def digit(self, state: _State, digit: int, fraction: bool) -> _State:
        return (False,) if fraction and digit else state

    def verdict(self, state: _State, negative: bool, nonzero: bool) -> bool:  # noqa: ARG002
        return bool(state and state[0])

    def test(self, value: Decimal) -> bool:
        return value == value.to_integral_value()


@dataclass(frozen=True)
class MultipleOf:
    """The number is a multiple of `step` / 10 ** `places`."""

    step: int
    places: int

    def start(self, negative: bool) -> _State:  # noqa: ARG002
        return (0, -1)

    def point(self, state: _State) -> _State:
        return (state[0], 0) if state else None

    def digit(self, state: _State, digit: int, fraction: bool) -> _State:
        if state is None:
            return None
        rest, place = state
        if fraction and place == self.places:
            return None if digit else state
        return ((10 * rest + digit) % self.step, place + 1 if fraction else place)  # type: ignore[operator]

    def verdict(self, state: _State, negative: bool, nonzero: bool) -> bool:  # noqa: ARG002
        if state is None:
            return False
        rest, place = state
        return rest * 10 ** (self.places - max(place, 0)) % self.step == 0  # type: ignore[operator,call-overload,no-any-return]

    def test(self, value: Decimal) -> bool:
        scaled = value.scaleb(self.places)
        return scaled == scaled.to_integral_value() and int(scaled) % self.step == 0


@dataclass(frozen=True)
class NumberIn:
    """The number is one of these, written canonically: see `canonical`."""

    values: frozenset[Decimal]

    def start(self, negative: bool) -> _State:
        return ("-" if negative else "",)

    def point(self, state: _State) -> _State:
        return (f"{state[0]}.",) if state else None

    def digit(self, state: _State, digit: int, fraction: bool) -> _State:
        if state is None:
            return None
        text = f"{state[0]}{digit}"
        prefixes, complete = _prefixes(self.values)
        if text in prefixes or text in ("-0", "0"):
            return (text,)
        if fraction and not digit and _stripped(str(state[0])) in complete:
            return state
        return None

    def verdict(self, state: _State, negative: bool, nonzero: bool) -> bool:  # noqa: ARG002
        if not nonzero:
            return Decimal(0) in self.values
        return state is not None and _stripped(str(state[0])) in _prefixes(self.values)[1]

    def test(self, value: Decimal) -> bool:
        return value in self.values


@dataclass(frozen=True)
class Above:
    """The number is greater than a bound, or equal to it where `inclusive`."""

    bound: Decimal
    inclusive: bool

    def start(self, negative: bool) -> _State:
        if not self.bound or negative == (self.bound > 0):
            return None  # the sign decides
        return (0, 0, 0, 0)

    def point(self, state: _State) -> _State:
        if state is None:
            return None
        read, order, mantissa_read, mantissa = state
        return (-1, self._order(int(read), int(order)), mantissa_read, mantissa)  # type: ignore[call-overload]

    def digit(self, state: _State, digit: int, fraction: bool) -> _State:
        if state is None:
            return None
        read, order, mantissa_read, mantissa = state  # type: ignore[misc]
        whole, rest, significand, _ = _digits(self.bound)
        # The place of a fraction's digit is counted downwards: -1 is the first.
        expected = rest if fraction else whole
        place = -1 - read if fraction else read  # type: ignore[operator]
        if not order:
            known = int(expected[place]) if place < len(expected) else 0
            if fraction or place < len(whole):
                order = (digit > known) - (digit < known)
        if fraction:
            read = -1 if order else max(read - 1, -1 - len(rest))
        else:
            read = min(read + 1, len(whole) + 1)  # type: ignore[operator]
        if not mantissa and mantissa_read >= 0:  # type: ignore[operator]
            known = int(significand[mantissa_read]) if mantissa_read < len(significand) else 0
            mantissa = (digit > known) - (digit < known)
            mantissa_read = 0 if mantissa else min(mantissa_read + 1, len(significand))
        return (read, order, mantissa_read, mantissa)

    def _order(self, read: int, order: int) -> int:
        """Compare the whole parts, all digits of which were read."""
        length = len(_digits(self.bound)[0])
        return (read > length) - (read < length) or order

    def verdict(self, state: _State, negative: bool, nonzero: bool) -> bool:
        if not nonzero:
            return self._answer((self.bound < 0) - (self.bound > 0))
        if state is None:
            return self._answer(-1 if negative else 1)
        read, order, _, _ = state
        rest = _digits(self.bound)[1]
        if read >= 0:  # type: ignore[operator]
            order, read = self._order(int(read), int(order)), -1  # type: ignore[call-overload]
        if not order and rest[-1 - int(read) :].strip("0"):  # type: ignore[call-overload]
            order = -1
        return self._answer(-order if negative else order)  # type: ignore[operator,arg-type]

    def scientific(self, state: _State) -> _State:
        """Keep what matters behind the letter E: the mantissa's order."""
        if state is None:
            return None
        read, order = int(state[2]), int(state[3])  # type: ignore[call-overload]
        significand = _digits(self.bound)[2]
        return (order or (-1 if significand[read:].strip("0") else 0),)

    def scientific_verdict(
        self, state: _State, negative: bool, nonzero: bool, exponent: int
    ) -> bool:
        if not nonzero or state is None:
            return self.verdict(None, negative, nonzero)
        own = _digits(self.bound)[3]
        order = (exponent > own) - (exponent < own) or int(state[0])  # type: ignore[call-overload]
        return self._answer(-order if negative else order)

    def _answer(self, order: int) -> bool:
        return order > 0 or (order == 0 and self.inclusive)

    def test(self, value: Decimal) -> bool:
        return value > self.bound or (self.inclusive and value == self.bound)


_Atom: TypeAlias = "Whole | MultipleOf | NumberIn | Above"


@lru_cache(maxsize=4096)
def _digits(bound: Decimal) -> tuple[str, str, str, int]:
    """Return a number's whole digits, fraction, significant digits and decimal exponent."""
    whole, _, fraction = f"{abs(bound):f}".partition(".")
    significand = (whole + fraction).lstrip("0")
    return whole, fraction, significand, bound.adjusted()


@lru_cache(maxsize=256)
def _prefixes(values: frozenset[Decimal]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the beginnings of the canonical spellings, and those spellings."""
    complete = frozenset(map(canonical, values))
    beginnings = {text[:end] for text in complete for end in range(1, len(text) + 1)}
    return frozenset(beginnings), complete


def canonical(value: Decimal) -> str:
    """Return the shortest spelling without an exponent."""
    return _stripped(f"{value:f}") if value else "0"


def _stripped(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def number_holds(condition: Condition, value: Decimal) -> bool:
    """Tell whether a number satisfies a condition."""
    return holds(condition, lambda atom: atom.test(value))  # type: ignore[attr-defined]


def numbers_are_empty(condition: Condition) -> bool:
    """Tell whether no number satisfies a condition."""
    if condition == TRUE or isinstance(condition, (Whole, Above, MultipleOf)):
        return False
    if condition == FALSE:
        return True
    if isinstance(condition, NumberIn):
        return not condition.values
    return not _explore(condition).accepting


def number_node(condition: Condition) -> Node:
    """Return what the numbers that satisfy a condition look like."""
    if condition == TRUE:
        return ANY_NUMBER
    if isinstance(condition, Whole):
        return PLAIN_INTEGER if condition.plain else INTEGER
    if isinstance(condition, NumberIn):
        return _spelled(condition.values)
    if isinstance(condition, All):
        for part in condition.parts:
            if isinstance(part, NumberIn):
                plain = any(isinstance(other, Whole) and other.plain for other in condition.parts)
                chosen = frozenset(v for v in part.values if number_holds(condition, v))
                return Choice(tuple(map(canonical, chosen))) if plain else _spelled(chosen)
    return _explore(condition)


def _spelled(values: Iterable[Decimal]) -> Node:
    """Return the spellings of finitely many numbers: zeros may follow a fraction."""
    texts = [canonical(value) for value in values]
    texts += ["-0"] if "0" in texts else []
    whole = tuple(text for text in texts if "." not in text)
    parts = tuple(text for text in texts if "." in text)
    options: list[Node] = []
    if whole:
        options.append(Concat((Choice(whole), _ZERO_FRACTION)))
    if parts:
        options.append(Concat((Choice(parts), _ZEROS)))
    return Alternation(tuple(options))


@lru_cache(maxsize=1024)
def _explore(condition: Condition) -> Finite:
    machine = _Machine(condition)
    first = machine.first
    known = {first: 0}
    order = [first]
    edges: tuple[list[int], list[int], list[int], list[int]] = ([], [], [], [])
    for number, state in enumerate(order):
        run: list[int] = []  # first byte, last byte, target
        for char, target in machine.moves(state):
            if target not in known:
                known[target] = len(order)
                order.append(target)
            if run and run[1] == ord(char) - 1 and run[2] == known[target]:
                run[1] += 1
                continue
            _close(edges, number, run)
            run = [ord(char), ord(char), known[target]]
        _close(edges, number, run)
    accepting = tuple(known[state] for state in order if machine.accepts(state))
    return Finite(len(order), edges, accepting)


def _close(edges: tuple[list[int], ...], source: int, run: list[int]) -> None:
    if run:
        for column, value in zip(edges, (source, *run), strict=True):
            column.append(value)


class _Machine:
    """Reads a number; a state is (phase, negative, nonzero, exponent, atoms' states)."""

    def __init__(self, condition: Condition) -> None:
        self._condition = condition
        self._atoms: list[_Atom] = atoms_of(condition)  # type: ignore[assignment]
        self._exponents = all(isinstance(atom, Above) for atom in self._atoms)
        bounds = [atom.bound for atom in self._atoms if isinstance(atom, Above) and atom.bound]
        self._cap = max((abs(_digits(bound)[3]) for bound in bounds), default=0) + 1
        self.first = (_START, False, False, 0, ())

    def moves(self, state: tuple) -> Iterable[tuple[str, tuple]]:  # type: ignore[type-arg]
        phase, negative, nonzero, exponent, atoms = state
        if phase == _START:
            yield "-", (_MINUS, True, False, 0, self._starts(True))
            state = (_MINUS, False, False, 0, self._starts(False))
            phase, negative, nonzero, exponent, atoms = state
        if phase in (_ZERO, _INT):
            points = tuple(a.point(s) for a, s in zip(self._atoms, atoms, strict=True))
            yield ".", (_POINT, negative, nonzero, exponent, points)
        if phase in (_MINUS, _INT, _POINT, _FRACTION):
            yield from self._digit_moves(state)
        one_digit = phase == _ZERO or (phase in (_INT, _FRACTION) and exponent == 1)
        if self._exponents and one_digit:
            kept = tuple(a.scientific(s) for a, s in zip(self._atoms, atoms, strict=True))  # type: ignore[union-attr]
            for char in "Ee":
                yield char, (_E, negative, nonzero, 0, kept)
        if phase == _E:
            yield "+", (_SIGN, negative, nonzero, 0, atoms)
            yield "-", (_SIGN, negative, nonzero, -1, atoms)
        if phase in (_E, _SIGN, _EXPONENT):
            yield from self._exponent_moves(state)

    def _starts(self, negative: bool) -> tuple[_State, ...]:
        starts = tuple(atom.start(negative) for atom in self._atoms)
        if self._exponents:
            return starts
        # No exponent can follow: the order of mantissas is not asked for.
        return tuple(
            (*s[:2], -1, 0) if s and isinstance(a, Above) else s
            for a, s in zip(self._atoms, starts, strict=True)
        )

    def _digit_moves(self, state: tuple) -> Iterable[tuple[str, tuple]]:  # type: ignore[type-arg]
        """Before an exponent, its place counts the digits before the point: 0, 1, 2 for more.

        A number that begins with zero counts as 2 as soon as a digit follows: it is not in
        scientific notation.
        """
        phase, negative, nonzero, count, atoms = state
        fraction = phase in (_POINT, _FRACTION)
        for digit in range(10):
            following = tuple(
                a.digit(s, digit, fraction) for a, s in zip(self._atoms, atoms, strict=True)
            )
            if fraction:
                target, places = _FRACTION, count
            else:
                places = min(count + 1, 2)
                target = _ZERO if phase == _MINUS and digit == 0 else _INT
                places = 2 if target == _ZERO else places
            yield str(digit), (target, negative, nonzero or digit > 0, places, following)

    def _exponent_moves(self, state: tuple) -> Iterable[tuple[str, tuple]]:  # type: ignore[type-arg]
        """Exponents are read up to a cap; -1 - n stands for the exponent -n."""
        phase, negative, nonzero, exponent, atoms = state
        for digit in range(10):
            size = -1 - exponent if exponent < 0 else exponent
            size = min(10 * size + digit, self._cap)
            value = -1 - size if exponent < 0 else size
            yield str(digit), (_EXPONENT, negative, nonzero, value, atoms)

    def accepts(self, state: tuple) -> bool:  # type: ignore[type-arg]
        phase, negative, nonzero, exponent, atoms = state
        if phase not in (_ZERO, _INT, _FRACTION, _EXPONENT):
            return False
        states = dict(zip(self._atoms, atoms, strict=True))
        power = exponent + 1 if exponent < 0 else exponent

        def test(atom: Condition) -> bool:
            kept = states[atom]  # type: ignore[index]
            if phase == _EXPONENT:
                return atom.scientific_verdict(kept, negative, nonzero, power)  # type: ignore[attr-defined,no-any-return]
            return atom.verdict(kept, negative, nonzero)  # type: ignore[attr-defined,no-any-return]

        return holds(self._condition, test)
