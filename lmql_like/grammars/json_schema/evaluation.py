"""Conditions over subschemas -> domains, each evaluated once; and which of them are empty."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

from lmql_like.errors import GrammarError, SchemaError
from lmql_like.grammars.json_schema.conditions import (
    FALSE,
    TRUE,
    All,
    Condition,
    Inverse,
    Some,
    Truth,
    both,
)
from lmql_like.grammars.json_schema.documents import Documents, Place
from lmql_like.grammars.json_schema.domains import (
    ANYTHING,
    NOTHING,
    ArraySet,
    Domain,
    ObjectSet,
    complement,
    intersect,
    item_condition,
    union,
)
from lmql_like.grammars.json_schema.drafts import Draft
from lmql_like.grammars.json_schema.numbers import numbers_are_empty
from lmql_like.grammars.json_schema.strings import text_holds, texts_are_empty, texts_in

__all__ = ["Evaluator", "Given", "Unenforced"]

_ANNOTATIONS = frozenset({"$ref", "title", "description", "default", "examples", "$comment"})
_DEEPEST = 6  # members of members that emptiness looks into
_MOST_DOMAINS = 100_000


@dataclass(frozen=True)
class Unenforced:
    """A keyword that the result does not enforce.

    Attributes:
        pointer: where it stands in the schema.
        keyword: its name.
        reason: why it is not enforced.
    """

    pointer: str
    keyword: str
    reason: str


class Given:
    """An atom: a domain that no subschema spells, such as the values of an enum."""

    __slots__ = ("_hash", "domain")

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self._hash = hash(domain)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Given) and self.domain == other.domain


class Evaluator:
    """Evaluates conditions whose atoms are places in a document, or given domains.

    Args:
        documents: the document.
        assert_formats: whether `format` is enforced, not only noted.
        warn: whether keywords that cannot be enforced are noted in `unenforced` instead
            of refused.
    """

    def __init__(self, documents: Documents, *, assert_formats: bool, warn: bool) -> None:
        self.documents = documents
        self.assert_formats = assert_formats
        self.warn = warn
        self.unenforced: dict[Unenforced, None] = {}
        self._domains: dict[Condition, Domain] = {}
        self._running: set[Condition] = set()
        self._empty: dict[Condition, bool] = {}

    def condition(self, place: Place, schema: Any, *path: str) -> Condition:
        """Return the condition that a subschema below a place stands for.

        Raises:
            SchemaError: S102 where it is no schema.
        """
        if schema is True or schema == {}:
            return TRUE
        if schema is False:
            return FALSE
        return self.at(self.documents.child(place, schema, *path))

    def at(self, place: Place) -> Condition:
        """Return the condition of a place itself; a bare reference is what it refers to.

        Raises:
            SchemaError: S102 where it is no schema, S103 and S104 for a reference.
        """
        passed: set[Place] = set()
        while True:
            if place.schema is True or place.schema is False:
                return TRUE if place.schema else FALSE
            if not isinstance(place.schema, dict):
                raise SchemaError(
                    "S102",
                    f"found {_kind(place.schema)}, expected a schema: an object or a boolean",
                    pointer=place.pointer,
                )
            reference = place.schema.get("$ref")
            if not isinstance(reference, str) or not _is_bare(place):
                return place
            if place in passed:
                raise _refers_to_itself(place.pointer)
            passed.add(place)
            place = self.documents.resolve(place, reference)

    def refuse(self, keyword: str, pointer: str, reason: str) -> None:
        """Note a keyword that cannot be enforced, or refuse it.

        Raises:
            SchemaError: S301.
        """
        if not self.warn:
            raise SchemaError(
                "S301",
                f"{keyword} cannot be enforced: {reason}",
                pointer=pointer,
                help='pass unenforced="warn" to leave it out',
            )
        self.unenforced[Unenforced(pointer, keyword, reason)] = None

    # -- domains ---------------------------------------------------------------------

    def domain(self, condition: Condition) -> Domain:
        """Return the domain of a condition.

        Raises:
            SchemaError: for whatever the schema says wrong, and S104 for a reference that
                comes back to itself at the same value.
        """
        known = self._domains.get(condition)
        if known is not None:
            return known
        if condition in self._running:
            place = condition if isinstance(condition, Place) else None
            raise _refers_to_itself(place.pointer if place else None)
        if len(self._domains) > _MOST_DOMAINS:
            raise SchemaError("S302", f"the schema comes to more than {_MOST_DOMAINS} conditions")
        self._running.add(condition)
        try:
            found = self._evaluate(condition)
        finally:
            self._running.discard(condition)
        self._domains[condition] = found
        return found

    def known_domain(self, condition: Condition) -> Domain | None:
        """Return the domain of a condition, None while it is being evaluated."""
        try:
            return self.domain(condition)
        except SchemaError as error:
            if error.code != "S104":
                raise
            return None

    def _evaluate(self, condition: Condition) -> Domain:
        if isinstance(condition, Place):
            from lmql_like.grammars.json_schema.keywords import evaluate

            return evaluate(self, condition)
        if isinstance(condition, Given):
            return condition.domain
        if isinstance(condition, Truth):
            return ANYTHING if condition.value else NOTHING
        if isinstance(condition, Inverse):
            return complement(self.domain(condition.part))
        if isinstance(condition, All):
            return reduce(self.narrowed, map(self.domain, condition.parts))
        if isinstance(condition, Some):
            return reduce(union, map(self.domain, condition.parts))
        raise TypeError(f"no condition over schemas: {condition!r}")

    def narrowed(self, left: Domain, right: Domain) -> Domain:
        """Return an intersection without the alternatives that are surely empty."""
        if right is ANYTHING or (
            left is ANYTHING and max(len(right.arrays), len(right.objects)) < 2
        ):
            return left if right is ANYTHING else right
        domain = intersect(left, right)
        arrays, objects = domain.arrays, domain.objects
        if len(arrays) > 1 and (len(left.arrays) > 1 or len(right.arrays) > 1):
            arrays = tuple(one for one in arrays if not self._no_array(one, 1))
        if len(objects) > 1 and (len(left.objects) > 1 or len(right.objects) > 1):
            objects = tuple(one for one in objects if not self._no_object(one, 1))
        return Domain(domain.atoms, domain.numbers, domain.strings, arrays, objects)

    # -- emptiness -------------------------------------------------------------------

    def is_empty(self, condition: Condition, depth: int = 0) -> bool:
        """Tell whether surely no value satisfies a condition; where it is hard to say, no."""
        if condition == TRUE or depth > _DEEPEST:
            return False
        known = self._empty.get(condition)
        if known is None:
            self._empty[condition] = False  # while it is asked, and inside itself
            known = self._empty[condition] = self._is_empty(condition, depth)
        return known

    def _is_empty(self, condition: Condition, depth: int) -> bool:
        if condition == FALSE:
            return True
        try:
            domain = self.known_domain(condition)
        except GrammarError:
            return False
        return domain is not None and self._is_empty_domain(domain, depth)

    def _is_empty_domain(self, domain: Domain, depth: int) -> bool:
        return (
            not domain.atoms
            and (domain.numbers == FALSE or numbers_are_empty(domain.numbers))
            and (domain.strings == FALSE or _no_text(domain.strings))
            and all(self._no_array(one, depth + 1) for one in domain.arrays)
            and all(self._no_object(one, depth + 1) for one in domain.objects)
        )

    def _no_array(self, array: ArraySet, depth: int) -> bool:
        if array.high is not None and array.high < array.low:
            return True
        needed = min(array.low, len(array.prefix) + 1)
        if any(self.is_empty(item_condition(array, i), depth) for i in range(needed)):
            return True
        return any(
            count.low > 0
            and all(
                self.is_empty(both(item_condition(array, i), count.values), depth)
                for i in range(count.start, max(len(array.prefix), count.start) + 1)
            )
            for count in array.counts
        )

    def _no_object(self, one: ObjectSet, depth: int) -> bool:
        if one.high is not None and one.high < one.low:
            return True
        for names, values in one.members:
            texts = texts_in(names)
            if texts is None:
                continue
            if all(self.is_empty(self.value_of(one, text, values), depth) for text in texts):
                return True
        return False

    def value_of(self, one: ObjectSet, name: str, also: Condition = TRUE) -> Condition:
        """Return what the value of a member satisfies."""
        return both(also, *(v for names, v in one.values if text_holds(names, name)))


def _no_text(strings: Condition) -> bool:
    try:
        return texts_are_empty(strings)
    except (GrammarError, SchemaError):
        return False


def _refers_to_itself(pointer: str | None) -> SchemaError:
    return SchemaError(
        "S104",
        "the schema refers to itself for the very same value",
        pointer=pointer,
        help="let the reference stand below properties or items",
    )


def _is_bare(place: Place) -> bool:
    """Tell whether a reference is all that a schema says of values."""
    return place.resource.draft <= Draft.DRAFT_7 or _ANNOTATIONS.issuperset(place.schema)


def _kind(value: Any) -> str:
    names = {bool: "a boolean", str: "a string", list: "an array", type(None): "null"}
    return names.get(type(value), "an object" if isinstance(value, dict) else "a number")
