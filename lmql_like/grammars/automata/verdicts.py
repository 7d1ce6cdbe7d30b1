"""Which pairs of a grammar's state and a condition's state have a completion.

For a grammar without a lexer, and-ed to the condition before, every pair has one. For a
lexed grammar it takes three steps, each where the one before has left something open:

* `LexedGuide` knows, for a state of the grammar and all of the condition's states at once,
  what has no completion even without maximal munch;
* the shortest completion of the grammar's state is read from all states of the condition:
  where that ends well, it is a completion of the pair;
* a search from the one pair in question, nearest first. What lies on a way that it finds
  has a completion too; where there is no way, all that it saw has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lmql_like.errors import GrammarError
from lmql_like.grammars.automata.companion import Companion
from lmql_like.grammars.automata.lexed_dfa import LexedDfa
from lmql_like.grammars.automata.lexed_guide import LexedGuide
from lmql_like.grammars.automata.nearest_first import Way, nearest_first
from lmql_like.kernels.lexed_guide import FAR
from lmql_like.kernels.pairs import ASKED, HOPELESS, OPEN, VIABLE
from lmql_like.kernels.reach import distances_to

__all__ = ["LexedVerdicts", "Rows", "condition_distances"]

_MOST_BYTES = 1 << 26  # of rows, before all are made anew
_MOST_EXACT = 4000  # states that a search for the shortest completion may see
_MOST_SEARCHED = 20_000  # states that a search for any completion may see
_GREED = 3  # how much less a byte behind counts than one ahead, where any completion will do


class Rows:
    """Verdicts by row, one for each state of a grammar that was met.

    Attributes:
        verdicts: int8[rows, condition's states]; row 0 belongs to state 0.
        row_of: int32[states of the grammar], -1: no row yet.
        states: the state of each row.
    """

    def __init__(self, size: int) -> None:
        self.verdicts = np.full((64, size), HOPELESS, np.int8)
        self.row_of = np.full(1024, -1, np.int32)
        self.row_of[0] = 0
        self.states = [0]

    def fit(self, capacity: int) -> None:
        """Make `row_of` as long as there are states."""
        if self.row_of.size < capacity:
            longer = np.full(capacity, -1, np.int32)
            longer[: self.row_of.size] = self.row_of
            self.row_of = longer

    def has(self, state: int) -> bool:
        """Tell whether a state has its row."""
        return bool(self.row_of[state] >= 0)

    def add(self, state: int, verdicts: NDArray[np.int8]) -> None:
        """Add the row of a state."""
        row = len(self.states)
        if row == len(self.verdicts):
            self.verdicts = np.concatenate([self.verdicts, np.zeros_like(self.verdicts)])
        self.states.append(state)
        self.verdicts[row] = verdicts
        self.row_of[state] = row

    def of(self, state: int) -> NDArray[np.int8]:
        """Return a state's row, to read or write."""
        row: NDArray[np.int8] = self.verdicts[self.row_of[state]]
        return row


class LexedVerdicts:
    """Verdicts on the pairs of a lexed grammar and a condition.

    Args:
        dfa: the grammar.
        condition: the table of the condition.
        alphabet: the bytes that there are.
    """

    def __init__(self, dfa: LexedDfa, condition: Companion, alphabet: bytes) -> None:
        self._dfa = dfa
        self._moves = condition.moves
        self._agrees = condition.accepts != 0
        self._guide = LexedGuide(dfa, condition)
        self.rows = Rows(self._agrees.size)
        self._cost: dict[int, int] = {}
        self._completion: dict[int, bytes | None] = {}
        self._others: dict[int, list[bytes]] = {}  # completions that need not be shortest
        self._marked: set[int] = set()  # states whose rows say what their completions show
        self._nearest: dict[tuple[int, int], int] = {}
        self._targets: dict[int, list[tuple[int, int]]] = {}
        self._nearest_end = condition_distances(condition)
        # One byte of each kind that neither the lexer nor the condition tells apart.
        usable = np.array(list(alphabet), np.int64)
        symbols = dfa.lexer.class_of_byte[usable]
        usable, symbols = usable[symbols >= 0], symbols[symbols >= 0]
        kinds = np.vstack([symbols[None], self._moves[:, usable]])
        chosen = np.unique(kinds, axis=1, return_index=True)[1] if usable.size else usable
        self._bytes, self._symbols = usable[chosen], symbols[chosen]
        self._columns = np.ascontiguousarray(self._moves[:, self._bytes].T)

    def begin(self) -> None:
        """Look after room; only where no walk is under way."""
        if self.rows.verdicts.nbytes > _MOST_BYTES:
            self.rows = Rows(self._agrees.size)
            self._targets.clear()
            self._marked.clear()
        self.rows.fit(self._dfa.capacity)

    def is_viable(self, state: int, other: int) -> bool:
        """Tell whether a pair has a completion.

        Raises:
            GrammarError: G201 where a search goes on for too long to tell.
        """
        if not state or not other:
            return False
        self.settle(state)
        if self.rows.of(state)[other] in (OPEN, ASKED):
            self._decide((state, other))
        return bool(self.rows.of(state)[other] == VIABLE)

    def settle(self, state: int) -> None:
        """Find what can be told of a state beside all states of the condition at once."""
        self._add_row(state)
        if state not in self._completion:
            self._complete(state)
            return
        row = self.rows.of(state)
        if state not in self._marked:
            self._marked.add(state)
            for whole in (self._completion[state], *self._others.get(state, ())):
                if whole is not None:
                    row[self._endings(whole)[0] & (row == OPEN)] = VIABLE

    def distance(self, state: int) -> int:
        """Return no more than the fewest bytes of a completion."""
        self._add_row(state)
        return self._cost[state]

    def closing_distance(self, state: int, other: int) -> int:
        """Return the bytes of a completion of a pair, of the shortest if that is found in time.

        Behind the first byte of that completion, it is no longer than what is left of it.
        """
        pair = state, other
        if pair not in self._nearest:
            self.settle(state)
            whole = self._completion[state]
            if whole is None or not self._agrees[self._read(other, whole)]:
                whole = self._shortest(pair)
            self._note_nearest(pair, whole)
        return self._nearest[pair]

    # -- the grammar alone -------------------------------------------------------------

    def _add_row(self, state: int) -> None:
        self.rows.fit(self._dfa.capacity)
        if not self.rows.has(state):
            verdicts, cost = self._guide.verdicts(state)
            if cost >= FAR:
                self._completion[state] = None
            if self._completion.get(state, b"") is None:
                verdicts[verdicts == OPEN] = HOPELESS
            self._cost[state] = cost
            self.rows.add(state, verdicts)

    def _behind(self, state: int) -> list[tuple[int, int]]:
        """Return (byte, state) for each state of the grammar behind one more byte."""
        found = self._targets.get(state)
        if found is None:
            behind = self._dfa.behind_classes(state)[self._symbols]
            targets, first = np.unique(behind, return_index=True)
            pairs = zip(self._bytes[first].tolist(), targets.tolist(), strict=True)
            found = self._targets[state] = [(byte, target) for byte, target in pairs if target]
        return found

    def _complete(self, state: int) -> None:
        """Find the shortest completion of a state, the condition left aside."""
        for greed, most in ((1, _MOST_EXACT), (_GREED, _MOST_SEARCHED)):
            ahead = partial(self._ahead, greed)
            way = nearest_first(state, self._behind, ahead, self._is_known, most)
            if way is not None:
                break
        else:
            raise _too_long(_MOST_SEARCHED)
        whole = way.data
        if whole is not None:
            whole += self._completion.get(way.nodes[-1]) or b""
        self._mark(way.nodes, whole)

    def _is_known(self, state: int) -> bool:
        return bool(self._completion.get(state) or self._cost[state] == 0)

    def _ahead(self, greed: int, state: int) -> int | None:
        self._add_row(state)
        known = self._completion.get(state, b"")
        if known is None:
            return None
        return len(known) or greed * self._cost[state]

    def _mark(self, states: list[int], whole: bytes | None) -> None:
        """Note a completion of the first of some states, each a byte behind the other."""
        if whole is None:
            for state in states:
                self._completion[state] = None
                row = self.rows.of(state)
                row[row == OPEN] = HOPELESS
            return
        for at, ends_well in enumerate(self._endings(whole)[: len(states)]):
            state, known = states[at], self._completion.get(states[at])
            if known is None or len(known) > len(whole) - at:
                self._completion[state] = whole[at:]
            self._marked.add(state)
            row = self.rows.of(state)
            row[ends_well & ((row == OPEN) | (row == ASKED))] = VIABLE

    # -- pairs -------------------------------------------------------------------------

    def _pairs_behind(self, pair: tuple[int, int]) -> Iterable[tuple[int, tuple[int, int]]]:
        state, other = pair
        behind = self._dfa.behind_classes(state)[self._symbols].astype(np.int64)
        beside = self._columns[:, other]
        keys = np.where((behind > 0) & (beside > 0), behind << 32 | beside, 0)
        for key, first in zip(*np.unique(keys, return_index=True), strict=True):
            if key:
                yield int(self._bytes[first]), (int(key >> 32), int(key & 0xFFFFFFFF))

    def _decide(self, pair: tuple[int, int]) -> None:
        """Find a completion of a pair, or that it has none."""
        found = self._pair_search(pair, _MOST_SEARCHED, is_goal=self._is_viable_yet)
        if found is None:
            raise _too_long(_MOST_SEARCHED)
        if found.data is None:
            for state, other in found.nodes:
                self.rows.of(state)[other] = HOPELESS
            return
        whole = found.data + self._whole(found.nodes[-1])
        self._mark_way([state for state, _ in found.nodes], whole)

    def _mark_way(self, states: list[int], whole: bytes) -> None:
        """Note a completion that need not be the shortest; as `_mark`."""
        for at, ends_well in enumerate(self._endings(whole)[: len(states)]):
            row = self.rows.of(states[at])
            fresh = ends_well & ((row == OPEN) | (row == ASKED))
            if fresh.any():
                row[fresh] = VIABLE
                self._others.setdefault(states[at], []).append(whole[at:])

    def _endings(self, whole: bytes) -> list[NDArray[np.bool_]]:
        """Return, for what is left of a text behind each byte, from where it ends well."""
        endings = [self._agrees]
        for byte in reversed(whole):
            endings.append(endings[-1][self._moves[:, byte]])
        return endings[::-1]

    def _whole(self, pair: tuple[int, int]) -> bytes:
        """Return a known completion of a pair that is viable."""
        state, other = pair
        self.settle(state)
        known: list[bytes | None] = [self._completion[state], *self._others.get(state, ())]
        for whole in known:
            if whole is not None and self._agrees[self._read(other, whole)]:
                return whole
        found = self._pair_search(pair, _MOST_SEARCHED, is_goal=self._is_end)
        if found is None or found.data is None:
            raise _too_long(_MOST_SEARCHED)
        return found.data

    def _shortest(self, pair: tuple[int, int]) -> bytes:
        """Return the shortest completion of a pair, or some one where that takes too long."""
        found = self._pair_search(pair, _MOST_EXACT, is_goal=self._is_end, is_exact=True)
        if found is None or found.data is None:
            return self._whole(pair)
        return found.data

    def _pair_search(
        self,
        start: tuple[int, int],
        most: int,
        *,
        is_goal: Callable[[tuple[int, int]], bool],
        is_exact: bool = False,
    ) -> Way[tuple[int, int]] | None:
        def ahead(pair: tuple[int, int]) -> int | None:
            state, other = pair
            self._add_row(state)
            if self.rows.of(state)[other] == HOPELESS:
                return None
            grammar, condition = self._cost[state], int(self._nearest_end[other])
            return max(grammar, condition) if is_exact else _GREED * (grammar + condition)

        return nearest_first(start, self._pairs_behind, ahead, is_goal, most)

    def _is_viable_yet(self, pair: tuple[int, int]) -> bool:
        return bool(self.rows.of(pair[0])[pair[1]] == VIABLE)

    def _is_end(self, pair: tuple[int, int]) -> bool:
        return bool(self._dfa.accepting(pair[0]) and self._agrees[pair[1]])

    def _read(self, other: int, data: bytes) -> int:
        for byte in data:
            other = int(self._moves[other, byte])
        return other

    def _note_nearest(self, pair: tuple[int, int], whole: bytes) -> None:
        """Note how far the pairs on the way along a completion are from their ends."""
        state, other = pair
        for at in range(len(whole) + 1):
            key = state, other
            self._nearest[key] = min(self._nearest.get(key, FAR), len(whole) - at)
            if at < len(whole):
                state = self._dfa.step(state, whole[at])
                other = int(self._moves[other, whole[at]])


def condition_distances(condition: Companion) -> NDArray[np.int32]:
    """Return int32[states]: fewest bytes to where the condition holds, FAR: no way."""
    n = condition.accepts.size
    columns = np.unique(condition.moves, axis=1)
    sources = np.repeat(np.arange(n, dtype=np.int32), columns.shape[1])
    targets = np.ascontiguousarray(columns.ravel())
    ones = np.ones(sources.size, np.int8)
    goals = np.flatnonzero(condition.accepts).astype(np.int32)
    found = distances_to(n, sources, targets, ones, goals)
    return np.where(found < 0, np.int32(FAR), found)


def _too_long(most: int) -> GrammarError:
    return GrammarError(
        "G201",
        f"after {most} states it is not known whether a text goes on so: a lexed grammar's "
        "longest lexemes and the conditions beside it hardly leave any",
        help="ignore white space between lexemes, loosen the conditions, or read the grammar "
        'without a lexer: lexing="scannerless"',
    )
