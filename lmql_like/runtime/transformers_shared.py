"""An attention cache in which rows store what they have in common once.

When a row is forked, its keys become a segment that its copies share: a prompt is stored
once for all hypotheses of a search, and what several prompts begin with once for all of
them. Reordering rows moves the keys behind the segments only. Attention over the pieces
is that of `transformers_cascade`, exact up to rounding.

A segment costs a product of its own in every layer, so short rows are copied, and a row has
only a few segments. A row that is rewound into a segment gets a copy of what is left of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from lmql_like.runtime.transformers_cascade import CASCADE, Piece, View
from lmql_like.runtime.transformers_states import (
    CachedState,
    Forward,
    layer_of,
    without_gradients,
)

__all__ = ["MIN_SHARED", "SharedState"]

MIN_SHARED = 128
"""Tokens that a forked row must have of its own to be shared instead of copied.

About where a pass over two pieces costs what moving the copies does (benchmarks/RESULTS.md).
"""

_MAX_DEPTH = 3


@dataclass(eq=False)
class _Segment:
    """Keys and values that rows share: of each layer that has any, [heads, n, size]."""

    keys: dict[int, torch.Tensor]
    values: dict[int, torch.Tensor]
    n: int


_Path = tuple[_Segment, ...]


class SharedState(CachedState):
    """A `ModelState` over an attention cache whose forked rows share their keys.

    Args:
        forward: as `CachedState`.
        n_rows: rows, empty at first.
        device: of the model's inputs.
        config: of the model; its attention is switched for the passes that need it.
        one_thread: as `CachedState`.
        min_shared: tokens that a forked row must have of its own to be shared.
    """

    def __init__(
        self,
        forward: Forward,
        n_rows: int,
        device: torch.device,
        config: Any,
        *,
        one_thread: bool = False,
        min_shared: int = MIN_SHARED,
    ) -> None:
        super().__init__(forward, n_rows, device, one_thread=one_thread)
        self._paths: list[_Path] = [()] * n_rows
        self._config = config
        self._min_shared = min_shared

    @property
    def stored_bytes(self) -> int:
        """Bytes of all keys and values that are stored."""
        segments = {segment for path in self._paths for segment in path}
        tensors = [
            tensor
            for segment in segments
            for tensor in (*segment.keys.values(), *segment.values.values())
        ]
        return super().stored_bytes + sum(t.numel() * t.element_size() for t in tensors)

    @without_gradients
    def gather(self, rows: Sequence[int]) -> None:
        """Make new row `j` a copy of old row `rows[j]`; forked rows share their keys."""
        for row, count in Counter(rows).items():
            is_long = self.lengths[row] >= self._min_shared
            if count > 1 and is_long and len(self._paths[row]) < _MAX_DEPTH:
                self._share(row)
        self._paths = [self._paths[row] for row in rows]
        super().gather(rows)

    @without_gradients
    def rewind(self, counts: Sequence[int]) -> None:
        """Forget the last `counts[i]` tokens of row `i`."""
        cut = [
            row
            for row, (count, length) in enumerate(zip(counts, self.lengths, strict=True))
            if count > length
        ]
        left = list(counts)
        for row in cut:
            left[row] = self.lengths[row]
        super().rewind(left)
        for row in cut:
            self._cut(row, counts[row] - left[row])

    def _share(self, row: int) -> None:
        """Make a row's own keys a segment at the end of its path."""
        n = self.lengths[row]
        keys, values = {}, {}
        for number, layer in enumerate(self._cache.layers):
            if layer.get_seq_length():
                keys[number] = layer.keys[row, :, layer.keys.shape[-2] - n :].contiguous()
                values[number] = layer.values[row, :, layer.values.shape[-2] - n :].contiguous()
        self._paths[row] = (*self._paths[row], _Segment(keys, values, n))
        self.lengths[row] = 0

    def _cut(self, row: int, count: int) -> None:
        """Drop the last `count` tokens of a row that has none of its own."""
        path = self._paths[row]
        while path and count >= path[-1].n:
            count -= path[-1].n
            path = path[:-1]
        if count == 0:
            self._paths[row] = path
            return
        last, self._paths[row] = path[-1], path[:-1]
        n = last.n - count
        part = DynamicCache()
        for number in range(max(last.keys) + 1):
            if number in last.keys:
                keys, values = last.keys[number][None, :, :n], last.values[number][None, :, :n]
                part.layers.append(layer_of(keys, values))
            else:
                part.layers.append(DynamicLayer())
        self._replace(row, part, n)

    def _replace(self, row: int, part: DynamicCache, n: int) -> None:
        """Give a row `n` own keys: those of `part`, a cache of this row alone."""
        others = [other for other in range(self.n_rows) if other != row]
        groups, parts = [[row]], [part]
        if others and any(self.lengths[other] for other in others):
            groups, parts = [[row], others], [part, self._selected(others)]
        self.lengths[row] = n
        self._merge(groups, parts)

    def _n_before(self, row: int) -> int:
        """Return how many tokens of a row its path holds."""
        return sum(segment.n for segment in self._paths[row])

    @contextmanager
    def _prepared(
        self, rows: Sequence[int], cache: DynamicCache, totals: Sequence[int], n_new: int
    ) -> Iterator[Any]:
        """Yield the cache that the model is given: one with a view of what is shared."""
        if not any(self._paths[row] for row in rows):
            yield cache
            return
        own_width = cache.get_seq_length() + n_new
        view = self._view(rows, totals, own_width, n_new)
        n_layers = 1 + max(number for piece in view.pieces for number in piece.keys)
        given = DynamicCache()
        given.layers = [
            _SharedLayer(view, number, cache.layers[number] if number < len(cache.layers) else None)
            for number in range(n_layers)
        ]
        with _attention(self._config, CASCADE):
            yield given
        filled = [layer for layer in given.layers if layer.was_updated]
        if view.uses < len(filled):
            raise RuntimeError("the model's attention does not go through transformers' interface")
        cache.layers = [
            layer_of(layer.keys, layer.values) if layer.was_updated else DynamicLayer()
            for layer in given.layers
        ]

    def _view(self, rows: Sequence[int], totals: Sequence[int], own_width: int, n_new: int) -> View:
        """Return the segments of some rows, and where they stand in whole rows.

        Args:
            rows: of this state.
            totals: tokens that each has read.
            own_width: columns of own keys behind the pass.
            n_new: columns of the pass.
        """
        width = max(totals)
        users: dict[_Segment, list[int]] = {}
        starts: dict[_Segment, int] = {}
        for at, row in enumerate(rows):
            start = 0
            for segment in self._paths[row]:
                users.setdefault(segment, []).append(at)
                starts[segment] = start
                start += segment.n
        pieces = []
        for segment, sharing in users.items():
            first = np.asarray([width - totals[at] + starts[segment] for at in sharing])
            columns = torch.from_numpy(first[:, None] + np.arange(segment.n)[None])
            of_all = len(sharing) == len(rows)
            index = None if of_all else torch.tensor(sharing, device=self._device)
            pieces.append(
                Piece(segment.keys, segment.values, index, columns.to(self._device), segment.n)
            )
        own = np.asarray([self.lengths[row] for row in rows])[:, None]
        is_own = np.arange(own_width)[None] >= own_width - n_new - own
        return View(pieces, width, torch.from_numpy(is_own).to(self._device))


@contextmanager
def _attention(config: Any, name: str) -> Iterator[None]:
    """Let a model use another attention for a while; transformers reads the name each time."""
    usual = config._attn_implementation  # noqa: SLF001 - it has no public setter without checks
    config._attn_implementation = name  # noqa: SLF001
    try:
        yield
    finally:
        config._attn_implementation = usual  # noqa: SLF001


class _SharedLayer(DynamicLayer):  # type: ignore[misc]
    """A cache layer that holds own keys and hands them out tied to a view of the shared."""

    def __init__(self, view: View, number: int, own: DynamicLayer | None) -> None:
        super().__init__()
        self.was_updated = False
        self._view, self._number = view, number
        if own is not None and own.get_seq_length():
            self.lazy_initialization(own.keys, own.values)
            self.keys, self.values = own.keys, own.values

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **options: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values; return all own ones."""
        keys, values = super().update(key_states, value_states, *args, **options)
        self.was_updated = True
        handed = keys.view(keys.shape)  # so that what is stored does not hold the view
        handed._lmql_like_view = (self._view, self._number)  # noqa: SLF001 - ours
        return handed, values

    def get_seq_length(self) -> int:
        """Return the columns of whole rows, until the pass has appended its own."""
        return self._view.width

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return the columns of whole rows behind the pass, and where they begin."""
        return self._view.width + query_length, 0
