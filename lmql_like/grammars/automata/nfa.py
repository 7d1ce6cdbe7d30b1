"""Nodes -> one nfa over bytes, by Thompson's construction (CACM 1968).

All patterns of a constraint share one numbering of states; each is a *component* with a
start and one accepting state. Counted repeats are written out: the copies of a large
one are made by shifting the first copy's edges, not by visiting the node again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmql_like.errors import GrammarError
from lmql_like.grammars.limits import Limits
from lmql_like.grammars.regex.nodes import (
    Alternation,
    AnyByte,
    CharSet,
    Choice,
    Concat,
    Diagram,
    Finite,
    Layered,
    Node,
    Reference,
    Repeat,
    Symbol,
)
from lmql_like.grammars.utf8 import utf8_automaton
from lmql_like.source import Span

__all__ = ["Component", "Network", "NfaBuilder", "NfaGraph"]

_SMALL = 200  # items; below this, plain Python is faster than arrays


@dataclass(frozen=True)
class Component:
    """One pattern's part of the nfa."""

    start: int
    accept: int


@dataclass(frozen=True)
class NfaGraph:
    """The finished nfa: edges on byte intervals and empty moves."""

    components: tuple[Component, ...]
    component_of: NDArray[np.int32]  # [n_states]
    edges: NDArray[np.int32]  # [n, 4] source, first byte, last byte, target
    jumps: NDArray[np.int32]  # [n, 2] source, target
    calls: NDArray[np.int32]  # [n, 3] source, rule, return state
    rule_starts: NDArray[np.int32]  # first state of each rule
    rule_ends: NDArray[np.int32]  # states in which a rule ends


@dataclass(frozen=True)
class Network:
    """A grammar's automata, joined by calls; states count from 0.

    Attributes:
        n_states: how many there are.
        edges: [n, 4] source, first byte, last byte, target.
        jumps: [n, 2] source, target.
        calls: [n, 3] source, rule, return state.
        rule_starts: first state of each rule; a rule stands before those it begins with.
        rule_ends: states in which a rule ends.
        start: where whole texts begin.
        accept: where they end.
    """

    n_states: int
    edges: NDArray[np.int32]
    jumps: NDArray[np.int32]
    calls: NDArray[np.int32]
    rule_starts: tuple[int, ...]
    rule_ends: tuple[int, ...]
    start: int
    accept: int


class NfaBuilder:
    """Collects the components of one constraint, or the rules of one grammar.

    Args:
        limits: `max_nfa_states`; over it, `GrammarError` G202 names the repeat at fault.
        nullable: names of rules that match the empty text.

    Attributes:
        references: columns (source, rule's name, target) of the references to rules.
    """

    def __init__(self, limits: Limits, nullable: frozenset[str] = frozenset()) -> None:
        self._limits = limits
        self._nullable = nullable
        self.references: tuple[list[int], list[str], list[int]] = ([], [], [])
        self._n_states = 0
        self._components: list[Component] = []
        self._first_state: list[int] = []
        # Columns of plain ints: copies of a repeat extend them by whole arrays.
        self._edges: tuple[list[int], ...] = ([], [], [], [])
        self._jumps: tuple[list[int], ...] = ([], [])
        self._networks: list[tuple[int, Network]] = []  # first state of each
        self._rule_starts: list[int] = []
        self._rule_ends: list[int] = []
        self._emitters: dict[type, Callable[[Any, int, int], None]] = {
            CharSet: self._emit_set,
            Concat: self._emit_concat,
            Alternation: self._emit_alternation,
            Repeat: self._emit_repeat,
            Choice: self._emit_choice,
            Finite: self._emit_finite,
            Diagram: self._emit_diagram,
            Layered: self._emit_layered,
        }

    def add(self, node: Node) -> int:
        """Add a component that matches a node; return its number."""
        self._first_state.append(self._n_states)
        start, accept = self._state(), self._state()
        self._emit(node, start, accept)
        self._components.append(Component(start, accept))
        return len(self._components) - 1

    def add_rule(self, node: Node) -> None:
        """Add a rule as a component, without more states where its automaton is there already."""
        if not isinstance(node, Finite) or len(node.accepting) != 1:
            self.add(node)
            return
        base = self._n_states
        self._first_state.append(base)
        self._emit_copy(node)
        self._components.append(Component(base, base + node.accepting[0]))

    def finish(self) -> NfaGraph:
        """Return the nfa of all components."""
        first = np.zeros(self._n_states, np.int32)
        first[self._first_state[1:]] = 1
        edges = [np.array(self._edges, np.int32).T]
        jumps = [np.array(self._jumps, np.int32).T]
        calls = [np.zeros((0, 3), np.int32)]
        rules = 0
        for offset, network in self._networks:
            edges.append(network.edges + np.array([offset, 0, 0, offset], np.int32))
            jumps.append(network.jumps + np.int32(offset))
            calls.append(network.calls + np.array([offset, rules, offset], np.int32))
            rules += len(network.rule_starts)
        return NfaGraph(
            components=tuple(self._components),
            component_of=np.cumsum(first, dtype=np.int32),
            edges=np.concatenate(edges),
            jumps=np.concatenate(jumps),
            calls=np.concatenate(calls),
            rule_starts=np.array(self._rule_starts, np.int32),
            rule_ends=np.array(self._rule_ends, np.int32),
        )

    @property
    def edge_columns(self) -> tuple[list[int], ...]:
        """Columns source, first byte, last byte and target of all edges so far."""
        return self._edges

    @property
    def jump_columns(self) -> tuple[list[int], ...]:
        """Columns source and target of all empty moves so far."""
        return self._jumps

    @property
    def edges(self) -> list[tuple[int, int, int, int]]:
        """(source, first byte, last byte, target) of all edges so far."""
        return list(zip(*self._edges, strict=True))

    @property
    def jumps(self) -> list[tuple[int, int]]:
        """(source, target) of all empty moves so far."""
        return list(zip(*self._jumps, strict=True))

    @property
    def components(self) -> list[Component]:
        """The components so far."""
        return list(self._components)

    @property
    def n_states(self) -> int:
        """How many states there are so far."""
        return self._n_states

    def add_network(self, network: Network) -> int:
        """Add a grammar as a component; return its number."""
        offset = self._n_states
        self._reserve(network.n_states, None)
        self._first_state.append(offset)
        self._n_states += network.n_states
        self._networks.append((offset, network))
        self._rule_starts += [state + offset for state in network.rule_starts]
        self._rule_ends += [state + offset for state in network.rule_ends]
        self._components.append(Component(network.start + offset, network.accept + offset))
        return len(self._components) - 1

    def _state(self, span: Span | None = None) -> int:
        self._reserve(1, span)
        self._n_states += 1
        return self._n_states - 1

    def _reserve(self, count: int, span: Span | None) -> None:
        if self._n_states + count > self._limits.max_nfa_states:
            raise GrammarError(
                "G202",
                f"the pattern writes out to more than {self._limits.max_nfa_states} states",
                span=span,
                help="make the counted repeats smaller, or raise Limits.max_nfa_states",
            )

    def _edge(self, source: int, low: int, high: int, target: int) -> None:
        sources, lows, highs, targets = self._edges
        sources.append(source)
        lows.append(low)
        highs.append(high)
        targets.append(target)

    def _jump(self, source: int, target: int) -> None:
        self._jumps[0].append(source)
        self._jumps[1].append(target)

    def _emit(self, node: Node, start: int, end: int) -> None:
        """Add states and edges so that `node` leads from start to end."""
        kind = type(node)
        if kind not in self._emitters:  # a subclass, such as a lazy repeat, or one edge
            known = (self._emitters[base] for base in kind.__mro__ if base in self._emitters)
            self._emitters[kind] = next(known, self._emit_edge)
        self._emitters[kind](node, start, end)

    def _emit_concat(self, node: Concat, start: int, end: int) -> None:
        self._emit_sequence(node.parts, start, end)

    def _emit_alternation(self, node: Alternation, start: int, end: int) -> None:
        for option in node.options:
            self._emit(option, start, end)

    def _emit_edge(self, node: AnyByte | Symbol | Reference, start: int, end: int) -> None:
        if isinstance(node, AnyByte):
            self._edge(start, 0, 255, end)
        elif isinstance(node, Symbol):
            self._edge(start, node.index, node.index, end)
        else:
            sources, names, targets = self.references
            sources.append(start)
            names.append(node.name)
            targets.append(end)
            if node.name in self._nullable:
                self._jump(start, end)

    def _emit_sequence(self, parts: tuple[Node, ...], start: int, end: int) -> None:
        if not parts:
            self._jump(start, end)
        for i, part in enumerate(parts):
            following = end if i == len(parts) - 1 else self._state()
            self._emit(part, start, following)
            start = following

    def _emit_set(self, node: CharSet, start: int, end: int) -> None:
        automaton = utf8_automaton(node.ranges)
        base = self._n_states - 2  # node 2 of the automaton becomes the next state
        self._reserve(len(automaton.edges) - 2, None)
        self._n_states += len(automaton.edges) - 2
        for source, edges in enumerate(automaton.edges):
            from_state = start if source == 0 else base + source
            for low, high, target in edges:
                self._edge(from_state, low, high, end if target == 1 else base + target)

    def _emit_choice(self, node: Choice, start: int, end: int) -> None:
        """Add the trie of the texts; the accepting nodes lead to `end`."""
        children: dict[tuple[int, int], int] = {}
        for text in dict.fromkeys(node.texts):
            state = start
            data = text.encode()
            for byte in data:
                target = children.get((state, byte))
                if target is None:
                    target = children[state, byte] = self._state()
                    self._edge(state, byte, byte, target)
                state = target
            self._jump(state, end)

    def _emit_finite(self, node: Finite, start: int, end: int) -> None:
        """Add a copy of an automaton; nothing but the jump from `start` leads into it."""
        base = self._n_states
        self._emit_copy(node)
        self._jump(start, base)
        for state in node.accepting:
            self._jump(base + state, end)

    def _emit_copy(self, node: Finite) -> None:
        """Add the states, edges and calls of an automaton."""
        self._reserve(node.n_states, None)
        base = self._n_states
        self._n_states += node.n_states
        sources, low, high, targets = self._edges
        sources.extend([base + state for state in node.edges[0]])
        low.extend(node.edges[1])
        high.extend(node.edges[2])
        targets.extend([base + state for state in node.edges[3]])
        if node.calls:
            callers, names, returns = self.references
            callers.extend([base + source for source, _, _ in node.calls])
            names.extend([rule.name for _, rule, _ in node.calls])
            returns.extend([base + target for _, _, target in node.calls])

    def _emit_diagram(self, node: Diagram, start: int, end: int) -> None:
        self._reserve(node.n_states, None)
        base = self._n_states
        self._n_states += node.n_states
        self._jump(start, base)
        for source, part, target in node.moves:
            self._emit(part, base + source, base + target)
        for state in node.accepting:
            self._jump(base + state, end)

    def _emit_layered(self, node: Layered, start: int, end: int) -> None:
        """Add a copy of an automaton's states for each number of steps; steps lead to the next."""
        n, step, steps = node.n, node.step, node.high
        width = step.n_states - n
        self._reserve(steps * width + n, None)
        base = self._n_states
        self._n_states += steps * width + n
        place = np.arange(step.n_states) - n  # states behind the step, and inside of it
        place[:n] += n
        place[n : 2 * n] += width
        layers = base + width * np.arange(steps)[:, None]
        sources, low, high, targets = self._edges
        callers, names, returns = self.references
        for column, states in (
            (sources, step.edges[0]),
            (targets, step.edges[3]),
            (callers, [source for source, _, _ in step.calls]),
            (returns, [target for _, _, target in step.calls]),
        ):
            column.extend((layers + place[np.array(states, np.int64)]).ravel().tolist())
        low.extend(step.edges[1] * steps)
        high.extend(step.edges[2] * steps)
        names.extend([rule.name for _, rule, _ in step.calls] * steps)
        self._jump(start, base)
        for layer in range(node.low, steps + 1):
            for state in node.accepting:
                self._jump(base + width * layer + state, end)

    def _emit_repeat(self, node: Repeat, start: int, end: int) -> None:
        low, high = node.low, node.high
        if high is not None and high < low:
            return  # matches nothing
        if high is None and low > 0:
            self._emit_loop(node, self._emit_copies(node, low - 1, start), end)
            return
        start = self._emit_copies(node, low, start)
        if high is None:
            loop = self._state(node.span)
            self._jump(start, loop)
            self._emit(node.item, loop, loop)
            self._jump(loop, end)
        else:
            last = self._emit_copies(node, high - low, start, exit_to=end)
            self._jump(last, end)

    def _emit_loop(self, node: Repeat, start: int, end: int) -> None:
        """Emit a repeat's last copy, which may be read again: none is written for that."""
        first, behind = self._state(node.span), self._state(node.span)
        self._jump(start, first)
        self._emit(node.item, first, behind)
        self._jump(behind, first)
        self._jump(behind, end)

    def _emit_copies(self, node: Repeat, count: int, start: int, exit_to: int = -1) -> int:
        """Chain `count` copies of a repeat's item behind start; return the state behind them.

        Where `exit_to` is a state, a jump to it stands before each copy.
        """
        if count == 0:
            return start
        fresh = self._state(node.span)  # a state of its own: copies must not share `start`
        self._jump(start, fresh)
        first_edge, first_jump = len(self._edges[0]), len(self._jumps[0])
        first_reference = len(self.references[0])
        behind = self._state(node.span)
        self._emit(node.item, fresh, behind)
        if exit_to >= 0:
            self._jump(fresh, exit_to)
        size = self._n_states - behind  # states of one copy: the one behind it, and its inner ones
        if count > 1:
            self._reserve((count - 1) * size, node.span)
            self._n_states += (count - 1) * size
            _, low, high, _ = self._edges
            low.extend(low[first_edge:] * (count - 1))
            high.extend(high[first_edge:] * (count - 1))
            columns = [(c, first_edge) for c in (self._edges[0], self._edges[3])]
            columns += [(c, first_jump) for c in self._jumps]
            sources, names, targets = self.references
            columns += [(c, first_reference) for c in (sources, targets)]
            names.extend(names[first_reference:] * (count - 1))
            for column, first in columns:
                column.extend(_renumber(column[first:], count, size, (fresh, behind, exit_to)))
        return behind + (count - 1) * size


def _renumber(column: list[int], count: int, size: int, fixed: tuple[int, int, int]) -> list[int]:
    """Return the state ids of copies 2..count of a repeat, given those of the first copy.

    Copy k has the first copy's ids plus k * size, but for two: the state before it is the
    one behind the copy before, and the exit is shared by all.
    """
    before, behind, exit_to = fixed
    if count * len(column) < _SMALL:
        return [
            behind + (k - 1) * size if i == before else i if i == exit_to else i + k * size
            for k in range(1, count)
            for i in column
        ]
    copies = np.arange(1, count)[:, None]
    ids = np.array(column, np.int64)
    moved = ids + copies * size
    moved[:, ids == before] = behind + (copies - 1) * size
    moved[:, ids == exit_to] = exit_to
    renumbered: list[int] = moved.ravel().tolist()
    return renumbered
