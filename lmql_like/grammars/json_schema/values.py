"""Known JSON values -> domains: enum and const."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from lmql_like.errors import SchemaError
from lmql_like.grammars.json_schema.conditions import FALSE, TRUE, Condition, Inverse
from lmql_like.grammars.json_schema.domains import ArraySet, Domain, ObjectSet, only
from lmql_like.grammars.json_schema.evaluation import Given
from lmql_like.grammars.json_schema.numbers import NumberIn
from lmql_like.grammars.json_schema.strings import TextIn

__all__ = ["domain_of_values", "wrong"]

_MOST_DIGITS = 1_000


def domain_of_values(values: Iterable[Any]) -> Domain:
    """Return the domain of some values."""
    atoms: set[str] = set()
    numbers: set[Decimal] = set()
    texts: set[str] = set()
    arrays: list[ArraySet] = []
    objects: list[ObjectSet] = []
    for value in values:
        if value is None or isinstance(value, bool):
            atoms.add("null" if value is None else "true" if value else "false")
        elif isinstance(value, (int, Decimal)):
            numbers.add(_number(value))
        elif isinstance(value, str):
            texts.add(value)
        elif isinstance(value, list):
            items = tuple(Given(domain_of_values([item])) for item in value)
            arrays.append(ArraySet(items, FALSE, len(items), len(items)))
        else:
            objects.append(_object(value))
    return only(
        atoms=atoms,
        numbers=NumberIn(frozenset(numbers)) if numbers else FALSE,
        strings=TextIn(frozenset(texts)) if texts else FALSE,
        arrays=tuple(dict.fromkeys(arrays)),
        objects=tuple(dict.fromkeys(objects)),
    )


def _number(value: int | Decimal) -> Decimal:
    number = Decimal(value)
    if abs(number.adjusted()) > _MOST_DIGITS:
        raise SchemaError("S304", f"found a number of more than {_MOST_DIGITS} digits")
    return number


def _object(value: dict[str, Any]) -> ObjectSet:
    named = [(TextIn(frozenset((name,))), item) for name, item in value.items()]
    values: list[tuple[Condition, Condition]] = [
        (name, Given(domain_of_values([item]))) for name, item in named
    ]
    others = Inverse(TextIn(frozenset(value))) if value else TRUE
    return ObjectSet(
        (*values, (others, FALSE)),
        tuple((name, TRUE) for name, _ in named),
        order=tuple(value),
    )


def wrong(value: Any, expected: str) -> SchemaError:
    """Return the error of a keyword's value."""
    text = repr(value) if not isinstance(value, Decimal) else str(value)
    shown = text if len(text) <= 60 else text[:57] + "..."
    return SchemaError("S102", f"found {shown}, expected {expected}")
