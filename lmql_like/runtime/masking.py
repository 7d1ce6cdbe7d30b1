"""From hypotheses to bitmasks: recognizers by constraint, mask rows by state.

Two caches make a batch cheap. A constraint is compiled once for a vocabulary, whatever
hypothesis, input or run meets it again. A mask row is filled once for each state of a
recognizer; beams and inputs that are in the same state share it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


class MaskTable:
    """The mask rows of a run, one for each (recognizer, state) that was asked for.

    Attributes:
        seconds: time spent in filling rows.
        n_filled: rows filled.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.seconds = 0.0
        self.n_filled = 0
        self._vocabulary = vocabulary
        self._rows: OrderedDict[tuple[Recognizer, MaskerState], MaskRow] = OrderedDict()
        self._max_rows = max(64, _MAX_ROW_BYTES // (4 * vocabulary.n_words))

    def row(self, recognizer: Recognizer, state: MaskerState) -> MaskRow:
        """Return what a state allows."""
        key = (recognizer, state)
        row = self._rows.get(key)
        if row is not None:
            return row
        began = time.perf_counter()
        row = self._rows[key] = self._fill(recognizer.masker, state)
        self.n_filled += 1
        self.seconds += time.perf_counter() - began
        if len(self._rows) > self._max_rows:
            self._rows.popitem(last=False)
        return row

    def matrix(self, rows: Sequence[MaskRow]) -> NDArray[np.int32]:
        """Return the rows' bits as one array, int32[n, n_words]."""
        if len(rows) == 1:
            return rows[0].bits[None]
        return np.stack([row.bits for row in rows])

    def _fill(self, masker: TokenMasker, state: MaskerState) -> MaskRow:
        bits = np.zeros(self._vocabulary.n_words, np.int32)
        masker.fill_bitmask(state, bits)
        words = bits.view(np.uint32)
        for token_id in self._vocabulary.eos_token_ids:
            words[token_id >> 5] &= np.uint32(~(1 << (token_id & 31)) & 0xFFFFFFFF)
        count, only = count_allowed(bits, self._vocabulary.size)
        bits.flags.writeable = False
        return MaskRow(bits, count, only, bool(masker.is_accepting(state)))
