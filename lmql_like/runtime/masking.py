"""From hypotheses to bitmasks: recognizers by constraint, mask rows by state.

Two caches make a batch cheap. A constraint is compiled once for a vocabulary, whatever
hypothesis, input or run meets it again. A mask row is filled once for each state of a
recognizer; beams and inputs that are in the same state share it.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from lmql_like.grammars.automaton import Automaton
from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.formulas import Formula
from lmql_like.grammars.masker import MaskerState, TokenMasker
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.kernels.selection import count_allowed

__all__ = ["MaskRow", "MaskTable", "Recognizer", "build_recognizer", "recognizer_for"]

_MAX_RECOGNIZERS = 512
_MAX_ROW_BYTES = 64 * 2**20
_MAX_OUTLOOKS = 100_000
_SLOW = 100e-6  # seconds; below, handing a row to a thread costs more than filling it


@dataclass(frozen=True, slots=True, eq=False)
class Recognizer:
    """A constraint ready to use: its automaton, and the masker over the vocabulary."""

    automaton: Automaton
    masker: TokenMasker


@dataclass(frozen=True, slots=True, eq=False)
class MaskRow:
    """The tokens that one state of a recognizer allows.

    Attributes:
        bits: int32[n_words], without the end-of-text ids; not to be written.
        count: 0, 1, or 2 for more than one token.
        only: the one allowed id where `count` is 1.
        is_accepting: the hole may end here.
    """

    bits: NDArray[np.int32]
    count: int
    only: int
    is_accepting: bool

    def allows(self, token_id: int) -> bool:
        """Tell whether a token's bit is set."""
        return bool((int(self.bits[token_id >> 5]) >> (token_id & 31)) & 1)


def build_recognizer(formula: Formula, vocabulary: Vocabulary) -> Recognizer:
    """Compile a constraint for a vocabulary."""
    automaton = compile_formula(formula)
    return Recognizer(automaton, TokenMasker(automaton, vocabulary))


_RECOGNIZERS: WeakKeyDictionary[Vocabulary, OrderedDict[Formula, Recognizer]] = WeakKeyDictionary()
_LOCK = Lock()  # runs in several threads share the recognizers


def recognizer_for(
    formula: Formula,
    vocabulary: Vocabulary,
    *,
    build: Callable[[Formula, Vocabulary], Recognizer] = build_recognizer,
) -> Recognizer:
    """Return the recognizer of a constraint; equal constraints share one.

    The least recently used are dropped beyond a few hundred. Any thread may call this;
    none waits while another one compiles.

    Raises:
        GrammarError: the constraint cannot be compiled.
    """
    with _LOCK:
        known = _RECOGNIZERS.setdefault(vocabulary, OrderedDict())
        recognizer = known.get(formula)
        if recognizer is not None:
            known.move_to_end(formula)
            return recognizer
    built = build(formula, vocabulary)
    with _LOCK:
        recognizer = known.setdefault(formula, built)  # another thread may have been faster
        known.move_to_end(formula)
        if len(known) > _MAX_RECOGNIZERS:
            known.popitem(last=False)
    return recognizer


@cache
def _fillers() -> ThreadPoolExecutor:
    """Return the threads that fill rows, for all runs."""
    return ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="lmql-like-masks")


class MaskTable:
    """The mask rows of a run, one for each (recognizer, state) that was asked for.

    Rows are filled where they are asked for, or, if `prepare` was told of them before, in
    threads: while the model computes.

    Attributes:
        seconds: time spent in filling rows.
        n_filled: rows filled.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.seconds = 0.0
        self.n_filled = 0
        self._vocabulary = vocabulary
        self._rows: OrderedDict[tuple[Recognizer, MaskerState], MaskRow] = OrderedDict()
        self._pending: dict[tuple[Recognizer, MaskerState], Future[tuple[MaskRow, float]]] = {}
        self._cost: dict[Recognizer, float] = {}
        self._outlooks: dict[tuple[Recognizer, MaskerState], tuple[bool, bytes]] = {}
        self._forced: dict[tuple[Recognizer, MaskerState], tuple[int, ...]] = {}
        self._max_rows = max(64, _MAX_ROW_BYTES // (4 * vocabulary.n_words))

    def row(self, recognizer: Recognizer, state: MaskerState) -> MaskRow:
        """Return what a state allows."""
        key = (recognizer, state)
        row = self._rows.get(key)
        if row is not None:
            return row
        pending = self._pending.pop(key, None)
        row, seconds = pending.result() if pending else self._timed(recognizer.masker, state)
        self._rows[key] = row
        self.n_filled += 1
        self.seconds += seconds
        self._cost[recognizer] = 0.8 * self._cost.get(recognizer, seconds) + 0.2 * seconds
        if len(self._rows) > self._max_rows:
            self._rows.popitem(last=False)
        return row

    def outlook(self, recognizer: Recognizer, state: MaskerState) -> tuple[bool, bytes]:
        """Return whether a text is final in a state, and the bytes that must follow."""
        key = (recognizer, state)
        known = self._outlooks.get(key)
        if known is None:
            if len(self._outlooks) > _MAX_OUTLOOKS:
                self._outlooks.clear()
            masker = recognizer.masker
            is_final = masker.is_final(state)
            known = (is_final, b"" if is_final else masker.forced_bytes(state))
            self._outlooks[key] = known
        return known

    def forced_ids(self, recognizer: Recognizer, state: MaskerState) -> tuple[int, ...]:
        """Return the canonical tokens of the bytes that must follow, as far as certain."""
        key = (recognizer, state)
        known = self._forced.get(key)
        if known is None:
            if len(self._forced) > _MAX_OUTLOOKS:
                self._forced.clear()
            known = self._forced[key] = tuple(recognizer.masker.forced_token_ids(state))
        return known

    def prepare(self, keys: Iterable[tuple[Recognizer, MaskerState]]) -> None:
        """Begin to fill rows that will be asked for, in threads."""
        for key in keys:
            if key not in self._rows and key not in self._pending:
                self._pending[key] = _fillers().submit(self._timed, key[0].masker, key[1])

    def is_slow(self, recognizer: Recognizer, state: MaskerState) -> bool:
        """Tell whether a row is not there yet and, as others went, takes a while to fill."""
        return self._cost.get(recognizer, 0.0) > _SLOW and (recognizer, state) not in self._rows

    def _timed(self, masker: TokenMasker, state: MaskerState) -> tuple[MaskRow, float]:
        began = time.perf_counter()
        row = self._fill(masker, state)
        return row, time.perf_counter() - began

    def _fill(self, masker: TokenMasker, state: MaskerState) -> MaskRow:
        bits = np.zeros(self._vocabulary.n_words, np.int32)
        masker.fill_bitmask(state, bits)
        words = bits.view(np.uint32)
        for token_id in self._vocabulary.eos_token_ids:
            words[token_id >> 5] &= np.uint32(~(1 << (token_id & 31)) & 0xFFFFFFFF)
        count, only = count_allowed(bits, self._vocabulary.size)
        bits.flags.writeable = False
        return MaskRow(bits, count, only, bool(masker.is_accepting(state)))
