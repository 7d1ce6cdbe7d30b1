"""The keywords: a table from each name, spelled as in the specification, to its meaning.

A function takes the evaluator, the place of the schema that the keyword stands in and the
keyword's value, and returns the domain of values that the keyword allows. Keywords that a
draft does not have are unknown there, and unknown keywords are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeAlias

from lmql_like.errors import SchemaError
from lmql_like.grammars.json_schema.applicators import APPLICATORS
from lmql_like.grammars.json_schema.conditions import FALSE, TRUE, Condition, Inverse, both, negate
from lmql_like.grammars.json_schema.documents import Place, escaped
from lmql_like.grammars.json_schema.domains import (
    ANYTHING,
    NOTHING,
    ArraySet,
    Count,
    Domain,
    ObjectSet,
    only,
    union,
)
from lmql_like.grammars.json_schema.drafts import Draft
from lmql_like.grammars.json_schema.evaluation import Evaluator
from lmql_like.grammars.json_schema.formats import FORMATS, UNENFORCEABLE
from lmql_like.grammars.json_schema.numbers import Above, MultipleOf, Whole
from lmql_like.grammars.json_schema.patterns import pattern_node
from lmql_like.grammars.json_schema.strings import Format, LengthIn, Pattern, TextIn
from lmql_like.grammars.json_schema.values import domain_of_values, wrong

__all__ = ["ASSERTIONS", "evaluate"]

Keyword: TypeAlias = Callable[[Evaluator, Place, Any], Domain]

_ANY_ARRAYS, _ANY_OBJECTS = ANYTHING.arrays, ANYTHING.objects
_MOST_REMAINDERS = 20_000
_MOST_DIGITS = 1_000


def evaluate(evaluator: Evaluator, place: Place) -> Domain:
    """Return the domain of a schema: all its keywords together.

    Raises:
        SchemaError: see the codes S1 to S3.
    """
    schema, draft = place.schema, place.resource.draft
    if "$ref" in schema and draft <= Draft.DRAFT_7:
        return APPLICATORS["$ref"][0](evaluator, place, schema["$ref"], ANYTHING)
    domain, applied = ANYTHING, []
    for keyword, value in schema.items():
        entry = ASSERTIONS.get(keyword)
        if entry is not None and entry[1] <= draft <= entry[2]:
            try:
                domain = evaluator.narrowed(domain, entry[0](evaluator, place, value))
            except SchemaError as error:
                raise _placed(error, place, keyword) from error.__cause__
        elif keyword in APPLICATORS:
            applied.append(keyword)
    for keyword in applied:
        apply, first, last = APPLICATORS[keyword]
        if first <= draft <= last:
            try:
                part = apply(evaluator, place, schema[keyword], domain)
                domain = evaluator.narrowed(domain, part)
            except SchemaError as error:
                raise _placed(error, place, keyword) from error.__cause__
    return domain


def _placed(error: SchemaError, place: Place, keyword: str) -> SchemaError:
    """Return an error that says of itself, if it has no place yet, that a keyword is to blame."""
    if error.pointer is None:
        error.pointer = f"{place.pointer}/{escaped(keyword)}"
    return error


# -- any type --------------------------------------------------------------------------------


def _type(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    names = value if isinstance(value, list) else [value]
    domain = NOTHING
    plain = place.resource.draft == Draft.DRAFT_4
    for name in names:
        part = _TYPES.get(name) if isinstance(name, str) else None
        if part is None:
            raise wrong(name, "one of " + ", ".join(_TYPES))
        if name == "integer" and plain:
            part = only(numbers=Whole(plain=True))
        domain = union(domain, part)
    if "number" in names and "integer" in names:
        return replace(domain, numbers=TRUE)
    return domain


_TYPES: Mapping[str, Domain] = {
    "null": only(atoms=("null",)),
    "boolean": only(atoms=("true", "false")),
    "integer": only(numbers=Whole()),
    "number": only(numbers=TRUE),
    "string": only(strings=TRUE),
    "array": only(arrays=_ANY_ARRAYS),
    "object": only(objects=_ANY_OBJECTS),
}


def _enum(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    if not isinstance(value, list):
        raise wrong(value, "an array")
    return domain_of_values(value)


def _const(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    return domain_of_values([value])


# -- numbers ---------------------------------------------------------------------------------


def _numbers(condition: Condition) -> Domain:
    return replace(ANYTHING, numbers=condition)


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise wrong(value, "a number")
    number = Decimal(value)
    if abs(number.adjusted()) > _MOST_DIGITS:
        raise SchemaError("S304", f"found a number of more than {_MOST_DIGITS} digits")
    return number


def _minimum(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    strict = place.schema.get("exclusiveMinimum") is True and _has_old_bounds(place)
    return _numbers(Above(_number(value), not strict))


def _maximum(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    strict = place.schema.get("exclusiveMaximum") is True and _has_old_bounds(place)
    return _numbers(negate(Above(_number(value), strict)))


def _exclusive_minimum(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    if isinstance(value, bool) and _has_old_bounds(place):
        return ANYTHING  # it says how to read minimum
    return _numbers(Above(_number(value), False))


def _exclusive_maximum(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    if isinstance(value, bool) and _has_old_bounds(place):
        return ANYTHING
    return _numbers(negate(Above(_number(value), True)))


def _has_old_bounds(place: Place) -> bool:
    return place.resource.draft in (Draft.DRAFT_4, Draft.UNSTATED)


def _multiple_of(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    number = _number(value)
    if number <= 0:
        raise wrong(value, "a number above 0")
    whole, _, fraction = f"{number:f}".partition(".")
    fraction = fraction.rstrip("0")
    step = int(whole + fraction)
    if step == 1 and not fraction:
        return _numbers(Whole())
    if step > _MOST_REMAINDERS:
        raise SchemaError(
            "S304", f"found a step of {step} units, expected at most {_MOST_REMAINDERS}"
        )
    return _numbers(MultipleOf(step, len(fraction)))


# -- strings ---------------------------------------------------------------------------------


def _strings(condition: Condition) -> Domain:
    return replace(ANYTHING, strings=condition)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or value < 0 or value % 1:
        raise wrong(value, "a count: an integer from 0 on")
    return int(value)


def _min_length(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    return _strings(LengthIn(_count(value), None)) if _count(value) else ANYTHING


def _max_length(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    return _strings(LengthIn(0, _count(value)))


def _pattern(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    return _strings(_as_pattern(value))


def _as_pattern(value: Any) -> Pattern:
    if not isinstance(value, str):
        raise wrong(value, "a pattern: a string")
    pattern_node(value)  # says now what is wrong with it
    return Pattern(value)


def _format(evaluator: Evaluator, place: Place, value: Any) -> Domain:
    if not evaluator.assert_formats or not isinstance(value, str):
        return ANYTHING
    if value in UNENFORCEABLE:
        evaluator.refuse(f'format "{value}"', f"{place.pointer}/format", UNENFORCEABLE[value])
    return _strings(Format(value)) if value in FORMATS else ANYTHING


# -- arrays ----------------------------------------------------------------------------------


def _arrays(array: ArraySet) -> Domain:
    return replace(ANYTHING, arrays=(array,))


def _listed(evaluator: Evaluator, place: Place, keyword: str, value: Any) -> tuple[Condition, ...]:
    if not isinstance(value, list):
        raise wrong(value, "an array of schemas")
    return tuple(
        evaluator.condition(place, item, keyword, str(index)) for index, item in enumerate(value)
    )


def _prefix_items(evaluator: Evaluator, place: Place, value: Any) -> Domain:
    return _arrays(ArraySet(prefix=_listed(evaluator, place, "prefixItems", value)))


def _items(evaluator: Evaluator, place: Place, value: Any) -> Domain:
    if isinstance(value, list) and place.resource.draft != Draft.DRAFT_2020_12:
        return _arrays(ArraySet(prefix=_listed(evaluator, place, "items", value)))
    before = 0
    if place.resource.draft >= Draft.DRAFT_2020_12:
        prefix = place.schema.get("prefixItems")
        before = len(prefix) if isinstance(prefix, list) else 0
    rest = evaluator.condition(place, value, "items")
    return _arrays(_from(before, rest))


def _additional_items(evaluator: Evaluator, place: Place, value: Any) -> Domain:
    items = place.schema.get("items")
    if not isinstance(items, list):
        return ANYTHING
    return _arrays(_from(len(items), evaluator.condition(place, value, "additionalItems")))


def _from(start: int, rest: Condition) -> ArraySet:
    """Return the arrays whose items from an index on satisfy a condition."""
    if rest == FALSE:
        return ArraySet((TRUE,) * start, FALSE, high=start)
    return ArraySet((TRUE,) * start, rest)


def _min_items(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    return _arrays(ArraySet(low=_count(value)))


def _max_items(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    return _arrays(ArraySet(high=_count(value)))


def _unique_items(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    if not isinstance(value, bool):
        raise wrong(value, "a boolean")
    return _arrays(ArraySet(unique=(f"{place.pointer}/uniqueItems",))) if value else ANYTHING


def _contains(evaluator: Evaluator, place: Place, value: Any) -> Domain:
    low, high = 1, None
    if place.resource.draft >= Draft.DRAFT_2019_09:
        low = _count(place.schema.get("minContains", 1))
        high = _count(place.schema["maxContains"]) if "maxContains" in place.schema else None
    if low == 0 and high is None:
        return ANYTHING
    if high is not None and high < low:
        return replace(ANYTHING, arrays=())
    condition = evaluator.condition(place, value, "contains")
    return _arrays(ArraySet(low=low, counts=(Count(0, condition, low, high),)))


# -- objects ---------------------------------------------------------------------------------


def _objects(*alternatives: ObjectSet) -> Domain:
    return replace(ANYTHING, objects=alternatives)


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong(value, f"an object of {what}")
    return value


def _named(*names: str) -> Condition:
    return TextIn(frozenset(names))


def _properties(evaluator: Evaluator, place: Place, value: Any) -> Domain:
    values = tuple(
        (_named(name), evaluator.condition(place, sub, "properties", name))
        for name, sub in _mapping(value, "schemas").items()
    )
    return _objects(ObjectSet(values, order=tuple(value)))


def _pattern_properties(evaluator: Evaluator, place: Place, value: Any) -> Domain:
    values = tuple(
        (_as_pattern(pattern), evaluator.condition(place, sub, "patternProperties", pattern))
        for pattern, sub in _mapping(value, "schemas").items()
    )
    return _objects(ObjectSet(values))


def _additional_properties(evaluator: Evaluator, place: Place, value: Any) -> Domain:
    condition = evaluator.condition(place, value, "additionalProperties")
    if condition == TRUE:
        return ANYTHING
    return _objects(ObjectSet(((other_names(place.schema), condition),)))


def other_names(schema: Mapping[str, Any]) -> Condition:
    """Return the names that neither properties nor patternProperties of a schema speak of."""
    properties = schema.get("properties")
    patterns = schema.get("patternProperties")
    parts: list[Condition] = []
    if isinstance(properties, dict) and properties:
        parts.append(Inverse(_named(*properties)))
    if isinstance(patterns, dict):
        parts += [Inverse(_as_pattern(pattern)) for pattern in patterns]
    return both(*parts)


def _property_names(evaluator: Evaluator, place: Place, value: Any) -> Domain:
    names = evaluator.domain(evaluator.condition(place, value, "propertyNames")).strings
    return _objects(ObjectSet(((negate(names), FALSE),))) if names != TRUE else ANYTHING


def _required(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise wrong(value, "an array of names")
    members = tuple((_named(name), TRUE) for name in dict.fromkeys(value))
    return _objects(ObjectSet(members=members))


def _min_properties(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    return _objects(ObjectSet(low=_count(value)))


def _max_properties(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    return _objects(ObjectSet(high=_count(value)))


def _dependent_required(evaluator: Evaluator, place: Place, value: Any) -> Domain:  # noqa: ARG001
    domain = ANYTHING
    for name, needed in _mapping(value, "arrays of names").items():
        if not isinstance(needed, list) or not all(isinstance(n, str) for n in needed):
            raise wrong(needed, "an array of names")
        if needed:
            members = tuple((_named(other), TRUE) for other in needed)
            absent = ObjectSet(((_named(name), FALSE),))
            domain = evaluator.narrowed(domain, _objects(absent, ObjectSet(members=members)))
    return domain


_ALWAYS = (Draft.DRAFT_4, Draft.UNSTATED)
_FROM_6 = (Draft.DRAFT_6, Draft.UNSTATED)

ASSERTIONS: Mapping[str, tuple[Keyword, Draft, Draft]] = {
    "type": (_type, *_ALWAYS),
    "enum": (_enum, *_ALWAYS),
    "const": (_const, *_FROM_6),
    "minimum": (_minimum, *_ALWAYS),
    "maximum": (_maximum, *_ALWAYS),
    "exclusiveMinimum": (_exclusive_minimum, *_ALWAYS),
    "exclusiveMaximum": (_exclusive_maximum, *_ALWAYS),
    "multipleOf": (_multiple_of, *_ALWAYS),
    "minLength": (_min_length, *_ALWAYS),
    "maxLength": (_max_length, *_ALWAYS),
    "pattern": (_pattern, *_ALWAYS),
    "format": (_format, *_ALWAYS),
    "prefixItems": (_prefix_items, Draft.DRAFT_2020_12, Draft.UNSTATED),
    "items": (_items, *_ALWAYS),
    "additionalItems": (_additional_items, *_ALWAYS),
    "contains": (_contains, *_FROM_6),
    "minItems": (_min_items, *_ALWAYS),
    "maxItems": (_max_items, *_ALWAYS),
    "uniqueItems": (_unique_items, *_ALWAYS),
    "properties": (_properties, *_ALWAYS),
    "patternProperties": (_pattern_properties, *_ALWAYS),
    "additionalProperties": (_additional_properties, *_ALWAYS),
    "propertyNames": (_property_names, *_FROM_6),
    "required": (_required, *_ALWAYS),
    "minProperties": (_min_properties, *_ALWAYS),
    "maxProperties": (_max_properties, *_ALWAYS),
    "dependentRequired": (_dependent_required, Draft.DRAFT_2019_09, Draft.UNSTATED),
}
