"""Conditions on numbers -> automata over their spellings.

One machine reads a spelling character by character. Its state is the place in the syntax of
numbers, the sign, whether any digit was not zero, and the states of the condition's atoms; at
the end it asks the condition. So nothing is complemented, and products hold only what occurs.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

from lmql_like.grammars.json_schema.conditions import Condition, atoms_of, holds
from lmql_like.grammars.json_schema.number_atoms import (
    Above,
    AtomState,
    NumberAtom,
    exponent_of,
)
from lmql_like.grammars.regex.nodes import Finite

__all__ = ["explore_numbers"]

_START, _MINUS, _ZERO, _INT, _POINT, _FRACTION, _E, _SIGN, _EXPONENT = range(9)

# Phase, is negative, is not zero, digits or exponent, atoms' states.
_State: TypeAlias = "tuple[int, bool, bool, int, tuple[AtomState, ...]]"


@lru_cache(maxsize=1024)
def explore_numbers(condition: Condition) -> Finite:
    """Return the automaton of the numbers that satisfy a condition."""
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
        self._atoms: list[NumberAtom] = atoms_of(condition)  # type: ignore[assignment]
        self._exponents = all(isinstance(atom, Above) for atom in self._atoms)
        bounds = [atom.bound for atom in self._atoms if isinstance(atom, Above) and atom.bound]
        self._cap = max((abs(exponent_of(bound)) for bound in bounds), default=0) + 1
        self.first: _State = (_START, False, False, 0, ())

    def moves(self, state: _State) -> Iterable[tuple[str, _State]]:
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

    def _starts(self, negative: bool) -> tuple[AtomState, ...]:
        starts = tuple(atom.start(negative) for atom in self._atoms)
        if self._exponents:
            return starts
        # No exponent can follow: the order of mantissas is not asked for.
        return tuple(
            (*s[:2], -1, 0) if s and isinstance(a, Above) else s
            for a, s in zip(self._atoms, starts, strict=True)
        )

    def _digit_moves(self, state: _State) -> Iterable[tuple[str, _State]]:
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

    def _exponent_moves(self, state: _State) -> Iterable[tuple[str, _State]]:
        """Exponents are read up to a cap; -1 - n stands for the exponent -n."""
        _, negative, nonzero, exponent, atoms = state
        for digit in range(10):
            size = -1 - exponent if exponent < 0 else exponent
            size = min(10 * size + digit, self._cap)
            value = -1 - size if exponent < 0 else size
            yield str(digit), (_EXPONENT, negative, nonzero, value, atoms)

    def accepts(self, state: _State) -> bool:
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
