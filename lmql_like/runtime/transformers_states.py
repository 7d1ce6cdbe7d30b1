"""What a transformers model has read, in rows: with an attention cache, or without.

`CachedState` keeps keys and values. Its invariant: the tokens of a row stand side by
side and end at the last column; shorter rows are padded in front. So a sliding window,
which a model measures in columns, means what it means for a single row. New tokens are
written behind the last column, padded *behind*, and rows that got fewer are moved right
afterwards. All layers keep all their keys, those with a sliding window too: the mask
sees to the window, and any row can be rewound.

`RecomputedState` keeps token ids and runs the model over whole rows, again at every
step, rows of equal length together. It is slow, and right for every model.

Which one a model gets is decided in `transformers_model`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from lmql_like.runtime.transformers_selection import Deliver, to_host

__all__ = [
    "CachedState",
    "Forward",
    "OnPass",
    "RecomputedState",
    "buckets",
    "layer_of",
    "without_gradients",
]

_MAX_WASTE = 64  # padding tokens that one forward pass may hold before it is worth two

Forward = Callable[..., Any]
OnPass = Callable[[Sequence[int]], None]
"""Is told the rows of a state that the model is about to be run for, in their order."""
Method = TypeVar("Method", bound=Callable[..., Any])


def without_gradients(method: Method) -> Method:
    """Run a state's method in inference mode, and in one thread where the state says so."""

    @wraps(method)
    def run(self: CachedState | RecomputedState, *args: Any) -> Any:
        threads = torch.get_num_threads()
        if self.one_thread:
            torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                return method(self, *args)
        finally:
            if self.one_thread:
                torch.set_num_threads(threads)

    return cast("Method", run)


def buckets(counts: Sequence[int]) -> list[list[int]]:
    """Group rows so that padding them to equal lengths wastes little.

    Args:
        counts: new tokens of each row; rows without any are in no group.

    Returns:
        Groups of row indices; a group's padding is at most a quarter of its tokens, or 64.
    """
    groups: list[list[int]] = []
    rows = sorted((row for row, n in enumerate(counts) if n), key=lambda row: -counts[row])
    longest, waste, tokens = 0, 0, 0
    for row in rows:
        pad = longest - counts[row]
        if not groups or waste + pad > max(_MAX_WASTE, (tokens + counts[row]) // 4):
            groups.append([])
            longest, waste, tokens, pad = counts[row], 0, 0, 0
        groups[-1].append(row)
        waste += pad
        tokens += counts[row]
    return [sorted(group) for group in groups]


class CachedState:
    """A `ModelState` over an attention cache.

    Args:
        forward: `forward(input_ids, attention_mask, position_ids, cache, columns)` runs the
            model and returns logits [rows, kept, vocabulary]; `columns` int64[rows, kept]
            says behind which of the new columns.
        n_rows: rows, empty at first.
        device: of the model's inputs.
        one_thread: threads that wait for each other cost a small model more than they
            bring, above all on a busy machine.
    """

    def __init__(
        self, forward: Forward, n_rows: int, device: torch.device, *, one_thread: bool = False
    ) -> None:
        self.n_rows = n_rows
        self.one_thread = one_thread
        self.forward_passes = 0
        self.lengths = [0] * n_rows
        self.on_pass: OnPass | None = None
        self.deliver: Deliver = to_host
        self._forward = forward
        self._device = device
        self._cache = DynamicCache()

    @property
    def stored_bytes(self) -> int:
        """Bytes of all keys and values that are stored."""
        tensors = [t for layer in _filled(self._cache) for t in (layer.keys, layer.values)]
        return sum(t.numel() * t.element_size() for t in tensors)

    @without_gradients
    def extend(
        self, new_ids: Sequence[Sequence[int]], keep: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        """Feed tokens and return the logits behind the last of them (see `ModelState`)."""
        groups = buckets([len(ids) for ids in new_ids])
        blocks: list[NDArray[np.float32]] = [np.empty((0, 0), np.float32)] * self.n_rows
        if groups == [list(range(self.n_rows))]:
            self._run(groups[0], self._cache, new_ids, keep, blocks)
        elif groups:
            parts = [self._selected(group) for group in groups]
            for group, part in zip(groups, parts, strict=True):
                self._run(group, part, new_ids, keep, blocks)
            self._merge(groups, parts)
        self._trim()
        return blocks

    @without_gradients
    def gather(self, rows: Sequence[int]) -> None:
        """Make new row `j` a copy of old row `rows[j]`."""
        if list(rows) == list(range(self.n_rows)):
            return
        self.n_rows = len(rows)
        self.lengths = [self.lengths[row] for row in rows]
        index = torch.tensor(list(rows), dtype=torch.int64, device=self._device)
        for layer in _filled(self._cache):
            layer.keys = layer.keys.index_select(0, index.to(layer.keys.device))
            layer.values = layer.values.index_select(0, index.to(layer.values.device))
        self._trim()

    @without_gradients
    def rewind(self, counts: Sequence[int]) -> None:
        """Forget the last `counts[i]` tokens of row `i`."""
        if not any(counts):
            return
        self.lengths = [n - count for n, count in zip(self.lengths, counts, strict=True)]
        _shift_right(self._cache, counts)
        self._trim()

    def _run(
        self,
        rows: Sequence[int],
        cache: DynamicCache,
        new_ids: Sequence[Sequence[int]],
        keep: Sequence[int],
        blocks: list[NDArray[np.float32]],
    ) -> None:
        """Run the model for some rows, whose cache this is; note their logits and lengths."""
        counts = [len(new_ids[row]) for row in rows]
        totals = [self._n_before(row) + self.lengths[row] for row in rows]
        width, new_width = max(totals), max(counts)
        input_ids = np.zeros((len(rows), new_width), np.int64)
        positions = np.zeros((len(rows), new_width), np.int64)
        mask = np.zeros((len(rows), width + new_width), np.int64)
        columns = np.zeros((len(rows), max(keep[row] for row in rows)), np.int64)
        for at, row in enumerate(rows):
            length, count, kept = totals[at], counts[at], keep[row]
            input_ids[at, :count] = new_ids[row]
            positions[at, :count] = np.arange(length, length + count)
            mask[at, width - length : width + count] = 1
            columns[at, :kept] = np.arange(count - kept, count)
        self.forward_passes += 1
        if self.on_pass is not None:
            self.on_pass(rows)
        with self._prepared(rows, cache, totals, new_width) as given:
            logits = self._forward(
                self._tensor(input_ids),
                self._tensor(mask),
                self._tensor(positions),
                given,
                self._tensor(columns),
            )
        for row, count in zip(rows, counts, strict=True):
            self.lengths[row] += count
        _shift_right(cache, [new_width - count for count in counts])
        block = self.deliver(logits)
        for at, row in enumerate(rows):
            blocks[row] = block[at, : keep[row]]

    def _n_before(self, row: int) -> int:
        """Return how many tokens of a row are kept elsewhere, in front of its own."""
        del row
        return 0

    @contextmanager
    def _prepared(
        self, rows: Sequence[int], cache: DynamicCache, totals: Sequence[int], n_new: int
    ) -> Iterator[Any]:
        """Yield the cache that the model is given for some rows."""
        del rows, totals, n_new
        yield cache

    def _tensor(self, array: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)

    def _selected(self, rows: Sequence[int]) -> DynamicCache:
        """Return a cache of some rows, no wider than they need."""
        width = max(self.lengths[row] for row in rows)
        index = torch.tensor(list(rows), dtype=torch.int64, device=self._device)
        part = DynamicCache()
        if width:
            for layer in _filled(self._cache):
                first = layer.keys.shape[-2] - width
                part.layers.append(
                    layer_of(
                        layer.keys[:, :, first:].index_select(0, index.to(layer.keys.device)),
                        layer.values[:, :, first:].index_select(0, index.to(layer.values.device)),
                    )
                )
        return part

    def _merge(self, groups: Sequence[Sequence[int]], parts: Sequence[DynamicCache]) -> None:
        """Put the parts back: one cache for all rows, those that sat out included."""
        resting = sorted(set(range(self.n_rows)).difference(*groups))
        if resting and _filled(self._cache):
            groups, parts = [*groups, resting], [*parts, self._selected(resting)]
        width = max(self.lengths)
        merged = DynamicCache()
        for number, model_layer in enumerate(_filled(parts[0])):
            sources = [
                (g, part.layers[number])
                for g, part in zip(groups, parts, strict=True)
                if _filled(part)
            ]
            keys = [(g, layer.keys) for g, layer in sources]
            values = [(g, layer.values) for g, layer in sources]
            merged.layers.append(
                layer_of(
                    _stacked(keys, self.n_rows, width, model_layer.keys),
                    _stacked(values, self.n_rows, width, model_layer.values),
                )
            )
        self._cache = merged

    def _trim(self) -> None:
        """Drop the columns that are padding in every row."""
        longest = max(self.lengths, default=0)
        excess = self._cache.get_seq_length() - longest
        if longest == 0:
            self._cache = DynamicCache()
        elif excess > 0:
            for layer in _filled(self._cache):
                layer.keys = layer.keys[:, :, excess:]
                layer.values = layer.values[:, :, excess:]


class RecomputedState:
    """A `ModelState` that runs whole rows again at every step.

    Args:
        forward: `forward(input_ids, keep)` runs the model without a cache and returns
            logits [rows, keep, vocabulary] behind the last tokens.
        n_rows: rows, empty at first.
        device: of the model's inputs.
        one_thread: threads that wait for each other cost a small model more than they
            bring, above all on a busy machine.
    """

    def __init__(
        self, forward: Forward, n_rows: int, device: torch.device, *, one_thread: bool = False
    ) -> None:
        self.n_rows = n_rows
        self.one_thread = one_thread
        self.forward_passes = 0
        self.on_pass: OnPass | None = None
        self.deliver: Deliver = to_host
        self._rows: list[tuple[int, ...]] = [()] * n_rows
        self._forward = forward
        self._device = device

    @without_gradients
    def extend(
        self, new_ids: Sequence[Sequence[int]], keep: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        """Feed tokens and return the logits behind the last of them (see `ModelState`)."""
        self._rows = [(*row, *ids) for row, ids in zip(self._rows, new_ids, strict=True)]
        blocks: list[NDArray[np.float32]] = [np.empty((0, 0), np.float32)] * self.n_rows
        by_length: dict[int, list[int]] = {}
        for row, ids in enumerate(self._rows):
            if keep[row]:
                by_length.setdefault(len(ids), []).append(row)
        for rows in by_length.values():
            distinct = list(dict.fromkeys(self._rows[row] for row in rows))
            kept = max(keep[row] for row in rows)
            input_ids = torch.tensor(distinct, dtype=torch.int64, device=self._device)
            self.forward_passes += 1
            if self.on_pass is not None:  # rows that are alike are run once
                self.on_pass([self._rows.index(row) for row in distinct])
            block = self.deliver(self._forward(input_ids, kept))
            for row in rows:
                blocks[row] = block[distinct.index(self._rows[row]), kept - keep[row] :]
        return blocks

    def gather(self, rows: Sequence[int]) -> None:
        """Make new row `j` a copy of old row `rows[j]`."""
        self._rows = [self._rows[row] for row in rows]
        self.n_rows = len(self._rows)

    def rewind(self, counts: Sequence[int]) -> None:
        """Forget the last `counts[i]` tokens of row `i`."""
        self._rows = [
            row[: len(row) - count] for row, count in zip(self._rows, counts, strict=True)
        ]


def _filled(cache: DynamicCache) -> list[DynamicLayer]:
    """Return the layers that hold keys."""
    return [layer for layer in cache.layers if layer.get_seq_length()]


def layer_of(keys: torch.Tensor, values: torch.Tensor) -> DynamicLayer:
    """Return a cache layer that holds these keys and values, [rows, heads, columns, size]."""
    layer = DynamicLayer()
    layer.lazy_initialization(keys, values)
    layer.keys, layer.values = keys, values
    return layer


def _shift_right(cache: DynamicCache, counts: Sequence[int]) -> None:
    """Move each row right by its count; what leaves at the end is lost.

    The columns all rows lose are cut off; what comes in from the left is left over from
    some column of the row: finite, and padding.
    """
    if not any(counts):
        return
    least = min(counts)
    shifts = np.asarray(counts, np.int64) - least
    for layer in _filled(cache):
        end = layer.keys.shape[-2] - least
        keys, values = layer.keys[:, :, :end], layer.values[:, :, :end]
        if shifts.any():
            source = np.maximum(np.arange(end)[None, :] - shifts[:, None], 0)
            index = torch.from_numpy(source)[:, None, :, None].to(keys.device)
            keys = keys.gather(2, index.expand(-1, keys.shape[1], -1, keys.shape[3]))
            values = values.gather(2, index.expand(-1, values.shape[1], -1, values.shape[3]))
        layer.keys, layer.values = keys, values


def _stacked(
    parts: Sequence[tuple[Sequence[int], torch.Tensor]], n_rows: int, width: int, like: torch.Tensor
) -> torch.Tensor:
    """Return [n_rows, heads, width, size] with each part in its rows, at the right edge."""
    whole = like.new_zeros((n_rows, like.shape[1], width, like.shape[3]))
    for rows, part in parts:
        columns = min(width, part.shape[2])
        index = torch.tensor(list(rows), dtype=torch.int64, device=like.device)
        whole[index, :, width - columns :] = part[:, :, part.shape[2] - columns :]
    return whole
