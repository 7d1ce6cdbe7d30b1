"""A deterministic language model of a few lines: for tests and doc examples.

It knows nothing. Its logits are a fixed pseudo-random function of the last few token
ids, the same on every machine, so that a search over it can be checked against brute
force, and examples run without weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lmql_like.errors import ModelError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.runtime.token_index import token_index

__all__ = ["ToyModel", "ToyState"]

_WORD = (1 << 64) - 1


def _mix(value: int) -> int:
    """Return a well-mixed 64-bit word (the finalizer of splitmix64, Steele et al. 2014)."""
    value = (value + 0x9E3779B97F4A7C15) & _WORD
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _WORD
    return value ^ (value >> 31)


class ToyModel:
    """A `LanguageModel` whose logits are a hash of the last tokens.

    Args:
        vocabulary: any; its first end-of-text id also starts every prompt.
        context: how many of the last token ids the logits depend on; None for all.
        seed: another seed is another model.
        spread: logits are uniform in [-spread, spread].
        end_bias: is added to the logits of end-of-text ids.
        max_length: the longest row, or None.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        context: int | None = 3,
        seed: int = 0,
        spread: float = 3.0,
        end_bias: float = 0.0,
        max_length: int | None = None,
    ) -> None:
        self.name = "toy"
        self.vocabulary = vocabulary
        self.max_length = max_length
        self.forward_passes = 0
        self.tokens_fed = 0
        self._context = context
        self._seed = seed
        self._spread = spread
        self._end_bias = end_bias
        self._lanes = np.arange(vocabulary.size, dtype=np.uint64) * np.uint64(0xD1342543DE82EF95)

    def encode(self, text: str, *, at_start: bool) -> list[int]:
        """Return the start token where asked, and the longest tokens that spell the text."""
        start: list[int] = list(self.vocabulary.eos_token_ids[:1]) if at_start else []
        ids = start + token_index(self.vocabulary).encode_greedily(text.encode())
        if at_start and not ids:
            raise ModelError("M203", "the prompt is empty and the model has no start token")
        return ids

    def new_state(self, n_rows: int) -> ToyState:
        """Return a state of `n_rows` rows that have read nothing."""
        return ToyState(self, n_rows)

    def logits_after(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Return float32[vocabulary.size], the logits after the tokens `ids`."""
        hashed = _mix(self._seed)
        for token_id in ids if self._context is None else ids[max(0, len(ids) - self._context) :]:
            hashed = _mix(hashed ^ token_id)
        words = self._lanes + np.uint64(hashed)
        words ^= words >> np.uint64(29)
        words *= np.uint64(0xBF58476D1CE4E5B9)
        words ^= words >> np.uint64(32)
        units = (words >> np.uint64(40)).astype(np.float64) / 2**24
        logits = ((2.0 * units - 1.0) * self._spread).astype(np.float32)
        logits[list(self.vocabulary.eos_token_ids)] += np.float32(self._end_bias)
        return logits


class ToyState:
    """The rows of a `ToyModel`: their token ids."""

    def __init__(self, model: ToyModel, n_rows: int) -> None:
        self.n_rows = n_rows
        self.forward_passes = 0
        self.rows: list[list[int]] = [[] for _ in range(n_rows)]
        self._model = model

    def extend(
        self, new_ids: Sequence[Sequence[int]], keep: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        """Feed tokens and return the logits behind the last of them (see `ModelState`)."""
        self.forward_passes += 1
        self._model.forward_passes += 1
        self._model.tokens_fed += sum(map(len, new_ids))
        return [
            self._extend_row(row, ids, kept)
            for row, ids, kept in zip(self.rows, new_ids, keep, strict=True)
        ]

    def gather(self, rows: Sequence[int]) -> None:
        """Make new row `j` a copy of old row `rows[j]`."""
        self.rows = [list(self.rows[row]) for row in rows]
        self.n_rows = len(self.rows)

    def rewind(self, counts: Sequence[int]) -> None:
        """Forget the last `counts[i]` tokens of row `i`."""
        for row, count in zip(self.rows, counts, strict=True):
            del row[len(row) - count :]

    def _extend_row(self, row: list[int], ids: Sequence[int], keep: int) -> NDArray[np.float32]:
        row.extend(ids)
        size = self._model.vocabulary.size
        kept = [
            self._model.logits_after(row[:end]) for end in range(len(row) - keep + 1, len(row) + 1)
        ]
        return np.stack(kept) if kept else np.empty((0, size), np.float32)
