"""Constraint x vocabulary -> bitmask, and the state behind a token.

States are values: an int, or (int, token count) where the constraint tests the number of
tokens. A beam forks by keeping one. Rows are computed once per state and kept within a
budget, so every hypothesis, row and request that uses a masker shares them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from lmql_like.errors import GrammarError
from lmql_like.grammars.automaton import Automaton
from lmql_like.grammars.completions import Completions
from lmql_like.grammars.forced_tokens import certain_tokens, reaches_beyond
from lmql_like.grammars.vocabulary import Vocabulary

__all__ = ["MaskerState", "TokenMasker"]

MaskerState: TypeAlias = "int | tuple[int, int]"


class TokenMasker:
    """Which tokens may come next: exactly those after which some completion exists.

    Args:
        automaton: the constraint.
        vocabulary: the model's tokens.
        row_budget: bytes of rows kept; above it, the oldest rows go. Another half of it
            is for the parts that rows are put together from.

    A completion is a sequence of this vocabulary's tokens. The end-of-text bits are set
    where the constraint accepts.

    Raises:
        GrammarError: G304 for a grammar where the vocabulary cannot write every byte.
    """

    END: int = -1
    """The state behind an end-of-text token: nothing may follow."""

    def __init__(
        self, automaton: Automaton, vocabulary: Vocabulary, *, row_budget: int = 256 << 20
    ) -> None:
        if automaton.has_calls and not vocabulary.spells_every_byte:
            # Whether tokens can write a completion is then a search through a grammar's
            # endlessly many states, which need not end.
            raise GrammarError(
                "G304",
                "a grammar needs a vocabulary that can write every byte of its tokens by itself",
                help="use a byte-level or byte-fallback tokenizer, or a pattern instead",
            )
        self.automaton = automaton
        self.vocabulary = vocabulary
        self._dfa = automaton.dfa(vocabulary.alphabet)
        self._memo = self._dfa.new_memo(vocabulary, row_budget // 2)
        self._completions = Completions(automaton, self._dfa, self._memo)
        # Without token counts, and where bytes can always be written, bytes say it all.
        self._counts = bool(automaton.count_bounds)
        self._needs_tokens = self._counts or not vocabulary.spells_every_byte
        self._rows: dict[MaskerState, NDArray[np.int32]] = {}
        self._row_limit = max(16, row_budget // (4 * vocabulary.n_words))
        self._eos_row = np.zeros(vocabulary.n_words, np.int32)
        for eos in vocabulary.eos_token_ids:
            self._eos_row[eos >> 5] |= np.uint32(1 << (eos & 31)).astype(np.int32)
        self._eos = frozenset(vocabulary.eos_token_ids)
        self._lock = threading.Lock()

    def start(self) -> MaskerState | None:
        """Return the state before the first token; None where nothing can match."""
        start = self._dfa.start
        if not start or (self._needs_tokens and not self._completions.fits(start, 0)):
            return None
        return (start, 0) if self._counts else start

    def fill_bitmask(self, state: MaskerState, row: NDArray[np.int32]) -> None:
        """Write the allowed tokens of a state into a packed row.

        Args:
            state: from `start` or `advance`.
            row: int32[ceil(vocabulary / 32)], overwritten; bit i of word w is token 32 * w + i.
        """
        np.copyto(row, self._row(state))

    def fill_bitmasks(self, states: Sequence[MaskerState | None], out: NDArray[np.int32]) -> None:
        """Write the allowed tokens of many states into packed rows.

        Args:
            states: from `start` or `advance`; None, a row where nothing is asked, gives zeros.
            out: int32[len(states), ceil(vocabulary / 32)], overwritten.

        A state that is there twice is made once. Rows not known yet are made one after
        another: they share an automaton, whose states and parts each row adds to and the
        next ones use, so it is locked and threads would only wait for each other.
        Maskers of different automata do run in parallel, for kernels hold no GIL.

        Raises:
            ValueError: `out` does not have one row for each state.
        """
        for state, row in zip(states, out, strict=True):
            if state is None:
                row[:] = 0
            else:
                np.copyto(row, self._row(state))

    def advance(self, state: MaskerState, token_id: int) -> MaskerState | None:
        """Return the state behind a token; None where the token is not allowed."""
        if token_id in self._eos:
            return self.END if self.is_accepting(state) else None
        if not 0 <= token_id < self.vocabulary.size:
            return None
        if state == self.END or not self.vocabulary.tokens[token_id]:
            return None
        position, count = self._split(state)
        position = self._dfa.advance_token(position, token_id, self.vocabulary)
        return self._state(position, count + 1)

    def advance_bytes(
        self, state: MaskerState, data: bytes, *, tokens: int = 1
    ) -> MaskerState | None:
        """Return the state behind bytes that are written in `tokens` tokens, or None."""
        return self._advance(state, data, tokens)

    def is_accepting(self, state: MaskerState) -> bool:
        """Tell whether the text may end here."""
        if state == self.END:
            return True
        position, count = self._split(state)
        return self._completions.accepts(position, count)

    def is_final(self, state: MaskerState) -> bool:
        """Tell whether the text ends here by itself: it may end, and no token may follow."""
        if not self.is_accepting(state):
            return False
        if state == self.END:
            return True
        position, count = self._split(state)
        if not self._needs_tokens:
            return not self._dfa.successors(position)
        return not any(
            self._completions.fits(int(end), count + 1)
            for end in self._completions.token_ends(position)
        )

    def forced_bytes(self, state: MaskerState) -> bytes:
        """Return the bytes that must follow, up to where the text may end or a choice begins.

        A character at the end that is only begun is left out.
        """
        if state == self.END:
            return b""
        data = self._dfa.forced_bytes(self._split(state)[0])
        return data[: len(data) - _begun_character(data)]

    def forced_token_ids(self, state: MaskerState) -> list[int]:
        """Return the canonical tokens of the forced bytes, as far as they are certain.

        Certain is a token that every text allowed here has, if written as the vocabulary's
        encoder writes what begins at this state; see `forced_tokens`. Each is allowed by
        the mask behind those before it. Without a tokenizer's encoder, canonical are the
        longest tokens.
        """
        data = self.forced_bytes(state)
        ids = certain_tokens(self.vocabulary, data, self._ends_within(state, data))
        for n, token_id in enumerate(ids):
            following = self.advance(state, token_id)
            if following is None:
                return ids[:n]
            state = following
        return ids

    def _ends_within(self, state: MaskerState, data: bytes) -> Iterator[int]:
        """Yield how many of the forced bytes tokens may write before one reaches over the end."""
        if data:
            yield len(data)
        position, _ = self._split(state)
        first = max(0, len(data) - self.vocabulary.longest_token + 1)
        position = self._dfa.advance(position, data[:first]) if data else 0
        row = np.empty(self.vocabulary.n_words, np.int32)
        for end in range(first, len(data)):
            row[:] = 0
            self._dfa.mask(position, self._memo, row)
            if reaches_beyond(self.vocabulary, row, len(data) - end):
                yield end
            position = self._dfa.advance(position, data[end : end + 1])

    def next_bytes(self, state: MaskerState) -> bytes:
        """Return the bytes that may follow, token counts left out."""
        if state == self.END:
            return b""
        return bytes(np.flatnonzero(self._dfa.live_bytes(self._split(state)[0])).tolist())

    @property
    def n_states(self) -> int:
        """How many automaton states have been made so far."""
        return self._dfa.n_states

    # -- rows ------------------------------------------------------------------------

    def _split(self, state: MaskerState) -> tuple[int, int]:
        return state if isinstance(state, tuple) else (state, 0)

    def _advance(self, state: MaskerState, data: bytes, tokens: int) -> MaskerState | None:
        if state == self.END:
            return None
        position, count = self._split(state)
        return self._state(self._dfa.advance(position, data), count + tokens)

    def _state(self, position: int, count: int) -> MaskerState | None:
        """Return the state of a position, None where no completion in tokens exists."""
        if not position:
            return None
        if not self._needs_tokens:
            return position
        count = self._completions.saturate(count)
        if not self._completions.fits(position, count):
            return None
        return (position, count) if self._counts else position

    def _row(self, state: MaskerState) -> NDArray[np.int32]:
        known = self._rows.get(state)
        return self._make_row(state) if known is None else known

    def _make_row(self, state: MaskerState) -> NDArray[np.int32]:
        row = np.zeros(self.vocabulary.n_words, np.int32)
        if state != self.END:
            position, count = self._split(state)
            if self._needs_tokens:
                self._add_fitting_tokens(position, count, row)
            else:
                self._add_live_tokens(position, row)
            if self.is_accepting(state):
                row |= self._eos_row
        row.flags.writeable = False
        with self._lock:
            if len(self._rows) >= self._row_limit:
                for old in list(islice(self._rows, self._row_limit // 8)):
                    del self._rows[old]
            self._rows[state] = row
        return row

    def _add_live_tokens(self, position: int, row: NDArray[np.int32]) -> None:
        self._dfa.mask(position, self._memo, row)

    def _add_fitting_tokens(self, position: int, count: int, row: NDArray[np.int32]) -> None:
        """Add the tokens behind which a completion in tokens exists."""
        ends = self._completions.token_ends(position)
        fitting = [int(end) for end in ends if self._completions.fits(int(end), count + 1)]
        if len(fitting) == len(ends):
            self._add_live_tokens(position, row)
        elif fitting:
            wanted = np.zeros(int(ends[-1]) + 1, np.uint8)
            wanted[fitting] = 1
            self._dfa.mask_ending_in(position, self._memo, wanted, row)


def _begun_character(data: bytes) -> int:
    """Return how many bytes at the end begin a character without ending it."""
    for length in range(1, min(3, len(data)) + 1):
        byte = data[-length]
        if byte >= 0xC0:
            whole = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return length if length < whole else 0
        if byte < 0x80:
            return 0
    return 0
