"""The parts that masks are put together from, for one automaton and one vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.kernels.handles import handle_of
from lmql_like.kernels.layouts import (
    EXITS,
    KEYS,
    LEAVES,
    MEMO_FULL,
    NODES,
    PARTS,
    ROWS,
    TOKENS,
    MemoArrays,
    SliceArrays,
)
from lmql_like.kernels.memo import rehash_exits, rehash_parts

__all__ = ["MaskMemo", "doubled"]


class MaskMemo:
    """Parts of masks, and the scratch that making them needs; see `kernels.compose`.

    It belongs to one automaton, under whose lock it is used.

    Args:
        class_of_byte: int32[256] the automaton's classes of bytes.
        classes: look-ahead classes of its nfa states, None where they are not used.
        vocabulary: the tokens.
        budget: bytes of parts; where they are used up, all parts are forgotten.
        parts: how many parts there is room for at first, a power of two.

    Attributes:
        vocabulary: the tokens.
        handle: what kernels take; made anew when the memo grows.
        has_classes: whether look-ahead classes were given.
    """

    def __init__(
        self,
        class_of_byte: NDArray[np.int32],
        classes: NDArray[np.int64] | None,
        vocabulary: Vocabulary,
        budget: int,
        *,
        parts: int = 2048,
    ) -> None:
        self.vocabulary = vocabulary
        self._budget = budget
        self._may_forget = True
        self.has_classes = classes is not None
        self._arrays = MemoArrays(
            buckets=np.zeros(2 * parts, np.int32),
            key_start=np.zeros(parts + 1, np.int64),
            keys=np.empty(8 * parts, np.int64),
            token_start=np.zeros(parts + 1, np.int64),
            tokens=np.empty(128 * parts, np.int32),
            part_row=np.zeros(parts, np.int32),
            leave_start=np.zeros(parts + 1, np.int64),
            leaves=np.empty(4 * parts, np.int32),
            rows=np.empty((256, vocabulary.n_words), np.int32),
            exit_buckets=np.zeros(parts, np.int32),
            exit_start=np.zeros(parts // 2 + 1, np.int64),
            nodes=np.empty(1 << 17, np.int64),
            counts=np.zeros(11, np.int64),
            probes=_slice_probes(class_of_byte, vocabulary.sliced.slices),
            classes=np.zeros((0, 2, 0), np.int64) if classes is None else classes,
            key=np.empty(1024, np.int64),
            path=np.empty(vocabulary.longest_token + 2, np.int32),
            work=np.empty((2, 1024, 2), np.int32),
            agenda=np.empty((1024, 2), np.int64),
            found=np.empty(4096, np.int64),
        )
        self._forget()
        self.handle = handle_of(self._arrays)

    @property
    def size(self) -> int:
        """Bytes of the parts."""
        arrays = self._arrays
        return arrays.rows.nbytes + arrays.tokens.nbytes + arrays.nodes.nbytes + arrays.keys.nbytes

    @property
    def is_full(self) -> bool:
        """Whether one of its arrays was full when a kernel last ran."""
        return int(self._arrays.counts[MEMO_FULL]) >= 0

    @property
    def n_parts(self) -> int:
        """How many parts there are."""
        return int(self._arrays.counts[PARTS]) - 1

    def begin_mask(self) -> None:
        """Allow the memo to begin anew once: one mask may need more than the budget."""
        self._may_forget = True

    def grow(self) -> None:
        """Double the array that was full, or begin anew where the budget is used up."""
        full = int(self._arrays.counts[MEMO_FULL])
        self._arrays.counts[MEMO_FULL] = -1
        if self.size > self._budget and self._may_forget:
            self._may_forget = False
            self._forget()
            return
        changed = {name: doubled(getattr(self._arrays, name)) for name in _GROWING[full]}
        self._arrays = self._arrays._replace(**changed)
        if full == PARTS:
            self._arrays = self._arrays._replace(buckets=_emptied(self._arrays.buckets))
            rehash_parts(self._arrays)
        if full == EXITS:
            self._arrays = self._arrays._replace(exit_buckets=_emptied(self._arrays.exit_buckets))
            rehash_exits(self._arrays)
        self.handle = handle_of(self._arrays)

    def _forget(self) -> None:
        arrays = self._arrays
        arrays.buckets[:] = 0
        arrays.exit_buckets[:] = 0
        arrays.counts[:] = 0
        arrays.counts[PARTS] = 1  # part 0 and exit set 0 stand for "none"
        arrays.counts[EXITS] = 1
        arrays.counts[MEMO_FULL] = -1
        arrays.key_start[:2] = 0
        arrays.token_start[:2] = 0
        arrays.exit_start[:2] = 0
        arrays.leave_start[:2] = 0


# Which arrays grow together, by the item of MEMO_FULL.
_GROWING = {
    PARTS: ("key_start", "token_start", "part_row", "leave_start"),
    KEYS: ("keys",),
    TOKENS: ("tokens",),
    ROWS: ("rows",),
    EXITS: ("exit_start",),
    NODES: ("nodes",),
    LEAVES: ("leaves",),
}


def doubled(array: NDArray[Any]) -> NDArray[Any]:
    """Return a longer array that begins with the old one: 2 n for n, 2 n + 1 for n + 1.

    Lengths are powers of two, or one more where an item's end is the next one's start.
    """
    size = array.shape[0]
    larger = np.zeros((2 * size - size % 2, *array.shape[1:]), array.dtype)
    larger[:size] = array
    return larger


def _emptied(buckets: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.zeros(2 * buckets.size, np.int32)


def _slice_probes(classes: NDArray[np.int32], slices: SliceArrays) -> NDArray[np.int32]:
    """Return int32[slices, 257]: one byte for each way in which automaton and slice differ.

    The number of bytes stands last in each row.
    """
    probes = np.zeros((slices.longest.size, 257), np.int32)
    for index, reader in enumerate(slices.reader):
        changed = np.ones(256, np.bool_)
        changed[1:] = classes[1:] != classes[:-1]
        changed[1:] |= (reader[:, 1:] != reader[:, :-1]).any(axis=0)
        usable = np.flatnonzero(changed & (reader >= 0).any(axis=0) & (classes >= 0))
        probes[index, : usable.size] = usable
        probes[index, 256] = usable.size
    return probes
