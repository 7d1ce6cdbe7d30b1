"""Terminals with lazy repeats or lookaround -> automata that end where `re.match` would.

The subset construction is ordered: a state is a list of threads, the preferred one first,
and a thread that has matched cuts off those behind it (Cox 2010, "Regular Expression
Matching in the Wild"). So the longest text on which the automaton accepts is the one that
`re.match` takes. A lookahead gives a thread an obligation: a state of the automaton of what
must or must not follow, which moves with every byte. A thread that matches while it has
obligations matches only where they are kept; the threads behind it go on where they are
not. What must not follow the lexeme becomes a guard.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from lmql_like.errors import GrammarError
from lmql_like.grammars.cfg.lexed_terminals import (
    TerminalAutomaton,
    node_automaton,
    trim_automaton,
)
from lmql_like.grammars.cfg.ordered_program import (
    MATCH,
    Ahead,
    Behind,
    Fork,
    Program,
    Read,
    build_program,
)
from lmql_like.grammars.limits import Limits
from lmql_like.grammars.regex.nodes import Alternation, Concat, Node, Repeat
from lmql_like.grammars.regex.ordered_nodes import Lookahead, Lookbehind
from lmql_like.source import Span

__all__ = ["ordered_automaton"]

_MET, _DEAD = -1, -2  # states of what a lookahead looks for: found, not to be found any more
# Shares of Limits.max_states and of max_nfa_states: these states take time when the grammar
# is read, whether or not a text leads to them.
_STATES_SHARE = 20
_MOVES_SHARE = 2

_Obligation: TypeAlias = tuple[int, bool, int]  # lookahead, is negative, state of what it seeks
_Obligations: TypeAlias = frozenset[_Obligation]
_Thread: TypeAlias = tuple[int, _Obligations]
_Edge: TypeAlias = tuple[int, int, int]
_NONE: _Obligations = frozenset()


@dataclass(frozen=True)
class _State:
    """Threads that read on, and on what conditions the text may end here."""

    threads: tuple[_Thread, ...]
    ends: frozenset[_Obligations]


def ordered_automaton(node: Node, limits: Limits) -> TerminalAutomaton:
    """Return the automaton of a terminal whose order of trying counts.

    Raises:
        GrammarError: G102 a lookaround that cannot be followed, with its span; G201 more
            than a twentieth of `limits.max_states`, or half of `limits.max_nfa_states`
            moves to find them; G202 a tenth of those when written out.
    """
    program = build_program(node, limits)
    sought = [_Sought(item, limits) for item in program.lookaheads]
    return _Construction(program, sought, limits).build()


class _Sought:
    """The deterministic automaton of what a lookahead looks for, state 0 first."""

    def __init__(self, lookahead: Lookahead, limits: Limits) -> None:
        self.span = lookahead.span
        _check_plain(lookahead)
        automaton = node_automaton(lookahead.item, limits)
        self.accepts = frozenset(automaton.accepts)
        self.by_source: dict[int, list[_Edge]] = {}
        for source, low, high, target in automaton.edges.tolist():
            self.by_source.setdefault(source, []).append((low, high, target))
        self.edges: list[list[_Edge]] = []
        self.numbers: dict[frozenset[int], int] = {}
        self.waiting: list[frozenset[int]] = []
        self.start = self._number(frozenset([automaton.start])) if self.accepts else _DEAD
        while self.waiting:
            self._follow(self.waiting.pop(), limits.max_states // _STATES_SHARE)

    def step(self, state: int, byte: int) -> int:
        """Return the state behind one more byte."""
        return next((to for low, high, to in self.edges[state] if low <= byte <= high), _DEAD)

    def _number(self, states: frozenset[int]) -> int:
        if states & self.accepts:
            return _MET
        if states not in self.numbers:
            self.numbers[states] = len(self.edges)
            self.edges.append([])
            self.waiting.append(states)
        return self.numbers[states]

    def _follow(self, states: frozenset[int], limit: int) -> None:
        edges = [edge for state in states for edge in self.by_source.get(state, ())]
        for low, high in _intervals(edges):
            targets = frozenset(to for first, last, to in edges if first <= low <= last)
            if targets:
                self.edges[self.numbers[states]].append((low, high, self._number(targets)))
        if len(self.edges) > limit:
            raise _too_large(f"{limit} states", self.span)


class _Construction:
    """Numbers states as they are reached; guards come behind them."""

    def __init__(self, program: Program, sought: list[_Sought], limits: Limits) -> None:
        self.moves = program.moves
        self.begin = program.start
        self.lookaheads = program.lookaheads
        self.sought = sought
        self.limit = limits.max_states // _STATES_SHARE
        self.numbers: dict[_State, int] = {}
        self.waiting: list[_State] = []
        self.max_moves = limits.max_nfa_states // _MOVES_SHARE
        self.n_moves = 0
        tests = [move.test for move in self.moves if isinstance(move, Behind)]
        self.tested = [(low, high, 0) for test in tests for low, high in test.ranges]

    def build(self) -> TerminalAutomaton:
        """Return the automaton."""
        self._number(self._closed([(self.begin, _NONE)], None))
        edges: list[tuple[int, int, int, int]] = []
        while self.waiting:
            state = self.waiting.pop()
            edges += self._edges_of(state)
        guards = _Guards(self.sought, len(self.numbers))
        marks: list[tuple[int, int]] = []
        accepts = []
        for state, number in self.numbers.items():
            if state.ends:
                accepts.append(number)
                marks += [(number, guards.start(*seek)) for seek in self._forbidden(state)]
        automaton = TerminalAutomaton(
            guards.n_states,
            0,
            np.array([*edges, *guards.edges], np.int32).reshape(-1, 4),
            tuple(accepts),
            tuple(marks),
            guards.accepts,
        )
        return trim_automaton(automaton)

    def _number(self, state: _State) -> int:
        if state not in self.numbers:
            self.numbers[state] = len(self.numbers)
            self.waiting.append(state)
            if len(self.numbers) > self.limit:
                raise _too_large(f"{self.limit} states", None)
        return self.numbers[state]

    def _edges_of(self, state: _State) -> list[tuple[int, int, int, int]]:
        cuts = list(self.tested)
        for move, obligations in state.threads:
            cuts += self._reads(move)
            for index, _, seek in obligations:
                cuts += self.sought[index].edges[seek]
        source = self.numbers[state]
        edges: list[tuple[int, int, int, int]] = []
        for low, high in _intervals(cuts):
            following = self._closed(self._stepped(state.threads, low), low)
            if not following.threads and not following.ends:
                continue
            target = self._number(following)
            if edges and edges[-1][3] == target and edges[-1][2] == low - 1:
                low = edges.pop()[1]  # noqa: PLW2901 - one edge with the one before
            edges.append((source, low, high, target))
        return edges

    def _reads(self, move: int) -> tuple[_Edge, ...]:
        read = self.moves[move]
        return read.edges if isinstance(read, Read) else ()

    def _stepped(self, threads: tuple[_Thread, ...], byte: int) -> list[_Thread]:
        stepped = []
        for move, obligations in threads:
            target = next((to for a, b, to in self._reads(move) if a <= byte <= b), None)
            left = None if target is None else self._kept(obligations, byte)
            if target is not None and left is not None:
                stepped.append((target, left))
        return stepped

    def _kept(self, obligations: _Obligations, byte: int) -> _Obligations | None:
        """Return what is left of obligations behind one more byte, None if one is broken."""
        left = set()
        for index, is_negative, state in obligations:
            following = self.sought[index].step(state, byte)
            if following == (_MET if is_negative else _DEAD):
                return None
            if following >= 0:
                left.add((index, is_negative, following))
        return frozenset(left)

    # -- moves without a byte --------------------------------------------------------

    def _closed(self, threads: list[_Thread], byte: int | None) -> _State:
        """Return the state that threads lead to behind a byte, None at the lexeme's begin."""
        stack = threads[::-1]
        seen: dict[int, list[_Obligations]] = {}
        reading: dict[_Thread, None] = {}
        ends: list[_Obligations] = []
        while stack:
            number, obligations = stack.pop()
            if any(known <= obligations for known in seen.setdefault(number, [])):
                continue
            seen[number].append(obligations)
            if number == MATCH:
                ends.append(obligations)
                if not obligations:
                    break
                continue
            move = self.moves[number]
            if isinstance(move, Read):
                reading |= dict.fromkeys((number, o) for o in _otherwise(obligations, ends))
            elif isinstance(move, Fork):
                stack += [(target, obligations) for target in reversed(move.targets)]
            elif isinstance(move, Behind):
                stack += [(move.target, obligations)] if self._holds(move.test, byte) else []
            else:
                stack += self._obliged(move, obligations)
        self.n_moves += sum(map(len, seen.values()))
        if self.n_moves > self.max_moves:
            raise _too_large(f"{self.max_moves} moves", None)
        return _State(tuple(reading), _least(ends))

    def _holds(self, test: Lookbehind, byte: int | None) -> bool:
        if byte is None:
            raise _unsupported("a lookbehind at what stands before the lexeme", test.span)
        return test.holds_behind(byte)

    def _obliged(self, move: Ahead, obligations: _Obligations) -> list[_Thread]:
        start = self.sought[move.index].start
        if start < 0:
            holds = (start == _DEAD) == move.is_negative
            return [(move.target, obligations)] if holds else []
        if (move.index, not move.is_negative, start) in obligations:
            return []
        return [(move.target, obligations | {(move.index, move.is_negative, start)})]

    # -- ends ------------------------------------------------------------------------

    def _forbidden(self, state: _State) -> list[tuple[int, int]]:
        """Return what may not follow a lexeme that ends in a state: lookaheads and states."""
        if len(state.ends) > 1:
            place = self._first_place(index for end in state.ends for index, _, _ in end)
            raise _unsupported("several lookaheads of which one is enough", place)
        (end,) = state.ends
        required = [index for index, is_negative, _ in end if not is_negative]
        if required:
            place = self._first_place(required)
            raise _unsupported("a lookahead at what must follow the lexeme", place)
        return [(index, seek) for index, _, seek in sorted(end)]

    def _first_place(self, indexes: Iterable[int]) -> Span | None:
        spans = [self.lookaheads[index].span for index in indexes]
        return min(spans, key=lambda span: span.start if span is not None else 0)


class _Guards:
    """Numbers the states of what may not follow, as far as they are used."""

    def __init__(self, sought: list[_Sought], first: int) -> None:
        self.sought = sought
        self.n_states = first
        self.numbers: dict[tuple[int, int], int] = {}
        self.edges: list[tuple[int, int, int, int]] = []
        self.accepts: tuple[int, ...] = ()

    def start(self, index: int, seek: int) -> int:
        """Return the number of a state; what it leads to has numbers too."""
        waiting = [] if (index, seek) in self.numbers else [seek]
        number = self._number(index, seek)
        while waiting:
            state = waiting.pop()
            for low, high, target in self.sought[index].edges[state]:
                waiting += [target] if target >= 0 and (index, target) not in self.numbers else []
                source = self.numbers[index, state]
                self.edges.append((source, low, high, self._number(index, target)))
        return number

    def _number(self, index: int, seek: int) -> int:
        key = (index, seek)
        if key not in self.numbers:
            self.numbers[key] = self.n_states
            self.n_states += 1
            self.accepts += (self.numbers[key],) if seek == _MET else ()
        return self.numbers[key]


def _otherwise(obligations: _Obligations, ends: list[_Obligations]) -> list[_Obligations]:
    """Return a thread's obligations where none of the preferred ends was taken."""
    found = [obligations]
    for end in ends:
        found = [
            known | {(index, not is_negative, seek)}
            for known in found
            for index, is_negative, seek in sorted(end - known)
            if (index, is_negative, seek) not in known
        ]
    return found


def _least(ends: list[_Obligations]) -> frozenset[_Obligations]:
    """Return the weakest of some conditions, one of which has to hold."""
    if _NONE in ends:
        return frozenset([_NONE])
    units = [next(iter(end)) for end in ends if len(end) == 1]
    opposite = {(index, not is_negative, seek) for index, is_negative, seek in units}
    shorter = [end - opposite if len(end) > 1 else end for end in ends]
    if any(unit in opposite for unit in units):
        return frozenset([_NONE])
    return frozenset(end for end in shorter if not any(other < end for other in shorter))


def _intervals(edges: list[_Edge]) -> list[tuple[int, int]]:
    """Return the intervals between all ends of edges, in order."""
    cuts = sorted({low for low, _, _ in edges} | {high + 1 for _, high, _ in edges})
    return [(low, high - 1) for low, high in pairwise(cuts)]


def _check_plain(lookahead: Lookahead) -> None:
    """Refuse lookaround in a lookahead: G102."""
    stack: list[Node] = [lookahead.item]
    while stack:
        node = stack.pop()
        if isinstance(node, (Lookahead, Lookbehind)):
            raise _unsupported("lookaround in a lookahead", node.span)
        if isinstance(node, Concat):
            stack += node.parts
        elif isinstance(node, Alternation):
            stack += node.options
        elif isinstance(node, Repeat):
            stack.append(node.item)


def _unsupported(what: str, span: Span | None) -> GrammarError:
    return GrammarError(
        "G102",
        f"the terminal uses {what}, which is outside the dialect",
        span=span,
        label="not supported",
    )


def _too_large(what: str, span: Span | None) -> GrammarError:
    return GrammarError(
        "G201",
        f"the terminal needs more than {what}, because the order of trying counts in it",
        span=span,
        help="write it without lazy repeats and lookaround, or with smaller counts; or raise "
        "Limits.max_states and Limits.max_nfa_states",
    )
