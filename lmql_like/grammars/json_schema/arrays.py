"""Arrays -> diagrams: one state for each thing that the items so far decide.

A state is how many items were read, as far as that matters, how many of them satisfied each
count, and, for unique items out of a few values, which values were used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal
from itertools import product
from math import comb
from typing import TYPE_CHECKING

from lmql_like.errors import SchemaError
from lmql_like.grammars.json_schema.conditions import (
    FALSE,
    TRUE,
    All,
    Condition,
    Inverse,
    both,
    negate,
)
from lmql_like.grammars.json_schema.counting import repeat_node
from lmql_like.grammars.json_schema.domains import ArraySet, Count, item_condition, only
from lmql_like.grammars.json_schema.evaluation import Given
from lmql_like.grammars.json_schema.numbers import Above, NumberIn, Whole, number_holds
from lmql_like.grammars.json_schema.strings import LengthIn, TextIn, text_automaton, texts_in
from lmql_like.grammars.regex.nodes import Alternation, Concat, Diagram, Node, Reference

if TYPE_CHECKING:
    from lmql_like.grammars.json_schema.evaluation import Evaluator
    from lmql_like.grammars.json_schema.lowering import Lowering

__all__ = ["array_node"]

_MOST_STATES = 50_000
_MOST_SUBSETS = 5_000  # of the values that unique items may have
_MOST_VALUES = 100
_MOST_WRITTEN_OUT = 2_000

# Items read (capped), counts (capped), values used.
_State = tuple[int, tuple[int, ...], frozenset[int]]


def array_node(lowering: Lowering, array: ArraySet) -> Node:
    """Return the arrays of a set.

    Raises:
        SchemaError: S301 for `uniqueItems` over many values, S304 over a limit.
    """
    many = max(array.low, array.high or 0) > _MOST_WRITTEN_OUT
    if many and not (array.prefix or array.counts or array.unique):
        return _many_items(lowering, array)
    return _Arrays(lowering, array).node()


def _many_items(lowering: Lowering, array: ArraySet) -> Node:
    """Return arrays of equal items between large bounds."""
    where, item = lowering.options.layout, lowering.value(array.rest)
    more = repeat_node(
        Concat((where.comma, item)),
        max(array.low - 1, 0),
        None if array.high is None else array.high - 1,
    )
    filled: Node = Concat((where.open("["), item, more, where.close("]")))
    return filled if array.low else Alternation((where.nothing("[", "]"), filled))


class _Arrays:
    def __init__(self, lowering: Lowering, array: ArraySet) -> None:
        self._lowering = lowering
        self._array = array
        last_count = max((count.start for count in array.counts), default=0)
        # Behind this many items, only the rest's condition and counts go on.
        self._cap = max(len(array.prefix), array.low, last_count, array.high or 0)
        self._values = self._unique_values()
        self._rules: dict[Condition, Reference] = {}

    def node(self) -> Node:
        array, where = self._array, self._lowering.options.layout
        first: _State = (0, (0,) * len(array.counts), frozenset())
        moves: list[tuple[int, Node, int]] = [(0, where.open("["), 2)]
        if self._ends(first):
            moves.append((0, where.nothing("[", "]"), 1))
        # State 1 is the end; then pairs: before and behind an item.
        order, known = [first], {first: 2}
        entered: set[_State] = set()
        for state in order:
            before = known[state]
            for condition, target in self._steps(state):
                entered.add(target)
                if target not in known:
                    known[target] = 2 + 2 * len(order)
                    order.append(target)
                moves.append((before, self._value(condition), known[target] + 1))
            if len(order) > _MOST_STATES:
                raise SchemaError(
                    "S304", f"an array's bounds and counts need more than {_MOST_STATES} states"
                )
        for state in entered:
            moves.append((known[state] + 1, where.comma, known[state]))
            if self._ends(state):
                moves.append((known[state] + 1, where.close("]"), 1))
        return Diagram(2 + 2 * len(order), tuple(moves), (1,))

    def _value(self, condition: Condition) -> Node:
        """Return what an item looks like; a rule where it stands in many places."""
        node = self._lowering.value(condition)
        if self._values is None or isinstance(node, Reference):
            return node
        known = self._rules.get(condition)
        if known is None:
            rules = self._lowering.rules
            known = self._rules[condition] = rules.add(rules.fresh("u"), lambda: node)
        return known

    def _ends(self, state: _State) -> bool:
        read, counts, _ = state
        return read >= self._array.low and all(
            count.low <= found for count, found in zip(self._array.counts, counts, strict=True)
        )

    def _steps(self, state: _State) -> Iterator[tuple[Condition, _State]]:
        """Yield the conditions that the next item may satisfy, and the states behind it."""
        read, counts, used = state
        array = self._array
        if array.high is not None and read >= array.high:
            return
        condition = item_condition(array, read)
        if condition == FALSE:
            return
        ways = [
            _ways(count, found, read) for count, found in zip(array.counts, counts, strict=True)
        ]
        following = min(read + 1, self._cap)
        for way in product(*ways):
            item = both(condition, *(also for also, _ in way))
            if item == FALSE or (way and self._lowering.evaluator.is_empty(item)):
                continue
            found = tuple(after for _, after in way)
            if self._values is None:
                yield item, (following, found, used)
                continue
            for index, value in enumerate(self._values):
                part = both(item, value)
                if index not in used and not self._lowering.evaluator.is_empty(part):
                    yield part, (following, found, used | {index})

    # -- unique items ------------------------------------------------------------------

    def _unique_values(self) -> list[Condition] | None:
        """Return conditions of one value each, if items have to be unique."""
        array, evaluator = self._array, self._lowering.evaluator
        if not array.unique or (array.high is not None and array.high <= 1):
            return None
        places = [*array.prefix, array.rest]
        if array.high is not None:
            places = places[: array.high]
        values: dict[Condition, None] = {}
        for condition in dict.fromkeys(places):
            found = _few_values(evaluator, condition)
            if found is None or _n_subsets(len(values), array.high) > _MOST_SUBSETS:
                self._refuse_uniqueness("items may have any number of values")
                return None
            values.update(dict.fromkeys(found))
        if _n_subsets(len(values), array.high) > _MOST_SUBSETS:
            self._refuse_uniqueness(f"which of {len(values)} values were there is too much to keep")
            return None
        return list(values)

    def _refuse_uniqueness(self, reason: str) -> None:
        for pointer in self._array.unique:
            self._lowering.evaluator.refuse("uniqueItems", pointer, reason)


def _n_subsets(values: int, most: int | None) -> int:
    """Return how many sets of at most `most` values there are."""
    if most is None or most >= values:
        return 1 << values
    return sum(comb(values, size) for size in range(most + 1))


def _ways(count: Count, found: int, read: int) -> list[tuple[Condition, int]]:
    """Return what the next item may do to a count: a condition, and the count behind it."""
    if read < count.start:
        return [(TRUE, found)]
    if count.high is None:
        if found >= count.low:
            return [(TRUE, found)]
        # An item that would count need not: another way to read the text counts it.
        return [(count.values, found + 1), (TRUE, found)]
    ways = [(negate(count.values), found)]
    if found < count.high:
        ways.append((count.values, found + 1))
    return ways


def _few_values(evaluator: Evaluator, condition: Condition) -> list[Condition] | None:
    """Return conditions of one value each that make up a condition; None if not so few."""
    domain = evaluator.domain(condition)
    if domain.arrays or domain.objects:
        return None
    texts = _few_texts(domain.strings)
    numbers = _few_numbers(domain.numbers)
    if texts is None or numbers is None or len(texts) + len(numbers) > _MOST_VALUES:
        return None
    return [
        *(Given(only(atoms=(atom,))) for atom in sorted(domain.atoms)),
        *(Given(only(numbers=NumberIn(frozenset((number,))))) for number in sorted(numbers)),
        *(Given(only(strings=TextIn(frozenset((text,))))) for text in sorted(texts)),
    ]


def _few_texts(condition: Condition) -> Collection[str] | None:
    """Return the texts of a condition, if it names them or its patterns have few."""
    texts = texts_in(condition)
    if texts is not None or condition == TRUE or isinstance(condition, LengthIn):
        return texts
    return text_automaton(condition).texts(_MOST_VALUES)


def _few_numbers(condition: Condition) -> list[Decimal] | None:
    """Return the numbers of a condition, if it names them or bounds integers narrowly."""
    if condition == FALSE:
        return []
    if isinstance(condition, NumberIn):
        return list(condition.values)
    if not isinstance(condition, All):
        return None
    for part in condition.parts:
        if isinstance(part, NumberIn):
            return [value for value in part.values if number_holds(condition, value)]
    if not any(isinstance(part, Whole) for part in condition.parts):
        return None
    lows = [part.bound for part in condition.parts if isinstance(part, Above)]
    highs = [
        part.part.bound
        for part in condition.parts
        if isinstance(part, Inverse) and isinstance(part.part, Above)
    ]
    if not lows or not highs:
        return None
    first, last = int(max(lows)) - 1, int(min(highs)) + 1
    if last - first > _MOST_VALUES + 3:
        return None
    between = map(Decimal, range(first, last + 1))
    return [value for value in between if number_holds(condition, value)]
