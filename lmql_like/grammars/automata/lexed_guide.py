"""What a lexed grammar can still come to beside a condition; see `kernels.lexed_guide`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmql_like.grammars.automata.companion import Companion
from lmql_like.grammars.automata.lazy_dfa import LazyDfa, pack_states
from lmql_like.grammars.automata.lexed_dfa import LexedDfa
from lmql_like.grammars.mask_memo import doubled
from lmql_like.kernels.layouts import LOCAL, GuideArrays, LexerArrays
from lmql_like.kernels.lexed_guide import (
    FAR,
    NO_ROOM,
    behind_ignored,
    enter_called_guide,
    enter_guide,
    lexeme_boundaries,
    lexeme_ends,
    reach_by_lexemes,
    rule_costs,
)
from lmql_like.kernels.reach import distances_to

__all__ = ["LexedGuide"]

_MOST_PLACES = 1 << 24  # a terminal's states times the condition's
_MOST_WORDS = 1 << 23  # of sets of boundaries
_MOST_WORK = 1 << 31  # about two seconds


class LexedGuide:
    """Tells, for states of a lexed grammar, what has no completion, and how far others are.

    Args:
        dfa: the grammar.
        condition: what must hold beside it.
    """

    def __init__(self, dfa: LexedDfa, condition: Companion) -> None:
        self._dfa = dfa
        self._size = condition.accepts.size
        self._arrays = _make_guide(dfa, condition)

    @property
    def knows_dead_ends(self) -> bool:
        """Whether the condition was small enough to be followed, and not only costs."""
        return bool(self._arrays.ends.shape[0])

    def verdicts(self, state: int) -> tuple[NDArray[np.int8], int]:
        """Return int8[condition's states], and no more than the fewest bytes to the end, or FAR."""
        out = np.empty(self._size, np.int8)
        kernel = enter_guide if self._dfa.parser.network is None else enter_called_guide
        while True:
            cost = self._dfa.run_beside(kernel, self._arrays, state, out)
            if cost != NO_ROOM:
                return out, cost
            self._grow()

    def _grow(self) -> None:
        arrays, parser = self._arrays, self._dfa.parser
        grown = {}
        if arrays.frame_cost.size < parser.n_frames:
            for name in ("frame_live", "frame_cost"):
                grown[name] = doubled(getattr(arrays, name))
        if arrays.parser_cost.size < parser.capacity:
            grown["parser_live"] = doubled(arrays.parser_live)
            cost = np.full(2 * arrays.parser_cost.size, -1, np.int32)
            cost[: arrays.parser_cost.size] = arrays.parser_cost
            grown["parser_cost"] = cost
        self._arrays = arrays._replace(**grown)


@dataclass(frozen=True)
class _Lexemes:
    """Where lexemes can end; fields as in `GuideArrays`."""

    place: NDArray[np.int32]
    ends: NDArray[np.int64]
    steps: NDArray[np.int64]  # [terminals, boundaries, words]
    states: NDArray[np.int32]  # [boundaries] the condition's states that they are


def _make_guide(dfa: LexedDfa, condition: Companion) -> GuideArrays:
    parser, lexer = dfa.parser, dfa.lexer
    rest, shortest = _lexeme_costs(lexer)
    edges, jumps, calls, first, ends = _rules_of(parser)
    cost = rule_costs(edges, jumps, calls, first, ends, shortest)
    lexemes = _find_lexemes(lexer, condition)
    star = reach = np.zeros((0, 0), np.int64)
    live = np.zeros(0, np.int64)
    if lexemes is not None:
        star = _ignored_star(lexemes, lexer)
        steps = _followed(lexemes.steps, star)
        work = (len(edges) + len(calls)) * star.size * len(star) * 4
        if ends.size * star.size > _MOST_WORDS or work > _MOST_WORK:
            lexemes, star = None, np.zeros((0, 0), np.int64)
        else:
            reach = np.zeros((ends.size * len(star), star.shape[1]), np.int64)
            reach_by_lexemes(edges, jumps, calls, first, ends, steps, reach)
            live = pack_states(condition.accepts[lexemes.states], star.shape[1])
    frame_live = np.zeros((max(2, parser.n_frames), live.size), np.int64)
    frame_cost = np.full(len(frame_live), FAR, np.int32)
    frame_live[0], frame_cost[0] = live, 0
    return GuideArrays(
        accepts=condition.accepts,
        place=np.zeros((0, 0), np.int32) if lexemes is None else lexemes.place,
        ends=np.zeros((0, 0), np.int64) if lexemes is None else lexemes.ends,
        star=star,
        reach=reach,
        rest=rest,
        cost=cost,
        frame_live=frame_live,
        frame_cost=frame_cost,
        parser_live=np.zeros((parser.capacity, live.size), np.int64),
        parser_cost=np.full(parser.capacity, -1, np.int32),
        counts=np.array([LOCAL + 1], np.int64),
    )


def _lexeme_costs(lexer: LexerArrays) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the fewest bytes, at least one, to a lexeme's end, and those of whole lexemes."""
    n = lexer.accepts.size
    sources = sources_of(lexer.edge_start)
    accepts = np.flatnonzero(lexer.accepts).astype(np.int32)
    ones = np.ones(sources.size, np.int8)
    distance = distances_to(n, sources, lexer.edge_to, ones, accepts)
    onward = np.where(distance[lexer.edge_to] < 0, FAR, distance[lexer.edge_to] + 1)
    rest = np.full(n, FAR, np.int32)
    np.minimum.at(rest, sources, onward.astype(np.int32))
    return rest, rest[lexer.first]


def _rules_of(parser: LazyDfa) -> tuple[NDArray[Any], ...]:
    """Return edges, jumps, calls, first states of rules, and int8[n]: 1 where a rule ends."""
    nfa, network = parser.nfa, parser.network
    sources = sources_of(nfa.edge_start)
    edges = np.column_stack([sources, nfa.edge_low, nfa.edge_high, nfa.edge_to])
    jumps = np.column_stack([sources_of(nfa.jump_start), nfa.jump_to])
    ends = np.zeros(nfa.component.size, np.int8)
    calls, first = np.zeros((0, 3), np.int32), np.zeros(0, np.int32)
    if network is not None:
        callers = sources_of(network.call_start)
        calls = np.column_stack([callers, network.call_rule, network.call_return])
        first = network.rule_first
        ends[:] = network.rule_end
    ends[nfa.accept[nfa.accept >= 0]] = 1
    rows = (np.ascontiguousarray(part, np.int32) for part in (edges, jumps, calls))
    return (*rows, first, ends)


def _find_lexemes(lexer: LexerArrays, condition: Companion) -> _Lexemes | None:
    """Follow all terminals beside the condition; None where that is too much."""
    n, size = lexer.accepts.size, condition.accepts.size
    if n * size > _MOST_PLACES or not lexer.first.size:
        return None
    rows, moves = _over_common_classes(lexer, condition.moves)
    place = np.empty((n, size), np.int32)
    boundary = np.empty(size, np.int32)
    given = (lexer.edge_start, rows, lexer.accepts)
    n_pairs = lexeme_boundaries(*given, lexer.first, moves, place, boundary)
    n_boundaries = int(boundary.max()) + 1
    words = (n_boundaries + 63) // 64
    if n_pairs * words > _MOST_WORDS:
        return None
    ends = np.zeros((n_pairs, words), np.int64)
    lexeme_ends(*given, moves, place, boundary, ends)
    states = np.empty(n_boundaries, np.int32)
    states[boundary[boundary >= 0]] = np.flatnonzero(boundary >= 0)
    return _Lexemes(place, ends, ends[place[lexer.first][:, states]], states)


def _over_common_classes(
    lexer: LexerArrays, moves: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return edges (first class, last class, target) and moves, over classes fit for both."""
    usable = np.flatnonzero(lexer.class_of_byte >= 0)
    symbols = lexer.class_of_byte[usable]
    fresh = np.ones(usable.size, np.bool_)
    fresh[1:] = symbols[1:] != symbols[:-1]
    fresh[1:] |= (moves[:, usable[1:]] != moves[:, usable[:-1]]).any(axis=0)
    chosen = symbols[fresh]  # of each common class, ascending
    low = np.searchsorted(chosen, lexer.edge_low, side="left")
    high = np.searchsorted(chosen, lexer.edge_high, side="right") - 1
    rows = np.column_stack([low, high, lexer.edge_to]).astype(np.int32)
    return rows, np.ascontiguousarray(moves[:, usable[fresh]])


def _ignored_star(lexemes: _Lexemes, lexer: LexerArrays) -> NDArray[np.int64]:
    star = np.zeros(lexemes.steps.shape[1:], np.int64)
    ignored = np.flatnonzero(lexer.ignored)
    steps = np.bitwise_or.reduce(lexemes.steps[ignored], axis=0) if ignored.size else star.copy()
    behind_ignored(np.ascontiguousarray(steps), star)
    return star


def _followed(steps: NDArray[np.int64], star: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where lexemes and ignored ones behind them lead to."""
    out = np.zeros_like(steps)
    for number in range(len(star)):
        has = steps[:, :, number >> 6] >> np.int64(number & 63) & 1 != 0
        out[has] |= star[number]
    return out


def sources_of(starts: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the state that each row belongs to, given where each state's rows begin."""
    return np.repeat(np.arange(starts.size - 1, dtype=np.int32), np.diff(starts))
