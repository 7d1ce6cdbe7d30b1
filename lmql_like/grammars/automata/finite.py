"""Finite automata over characters, whole: determinized, combined, complemented, minimized.

The lazy automaton in `lazy_dfa` answers masks; this one is for compile time, where a regular
language has to be subtracted from another before it can stand inside a rule. Automata are
deterministic and immutable. Their alphabet is the code points, grouped into classes that
the automaton does not tell apart, so nothing depends on how a character is written.

Cost: one row of a table per state, one entry per class; every operation says no, with a
code, before it makes more states than it was allowed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lmql_like.errors import GrammarError
from lmql_like.grammars.regex.charsets import ALL_CHARACTERS, Ranges, intersect
from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Choice,
    Concat,
    Node,
    Repeat,
)

__all__ = ["MOST_STATES", "FiniteAutomaton"]

MOST_STATES = 20_000
_MOST_POSITIONS = 20_000
_DEAD = -1
_State = TypeVar("_State", bound=Hashable)
_END = 0x110000


@dataclass(frozen=True, eq=False)
class FiniteAutomaton:
    """A deterministic automaton over characters; state 0 is the start.

    Attributes:
        starts: first code point of each class, ascending, 0 first.
        table: for each state the target on each class, -1 where there is none.
        accepting: which states accept.
    """

    starts: tuple[int, ...]
    table: tuple[tuple[int, ...], ...]
    accepting: tuple[bool, ...]

    # -- making ----------------------------------------------------------------------

    @classmethod
    def explore(
        cls,
        starts: tuple[int, ...],
        first: _State,
        step: Callable[[_State, int], _State | None],
        accepts: Callable[[_State], bool],
        limit: int = MOST_STATES,
    ) -> FiniteAutomaton:
        """Return the automaton of a step function on states of any kind.

        Args:
            starts: the classes.
            first: the start state.
            step: the state behind a state and a class, None where there is none.
            accepts: whether a state accepts.
            limit: states at most; over it, `GrammarError` G201.
        """
        known: dict[_State, int] = {first: 0}
        order = [first]
        table: list[tuple[int, ...]] = []
        for state in order:
            row: list[int] = []
            for symbol in range(len(starts)):
                target = step(state, symbol)
                if target is None:
                    row.append(_DEAD)
                    continue
                number = known.get(target)
                if number is None:
                    number = known[target] = len(order)
                    order.append(target)
                row.append(number)
            table.append(tuple(row))
            _check(len(order), limit)
        return cls(starts, tuple(table), tuple(map(accepts, order)))

    @classmethod
    def of_node(cls, node: Node, limit: int = MOST_STATES) -> FiniteAutomaton:
        """Return the automaton of a node without references.

        Raises:
            GrammarError: G201 where it has more states than the limit, G202 where counted
                repeats write out to too many positions.
        """
        positions = _Positions()
        nullable, first, last = positions.add(node)
        starts = _classes(positions.sets)
        members = [0] * len(starts)
        for position, ranges in enumerate(positions.sets):
            for low, high in ranges:
                for symbol in range(bisect_right(starts, low) - 1, bisect_right(starts, high)):
                    members[symbol] |= 1 << position
        behind: dict[int, tuple[int, bool]] = {}

        def step(state: tuple[int, bool], symbol: int) -> tuple[int, bool] | None:
            hit = state[0] & members[symbol]
            if not hit:
                return None
            if hit not in behind:
                behind[hit] = (positions.followers(hit), bool(hit & last))
            return behind[hit]

        return cls.explore(starts, (first, nullable), step, lambda s: s[1], limit)

    @classmethod
    def of_texts(cls, texts: Iterable[str], limit: int = 1_000_000) -> FiniteAutomaton:
        """Return the automaton of a finite set of texts: their trie."""
        children: list[dict[int, int]] = [{}]
        accepting = [False]
        for text in texts:
            state = 0
            for char in text:
                target = children[state].get(ord(char))
                if target is None:
                    target = children[state][ord(char)] = len(children)
                    children.append({})
                    accepting.append(False)
                state = target
            accepting[state] = True
            _check(len(children), limit)
        used = sorted({code for row in children for code in row})
        starts = _classes([((code, code),) for code in used])
        symbol_of = {code: bisect_right(starts, code) - 1 for code in used}
        table = []
        for row in children:
            cells = [_DEAD] * len(starts)
            for code, target in row.items():
                cells[symbol_of[code]] = target
            table.append(tuple(cells))
        return cls(starts, tuple(table), tuple(accepting))

    # -- asking ----------------------------------------------------------------------

    def accepts(self, text: str) -> bool:
        """Tell whether a text is in the language."""
        state = 0
        for char in text:
            state = self.table[state][bisect_right(self.starts, ord(char)) - 1]
            if state == _DEAD:
                return False
        return self.accepting[state]

    def is_empty(self) -> bool:
        """Tell whether no text is in the language."""
        return not any(self.accepting) or not self._live()[0]

    def lengths(self) -> tuple[int, int | None]:
        """Return the least and the greatest number of characters of a text; None: no bound.

        An empty language has (0, 0).
        """
        live = self._live()
        if not live[0]:
            return 0, 0
        behind = [{to for to in row if to != _DEAD and live[to]} for row in self.table]
        order = self._reachable([tuple(row) for row in behind])
        least = {0: 0}
        queue = [0]
        for state in queue:
            if self.accepting[state]:
                break
            for target in behind[state]:
                if target not in least:
                    least[target] = least[state] + 1
                    queue.append(target)
        return least[state], _longest_way(behind, order)

    def ranges(self, symbols: Iterable[int]) -> Ranges:
        """Return the characters of some classes, given in ascending order."""
        out: list[tuple[int, int]] = []
        for symbol in symbols:
            low = self.starts[symbol]
            last = symbol + 1 == len(self.starts)
            high = (_END if last else self.starts[symbol + 1]) - 1
            if out and out[-1][1] == low - 1:
                out[-1] = (out[-1][0], high)
            else:
                out.append((low, high))
        return intersect(tuple(out), ALL_CHARACTERS)

    def moves(self) -> list[tuple[int, int, Ranges]]:
        """Return (source, target, characters) of all moves that can lead to acceptance."""
        live = self._live()
        known: dict[tuple[int, ...], Ranges] = {}
        out = []
        for source, row in enumerate(self.table):
            if not live[source]:
                continue
            by_target: dict[int, list[int]] = {}
            for symbol, target in enumerate(row):
                if target != _DEAD and live[target]:
                    by_target.setdefault(target, []).append(symbol)
            for target, symbols in by_target.items():
                key = tuple(symbols)
                if key not in known:
                    known[key] = self.ranges(key)
                if known[key]:
                    out.append((source, target, known[key]))
        return out

    def texts(self, limit: int) -> list[str] | None:
        """Return all texts of the language, None where there are more than `limit`."""
        following: dict[int, list[tuple[int, Ranges]]] = {}
        for source, target, ranges in self.moves():
            following.setdefault(source, []).append((target, ranges))
        found: list[str] = []
        stack = [(0, "")]
        while stack:
            state, text = stack.pop()
            if len(text) > len(self.table):  # it went round a loop
                return None
            if self.accepting[state]:
                found.append(text)
            for target, ranges in following.get(state, ()):
                if sum(high - low + 1 for low, high in ranges) > limit:
                    return None
                stack += [
                    (target, text + chr(code))
                    for low, high in ranges
                    for code in range(low, high + 1)
                ]
            if len(found) > limit or len(stack) > limit * (len(self.table) + 1):
                return None
        return sorted(found)

    @staticmethod
    def overlap(automata: Sequence[FiniteAutomaton], limit: int = MOST_STATES) -> bool:
        """Tell whether some text is in all of the languages; stops at the first one found.

        Raises:
            GrammarError: G201 where the search goes over a limit.
        """
        starts = sorted({start for automaton in automata for start in automaton.starts})
        columns = {
            tuple(bisect_right(automaton.starts, start) - 1 for automaton in automata)
            for start in starts
        }
        live = [automaton._live() for automaton in automata]  # noqa: SLF001 - our own
        tables = [automaton.table for automaton in automata]
        first = (0,) * len(automata)
        seen, stack = {first}, [first]
        while stack:
            states = stack.pop()
            if all(a.accepting[state] for a, state in zip(automata, states, strict=True)):
                return True
            for column in columns:
                target = tuple(
                    table[state][symbol]
                    for table, state, symbol in zip(tables, states, column, strict=True)
                )
                if target not in seen and all(
                    state != _DEAD and alive[state]
                    for alive, state in zip(live, target, strict=True)
                ):
                    seen.add(target)
                    stack.append(target)
            _check(len(seen), limit)
        return False

    # -- combining -------------------------------------------------------------------

    def complement(self) -> FiniteAutomaton:
        """Return the automaton of all other texts."""
        sink = len(self.table)
        table = [tuple(sink if to == _DEAD else to for to in row) for row in self.table]
        table.append((sink,) * len(self.starts))
        return FiniteAutomaton(
            self.starts, tuple(table), (*(not accept for accept in self.accepting), True)
        )

    def intersect(self, other: FiniteAutomaton, limit: int = MOST_STATES) -> FiniteAutomaton:
        """Return the automaton of the texts in both languages."""
        return self._product(other, both=True, limit=limit)

    def union(self, other: FiniteAutomaton, limit: int = MOST_STATES) -> FiniteAutomaton:
        """Return the automaton of the texts in either language."""
        return self._product(other, both=False, limit=limit)

    def difference(self, other: FiniteAutomaton, limit: int = MOST_STATES) -> FiniteAutomaton:
        """Return the automaton of the texts in this language and not in the other."""
        return self.intersect(other.complement(), limit)

    def minimize(self) -> FiniteAutomaton:
        """Return the automaton with the fewest states, by Moore's refinement of partitions."""
        live = self._live()
        if not live[0]:
            return FiniteAutomaton((0,), ((_DEAD,),), (False,))
        rows = [
            tuple(to if to != _DEAD and live[to] else _DEAD for to in row) for row in self.table
        ]
        states = self._reachable(rows)
        block = {state: int(self.accepting[state]) for state in states}
        count = len(set(block.values()))
        while True:
            block[_DEAD] = _DEAD
            names: dict[tuple[int, ...], int] = {}
            finer = {
                state: names.setdefault(
                    (block[state], *(block[to] for to in rows[state])), len(names)
                )
                for state in states
            }
            block = finer
            if len(names) == count:
                break
            count = len(names)
        block[_DEAD] = _DEAD
        chosen: dict[int, int] = {}
        for state in states:  # the start is the first of them
            chosen.setdefault(block[state], state)
        return FiniteAutomaton(
            self.starts,
            tuple(tuple(block[to] for to in rows[state]) for state in chosen.values()),
            tuple(self.accepting[state] for state in chosen.values()),
        )

    def _product(self, other: FiniteAutomaton, *, both: bool, limit: int) -> FiniteAutomaton:
        starts = tuple(sorted({*self.starts, *other.starts}))
        left = [bisect_right(self.starts, start) - 1 for start in starts]
        right = [bisect_right(other.starts, start) - 1 for start in starts]
        tables = self.table, other.table

        def step(state: tuple[int, int], symbol: int) -> tuple[int, int] | None:
            a, b = state
            a = tables[0][a][left[symbol]] if a != _DEAD else _DEAD
            b = tables[1][b][right[symbol]] if b != _DEAD else _DEAD
            dead = _DEAD in (a, b) if both else a == b == _DEAD
            return None if dead else (a, b)

        def accepts(state: tuple[int, int]) -> bool:
            a, b = state
            in_a = a != _DEAD and self.accepting[a]
            in_b = b != _DEAD and other.accepting[b]
            return (in_a and in_b) if both else (in_a or in_b)

        return FiniteAutomaton.explore(starts, (0, 0), step, accepts, limit)

    def _live(self) -> list[bool]:
        """Return for each state whether an accepting one can be reached from it."""
        sources: list[list[int]] = [[] for _ in self.table]
        for source, row in enumerate(self.table):
            for target in set(row):
                if target != _DEAD:
                    sources[target].append(source)
        live = list(self.accepting)
        stack = [state for state, accept in enumerate(live) if accept]
        while stack:
            for source in sources[stack.pop()]:
                if not live[source]:
                    live[source] = True
                    stack.append(source)
        return live

    @staticmethod
    def _reachable(rows: Sequence[tuple[int, ...]]) -> list[int]:
        seen = {0: None}
        stack = [0]
        while stack:
            for target in rows[stack.pop()]:
                if target != _DEAD and target not in seen:
                    seen[target] = None
                    stack.append(target)
        return list(seen)


class _Positions:
    """A node's positions, and which may follow which (Glushkov's construction).

    Sets of positions are the bits of an int.
    """

    def __init__(self) -> None:
        self.sets: list[Ranges] = []
        self._follow: list[int] = []

    def followers(self, positions: int) -> int:
        """Return the positions that may follow any of some positions."""
        out = 0
        while positions:
            lowest = positions & -positions
            out |= self._follow[lowest.bit_length() - 1]
            positions ^= lowest
        return out

    def add(self, node: Node) -> tuple[bool, int, int]:
        """Add a node; return whether it can be empty, its first and its last positions."""
        if isinstance(node, CharSet):
            return self._one(node.ranges)
        if isinstance(node, Concat):
            parts = (True, 0, 0)
            for part in node.parts:
                parts = self._then(parts, self.add(part))
            return parts
        if isinstance(node, (Alternation, Choice)):
            options: Sequence[Node] = (
                node.options
                if isinstance(node, Alternation)
                else [Concat(tuple(CharSet(((ord(c), ord(c)),)) for c in t)) for t in node.texts]
            )
            nullable, first, last = False, 0, 0
            for option in options:
                empty, begin, end = self.add(option)
                nullable, first, last = nullable or empty, first | begin, last | end
            return nullable, first, last
        if isinstance(node, Repeat):
            return self._repeat(node)
        raise GrammarError("G105", "only patterns can be combined with other conditions here")

    def _one(self, ranges: Ranges) -> tuple[bool, int, int]:
        if len(self.sets) >= _MOST_POSITIONS:
            raise GrammarError(
                "G202",
                f"the pattern writes out to more than {_MOST_POSITIONS} positions",
                help="make the counted repeats smaller",
            )
        self.sets.append(ranges)
        self._follow.append(0)
        bit = 1 << (len(self.sets) - 1)
        return False, bit, bit

    def _link(self, sources: int, targets: int) -> None:
        while sources:
            lowest = sources & -sources
            self._follow[lowest.bit_length() - 1] |= targets
            sources ^= lowest

    def _then(
        self, left: tuple[bool, int, int], right: tuple[bool, int, int]
    ) -> tuple[bool, int, int]:
        self._link(left[2], right[1])
        return (
            left[0] and right[0],
            left[1] | (right[1] if left[0] else 0),
            right[2] | (left[2] if right[0] else 0),
        )

    def _repeat(self, node: Repeat) -> tuple[bool, int, int]:
        if node.high is not None and node.high < node.low:
            return False, 0, 0
        whole = (True, 0, 0)
        for _ in range(node.low if node.high is not None else max(node.low - 1, 0)):
            whole = self._then(whole, self.add(node.item))
        if node.high is None:
            empty, first, last = self.add(node.item)
            self._link(last, first)
            return self._then(whole, (empty or node.low == 0, first, last))
        # Optional copies: each may only follow the one before it, so links stay few.
        tail: tuple[bool, int, int] = (True, 0, 0)
        ends = 0
        for copy in range(node.high - node.low):
            _, first, last = self.add(node.item)
            self._link(ends, first)
            ends = last
            tail = (True, first if copy == 0 else tail[1], tail[2] | last)
        return self._then(whole, tail)


def _longest_way(behind: Sequence[set[int]], states: Sequence[int]) -> int | None:
    """Return the most steps that states can be left by, one after another; None in a loop."""
    waiting = dict.fromkeys(states, 0)
    for state in states:
        for target in behind[state]:
            waiting[target] += 1
    steps = dict.fromkeys(states, 0)
    free = [state for state, count in waiting.items() if not count]
    for state in free:
        for target in behind[state]:
            steps[target] = max(steps[target], steps[state] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                free.append(target)
    return max(steps.values()) if len(free) == len(states) else None


def _classes(sets: Iterable[Ranges]) -> tuple[int, ...]:
    """Return the first code points of the classes that some sets tell apart."""
    cuts = {0}
    for ranges in set(sets):
        for low, high in ranges:
            cuts.add(low)
            cuts.add(high + 1)
    cuts.discard(_END)
    return tuple(sorted(cuts))


def _check(count: int, limit: int) -> None:
    if count > limit:
        raise GrammarError(
            "G201",
            f"the combined patterns need more than {limit} automaton states",
            help="make the counted repeats or length bounds smaller",
        )
