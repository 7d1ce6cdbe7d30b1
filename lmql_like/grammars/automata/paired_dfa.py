"""A grammar's automaton and what stands beside it, in lockstep: see `kernels.pairs`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lmql_like.grammars.automata.lazy_dfa import LazyDfa
from lmql_like.grammars.automata.lexed_dfa import LexedDfa
from lmql_like.grammars.automata.verdicts import Rows
from lmql_like.grammars.mask_memo import MaskMemo, doubled
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.kernels.layouts import BesideArrays
from lmql_like.kernels.lexed_guide import FAR
from lmql_like.kernels.pairs import (
    ASKED,
    FULL_LIST,
    HOPELESS,
    OPEN,
    VIABLE,
)
from lmql_like.kernels.reach import distances_to

__all__ = ["PairedDfa", "ProductVerdicts", "Verdicts"]

_NO_MARKS = np.zeros((0, 0), np.uint8)
_NO_ROW = np.empty(0, np.int32)


class Verdicts(Protocol):
    """Which pairs of a grammar's state and a condition's state have a completion."""

    rows: Rows

    def begin(self) -> None:
        """Look after room; only where no walk is under way."""

    def is_viable(self, state: int, other: int) -> bool:
        """Tell whether a pair has a completion; `rows` says so afterwards."""

    def distance(self, state: int) -> int:
        """Return no more than the fewest bytes of a completion."""

    def closing_distance(self, state: int, other: int) -> int:
        """Return the bytes of a completion, the same or less behind its first byte."""


class ProductVerdicts:
    """Verdicts where the grammar's automaton shows live states only, the condition included."""

    def __init__(self, dfa: LazyDfa, size: int) -> None:
        self._dfa = dfa
        self._row = np.full(size, VIABLE, np.int8)
        self._row[0] = HOPELESS
        self.rows = Rows(size)

    def begin(self) -> None:
        """Make room for new states."""
        self.rows.fit(self._dfa.capacity)

    def is_viable(self, state: int, other: int) -> bool:
        """Tell whether both states are live; then there is a completion."""
        self.rows.fit(self._dfa.capacity)
        if not self.rows.has(state):
            self.rows.add(state, self._row)
        return bool(state and other)

    def distance(self, state: int) -> int:
        """Return no more than the fewest bytes of a completion."""
        return self._dfa.distance(state)

    def closing_distance(self, state: int, other: int) -> int:  # noqa: ARG002
        """Return the bytes of a completion, the same or less behind its first byte."""
        return self._dfa.closing_distance(state)


class _Pair(NamedTuple):
    """A grammar's state and the table's; 0, 0 is dead."""

    state: int
    other: int


class PairedDfa:
    """A `ByteMachine` whose states are pairs, numbered as they are met.

    Args:
        base: the grammar.
        beside: the table.
        verdicts: which pairs have a completion.
        alphabet: the bytes that there are.
        regimes: of the token count (bits), in which a text that is accepted counts.
    """

    def __init__(
        self,
        base: LazyDfa | LexedDfa,
        beside: BesideArrays,
        verdicts: Verdicts,
        alphabet: bytes,
        regimes: int,
    ) -> None:
        self._base = base
        self._beside = beside
        self._verdicts = verdicts
        self._alphabet = alphabet
        self._regimes = regimes
        self._lock = threading.RLock()
        self._number: dict[_Pair, int] = {}
        self._pairs: list[_Pair] = [_Pair(0, 0)]
        self._behind: dict[int, NDArray[np.int32]] = {}
        self._asked = np.empty((4096, 2), np.int64)
        self._alone_distance = _alone_distances(beside)
        self._start = self._numbered(self._met(base.first, 1))

    @property
    def start(self) -> int:
        """The start state; 0 where nothing can match."""
        return self._start

    @property
    def n_states(self) -> int:
        """How many states have been made so far."""
        return len(self._pairs) - 1

    @property
    def n_classes(self) -> int:
        """How many classes of bytes the grammar tells apart."""
        return self._base.n_classes

    def accepting(self, state: int) -> int:
        """Return the regimes of the token count (bits) in which a state accepts."""
        return self._regimes if state and self._accepts(self._pairs[state]) else 0

    def distance(self, state: int) -> int:
        """Return a number of bytes that every text from a state to acceptance has at least."""
        pair = self._pairs[state]
        if self._accepts(pair) or self._beside.alone[pair.other] or not pair.state:
            return 0
        return self._verdicts.distance(pair.state)

    def closing_distance(self, state: int) -> int:
        """Return the bytes of a completion, the same or less behind its first byte."""
        with self._lock:
            pair = self._pairs[state]
            if self._accepts(pair):
                return 0
            found = int(self._alone_distance[pair.other])
            regular = int(self._beside.regular[pair.other])
            if pair.state and regular and self._verdicts.is_viable(pair.state, regular):
                found = min(found, self._verdicts.closing_distance(pair.state, regular))
            return found

    def successors(self, state: int) -> list[int]:
        """Return the distinct live states behind one more byte."""
        return [target for target in np.unique(self.targets(state)).tolist() if target]

    def targets(self, state: int) -> NDArray[np.int32]:
        """Return int32[256]: the live state behind each byte, 0 where there is none."""
        with self._lock:
            if state not in self._behind:
                if len(self._behind) > 4096:
                    self._behind.clear()
                self._behind[state] = self._find_targets(self._pairs[state])
            return self._behind[state]

    def is_stopped(self, state: int) -> bool:
        """Tell whether a phrase that is cut off ended the text in this state."""
        return bool(self._beside.is_final[self._pairs[state].other])

    def is_injecting(self, state: int) -> bool:
        """Tell whether a STOPS_BEFORE phrase may begin in this state."""
        return self._accepts(self._pairs[state]) and not self._is_over(self._pairs[state])

    def advance(self, state: int, data: bytes) -> int:
        """Return the state behind some bytes, 0 where no text goes on so."""
        return self._advance(state, data)

    def advance_token(self, state: int, token_id: int, vocabulary: Vocabulary) -> int:
        """Return the state behind a token of a vocabulary, as `advance` behind its bytes."""
        return self._advance(state, vocabulary.tokens[token_id])

    def live_bytes(self, state: int) -> NDArray[np.bool_]:
        """Return bool[256]: the bytes that may follow a state."""
        return self.targets(state) > 0

    def forced_bytes(self, state: int, limit: int = 4096) -> bytes:
        """Return the bytes that must follow a state, up to where it accepts or a choice begins."""
        forced = bytearray()
        while len(forced) < limit and not self.accepting(state):
            targets = self.targets(state)
            open_to = np.flatnonzero(targets)
            if open_to.size != 1:
                break
            forced.append(int(open_to[0]))
            state = int(targets[open_to[0]])
        return bytes(forced)

    def new_memo(self, vocabulary: Vocabulary, budget: int) -> MaskMemo:
        """Return an empty memo for the masks of this automaton over a vocabulary."""
        return self._base.new_memo(vocabulary, budget)

    def mask(self, state: int, memo: MaskMemo, row: NDArray[np.int32]) -> None:
        """Add the bits of the tokens that may follow a state to a packed row."""
        with self._lock:
            self._walk(state, memo, lambda _: _NO_MARKS, row)

    def mask_ending_in(
        self, state: int, memo: MaskMemo, wanted: NDArray[np.uint8], row: NDArray[np.int32]
    ) -> None:
        """As `mask`, for tokens that end in a state s with wanted[s] != 0."""
        with self._lock:
            pairs = [self._pairs[number] for number in np.flatnonzero(wanted).tolist()]
            self._walk(state, memo, lambda shape: self._marked(shape, pairs), row)

    def token_ends(self, state: int, memo: MaskMemo) -> NDArray[np.int32]:
        """Return the distinct states, ascending, in which the vocabulary's tokens end."""
        with self._lock:
            found = self._walk(state, memo, lambda shape: np.zeros(shape, np.uint8), _NO_ROW)
            states = self._verdicts.rows.states
            pairs = [_Pair(states[row], other) for row, other in np.argwhere(found).tolist()]
            return np.array(sorted({self._numbered(pair) for pair in pairs} - {0}), np.int32)

    # -- pairs -------------------------------------------------------------------------

    def _accepts(self, pair: _Pair) -> bool:
        """Tell whether the text may end in a pair."""
        if self._beside.ends[pair.other]:
            return True
        agrees = pair.state and self._beside.agrees[pair.other]
        return bool(agrees and self._base.accepting(pair.state))

    def _is_over(self, pair: _Pair) -> bool:
        """Tell whether a stop ended the text."""
        if self._beside.is_final[pair.other]:
            return True
        return bool(self._beside.stops[pair.other]) and self._accepts(pair)

    def _met(self, state: int, other: int) -> _Pair:
        """Return the pair that two states make: phrases may begin where a text is accepted."""
        pair = _Pair(state if self._beside.regular[other] else 0, other)
        if self._beside.is_final[other]:
            return _Pair(0, other)
        if not pair.state and not self._beside.alone[other]:
            return _Pair(0, 0)
        if self._accepts(pair):
            return _Pair(pair.state, int(self._beside.injected[other]))
        return pair

    def _numbered(self, pair: _Pair) -> int:
        """Return the number of a pair, 0 where it has no completion."""
        number = self._number.get(pair)
        if number is None:
            number = 0
            if self._is_viable(pair):
                number = len(self._pairs)
                self._pairs.append(pair)
            self._number[pair] = number
        return number

    def _is_viable(self, pair: _Pair) -> bool:
        if not pair.other:
            return False
        if self._accepts(pair) or self._beside.alone[pair.other]:
            return True
        return self._verdicts.is_viable(pair.state, int(self._beside.regular[pair.other]))

    def _find_targets(self, pair: _Pair) -> NDArray[np.int32]:
        found = np.zeros(256, np.int32)
        if self._is_over(pair):
            return found
        states = np.zeros(256, np.int64)
        if pair.state:
            states[:] = self._base.following(pair.state)
        keys = states << 32 | self._beside.moves[pair.other]
        distinct, which = np.unique(keys, return_inverse=True)
        met = [self._met(key >> 32, key & 0xFFFFFFFF) for key in distinct.tolist()]
        found[:] = np.array([self._numbered(pair) for pair in met], np.int32)[which.ravel()]
        return found

    def _advance(self, state: int, data: bytes) -> int:
        with self._lock:
            pair = self._pairs[state]
            for byte in data:
                other = int(self._beside.moves[pair.other, byte])
                if not other or self._is_over(pair):
                    return 0
                pair = self._met(self._base.step(pair.state, byte) if pair.state else 0, other)
            return self._numbered(pair)

    # -- walks -------------------------------------------------------------------------

    def _walk(
        self,
        state: int,
        memo: MaskMemo,
        marks: Callable[[tuple[int, int]], NDArray[np.uint8]],
        row: NDArray[np.int32],
    ) -> NDArray[np.uint8]:
        """Walk the trie until all pairs in which tokens end are decided; see `kernels.pairs`.

        Args:
            state: where the walk begins.
            memo: whose vocabulary it is.
            marks: makes `wanted`, given its shape.
            row: bits of tokens are added.

        Returns:
            `wanted`.
        """
        pair, verdicts = self._pairs[state], self._verdicts
        sliced = memo.vocabulary.sliced
        n_slices = sliced.slices.longest.size
        nodes = np.array([sliced.slices.first_node[n_slices], sliced.tries.byte.size], np.int64)
        if self._is_over(pair):
            nodes[1] = nodes[0]
        paths = np.empty((2, memo.vocabulary.longest_token + 2), np.int32)
        paths[:, 0] = pair
        verdicts.begin()
        while True:
            shape = (len(verdicts.rows.verdicts), self._beside.moves.shape[0])
            wanted = marks(shape)
            found = self._base.walk_beside(
                self._beside,
                sliced.handle,
                nodes,
                paths,
                verdicts.rows.verdicts,
                verdicts.rows.row_of,
                wanted,
                self._asked,
                row,
            )
            if found == 0:
                return wanted
            if found == FULL_LIST:
                found = len(self._asked)
            if found > 0:
                self._decide(self._asked[:found])
            if found == len(self._asked):
                self._asked = doubled(self._asked)
            verdicts.rows.fit(self._base.capacity)

    def _decide(self, asked: NDArray[np.int64]) -> None:
        """Have verdicts made on pairs."""
        rows, regular = self._verdicts.rows, self._beside.regular
        pairs = [(state, int(regular[other])) for state, other in asked.tolist()]
        for state, _ in pairs:
            if rows.row_of[state] == -2:
                rows.row_of[state] = -1
        # Should one of them be refused, none may be taken for decided.
        for state, other in pairs:
            if rows.has(state) and rows.of(state)[other] == ASKED:
                rows.of(state)[other] = OPEN
        for state, other in pairs:
            self._verdicts.is_viable(state, other)

    def _marked(self, shape: tuple[int, int], pairs: list[_Pair]) -> NDArray[np.uint8]:
        wanted = np.zeros(shape, np.uint8)
        for state, other in pairs:
            row = self._verdicts.rows.row_of[state]
            if row >= 0:
                wanted[row, other] = 1
        return wanted


def _alone_distances(beside: BesideArrays) -> NDArray[np.int32]:
    """Return int32[states]: fewest bytes to where a text is accepted whatever the grammar says."""
    n = beside.ends.size
    columns = np.unique(beside.moves, axis=1)
    sources = np.repeat(np.arange(n, dtype=np.int32), columns.shape[1])
    targets = np.ascontiguousarray(columns.ravel())
    ones = np.ones(sources.size, np.int8)
    found = distances_to(n, sources, targets, ones, np.flatnonzero(beside.ends).astype(np.int32))
    return np.where(found < 0, np.int32(FAR), found)
