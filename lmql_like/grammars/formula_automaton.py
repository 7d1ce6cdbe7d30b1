"""A formula's automaton: the nfa of its patterns and grammars, and the program over them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from lmql_like.errors import GrammarError
from lmql_like.grammars.automata.companion import Companion, tabulate
from lmql_like.grammars.automata.lazy_dfa import LazyDfa, NetworkTables
from lmql_like.grammars.automata.machine import ByteMachine
from lmql_like.grammars.automata.nfa import NfaGraph
from lmql_like.grammars.automata.phrases import CoverageAutomaton
from lmql_like.grammars.automaton import Automaton
from lmql_like.grammars.formulas import TokenCount
from lmql_like.grammars.limits import Limits
from lmql_like.grammars.token_needs import TokenNeeds
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.kernels import formula as ops
from lmql_like.kernels.companion import reach_of_rules
from lmql_like.kernels.layouts import NfaArrays
from lmql_like.kernels.reach import UNBOUNDED, distances_to, longest_ways, rule_distances

__all__ = ["FormulaAutomaton", "Program", "Rule", "byte_classes", "cut_phrase", "row_starts"]

_MOST_REACH = 1 << 24  # words of 8 bytes
Program: TypeAlias = tuple[int, ...]  # postfix pairs (operation, argument), see kernels.formula


@dataclass(frozen=True)
class Rule:
    """Something that happens when a state is made; see `kernels.subset`."""

    kind: int
    condition: Program
    component: int
    alive: int


class FormulaAutomaton(Automaton):
    """The automaton of a formula; `compiler.compile_formula` makes it.

    Args:
        graph: the components.
        running: those that run from the beginning.
        program: decides acceptance.
        counters: tests of the token count that the program names.
        rules: what happens when states are made.
        finders: phrases of STOPS_BEFORE.
        limits: bounds.
        n_symbols: where edges are not on bytes but on symbols, how many symbols there are;
            `dfa` takes no alphabet then.
        is_union: every set of items that is not empty has a completion, token counts aside.
        companion: a regular condition that must hold too; only for a grammar that calls rules.
        coverage: the component of the phrases that the whole condition asks for, if there is one.
    """

    def __init__(
        self,
        *,
        graph: NfaGraph,
        running: tuple[int, ...],
        program: Program,
        counters: tuple[TokenCount, ...] = (),
        rules: tuple[Rule, ...] = (),
        finders: tuple[re.Pattern[str], ...] = (),
        limits: Limits,
        n_symbols: int | None = None,
        is_union: bool = False,
        companion: Automaton | None = None,
        coverage: tuple[int, CoverageAutomaton] | None = None,
    ) -> None:
        bounds = {c.low for c in counters} | {c.high + 1 for c in counters if c.high is not None}
        super().__init__(count_bounds=tuple(sorted(bounds - {0})))
        self._graph = graph
        self._running = running
        self._program = program
        self._counters = counters
        self._rules = rules
        self._finders = finders
        self._limits = limits
        self._n_symbols = n_symbols
        self._is_union = is_union or (not rules and _is_choice(program))
        self._companion = companion
        self._coverage = coverage
        self._highest_count = self._find_highest_count()

    @property
    def highest_count(self) -> int | None:
        """The highest token count at which any text can be accepted, None if unbounded."""
        return self._highest_count

    def _find_highest_count(self) -> int | None:
        if not self.count_bounds:
            return None
        truth = _truth_bounds(self._program, [self._regimes_of(c) for c in self._counters])
        possible = truth & ((1 << (len(self.count_bounds) + 1)) - 1)
        if possible >> len(self.count_bounds):
            return None
        return self.count_bounds[possible.bit_length() - 1] - 1 if possible else -1

    @property
    def has_calls(self) -> bool:
        """Whether rules call each other: a grammar that is more than a pattern."""
        return bool(len(self._graph.calls))

    def token_needs(self, dfa: ByteMachine, vocabulary: Vocabulary) -> TokenNeeds | None:
        """Return how many tokens the phrases need from each state; None without phrases."""
        if self._coverage is None or not isinstance(dfa, LazyDfa):
            return None
        component, automaton = self._coverage
        # Two states stand before those of the automaton: the component's start and end.
        first = self._graph.components[component].start + 2
        is_all = set(self._program[::2]) <= {ops.COMPONENT, ops.COUNTER, ops.AND}
        is_all = is_all and self._program[::2].count(ops.COMPONENT) == 1 and not self._rules
        return TokenNeeds(automaton, vocabulary, dfa, first, says_all=is_all)

    def value(self, raw: bytes) -> bytes:
        """Return the hole's text: `raw` without a STOPS_BEFORE phrase at its end.

        Where several phrases end together, the one that begins first is cut off.
        """
        return cut_phrase(self.dfa(), raw, self._finders) if self._finders else raw

    def _make_dfa(self, alphabet: bytes) -> LazyDfa:
        arrays, network = self._arrays(alphabet)
        return LazyDfa(arrays, self._limits, network)

    def new_dfa(self) -> LazyDfa:
        """Return an automaton over symbols that nobody else has."""
        return self._make_dfa(b"")

    def _arrays(self, alphabet: bytes) -> tuple[NfaArrays, NetworkTables | None]:
        graph, n = self._graph, self._graph.component_of.size
        beside = None if self._companion is None else tabulate(self._companion.dfa(alphabet))
        if self._n_symbols is None:
            moves = None if beside is None else beside.moves
            class_of_byte, low, high, kept = byte_classes(graph.edges, alphabet, moves)
        else:
            class_of_byte = np.arange(self._n_symbols, dtype=np.int32)
            low, high = graph.edges[:, 1], graph.edges[:, 2]
            kept = np.ones(len(graph.edges), np.bool_)
        edges = np.column_stack([graph.edges[kept, 0], low, high, graph.edges[kept, 3]])
        ends = np.array([c.accept for c in graph.components], np.int32)
        distance = _distances(n, edges, graph, np.concatenate([ends, graph.rule_ends]))
        # Where no accepting state can be reached, nothing is worth following.
        edges = _sorted(edges[distance[edges[:, 3]] >= 0])
        jumps = _sorted(graph.jumps[distance[graph.jumps[:, 1]] >= 0])
        rules = graph.rule_starts
        live = (distance[rules[graph.calls[:, 1]]] >= 0) & (distance[graph.calls[:, 2]] >= 0)
        calls = _sorted(graph.calls[live])
        network = None
        if len(calls):
            rule_end = np.zeros(n, np.int8)
            rule_end[graph.rule_ends] = 1
            table, accepts = _beside(beside, class_of_byte)
            rule_ends = rule_end.copy()
            rule_ends[ends] = 1  # the whole text's end, too
            if n * len(table) * (len(table) // 64 + 1) > _MOST_REACH:
                raise GrammarError(
                    "G202",
                    f"the grammar of {n} states and the conditions beside it, of {len(table)}, "
                    "are too large together",
                    help="make counts and length bounds smaller, or write them into the grammar",
                )
            reach = np.zeros((0, 0), np.int64)
            if beside is not None:
                reach = reach_of_rules(edges, jumps, calls, rules, rule_ends, table)
            network = NetworkTables(
                call_start=row_starts(calls[:, 0], n),
                call_rule=np.ascontiguousarray(calls[:, 1]),
                call_return=np.ascontiguousarray(calls[:, 2]),
                call_tail=_tails(calls[:, 2], edges, jumps, calls, rule_end),
                rule_end=rule_end,
                rule_first=rules,
                beside=table,
                beside_accepts=accepts,
                reach=reach,
            )
        required = _required_components(self._program, len(graph.components))
        spans = np.zeros((0, 3), np.int32)
        if network is None and self._n_symbols is None and required.sum() > 1:
            links = _Links.of(edges, jumps, class_of_byte)
            spans = _spans(n, links, ends, required[graph.component_of])
        accept = [c.accept if distance[c.start] >= 0 else -1 for c in graph.components]
        starts = [graph.components[i].start for i in self._running]
        programs = [self._program, *(rule.condition for rule in self._rules)]
        arrays = NfaArrays(
            class_of_byte=class_of_byte,
            edge_start=row_starts(edges[:, 0], n),
            edge_low=np.ascontiguousarray(edges[:, 1]),
            edge_high=np.ascontiguousarray(edges[:, 2]),
            edge_to=np.ascontiguousarray(edges[:, 3]),
            jump_start=row_starts(jumps[:, 0], n),
            jump_to=np.ascontiguousarray(jumps[:, 1]),
            component=graph.component_of,
            distance=distance,
            required=required,
            trusted=np.array([self._is_union], np.int8),
            spans=spans,
            accept=np.array(accept, np.int32),
            starts=np.array([s for s in starts if distance[s] >= 0], np.int32),
            code=np.array([item for program in programs for item in program], np.int32),
            code_start=_offsets(programs),
            regimes=np.array([self._regimes_of(c) for c in self._counters], np.int64),
            all_regimes=np.array([(1 << (len(self.count_bounds) + 1)) - 1], np.int64),
            rule_kind=np.array([rule.kind for rule in self._rules], np.int32),
            rule_program=np.arange(1, len(self._rules) + 1, dtype=np.int32),
            rule_component=np.array([rule.component for rule in self._rules], np.int32),
            rule_start=np.array(
                [graph.components[rule.component].start for rule in self._rules], np.int32
            ),
            rule_alive=np.array([rule.alive for rule in self._rules], np.int32),
        )
        return arrays, network

    def _regimes_of(self, counter: TokenCount) -> int:
        """Return the regimes (bits) in which a token count's test holds."""
        first = (0, *self.count_bounds)
        return sum(
            1 << regime
            for regime, count in enumerate(first)
            if counter.low <= count and (counter.high is None or count <= counter.high)
        )


def cut_phrase(dfa: ByteMachine, raw: bytes, finders: Sequence[re.Pattern[str]]) -> bytes:
    """Return a text without the STOPS_BEFORE phrase at its end, if one ended it.

    Args:
        dfa: the constraint.
        raw: the text.
        finders: match phrases.
    """
    state = dfa.start
    begins = []
    for i in range(len(raw)):
        if dfa.is_injecting(state):
            begins.append(i)
        state = dfa.advance(state, raw[i : i + 1])
        if not state:
            return raw
    if not dfa.is_stopped(state):
        return raw
    for begin in begins:
        tail = raw[begin:].decode(errors="replace")
        if any(finder.fullmatch(tail) for finder in finders):
            return raw[:begin]
    return raw


def _is_choice(program: Program) -> bool:
    """Tell whether a program only or-s components, so that any live component will do."""
    return set(program[::2]) <= {ops.COMPONENT, ops.OR}


def _required_components(program: Program, n: int) -> NDArray[np.int8]:
    """Return int8[n]: 1 for components without which the program is surely false."""
    stack: list[frozenset[int]] = []
    for operation, argument in zip(program[::2], program[1::2], strict=True):
        if operation == ops.COMPONENT:
            stack.append(frozenset([argument]))
        elif operation in (ops.AND, ops.OR):
            operands = [stack.pop() for _ in range(argument)]
            join = frozenset.union if operation == ops.AND else frozenset.intersection
            stack.append(join(*operands))
        elif operation == ops.NOT:
            stack[-1] = frozenset()
        else:
            stack.append(frozenset())
    required = np.zeros(n, np.int8)
    required[list(stack[0])] = 1
    return required


def _truth_bounds(program: Program, regimes: Sequence[int]) -> int:
    """Return the regimes (bits) in which a program is true of some text."""
    everything = -1
    stack: list[tuple[int, int]] = []  # (surely true, possibly true)
    for operation, argument in zip(program[::2], program[1::2], strict=True):
        if operation == ops.CONSTANT:
            stack.append((everything, everything) if argument else (0, 0))
        elif operation == ops.COMPONENT:
            stack.append((0, everything))
        elif operation == ops.COUNTER:
            stack.append((regimes[argument], regimes[argument]))
        elif operation == ops.NOT:
            surely, possibly = stack.pop()
            stack.append((~possibly, ~surely))
        else:
            join = and_ if operation == ops.AND else or_
            operands = [stack.pop() for _ in range(argument)]
            stack.append(
                (reduce(join, (s for s, _ in operands)), reduce(join, (p for _, p in operands)))
            )
    return stack[0][1]


def _offsets(programs: Sequence[Program]) -> NDArray[np.int32]:
    return np.cumsum([0, *map(len, programs)], dtype=np.int32)


def _sorted(rows: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return rows sorted by their first column."""
    return rows[np.argsort(rows[:, 0], kind="stable")]


def _distances(
    n: int, edges: NDArray[np.int32], graph: NfaGraph, goals: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Return int32[n]: fewest bytes from a state to its rule's or pattern's end, -1: no way."""
    distance: NDArray[np.int32]
    if len(graph.calls):
        marks = np.zeros(n, np.int8)
        marks[goals] = 1
        distance = rule_distances(edges, graph.jumps, graph.calls, graph.rule_starts, marks)
        return distance
    distance = distances_to(
        n,
        np.concatenate([edges[:, 0], graph.jumps[:, 0]]),
        np.concatenate([edges[:, 3], graph.jumps[:, 1]]),
        np.repeat(np.array([1, 0], np.int8), [len(edges), len(graph.jumps)]),
        goals,
    )
    return distance


@dataclass(frozen=True)
class _Links:
    """Edges and empty moves of an nfa, and what they weigh.

    Attributes:
        sources: int32[links].
        targets: int32[links].
        reads: int8[links] 1: a byte is read.
        surely: int8[links] 1: it begins a character.
        maybe: int8[links] 1: it may begin a character.
    """

    sources: NDArray[np.int32]
    targets: NDArray[np.int32]
    reads: NDArray[np.int8]
    surely: NDArray[np.int8]
    maybe: NDArray[np.int8]

    @classmethod
    def of(
        cls, edges: NDArray[np.int32], jumps: NDArray[np.int32], class_of_byte: NDArray[np.int32]
    ) -> _Links:
        """Weigh the edges on classes of bytes."""
        n_classes = int(class_of_byte.max()) + 1
        kinds = []
        for inside in (class_of_byte[0x80:0xC0], np.delete(class_of_byte, np.s_[0x80:0xC0])):
            counts = np.bincount(inside[inside >= 0], minlength=n_classes)
            before = np.concatenate([[0], np.cumsum(counts)])
            kinds.append(before[edges[:, 2] + 1] > before[edges[:, 1]])
        none = np.zeros(len(jumps), np.int8)
        continues, begins = kinds
        return cls(
            np.concatenate([edges[:, 0], jumps[:, 0]]),
            np.concatenate([edges[:, 3], jumps[:, 1]]),
            np.concatenate([np.ones(len(edges), np.int8), none]),
            np.concatenate([(~continues).astype(np.int8), none]),
            np.concatenate([begins.astype(np.int8), none]),
        )


def _spans(
    n: int, links: _Links, goals: NDArray[np.int32], required: NDArray[np.int8]
) -> NDArray[np.int32]:
    """Return `NfaArrays.spans`: empty where no required component has a longest way."""
    most_bytes = longest_ways(n, links.sources, links.targets, links.reads)
    if not ((required != 0) & (most_bytes < UNBOUNDED) & (most_bytes > 0)).any():
        return np.zeros((0, 3), np.int32)
    fewest = distances_to(n, links.sources, links.targets, links.surely, goals)
    characters = longest_ways(n, links.sources, links.targets, links.maybe)
    return np.stack([fewest, characters, most_bytes], axis=1)


def _beside(
    companion: Companion | None, class_of_byte: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Return a companion's moves over classes of bytes, and where it accepts."""
    n_classes = int(class_of_byte.max()) + 1
    if companion is None:
        return np.zeros((0, n_classes), np.int32), np.zeros(0, np.int8)
    first = np.array([int(np.argmax(class_of_byte == c)) for c in range(n_classes)])
    return np.ascontiguousarray(companion.moves[:, first]), companion.accepts


def _tails(
    returns: NDArray[np.int32],
    edges: NDArray[np.int32],
    jumps: NDArray[np.int32],
    calls: NDArray[np.int32],
    rule_end: NDArray[np.int8],
) -> NDArray[np.int8]:
    """Return int8[calls]: 1 where nothing but the rule's end can follow the return state."""
    busy = np.zeros(rule_end.size, np.bool_)
    busy[edges[:, 0]] = True
    busy[calls[:, 0]] = True
    jumping = np.zeros(rule_end.size, np.bool_)
    jumping[jumps[:, 0]] = True
    found: NDArray[np.int8] = np.where(busy[returns], 0, rule_end[returns]).astype(np.int8)
    open_ = np.flatnonzero(jumping[returns] & ~busy[returns])
    if open_.size:
        following: dict[int, list[int]] = {}
        for source, target in jumps[~busy[jumps[:, 0]]].tolist():
            following.setdefault(source, []).append(target)
        states = returns[open_].tolist()
        known = {s: _only_ends(s, following, busy, rule_end) for s in set(states)}
        found[open_] = [known[state] for state in states]
    return found


def _only_ends(
    state: int,
    following: Mapping[int, Sequence[int]],
    busy: NDArray[np.bool_],
    rule_end: NDArray[np.int8],
) -> bool:
    """Tell whether empty moves from a state lead to a rule's end, and nowhere else."""
    seen, stack, ends = {state}, [state], False
    while stack:
        current = stack.pop()
        if busy[current]:
            return False
        ends = ends or bool(rule_end[current])
        fresh = [target for target in following.get(current, ()) if target not in seen]
        seen.update(fresh)
        stack += fresh
    return ends


def row_starts(sources: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """Return where each state's rows begin in an array sorted by state."""
    return np.searchsorted(sources, np.arange(n + 1)).astype(np.int32)


def byte_classes(
    edges: NDArray[np.int32], alphabet: bytes, moves: NDArray[np.int32] | None = None
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
    """Group bytes that no edge tells apart.

    Args:
        edges: int32[n, 4] source, first byte, last byte, target.
        alphabet: the bytes that can occur at all.
        moves: int32[states, 256] of an automaton that tells bytes apart, too.

    Returns:
        class of each byte (-1: not in the alphabet), first and last class of the kept
        edges, and which edges are kept: those with a byte of the alphabet.
    """
    cuts = np.zeros(257, np.bool_)
    cuts[edges[:, 1]] = True
    cuts[edges[:, 2] + 1] = True
    if moves is not None:
        cuts[1:256] |= (moves[:, 1:] != moves[:, :-1]).any(axis=0)
    cuts[0] = False
    interval = np.cumsum(cuts[:256])
    usable = np.zeros(256, np.bool_)
    usable[list(alphabet)] = True
    used = np.zeros(interval[-1] + 1, np.bool_)
    used[interval[usable]] = True
    before = np.concatenate([[0], np.cumsum(used)]).astype(np.int32)  # used intervals below
    class_of_byte = np.where(usable, before[interval], -1).astype(np.int32)
    low = before[interval[edges[:, 1]]]
    high = before[interval[edges[:, 2]] + 1] - 1
    kept = low <= high
    return class_of_byte, low[kept], high[kept], kept
