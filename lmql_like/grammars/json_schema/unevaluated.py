"""unevaluatedProperties and unevaluatedItems: what other keywords have not spoken of.

Which members are evaluated depends on which branches hold, so a schema is cut into *cases*:
a condition under which certain branches hold, and what is evaluated then. Branches that
evaluate nothing need no case. In each case the keyword is an ordinary one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from lmql_like.errors import SchemaError
from lmql_like.grammars.json_schema.conditions import (
    FALSE,
    TRUE,
    Condition,
    both,
    either,
    negate,
)
from lmql_like.grammars.json_schema.documents import Place
from lmql_like.grammars.json_schema.domains import ANYTHING, ArraySet, Domain, ObjectSet
from lmql_like.grammars.json_schema.drafts import Draft
from lmql_like.grammars.json_schema.evaluation import Evaluator, Given

__all__ = ["unevaluated_items", "unevaluated_properties"]

_MOST_CASES = 256
_MOST_DEPTH = 60


@dataclass(frozen=True)
class _Items:
    """Evaluated items: the first `count` (None: all), and those that satisfy `also`."""

    count: int | None = 0
    also: Condition = FALSE

    def joined(self, other: _Items) -> _Items:
        count = None if self.count is None or other.count is None else max(self.count, other.count)
        return _Items(count, either(self.also, other.also))


@dataclass(frozen=True)
class _Names:
    """Evaluated members: those with such names."""

    names: Condition = FALSE

    def joined(self, other: _Names) -> _Names:
        return _Names(either(self.names, other.names))


# A case: a condition, and what is evaluated where it holds.
_Case = tuple[Condition, Any]


def unevaluated_properties(
    evaluator: Evaluator,
    place: Place,
    value: Any,
    known: Domain,  # noqa: ARG001
) -> Domain:
    """Return the domain of unevaluatedProperties."""
    condition = evaluator.condition(place, value, "unevaluatedProperties")
    if condition == TRUE:
        return ANYTHING
    cases = _Cases(evaluator, _names_of, _Names()).of(place, outermost=True)
    return evaluator.domain(
        either(
            *(
                both(test, _object(ObjectSet(((negate(seen.names), condition),))))
                for test, seen in cases
            )
        )
    )


def unevaluated_items(
    evaluator: Evaluator,
    place: Place,
    value: Any,
    known: Domain,  # noqa: ARG001
) -> Domain:
    """Return the domain of unevaluatedItems."""
    condition = evaluator.condition(place, value, "unevaluatedItems")
    if condition == TRUE:
        return ANYTHING
    cases = _Cases(evaluator, _items_of, _Items()).of(place, outermost=True)
    return evaluator.domain(
        either(
            *(
                test
                if seen.count is None
                else both(test, _array(seen.count, either(condition, seen.also)))
                for test, seen in cases
            )
        )
    )


def _object(one: ObjectSet) -> Condition:
    return Given(replace(ANYTHING, objects=(one,)))


def _array(start: int, rest: Condition) -> Condition:
    high = start if rest == FALSE else None
    return Given(replace(ANYTHING, arrays=(ArraySet((TRUE,) * start, rest, high=high),)))


def _names_of(evaluator: Evaluator, place: Place, outermost: bool) -> _Names:  # noqa: ARG001
    from lmql_like.grammars.json_schema.keywords import other_names

    schema = place.schema
    if "additionalProperties" in schema:
        return _Names(TRUE)
    if "unevaluatedProperties" in schema and not outermost:
        return _Names(TRUE)
    return _Names(negate(other_names(schema)))


def _items_of(evaluator: Evaluator, place: Place, outermost: bool) -> _Items:
    schema, draft = place.schema, place.resource.draft
    if "unevaluatedItems" in schema and not outermost:
        return _Items(None)
    items, prefix = schema.get("items"), schema.get("prefixItems")
    if draft <= Draft.DRAFT_2019_09:
        if isinstance(items, list):
            return _Items(None if "additionalItems" in schema else len(items))
        return _Items(None if "items" in schema else 0)
    also: Condition = FALSE
    if "contains" in schema:
        also = evaluator.condition(place, schema["contains"], "contains")
    if "items" in schema and not isinstance(items, list):
        return _Items(None)
    listed = prefix if isinstance(prefix, list) else items if isinstance(items, list) else []
    return _Items(len(listed), also)


class _Cases:
    """Cuts schemas into cases.

    Args:
        evaluator: for subschemas.
        own: what a schema's own keywords evaluate.
        nothing: what no keywords evaluate.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        own: Callable[[Evaluator, Place, bool], Any],
        nothing: _Items | _Names,
    ) -> None:
        self._evaluator = evaluator
        self._own = own
        self._nothing = nothing
        self._depth = 0

    def of(self, place: Place, *, outermost: bool = False) -> list[_Case]:
        """Return the cases of a schema; together they cover all values that satisfy it."""
        from lmql_like.grammars.json_schema import applicators

        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise SchemaError("S303", "found unevaluated items or members below too many schemas")
        evaluator, schema = self._evaluator, place.schema
        cases: list[_Case] = [(TRUE, self._own(evaluator, place, outermost))]
        for target in self._references(place):
            cases = self._all(cases, self._cases(target))
        for condition in (
            applicators.branches(evaluator, place, "allOf") if "allOf" in schema else ()
        ):
            cases = self._all(cases, self._cases(condition))
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                for condition in applicators.branches(evaluator, place, keyword):
                    cases = self._all(cases, self._perhaps(condition))
        if "if" in schema:
            test, then, otherwise = applicators.choice_condition(evaluator, place)
            holds = self._all(self._where(test), self._cases(then))
            fails = [(both(negate(test), c), seen) for c, seen in self._cases(otherwise)]
            cases = self._all(cases, self._merged([*holds, *fails]))
        dependent = schema.get("dependentSchemas")
        for name, sub in dependent.items() if isinstance(dependent, dict) else ():
            inner = self._cases(evaluator.condition(place, sub, "dependentSchemas", name))
            present = [(both(applicators.has(name), c), seen) for c, seen in inner]
            absent = (applicators.lacks(name), self._nothing)
            cases = self._all(cases, self._merged([*present, absent]))
        self._depth -= 1
        return cases

    def _references(self, place: Place) -> list[Condition]:
        documents, schema = self._evaluator.documents, place.schema
        found = []
        if isinstance(schema.get("$ref"), str):
            found.append(documents.resolve(place, schema["$ref"]))
        if isinstance(schema.get("$dynamicRef"), str):
            found.append(documents.resolve_dynamic(place, schema["$dynamicRef"]))
        if schema.get("$recursiveRef") == "#" and place.resource.draft == Draft.DRAFT_2019_09:
            found.append(documents.resolve_recursive(place))
        return [self._evaluator.at(target) for target in found]

    def _cases(self, condition: Condition) -> list[_Case]:
        """Return the cases of a subschema that is known to hold."""
        if isinstance(condition, Place):
            return self.of(condition)
        return [(TRUE, self._nothing)]

    def _where(self, condition: Condition) -> list[_Case]:
        return [(both(condition, test), seen) for test, seen in self._cases(condition)]

    def _perhaps(self, condition: Condition) -> list[_Case]:
        """Return the cases of a branch that may hold or not."""
        cases = self._where(condition)
        if all(seen == self._nothing for _, seen in cases):
            return [(TRUE, self._nothing)]
        return [*cases, (negate(condition), self._nothing)]

    def _merged(self, cases: list[_Case]) -> list[_Case]:
        """Return one case without a condition where nothing is evaluated anyway."""
        if all(seen == self._nothing for _, seen in cases):
            return [(TRUE, self._nothing)]
        return cases

    def _all(self, left: list[_Case], right: list[_Case]) -> list[_Case]:
        """Return the cases of two schemas together."""
        joined = [(both(a, b), x.joined(y)) for a, x in left for b, y in right]
        kept = [(test, seen) for test, seen in joined if test != FALSE]
        if len(kept) > _MOST_CASES:
            raise SchemaError(
                "S302",
                f"found more than {_MOST_CASES} ways in which members may be evaluated",
                help="say additionalProperties: false instead",
            )
        return kept
