"""Sets of JSON values: the algebra that keywords are evaluated in.

A `Domain` says, for each JSON type, which of its values belong to a set. Numbers and strings
are conditions (`conditions.py`). Arrays and objects are unions of `ArraySet`s and `ObjectSet`s,
each a conjunction of simple claims about members; values of members are conditions over
subschemas again, so nothing recursive is ever unfolded here. The algebra is closed:
intersections, unions and complements are exact, but for `uniqueItems` under a complement.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product

from lmql_like.errors import SchemaError
from lmql_like.grammars.json_schema.conditions import (
    FALSE,
    TRUE,
    Condition,
    both,
    either,
    negate,
)
from lmql_like.grammars.json_schema.strings import TextIn

__all__ = [
    "ANYTHING",
    "ANY_ARRAY",
    "ANY_OBJECT",
    "NOTHING",
    "ArraySet",
    "Count",
    "Domain",
    "ObjectSet",
    "complement",
    "intersect",
    "only",
    "union",
]

ATOMS = frozenset({"null", "true", "false"})
_MOST_ALTERNATIVES = 2_000


@dataclass(frozen=True, slots=True)
class Count:
    """From `low` to `high` of the items at `start` and behind it satisfy a condition."""

    start: int
    values: Condition
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class ArraySet:
    """Arrays: conditions of the first items and of the rest, and bounds of the length.

    Attributes:
        prefix: what the first items satisfy, where there are so many.
        rest: what every other item satisfies.
        low: items at least.
        high: items at most; None means no bound.
        counts: further claims about how many items satisfy something.
        unique: pointers of the `uniqueItems` that no two items are equal for.
    """

    prefix: tuple[Condition, ...] = ()
    rest: Condition = TRUE
    low: int = 0
    high: int | None = None
    counts: tuple[Count, ...] = ()
    unique: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ObjectSet:
    """Objects: claims about members and bounds of their number.

    Attributes:
        values: (names, values): the values of all members with such a name satisfy this.
        members: (names, values): some member has such a name and such a value.
        low: members at least.
        high: members at most; None means no bound.
        order: names in the order in which the schema declares them.
    """

    values: tuple[tuple[Condition, Condition], ...] = ()
    members: tuple[tuple[Condition, Condition], ...] = ()
    low: int = 0
    high: int | None = None
    order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Domain:
    """A set of JSON values, type by type; arrays and objects are unions."""

    atoms: frozenset[str]
    numbers: Condition
    strings: Condition
    arrays: tuple[ArraySet, ...]
    objects: tuple[ObjectSet, ...]


ANY_ARRAY, ANY_OBJECT = ArraySet(), ObjectSet()
ANYTHING = Domain(ATOMS, TRUE, TRUE, (ANY_ARRAY,), (ANY_OBJECT,))
NOTHING = Domain(frozenset(), FALSE, FALSE, (), ())


def only(
    *,
    atoms: Iterable[str] = (),
    numbers: Condition = FALSE,
    strings: Condition = FALSE,
    arrays: tuple[ArraySet, ...] = (),
    objects: tuple[ObjectSet, ...] = (),
) -> Domain:
    """Return a domain of the given types alone."""
    return Domain(frozenset(atoms), numbers, strings, arrays, objects)


# -- operations ------------------------------------------------------------------------------


def intersect(left: Domain, right: Domain) -> Domain:
    """Return the values in both domains.

    Raises:
        SchemaError: S302 where it has too many alternatives.
    """
    if left is ANYTHING:
        return right
    if right is ANYTHING:
        return left
    return Domain(
        left.atoms & right.atoms,
        both(left.numbers, right.numbers),
        both(left.strings, right.strings),
        _arrays_in_both(left.arrays, right.arrays),
        _objects_in_both(left.objects, right.objects),
    )


def union(left: Domain, right: Domain) -> Domain:
    """Return the values in either domain."""
    return Domain(
        left.atoms | right.atoms,
        either(left.numbers, right.numbers),
        either(left.strings, right.strings),
        (ANY_ARRAY,)
        if ANY_ARRAY in left.arrays or ANY_ARRAY in right.arrays
        else _bounded(dict.fromkeys((*left.arrays, *right.arrays))),
        (ANY_OBJECT,)
        if _has_any(left.objects) or _has_any(right.objects)
        else _bounded(dict.fromkeys((*left.objects, *right.objects))),
    )


def complement(domain: Domain) -> Domain:
    """Return all other values.

    Raises:
        SchemaError: S301 for `uniqueItems`, S302 for too many alternatives.
    """
    return Domain(
        ATOMS - domain.atoms,
        negate(domain.numbers),
        negate(domain.strings),
        reduce(_arrays_in_both, map(_other_arrays, domain.arrays), (ANY_ARRAY,)),
        reduce(_objects_in_both, map(_other_objects, domain.objects), (ANY_OBJECT,)),
    )


def _bounded(alternatives: Iterable) -> tuple:  # type: ignore[type-arg]
    found = tuple(alternatives)
    if len(found) > _MOST_ALTERNATIVES:
        raise SchemaError(
            "S302",
            f"the schema comes to more than {_MOST_ALTERNATIVES} alternatives for one value",
            help="let the branches of anyOf and oneOf differ in one property with a const",
        )
    return found


def _has_any(objects: tuple[ObjectSet, ...]) -> bool:
    return any(
        not one.values and not one.members and not one.low and one.high is None for one in objects
    )


# -- arrays ----------------------------------------------------------------------------------


def _arrays_in_both(
    left: tuple[ArraySet, ...], right: tuple[ArraySet, ...]
) -> tuple[ArraySet, ...]:
    if left == (ANY_ARRAY,):
        return right
    if right == (ANY_ARRAY,):
        return left
    pairs = (_array_in_both(a, b) for a, b in product(left, right))
    return _bounded(dict.fromkeys(pair for pair in pairs if pair is not None))


def _array_in_both(left: ArraySet, right: ArraySet) -> ArraySet | None:
    length = max(len(left.prefix), len(right.prefix))
    rest = both(left.rest, right.rest)
    prefix = [both(item_condition(left, i), item_condition(right, i)) for i in range(length)]
    while prefix and prefix[-1] == rest:
        prefix.pop()
    high = _least(left.high, right.high)
    if FALSE in prefix:
        high = _least(high, prefix.index(FALSE))
    elif rest == FALSE:
        high = _least(high, len(prefix))
    low = max(left.low, right.low)
    if high is not None and low > high:
        return None
    if high is not None and high <= len(prefix):
        prefix, rest = prefix[:high], FALSE
    counts = tuple(dict.fromkeys((*left.counts, *right.counts)))
    unique = tuple(dict.fromkeys((*left.unique, *right.unique)))
    return ArraySet(tuple(prefix), rest, low, high, counts, unique)


def item_condition(array: ArraySet, index: int) -> Condition:
    """Return what the item at an index satisfies, counts left out."""
    return array.prefix[index] if index < len(array.prefix) else array.rest


def _other_arrays(array: ArraySet) -> tuple[ArraySet, ...]:
    if array.unique:
        raise SchemaError(
            "S301",
            "found uniqueItems under a negation: that two items are equal cannot be enforced",
            pointer=array.unique[0],
        )
    out = [
        ArraySet(prefix=(*(TRUE,) * index, negate(condition)), low=index + 1)
        for index, condition in enumerate(array.prefix)
        if condition != TRUE
    ]
    if array.rest == FALSE:
        out.append(ArraySet(low=len(array.prefix) + 1))
    elif array.rest != TRUE:
        out.append(ArraySet(counts=(Count(len(array.prefix), negate(array.rest), 1, None),)))
    if array.low:
        out.append(ArraySet(high=array.low - 1))
    if array.high is not None:
        out.append(ArraySet(low=array.high + 1))
    for count in array.counts:
        if count.low:
            out.append(ArraySet(counts=(replace(count, low=0, high=count.low - 1),)))
        if count.high is not None:
            out.append(ArraySet(counts=(replace(count, low=count.high + 1, high=None),)))
    return tuple(out)


def _least(left: int | None, right: int | None) -> int | None:
    if left is None or right is None:
        return right if left is None else left
    return min(left, right)


# -- objects ---------------------------------------------------------------------------------


def _objects_in_both(
    left: tuple[ObjectSet, ...], right: tuple[ObjectSet, ...]
) -> tuple[ObjectSet, ...]:
    if left == (ANY_OBJECT,):
        return right
    if right == (ANY_OBJECT,):
        return left
    pairs = (_object_in_both(a, b) for a, b in product(left, right))
    found = _bounded(dict.fromkeys(pair for pair in pairs if pair is not None))
    return _absorbed(found) if len(left) > 1 and len(right) > 1 else found


def _absorbed(objects: tuple[ObjectSet, ...]) -> tuple[ObjectSet, ...]:
    """Return a union without alternatives that claim all that another one does, and more."""
    kept: list[tuple[frozenset[object], ObjectSet]] = []
    for one in sorted(objects, key=lambda one: len(one.values) + len(one.members)):
        claims = frozenset((*one.values, *(("some", *claim) for claim in one.members)))
        if not any(
            fewer <= claims
            and other.low <= one.low
            and (other.high is None or (one.high is not None and one.high <= other.high))
            for fewer, other in kept
        ):
            kept.append((claims, one))
    return tuple(one for _, one in kept)


def _object_in_both(left: ObjectSet, right: ObjectSet) -> ObjectSet | None:
    high = _least(left.high, right.high)
    low = max(left.low, right.low)
    members = tuple(dict.fromkeys((*left.members, *right.members)))
    if high is not None and low > high:
        return None
    values = tuple(dict.fromkeys((*left.values, *right.values)))
    refused = {names for names, condition in values if condition == FALSE}
    if any(names in refused or condition == FALSE for names, condition in members):
        return None
    order = tuple(dict.fromkeys((*left.order, *right.order)))
    return ObjectSet(values, members, low, high, order)


def _other_objects(one: ObjectSet) -> tuple[ObjectSet, ...]:
    out = [
        _with_member(names, negate(condition))
        for names, condition in one.values
        if condition != TRUE
    ]
    out += [
        ObjectSet(values=((names, negate(condition)),), order=one.order)
        for names, condition in one.members
    ]
    if one.low:
        out.append(ObjectSet(high=one.low - 1))
    if one.high is not None:
        out.append(ObjectSet(low=one.high + 1))
    return tuple(out)


def _with_member(names: Condition, values: Condition) -> ObjectSet:
    """Return the objects with a member of such a name and such a value."""
    if isinstance(names, TextIn) and len(names.values) == 1:  # there can be no other
        return ObjectSet(values=((names, values),), members=((names, TRUE),))
    return ObjectSet(members=((names, values),))
