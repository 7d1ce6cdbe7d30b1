"""Rows of any model: recurrent states, hybrids of these and attention, encoder-decoders.

A row is its token ids, and a place in a *part*: a memory that holds some rows after so
many of their tokens. Forking, reordering and dropping rows moves places and touches no
tensor. A pass collects rows that can be run together into a new part: rows with equally
many unread tokens, so that none is padded and no recurrent state reads padding, and, as
the model's mode says, of the same length or alone.

Before each pass a part leaves a snapshot of what does not simply grow. Rewinding a row
goes back to its last snapshot that is not behind the place, and what lies between is read
again with the next tokens. Snapshots thin out backwards, so there are few, and what is read
again is no longer than what was taken back, the length of a pass aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from lmql_like.runtime import transformers_memory as memories
from lmql_like.runtime.transformers_modes import StateMode
from lmql_like.runtime.transformers_selection import Deliver, to_host
from lmql_like.runtime.transformers_states import OnPass, without_gradients

__all__ = ["RowsState", "Runner"]


class Runner(Protocol):
    """Runs a model over rows that are not padded behind."""

    device: torch.device

    def start(self, ids: Sequence[int]) -> tuple[int, Any]:
        """Return how many of a row's first ids are no input of the decoder, and a key.

        Rows with equal keys can be started together; the ids are those of the whole row.
        """
        ...

    def run(
        self,
        memory: Any,
        starts: Sequence[Sequence[int]],
        input_ids: torch.Tensor,
        positions: torch.Tensor,
        mask: torch.Tensor | None,
        keep: int,
    ) -> tuple[torch.Tensor, Any]:
        """Run over new columns.

        Args:
            memory: of the rows; None before their first token. May be changed in place.
            starts: each row's ids that are no input of the decoder.
            input_ids: int64[rows, n].
            positions: int64[rows, n], of the tokens in their rows.
            mask: int64[rows, columns], 0 for padding in front; None where there is none.
            keep: for how many of the last columns to return logits.

        Returns:
            Logits [rows, keep, vocabulary], and the memory after the tokens.
        """
        ...


@dataclass(eq=False)
class _Part:
    """A memory of rows: `lengths[i]` tokens of each are read, for `None` see `Runner.run`."""

    memory: Any
    lengths: list[int]


@dataclass(eq=False)
class _Snapshot:
    """A copy of a part's states, taken before a pass changed them."""

    memory: Any
    n_rows: int


@dataclass(frozen=True)
class _Past:
    """A row's place in a snapshot."""

    length: int
    taken: _Snapshot
    at: int


@dataclass(frozen=True)
class _Row:
    """A row: its ids, of which `n_read` are read by what lies at `at` in `part`.

    Attributes:
        restored: where the row was rewound: the snapshot that holds its states; its keys
            are the first `n_read` of the part's.
        past: snapshots of the row, oldest first.
    """

    ids: tuple[int, ...] = ()
    n_read: int = 0
    part: _Part | None = None
    at: int = 0
    restored: _Past | None = None
    past: tuple[_Past, ...] = field(default=())


class RowsState:
    """A `ModelState` over any memory.

    Args:
        runner: runs the model.
        n_rows: rows, empty at first.
        mode: which rows may be run together, and whether token by token.
        one_thread: threads that wait for each other cost a small model more than they
            bring, above all on a busy machine.
    """

    def __init__(
        self, runner: Runner, n_rows: int, mode: StateMode, *, one_thread: bool = False
    ) -> None:
        self.n_rows = n_rows
        self.one_thread = one_thread
        self.forward_passes = 0
        self.on_pass: OnPass | None = None
        self.deliver: Deliver = to_host
        self._rows = [_Row()] * n_rows
        self._runner = runner
        self._mode = mode

    @without_gradients
    def extend(
        self, new_ids: Sequence[Sequence[int]], keep: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        """Feed tokens and return the logits behind the last of them (see `ModelState`)."""
        self._rows = [
            replace(row, ids=(*row.ids, *ids)) for row, ids in zip(self._rows, new_ids, strict=True)
        ]
        blocks: list[NDArray[np.float32]] = [np.empty((0, 0), np.float32)] * self.n_rows
        for group in self._groups([bool(ids) for ids in new_ids]):
            self._run(group, keep, blocks)
        return blocks

    def gather(self, rows: Sequence[int]) -> None:
        """Make new row `j` a copy of old row `rows[j]`."""
        self._rows = [self._rows[row] for row in rows]
        self.n_rows = len(self._rows)

    def rewind(self, counts: Sequence[int]) -> None:
        """Forget the last `counts[i]` tokens of row `i`."""
        self._rows = [
            _rewound(row, len(row.ids) - count) if count else row
            for row, count in zip(self._rows, counts, strict=True)
        ]

    def _groups(self, wanted: Sequence[bool]) -> list[list[int]]:
        """Return the rows that are run together."""
        groups: dict[Any, list[int]] = {}
        for number, (row, want) in enumerate(zip(self._rows, wanted, strict=True)):
            if not want:
                continue
            n_start, kind = self._runner.start(row.ids)
            first = max(row.n_read, n_start)
            key: tuple[Any, ...] = (len(row.ids) - first, row.n_read == 0, kind)
            if self._mode.grouping == "length":
                key = (*key, first - n_start)
            elif self._mode.grouping == "row":
                key = (number,)
            if len(row.ids) > first:
                groups.setdefault(key, []).append(number)
        return list(groups.values())

    def _run(
        self, group: list[int], keep: Sequence[int], blocks: list[NDArray[np.float32]]
    ) -> None:
        """Run the model for rows that are run together; note their logits and new places."""
        group.sort(key=lambda number: _place(self._rows[number]))
        rows = [self._rows[number] for number in group]
        memory = self._assembled(rows)
        starts = [row.ids[: self._runner.start(row.ids)[0]] for row in rows]
        firsts = [max(r.n_read, len(start)) for r, start in zip(rows, starts, strict=True)]
        input_ids = np.asarray([row.ids[f:] for row, f in zip(rows, firsts, strict=True)], np.int64)
        taken = None if memory is None else _Snapshot(memories.snapshot(memory), len(rows))
        kept = max(keep[number] for number in group)
        is_stepped = self._mode.chunks == "single" and memory is not None
        n_new = input_ids.shape[1]
        logits: list[torch.Tensor] = []
        for begin, end in [(i, i + 1) for i in range(n_new)] if is_stepped else [(0, n_new)]:
            lengths = [f - len(s) + begin for f, s in zip(firsts, starts, strict=True)]
            want = max(0, min(end - begin, end - (n_new - kept)))
            if self.on_pass is not None:
                self.on_pass(group)
            found, memory = self._pass(memory, starts, input_ids[:, begin:end], lengths, want)
            logits.append(found)
        block = self.deliver(torch.cat(logits, dim=1))
        part = _Part(memory, [len(row.ids) for row in rows])
        for at, number in enumerate(group):
            row = rows[at]
            if keep[number]:
                blocks[number] = block[at, block.shape[1] - keep[number] :]
            past = (
                row.past if taken is None else _thinned((*row.past, _Past(row.n_read, taken, at)))
            )
            self._rows[number] = _Row(row.ids, len(row.ids), part, at, None, past)

    def _pass(
        self,
        memory: Any,
        starts: Sequence[Sequence[int]],
        ids: NDArray[np.int64],
        lengths: Sequence[int],
        keep: int,
    ) -> tuple[torch.Tensor, Any]:
        """Run the model once: `lengths` tokens of each row were read, `ids` come now."""
        n_new = ids.shape[1]
        offsets = np.asarray(lengths, np.int64)[:, None]
        mask = None
        if len(set(lengths)) > 1:
            longest = max(lengths)
            columns = np.arange(longest + n_new)[None]
            mask = self._tensor((columns >= longest - offsets).astype(np.int64))
        positions = self._tensor(offsets + np.arange(n_new)[None])
        self.forward_passes += 1
        return self._runner.run(memory, starts, self._tensor(ids), positions, mask, keep)

    def _tensor(self, array: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._runner.device)

    def _assembled(self, rows: Sequence[_Row]) -> Any:
        """Return one memory of rows, which nothing else uses; None for rows without one."""
        if rows[0].part is None or rows[0].n_read == 0:
            return None
        pieces: list[Any] = []
        begin = 0
        for end in range(1, len(rows) + 1):
            if end == len(rows) or not _lie_together(rows[begin], rows[end]):
                pieces.append(self._piece(rows[begin:end], max(row.n_read for row in rows)))
                begin = end
        return memories.join(pieces)

    def _piece(self, rows: Sequence[_Row], longest: int) -> Any:
        """Return the memory of rows that lie in one part, and in one snapshot if rewound."""
        part = rows[0].part
        if part is None:
            return None
        places = [row.at for row in rows]
        restored = rows[0].restored
        users = sum(row.part is part for row in self._rows)
        if restored is None and places == list(range(len(part.lengths))) and users == len(places):
            return part.memory
        cuts = [part.lengths[row.at] - row.n_read for row in rows]
        chosen = memories.select(part.memory, places, len(part.lengths), width=longest, cuts=cuts)
        if restored is None:
            return chosen
        earlier = [row.restored.at for row in rows if row.restored is not None]
        states = memories.select(
            restored.taken.memory,
            earlier,
            restored.taken.n_rows,
            width=longest,
            cuts=[0] * len(rows),
        )
        return memories.graft(chosen, states)


def _lie_together(left: _Row, right: _Row) -> bool:
    """Tell whether two rows can be selected at once."""
    return _place(left)[:2] == _place(right)[:2]


def _place(row: _Row) -> tuple[int, int, int]:
    """Return a key that sorts rows by the part, snapshot and place that hold them."""
    return id(row.part), id(row.restored.taken if row.restored else None), row.at


def _rewound(row: _Row, length: int) -> _Row:
    """Return the row with fewer tokens, back at its last snapshot before the place."""
    ids = row.ids[:length]
    if length >= row.n_read:
        return replace(row, ids=ids)
    past = [place for place in row.past if place.length <= length]
    if not past:
        return _Row(ids)
    return replace(row, ids=ids, n_read=past[-1].length, restored=past[-1], past=tuple(past[:-1]))


def _thinned(past: tuple[_Past, ...]) -> tuple[_Past, ...]:
    """Drop snapshots so that those before the last lie ever further apart; keep the first."""
    end = past[-1].length
    kept = list(past)
    number = len(kept) - 3
    while number > 0:
        if end - kept[number - 1].length <= 2 * (end - kept[number + 1].length):
            del kept[number]
        number -= 1
    return tuple(kept)
