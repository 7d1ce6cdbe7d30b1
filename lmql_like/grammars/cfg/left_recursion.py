"""Rules that begin with themselves, by whatever way -> rules that do not, on their automata.

After Paull's scheme for grammars (Moore, NAACL 2000): a rule that begins with a lower one of its
cycle takes a copy of that one's automaton in its place, and a rule that begins with itself
goes on, where it ends, to what follows that call: `a: a x | b` is `b` and then any number of
`x`. It works rule by rule and state by state, and only on grammars that need it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

import numpy as np
from numpy.typing import NDArray

from lmql_like.errors import GrammarError
from lmql_like.grammars.automata.nfa import Network, NfaBuilder
from lmql_like.grammars.limits import Limits

__all__ = ["network_with_cycles"]


def network_with_cycles(
    builder: NfaBuilder, names: list[str], root: int, is_empty: bool, limits: Limits
) -> Network:
    """Return the network of rules of which some begin with themselves.

    Args:
        builder: holds the rules' automata, in the order of the names.
        names: of the rules.
        root: the rule that whole texts match.
        is_empty: whether the empty text is one of them.
        limits: bounds.

    Raises:
        GrammarError: G202 where it needs more states than `limits.max_nfa_states`.
    """
    graph = _Graph.of(builder, names)
    for rule in range(len(names)):
        graph.begin_with_a_byte(rule)
    for cycle in _cycles({rule: graph.begins_with(rule) for rule in range(len(names))}):
        graph.remove_left_recursion(cycle, limits)
    if not len(graph.calls.finish()):  # a pattern, written as rules
        start, accept = graph.begin[root], graph.end[root]
    else:
        start, accept = graph.state(), graph.state()
        graph.calls.put(start, [[root, accept]])
    if is_empty:
        graph.jumps.put(start, [[accept]])
    return graph.finish(start, accept)


def _cycles(graph: Mapping[int, Iterable[int]]) -> list[list[int]]:
    """Return the strongly connected parts of a graph that have a cycle (Kosaraju's way)."""
    order: list[int] = []
    seen: set[int] = set()
    for root in graph:
        stack = [(root, iter(graph[root]))] if root not in seen else []
        seen.add(root)
        while stack:
            name, following = stack[-1]
            fresh = next((other for other in following if other not in seen), None)
            if fresh is None:
                order.append(name)
                stack.pop()
            else:
                seen.add(fresh)
                stack.append((fresh, iter(graph[fresh])))
    backward: dict[int, list[int]] = {name: [] for name in graph}
    for name, others in graph.items():
        for other in others:
            backward[other].append(name)
    parts: list[list[int]] = []
    seen.clear()
    for root in reversed(order):
        part: list[int] = []
        todo = [root] if root not in seen else []
        seen.add(root)
        while todo:
            name = todo.pop()
            part.append(name)
            fresh_ones = [other for other in backward[name] if other not in seen]
            seen.update(fresh_ones)
            todo += fresh_ones
        if len(part) > 1 or (part and part[0] in graph[part[0]]):
            parts.append(part)
    return parts


class _Rows:
    """Rows of ints by the state in their first column, most of which never change.

    Rows of a state are copied out of the array when they are first changed, so the cost of
    rewriting is that of the states that are rewritten.
    """

    def __init__(self, columns: Sequence[Sequence[int]]) -> None:
        rows = np.array(columns, np.int32).reshape(len(columns), -1)
        self._rows = rows[:, np.argsort(rows[0], kind="stable")].T
        self._sources: list[int] = self._rows[:, 0].tolist()
        self._changed: dict[int, list[list[int]]] = {}

    def of(self, state: int) -> list[list[int]]:
        """Return the rows of a state without the state."""
        known = self._changed.get(state)
        if known is not None:
            return known
        first = bisect_left(self._sources, state)
        last = bisect_right(self._sources, state, first)
        found: list[list[int]] = self._rows[first:last, 1:].tolist() if first < last else []
        return found

    def put(self, state: int, rows: list[list[int]]) -> None:
        """Replace the rows of a state."""
        self._changed[state] = rows

    def finish(self) -> NDArray[np.int32]:
        """Return all rows."""
        kept = self._rows
        if self._sources and min(self._changed, default=self._sources[-1] + 1) <= self._sources[-1]:
            kept = kept[~np.isin(kept[:, 0], np.array(sorted(self._changed), np.int32))]
        fresh = [(state, *row) for state, rows in self._changed.items() for row in rows]
        return np.concatenate([kept, np.array(fresh, np.int32).reshape(-1, kept.shape[1])])


@dataclass
class _Graph:
    """The automata of all rules, by source state, while they are rewritten.

    Rules are numbers here: their index in `names`.
    """

    names: list[str]
    n_states: int
    begin: list[int]
    end: list[int]
    edges: _Rows  # first byte, last byte, target
    jumps: _Rows  # target
    calls: _Rows  # rule, return state

    @classmethod
    def of(cls, builder: NfaBuilder, names: list[str]) -> _Graph:
        number = {name: index for index, name in enumerate(names)}
        sources, callees, targets = builder.references
        return cls(
            names,
            builder.n_states,
            [part.start for part in builder.components],
            [part.accept for part in builder.components],
            _Rows(builder.edge_columns),
            _Rows(builder.jump_columns),
            _Rows((sources, [number[name] for name in callees], targets)),
        )

    def state(self) -> int:
        """Return a new state."""
        self.n_states += 1
        return self.n_states - 1

    def begins_with(self, rule: int) -> list[int]:
        """Return the rules that a rule may call before it reads a byte."""
        return [callee for callee, _ in self.calls.of(self.begin[rule])]

    def begin_with_a_byte(self, rule: int) -> None:
        """Give a rule a start state that nothing leads to and that makes no empty move."""
        seen, stack, start = {self.begin[rule]}, [self.begin[rule]], self.state()
        edges: list[list[int]] = []
        calls: list[tuple[int, ...]] = []
        while stack:
            state = stack.pop()
            edges += self.edges.of(state)
            calls += map(tuple, self.calls.of(state))
            fresh = [target for (target,) in self.jumps.of(state) if target not in seen]
            seen.update(fresh)
            stack += fresh
        self.edges.put(start, edges)
        self.calls.put(start, [list(call) for call in dict.fromkeys(calls)])
        self.begin[rule] = start

    def remove_left_recursion(self, cycle: list[int], limits: Limits) -> None:
        """Rewrite the rules of a cycle so that none begins with a lower one or itself."""
        for index, rule in enumerate(cycle):
            lower = set(cycle[:index])
            start, end = self.begin[rule], self.end[rule]
            while callee := next(((c,) for c in self.begins_with(rule) if c in lower), None):
                calls = self.calls.of(start)
                returns = [to for c, to in calls if c == callee[0]]
                self.calls.put(start, [call for call in calls if call[0] != callee[0]])
                self._insert_copy(start, callee[0], returns, limits)
            calls = self.calls.of(start)
            back = [[to] for callee_, to in calls if callee_ == rule]
            self.jumps.put(end, self.jumps.of(end) + back)
            self.calls.put(start, [call for call in calls if call[0] != rule])

    def _insert_copy(self, start: int, callee: int, returns: list[int], limits: Limits) -> None:
        """Let a start state read a copy of a rule, and go on in the return states behind it."""
        states = self._states_of(callee)
        if self.n_states + len(states) > limits.max_nfa_states:
            raise GrammarError(
                "G202",
                f"removing left recursion needs more than {limits.max_nfa_states} states",
                help="write the rules so that they do not begin with each other",
            )
        copy = {state: self.state() for state in states}
        for state, twin in copy.items():
            self.edges.put(twin, [[a, b, copy[to]] for a, b, to in self.edges.of(state)])
            self.jumps.put(twin, [[copy[to]] for (to,) in self.jumps.of(state)])
            self.calls.put(twin, [[name, copy[to]] for name, to in self.calls.of(state)])
        begin, end = copy[self.begin[callee]], copy[self.end[callee]]
        self.edges.put(start, self.edges.of(start) + self.edges.of(begin))
        calls = dict.fromkeys(map(tuple, [*self.calls.of(start), *self.calls.of(begin)]))
        self.calls.put(start, [list(call) for call in calls])
        self.jumps.put(end, self.jumps.of(end) + [[to] for to in returns])

    def _states_of(self, rule: int) -> list[int]:
        """Return the states that a rule's start state leads to without entering calls."""
        seen = dict.fromkeys((self.begin[rule], self.end[rule]))
        stack = list(seen)
        while stack:
            state = stack.pop()
            for rows in (self.edges, self.jumps, self.calls):
                for row in rows.of(state):
                    if row[-1] not in seen:
                        seen[row[-1]] = None
                        stack.append(row[-1])
        return list(seen)

    def finish(self, start: int, accept: int) -> Network:
        """Return the network; a rule stands before those it begins with."""
        order: TopologicalSorter[int] = TopologicalSorter(dict.fromkeys(range(len(self.names)), ()))
        for rule in range(len(self.names)):
            for callee in self.begins_with(rule):
                order.add(callee, rule)
        by_rank = list(order.static_order())
        rank = np.empty(len(by_rank), np.int32)
        rank[by_rank] = np.arange(len(by_rank))
        calls = self.calls.finish()
        calls[:, 1] = rank[calls[:, 1]]
        if not len(calls):
            by_rank = []
        return Network(
            n_states=self.n_states,
            edges=self.edges.finish(),
            jumps=self.jumps.finish(),
            calls=calls,
            rule_starts=tuple(self.begin[rule] for rule in by_rank),
            rule_ends=tuple(self.end) if by_rank else (),
            start=start,
            accept=accept,
        )
