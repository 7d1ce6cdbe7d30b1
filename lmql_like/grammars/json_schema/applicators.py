"""Keywords that apply subschemas to the same value: conjunctions, choices and references."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any, TypeAlias

from lmql_like.grammars.json_schema.conditions import (
    FALSE,
    Condition,
    both,
    either,
    negate,
)
from lmql_like.grammars.json_schema.documents import Place
from lmql_like.grammars.json_schema.domains import ANYTHING, Domain, ObjectSet, only
from lmql_like.grammars.json_schema.drafts import Draft
from lmql_like.grammars.json_schema.evaluation import Evaluator, Given
from lmql_like.grammars.json_schema.signatures import apart, signature
from lmql_like.grammars.json_schema.strings import TextIn
from lmql_like.grammars.json_schema.unevaluated import unevaluated_items, unevaluated_properties
from lmql_like.grammars.json_schema.values import wrong

__all__ = ["APPLICATORS", "branches", "choice_condition", "lacks"]

# The last argument is what the schema's other keywords say: values outside do not matter.
Keyword: TypeAlias = Callable[[Evaluator, Place, Any, Domain], Domain]


def _ref(evaluator: Evaluator, place: Place, value: Any, known: Domain) -> Domain:  # noqa: ARG001
    if not isinstance(value, str):
        raise wrong(value, "a reference: a string")
    return evaluator.domain(evaluator.at(evaluator.documents.resolve(place, value)))


def _dynamic_ref(evaluator: Evaluator, place: Place, value: Any, known: Domain) -> Domain:  # noqa: ARG001
    if not isinstance(value, str):
        raise wrong(value, "a reference: a string")
    return evaluator.domain(evaluator.at(evaluator.documents.resolve_dynamic(place, value)))


def _recursive_ref(evaluator: Evaluator, place: Place, value: Any, known: Domain) -> Domain:  # noqa: ARG001
    if value != "#":
        raise wrong(value, "'#'")
    return evaluator.domain(evaluator.at(evaluator.documents.resolve_recursive(place)))


def branches(evaluator: Evaluator, place: Place, keyword: str) -> list[Condition]:
    """Return the conditions of the subschemas in an array.

    Raises:
        SchemaError: S102 where there is no such array.
    """
    value = place.schema[keyword]
    if not isinstance(value, list) or not value:
        raise wrong(value, "an array of schemas, at least one")
    return [evaluator.condition(place, sub, keyword, str(i)) for i, sub in enumerate(value)]


def _all_of(evaluator: Evaluator, place: Place, value: Any, known: Domain) -> Domain:  # noqa: ARG001
    domain = ANYTHING
    for condition in branches(evaluator, place, "allOf"):
        domain = evaluator.narrowed(domain, evaluator.domain(condition))
    return domain


def _any_of(evaluator: Evaluator, place: Place, value: Any, known: Domain) -> Domain:  # noqa: ARG001
    return evaluator.domain(either(*branches(evaluator, place, "anyOf")))


def _one_of(evaluator: Evaluator, place: Place, value: Any, known: Domain) -> Domain:  # noqa: ARG001
    conditions = branches(evaluator, place, "oneOf")
    context = Given(known)
    signs = [signature(evaluator, condition) for condition in conditions]
    others: list[list[Condition]] = [[] for _ in conditions]
    for (i, left), (j, right) in combinations(enumerate(conditions), 2):
        if not apart(signs[i], signs[j]) and _overlap(evaluator, left, right, context):
            others[i].append(negate(right))
            others[j].append(negate(left))
    exactly = (both(one, *rest) for one, rest in zip(conditions, others, strict=True))
    return evaluator.domain(either(*exactly))


def _overlap(evaluator: Evaluator, left: Condition, right: Condition, context: Condition) -> bool:
    """Tell whether two branches may hold together, so that one has to be subtracted.

    As a rule they cannot: most schemas tell branches apart by a type or a constant, if
    only where the other keywords require the member that has it.
    """
    if left == right:
        return True
    if evaluator.is_empty(both(left, right)):
        return False
    return not evaluator.is_empty(both(context, left, right))


def _not(evaluator: Evaluator, place: Place, value: Any, known: Domain) -> Domain:  # noqa: ARG001
    return evaluator.domain(negate(evaluator.condition(place, value, "not")))


def choice_condition(evaluator: Evaluator, place: Place) -> tuple[Condition, Condition, Condition]:
    """Return the conditions of if, then and else."""
    schema = place.schema
    return (
        evaluator.condition(place, schema["if"], "if"),
        evaluator.condition(place, schema.get("then", True), "then"),
        evaluator.condition(place, schema.get("else", True), "else"),
    )


def _if(evaluator: Evaluator, place: Place, value: Any, known: Domain) -> Domain:  # noqa: ARG001
    if "then" not in place.schema and "else" not in place.schema:
        return ANYTHING
    test, then, otherwise = choice_condition(evaluator, place)
    return evaluator.domain(either(both(test, then), both(negate(test), otherwise)))


def lacks(name: str) -> Condition:
    """Return the condition of values that are no objects with a member of this name."""
    return negate(has(name))


def has(name: str) -> Condition:
    """Return the condition of objects with a member of this name."""
    member = (TextIn(frozenset((name,))), negate(FALSE))
    return Given(only(objects=(ObjectSet(members=(member,)),)))


def _dependent_schemas(evaluator: Evaluator, place: Place, value: Any, known: Domain) -> Domain:  # noqa: ARG001
    return _dependencies_of(evaluator, place, "dependentSchemas", value)


def _dependencies(evaluator: Evaluator, place: Place, value: Any, known: Domain) -> Domain:  # noqa: ARG001
    if place.resource.draft in (Draft.DRAFT_2019_09, Draft.DRAFT_2020_12):
        return ANYTHING  # split in two there
    return _dependencies_of(evaluator, place, "dependencies", value)


def _dependencies_of(evaluator: Evaluator, place: Place, keyword: str, value: Any) -> Domain:
    from lmql_like.grammars.json_schema.keywords import ASSERTIONS

    if not isinstance(value, dict):
        raise wrong(value, "an object of schemas")
    names = {name: sub for name, sub in value.items() if isinstance(sub, list)}
    domain = ASSERTIONS["dependentRequired"][0](evaluator, place, names)
    for name, sub in value.items():
        if name not in names:
            condition = either(lacks(name), evaluator.condition(place, sub, keyword, name))
            domain = evaluator.narrowed(domain, evaluator.domain(condition))
    return domain


_ALWAYS = (Draft.DRAFT_4, Draft.UNSTATED)
_FROM_2019 = (Draft.DRAFT_2019_09, Draft.UNSTATED)

APPLICATORS: Mapping[str, tuple[Keyword, Draft, Draft]] = {
    "$ref": (_ref, *_ALWAYS),
    "$dynamicRef": (_dynamic_ref, Draft.DRAFT_2020_12, Draft.UNSTATED),
    "$recursiveRef": (_recursive_ref, Draft.DRAFT_2019_09, Draft.DRAFT_2019_09),
    "allOf": (_all_of, *_ALWAYS),
    "anyOf": (_any_of, *_ALWAYS),
    "oneOf": (_one_of, *_ALWAYS),
    "not": (_not, *_ALWAYS),
    "if": (_if, Draft.DRAFT_7, Draft.UNSTATED),
    "dependentSchemas": (_dependent_schemas, *_FROM_2019),
    "dependencies": (_dependencies, *_ALWAYS),
    "unevaluatedItems": (unevaluated_items, *_FROM_2019),
    "unevaluatedProperties": (unevaluated_properties, *_FROM_2019),
}
