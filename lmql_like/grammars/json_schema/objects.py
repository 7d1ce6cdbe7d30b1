"""Objects -> diagrams: one state for each thing that the members so far decide.

Members come in classes: each declared name is one, and the other names fall into regions
whose values satisfy the same. A state is which *needs* are met (required names, members that
must exist) and, where it matters, how many members there are.

Any order of n needs takes 2^n states, so that is done up to `_MOST_NEEDS`. In larger objects
the required members come in the order of the schema, with optional ones anywhere in between.

A name that is required, and in small objects every declared name, can come once only. A text
in which another name occurs twice is accepted where each of its values may stand: whichever
of them a reader keeps, the object is valid. Bounds of the number of members count members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, TypeAlias

from lmql_like.errors import SchemaError
from lmql_like.grammars.json_schema.conditions import (
    FALSE,
    TRUE,
    Condition,
    atoms_of,
    both,
    negate,
    replace_atoms,
)
from lmql_like.grammars.json_schema.counting import repeat_node
from lmql_like.grammars.json_schema.domains import ObjectSet
from lmql_like.grammars.json_schema.strings import (
    TextIn,
    but_not,
    text_holds,
    texts_are_empty,
)
from lmql_like.grammars.regex.nodes import Alternation, Concat, Diagram, Node, Reference

if TYPE_CHECKING:
    from lmql_like.grammars.json_schema.lowering import Lowering

__all__ = ["object_node"]

_MOST_NEEDS = 6
_TRACKED = 4  # members of a small object, each of which can come once only
_MOST_REGIONS = 64
_MOST_FREE_NEEDS = 6
_MOST_STATES = 20_000
_MOST_COUNTED = 2_000
_State: TypeAlias = tuple[int, int]  # needs met, or the place in the order; members so far


@dataclass(frozen=True)
class _Member:
    """A class of members.

    Attributes:
        node: what they look like.
        meets: the needs that they meet, as bits.
        once: needs that must still be open, as bits: the member cannot come again.
    """

    node: Node
    meets: int
    once: int


@dataclass(frozen=True)
class _Region:
    """Names that are not declared, and what their values satisfy."""

    names: Condition
    values: Condition


def object_node(lowering: Lowering, one: ObjectSet, *, is_one_of_many: bool = False) -> Node:
    """Return the objects of a set.

    Args:
        lowering: where values and rules come from.
        one: the set.
        is_one_of_many: it is an alternative to others like it, which share its members.

    Raises:
        SchemaError: S302 and S304 over a limit, S305 where any order is asked for and too
            many members are required.
    """
    return _Objects(lowering, one, is_one_of_many).node()


class _Objects:
    def __init__(self, lowering: Lowering, one: ObjectSet, is_one_of_many: bool) -> None:
        self._lowering = lowering
        self._is_one_of_many = is_one_of_many
        self._one = one
        self._where = lowering.options.layout
        self._names = self._declared()
        self._required: set[str] = set()
        # Needs that are more than a required name: some member of some class must exist.
        self._free_needs: list[tuple[Condition, Condition]] = []
        for names, values in one.members:
            if values == TRUE and isinstance(names, TextIn) and len(names.values) == 1:
                self._required |= names.values
            else:
                self._free_needs.append((names, values))
        if len(self._free_needs) > _MOST_FREE_NEEDS:
            raise SchemaError(
                "S302",
                f"an object needs {len(self._free_needs)} members that no name tells apart, "
                f"more than {_MOST_FREE_NEEDS}",
            )

    def _declared(self) -> dict[str, None]:
        """Return all names that any claim speaks of, in the order of the schema."""
        found = dict.fromkeys(self._one.order)
        for names, _ in (*self._one.values, *self._one.members):
            for atom in atoms_of(names):
                if isinstance(atom, TextIn):
                    found.update(dict.fromkeys(sorted(atom.values - found.keys())))
        return found

    # -- classes of members --------------------------------------------------------------

    def _conditions(self) -> dict[str, Condition]:
        """Return what the value of each declared name satisfies."""
        named: dict[str, list[Condition]] = {name: [] for name in self._names}
        for names, values in self._one.values:
            if isinstance(names, TextIn):
                for name in names.values:
                    named[name].append(values)
            else:
                for name, parts in named.items():
                    if text_holds(names, name):
                        parts.append(values)
        return {name: both(*parts) for name, parts in named.items()}

    def _regions(self) -> list[_Region]:
        """Return the classes of undeclared names whose members may exist."""
        regions = [_Region(TRUE, TRUE)]
        for names, values in self._one.values:
            rest = _undeclared(names)
            if rest == FALSE:
                continue
            if rest == TRUE:
                regions = [_Region(r.names, both(r.values, values)) for r in regions]
                continue
            cut = []
            for region in regions:
                for part, also in ((rest, values), (negate(rest), TRUE)):
                    inside = both(region.names, part)
                    if inside != FALSE and not (region.names != TRUE and texts_are_empty(inside)):
                        cut.append(_Region(inside, both(region.values, also)))
            regions = cut
            if len(regions) > _MOST_REGIONS:
                raise SchemaError(
                    "S302", f"patterns of names overlap in more than {_MOST_REGIONS} ways"
                )
        closed = self._lowering.options.closed and self._names
        return [
            region
            for region in regions
            if region.values != FALSE and not (closed and region.values == TRUE)
        ]

    def _members(self, tracked: list[str]) -> tuple[dict[str, list[_Member]], list[_Member]]:
        """Return the members with each declared name, and those with other names.

        Bit i stands for tracked name i; behind them come the free needs.
        """
        shift = len(tracked)
        bit = {name: 1 << index for index, name in enumerate(tracked)}
        named: dict[str, list[_Member]] = {}
        for name, condition in self._conditions().items():
            fitting = [
                (1 << (shift + index), values)
                for index, (names, values) in enumerate(self._free_needs)
                if text_holds(names, name)
            ]
            own = bit.get(name, 0)
            named[name] = [
                _Member(self._named_member(name, value), own | extra, own)
                for extra, value in self._variants(condition, fitting)
            ]
        others = []
        for region in self._regions():
            for names, met in self._cuts(region.names, shift):
                for extra, value in self._variants(region.values, met):
                    literal = self._lowering.string(but_not(names, frozenset(self._names)))
                    key = self._where.any_name(literal)
                    others.append(_Member(self._member(key, value), extra, 0))
        return named, others

    def _cuts(
        self, names: Condition, shift: int
    ) -> Iterator[tuple[Condition, list[tuple[int, Condition]]]]:
        """Yield parts of a region and the free needs that their names fit.

        A member that could meet a need may also be read as one that does not, so parts
        may overlap: the whole region stands for those that meet nothing.
        """
        free = [
            (1 << (shift + index), _undeclared(need), values)
            for index, (need, values) in enumerate(self._free_needs)
        ]
        whole = [(bit, values) for bit, need, values in free if need == TRUE]
        yield names, whole
        some = [entry for entry in free if entry[1] not in (TRUE, FALSE)]
        for count in range(1, len(some) + 1):
            for chosen in combinations(some, count):
                inside = both(names, *(need for _, need, _ in chosen))
                if inside != FALSE and not texts_are_empty(inside):
                    yield inside, [*whole, *((bit, values) for bit, _, values in chosen)]

    def _variants(
        self, condition: Condition, needs: list[tuple[int, Condition]]
    ) -> Iterator[tuple[int, Condition]]:
        """Yield which needs a member meets, and what its value satisfies then."""
        for count in range(len(needs) + 1):
            for chosen in combinations(needs, count):
                value = both(condition, *(values for _, values in chosen))
                if value == FALSE or (count and self._lowering.evaluator.is_empty(value)):
                    continue
                yield sum(bit for bit, _ in chosen), value

    def _named_member(self, name: str, condition: Condition) -> Node:
        """Return a member; a rule of its own where many kinds of objects may have it."""
        if not self._is_one_of_many:
            return self._member(self._where.name(name), condition)
        known, rules = self._lowering.member_rules, self._lowering.rules
        if (name, condition) not in known:
            node = self._member(self._where.name(name), condition)
            known[name, condition] = rules.add(rules.fresh("m"), partial(_itself, node))
        return known[name, condition]

    def _member(self, key: Node, condition: Condition) -> Node:
        return Concat((key, self._lowering.value(condition)))

    # -- diagrams ------------------------------------------------------------------------

    def node(self) -> Node:
        needs = len(self._required) + len(self._free_needs)
        order = self._lowering.options.key_order
        if order == "any" and needs > _MOST_NEEDS:
            raise SchemaError(
                "S305",
                f"an object needs {needs} members, more than {_MOST_NEEDS}, in any order",
                help='pass key_order="auto" or "declared"',
            )
        if not needs and max(self._one.low, self._one.high or 0) > _MOST_COUNTED:
            return self._many_members()
        if order == "declared":
            return self._in_order(everywhere=False)
        if needs > _MOST_NEEDS:
            return self._in_order(everywhere=True)
        return self._in_any_order()

    def _many_members(self) -> Node:
        """Return the objects with large bounds of the number of members and no needs."""
        named, others = self._members([])
        members = [m.node for group in named.values() for m in group] + [m.node for m in others]
        low, high, where = self._one.low, self._one.high, self._where
        member = self._as_rules([Alternation(tuple(members))], [(0, 0, 0)] * 2)[0]
        more = repeat_node(
            Concat((where.comma, member)), max(low - 1, 0), None if high is None else high - 1
        )
        filled: Node = Concat((where.open("{"), member, more, where.close("}")))
        return filled if low else Alternation((where.nothing("{", "}"), filled))

    def _in_any_order(self) -> Node:
        tracked = [name for name in self._names if name in self._required]
        free = len(self._free_needs)
        if len(self._names) + free <= _TRACKED:
            tracked = list(self._names)
        named, others = self._members(tracked)
        members = [member for group in named.values() for member in group] + others
        wanted = sum(1 << i for i, name in enumerate(tracked) if name in self._required)
        wanted |= ((1 << free) - 1) << len(tracked)
        low, high = self._bounds(len(self._required))
        if high is not None and not others and high >= len(self._names) == len(tracked):
            high = None  # each name comes once only

        def steps(state: _State) -> Iterator[tuple[int, _State]]:
            met, count = state
            following = _next_count(count, low, high)
            if following is None:
                return
            for index, member in enumerate(members):
                if not member.once & met:
                    yield index, (met | member.meets, following)

        def ends(state: _State) -> bool:
            return state[0] & wanted == wanted and state[1] >= low

        return self._diagram([m.node for m in members], (0, 0), steps, ends)

    def _bounds(self, required: int) -> tuple[int, int | None]:
        """Return the bounds of the number of members that needs do not imply."""
        low = self._one.low if self._one.low > required else 0
        return low, self._one.high

    def _in_order(self, *, everywhere: bool) -> Node:
        """Return the objects whose declared members come in the order of the schema.

        Args:
            everywhere: only required members do; the others stand anywhere between them.
        """
        if self._free_needs:
            return self._in_order_with_needs()
        named, others = self._members([])
        low, high = self._bounds(len(self._required))
        if everywhere:
            chain = [name for name in self._names if name in self._required]
            loose = [m.node for n in self._names if n not in self._required for m in named[n]]
            loose += [member.node for member in others]
        else:
            chain = [name for name in self._names if named[name] or name in self._required]
            loose = [member.node for member in others]
        nodes: list[Node] = [Alternation(tuple(m.node for m in named[name])) for name in chain]
        free = len(nodes)
        if loose:
            nodes.append(loose[0] if len(loose) == 1 else Alternation(tuple(loose)))
        last_required = [
            max((i + 1 for i in range(index, len(chain)) if chain[i] in self._required), default=0)
            for index in range(len(chain) + 1)
        ]

        def steps(state: _State) -> Iterator[tuple[int, _State]]:
            place, count = state
            following = _next_count(count, low, high)
            if following is None:
                return
            for index in range(place, len(chain)):
                yield index, (index + 1, following)
                if chain[index] in self._required:
                    break
            if loose and (everywhere or not last_required[min(place, len(chain))]):
                yield free, (place if everywhere else len(chain), following)

        def ends(state: _State) -> bool:
            return not last_required[state[0]] and state[1] >= low

        return self._diagram(nodes, (0, 0), steps, ends)

    def _in_order_with_needs(self) -> Node:
        if len(self._required) + len(self._free_needs) > _MOST_NEEDS:
            raise SchemaError(
                "S302",
                f"an object needs more than {_MOST_NEEDS} members, some of which no name tells",
            )
        return self._in_any_order()

    def _diagram(
        self,
        members: list[Node],
        first: _State,
        steps: Callable[[_State], Iterator[tuple[int, _State]]],
        ends: Callable[[_State], bool],
    ) -> Node:
        """Return the diagram of states that members lead between."""
        where = self._where
        order, known = [first], {first: 0}
        edges: list[tuple[int, int, int]] = []
        for state in order:
            for member, target in steps(state):
                if target not in known:
                    known[target] = len(order)
                    order.append(target)
                edges.append((known[state], member, known[target]))
            if len(order) > _MOST_STATES:
                raise SchemaError(
                    "S304", f"an object's bounds and needs take more than {_MOST_STATES} states"
                )
        nodes = self._as_rules(members, edges)
        # State 1 is the end; then pairs: before and behind a member.
        moves: list[tuple[int, Node, int]] = []
        if ends(first):
            moves.append((0, where.nothing("{", "}"), 1))
        if edges:
            moves.append((0, where.open("{"), 2))
        moves += [(2 + 2 * source, nodes[m], 3 + 2 * to) for source, m, to in edges]
        leaves = {source for source, _, _ in edges}
        for number in sorted({target for _, _, target in edges}):
            if number in leaves:
                moves.append((3 + 2 * number, where.comma, 2 + 2 * number))
            if ends(order[number]):
                moves.append((3 + 2 * number, where.close("}"), 1))
        return Diagram(2 + 2 * len(order), tuple(moves), (1,))

    def _as_rules(self, members: list[Node], edges: list[tuple[int, int, int]]) -> list[Node]:
        """Return members that are used more than once as references to rules."""
        rules, uses = self._lowering.rules, [0] * len(members)
        for _, member, _ in edges:
            uses[member] += 1
        return [
            node
            if used < 2 or isinstance(node, Reference)
            else rules.add(rules.fresh("m"), partial(_itself, node))
            for node, used in zip(members, uses, strict=True)
        ]


def _itself(node: Node) -> Node:
    return node


def _undeclared(names: Condition) -> Condition:
    """Return what a condition on names says of those that are not declared."""
    return replace_atoms(names, lambda atom: FALSE if isinstance(atom, TextIn) else atom)


def _next_count(count: int, low: int, high: int | None) -> int | None:
    """Return the number of members behind one more, as far as it matters."""
    if high is not None:
        return count + 1 if count < high else None
    return min(count + 1, low)
