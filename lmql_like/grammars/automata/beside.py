"""What stands beside a grammar, as one table: conditions, or-ed patterns, stop phrases.

A state is a tuple of the states of up to four parts, each deterministic by itself:

* the regular condition that must hold, too;
* or-ed patterns: they accept whatever the grammar says (and-ed to the condition before);
* the phrases of STOPS_AT: any text that ends with one. Where the text so far is accepted,
  it ends there;
* the phrases of STOPS_BEFORE that have begun: a set. One begins wherever the text so far
  is accepted, and where one ends, so does the text.

A stop makes no dead ends: whatever a text can be completed to, its first stop on the way
there completes it too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmql_like.errors import GrammarError
from lmql_like.grammars.automata.companion import Companion, tabulate
from lmql_like.grammars.automaton import Automaton
from lmql_like.kernels.layouts import BesideArrays

__all__ = ["Beside", "make_table"]

_MOST_STATES = 16384
_FREE = Companion(
    np.stack([np.zeros(256, np.int32), np.ones(256, np.int32)]), np.array([0, 1], np.int8)
)
_NEVER = Companion(np.zeros((2, 256), np.int32), np.zeros(2, np.int8))


@dataclass(frozen=True)
class Beside:
    """The automata of the parts; None where there is no such part."""

    condition: Automaton | None = None
    patterns: Automaton | None = None
    stops_at: Automaton | None = None
    stops_before: Automaton | None = None


@dataclass(frozen=True, order=True)
class _State:
    """States of the parts; 0 is dead everywhere."""

    condition: int
    patterns: int
    stop: int
    phrases: tuple[int, ...]


class _Parts:
    """The tables of the parts over one alphabet."""

    def __init__(self, beside: Beside, alphabet: bytes) -> None:
        def table(automaton: Automaton | None, otherwise: Companion) -> Companion:
            return otherwise if automaton is None else tabulate(automaton.dfa(alphabet))

        self.condition = table(beside.condition, _FREE)
        self.patterns = table(beside.patterns, _NEVER)
        self.stop = table(beside.stops_at, _NEVER)
        self.phrases = table(beside.stops_before, _NEVER)
        everything = (self.condition, self.patterns, self.stop, self.phrases)
        moves = np.concatenate([part.moves for part in everything])
        self.bytes = np.unique(moves, axis=1, return_index=True)[1]  # one of each kind
        kinds = np.unique(moves, axis=1, return_inverse=True)[1]
        self.kind_of_byte = kinds.ravel()
        self.rows = [part.moves[:, self.bytes].tolist() for part in everything]

    @property
    def start(self) -> _State:
        # A table without texts has nothing behind its start.
        return _State(1, 1 if self.patterns is not _NEVER else 0, 1, ())

    def behind(self, state: _State) -> list[_State | None]:
        """Return the state behind each kind of byte, None where it is dead."""
        condition, patterns, stop, phrases = self.rows
        found: list[_State | None] = []
        for kind in range(len(self.bytes)):
            going = {phrases[phrase][kind] for phrase in state.phrases} - {0}
            then = _State(
                condition[state.condition][kind],
                patterns[state.patterns][kind],
                stop[state.stop][kind],
                tuple(sorted(going)),
            )
            if not then.condition and not then.patterns:
                then = _State(0, 0, 0, then.phrases)
            found.append(then if then.condition or then.patterns or then.phrases else None)
        return found

    def injected(self, state: _State) -> _State:
        """Return the state in which STOPS_BEFORE phrases may begin."""
        if self.phrases is _NEVER:
            return state
        phrases = tuple(sorted({1, *state.phrases}))
        return _State(state.condition, state.patterns, state.stop, phrases)


def make_table(beside: Beside, alphabet: bytes) -> tuple[BesideArrays, Companion]:
    """Return the table of all parts together, and that of the condition alone.

    Raises:
        GrammarError: G202 where there are too many states.
    """
    parts = _Parts(beside, alphabet)
    if beside.patterns is None and beside.stops_at is None and beside.stops_before is None:
        return _of_condition(parts.condition), parts.condition
    number = {parts.start: 1}
    waiting = [parts.start]
    moves: list[list[int]] = [[0] * len(parts.bytes)]
    injected = [0]

    def numbered(state: _State | None) -> int:
        if state is None:
            return 0
        if state not in number:
            number[state] = len(number) + 1
            waiting.append(state)
            if len(number) > _MOST_STATES:
                raise GrammarError(
                    "G202",
                    f"the conditions beside a grammar need more than {_MOST_STATES} states",
                    help="make their counts and length bounds smaller, or write them into the "
                    "grammar",
                )
        return number[state]

    for state in waiting:
        moves.append([numbered(then) for then in parts.behind(state)])
        injected.append(numbered(parts.injected(state)))
    arrays = BesideArrays(
        moves=np.ascontiguousarray(np.array(moves, np.int32)[:, parts.kind_of_byte]),
        regular=np.array([0, *(state.condition for state in waiting)], np.int32),
        agrees=_flags(waiting, lambda s: parts.condition.accepts[s.condition]),
        alone=_flags(waiting, lambda s: bool(s.patterns or s.phrases)),
        ends=_flags(waiting, lambda s: parts.patterns.accepts[s.patterns] or _is_final(parts, s)),
        stops=_flags(waiting, lambda s: parts.stop.accepts[s.stop]),
        injected=np.array(injected, np.int32),
        is_final=_flags(waiting, lambda s: _is_final(parts, s)),
    )
    return arrays, parts.condition


def _of_condition(condition: Companion) -> BesideArrays:
    n = condition.accepts.size
    none = np.zeros(n, np.int8)
    return BesideArrays(
        moves=condition.moves,
        regular=np.arange(n, dtype=np.int32),
        agrees=condition.accepts,
        alone=none,
        ends=none,
        stops=none,
        injected=np.arange(n, dtype=np.int32),
        is_final=none,
    )


def _is_final(parts: _Parts, state: _State) -> bool:
    return any(parts.phrases.accepts[phrase] for phrase in state.phrases)


def _flags(states: list[_State], test: Callable[[_State], Any]) -> NDArray[np.int8]:
    return np.array([0, *(1 if test(state) else 0 for state in states)], np.int8)
