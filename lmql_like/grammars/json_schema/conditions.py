"""Boolean conditions over atoms of any kind, as hashable values.

The same small algebra serves three times: over subschemas, over the contents of strings and
over numbers. `both`, `either` and `negate` simplify what can be seen without knowing the
atoms, so equal conditions are mostly equal values and can be memoized.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "FALSE",
    "TRUE",
    "All",
    "Condition",
    "Inverse",
    "Some",
    "atoms_of",
    "both",
    "either",
    "holds",
    "negate",
    "replace_atoms",
]


@dataclass(frozen=True)
class Truth:
    """Always or never."""

    value: bool


@dataclass(frozen=True)
class Inverse:
    """Not the part, which is an atom or a conjunction or disjunction."""

    part: Condition


class _Joined:
    """Parts joined by one operator; the hash of a large condition is taken once."""

    __slots__ = ("_hash", "parts")

    def __init__(self, parts: frozenset[Condition]) -> None:
        self.parts = parts
        self._hash = hash((type(self), parts))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.parts == other.parts


class All(_Joined):
    """Every part holds; two or more, none of them a conjunction."""


class Some(_Joined):
    """Some part holds; two or more, none of them a disjunction."""


Condition: TypeAlias = Hashable  # Truth | Inverse | All | Some | an atom

TRUE = Truth(True)
FALSE = Truth(False)


def negate(condition: Condition) -> Condition:
    """Return the condition that holds where this one does not."""
    if isinstance(condition, Truth):
        return FALSE if condition.value else TRUE
    return condition.part if isinstance(condition, Inverse) else Inverse(condition)


def both(*conditions: Condition) -> Condition:
    """Return the conjunction of any number of conditions."""
    return _join(conditions, All, TRUE, FALSE)


def either(*conditions: Condition) -> Condition:
    """Return the disjunction of any number of conditions."""
    return _join(conditions, Some, FALSE, TRUE)


def _join(
    conditions: Iterable[Condition], kind: type[_Joined], unit: Truth, zero: Truth
) -> Condition:
    parts: set[Condition] = set()
    for condition in conditions:
        if condition is zero or condition == zero:
            return zero
        if type(condition) is kind:
            parts |= condition.parts
        elif condition != unit:
            parts.add(condition)
    if len(parts) < 2:
        return next(iter(parts), unit)
    for part in parts:
        if type(part) is Inverse and part.part in parts:
            return zero
    return kind(frozenset(parts))


def holds(condition: Condition, test: Callable[[Condition], bool]) -> bool:
    """Evaluate a condition, given a test of its atoms."""
    if isinstance(condition, Truth):
        return condition.value
    if isinstance(condition, Inverse):
        return not holds(condition.part, test)
    if isinstance(condition, All):
        return all(holds(part, test) for part in condition.parts)
    if isinstance(condition, Some):
        return any(holds(part, test) for part in condition.parts)
    return test(condition)


def replace_atoms(condition: Condition, change: Callable[[Condition], Condition]) -> Condition:
    """Return a condition with other conditions in the place of its atoms."""
    if isinstance(condition, Truth):
        return condition
    if isinstance(condition, Inverse):
        return negate(replace_atoms(condition.part, change))
    if isinstance(condition, All):
        return both(*(replace_atoms(part, change) for part in condition.parts))
    if isinstance(condition, Some):
        return either(*(replace_atoms(part, change) for part in condition.parts))
    return change(condition)


def atoms_of(condition: Condition) -> list[Condition]:
    """Return the distinct atoms of a condition."""
    found: dict[Condition, None] = {}
    stack = [condition]
    while stack:
        current = stack.pop()
        if isinstance(current, Inverse):
            stack.append(current.part)
        elif isinstance(current, _Joined):
            stack += current.parts
        elif not isinstance(current, Truth):
            found[current] = None
    return list(found)
