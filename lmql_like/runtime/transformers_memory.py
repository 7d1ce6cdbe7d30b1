"""What a model remembers of its rows, whatever its class: select rows, join batches, snapshot.

A *memory* is a transformers cache, or any nest of lists, tuples, dictionaries and cache
objects around tensors. Its tensors are of three kinds:

    keys and values of attention    [rows, heads, columns, size]; a row's tokens end at the
                                    last column, shorter rows are padded in front
    states                          [rows, ...]: recurrent and convolutional states,
                                    compressed keys; they change in place
    fixed                           the keys of cross-attention, an encoder's output

Keys and values only ever grow, so an earlier state of a row is its columns up to there
and a copy of the rest; what is fixed is never copied. A tensor whose first axis is not
the rows (none is known) would be moved wrongly, which the law of states shows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import nn
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import (
    DummyLayer,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
    LinearAttentionLayer,
)

__all__ = ["Source", "SourceLayer", "empty_cache", "graft", "join", "select", "snapshot", "width"]

Kind = Literal["grows", "state", "fixed"]
Visit = Callable[..., torch.Tensor]
_GROWING = (DynamicLayer, LinearAttentionAndFullAttentionLayer)
_PLAIN = (
    *_GROWING,
    DynamicSlidingWindowLayer,
    LinearAttentionLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
    DummyLayer,
)
_WITHOUT_PARTS = (nn.Module, PretrainedConfig, torch.dtype, torch.device)


class SourceLayer(DynamicLayer):  # type: ignore[misc]
    """The keys and values of cross-attention: read once, the same for all of a row's tokens."""


class Source:
    """What an encoder made of the rows' sources.

    Attributes:
        states: [rows, length, size].
    """

    def __init__(self, states: torch.Tensor) -> None:
        self.states = states


def empty_cache(config: Any) -> DynamicCache:
    """Return a cache for a configuration whose attention layers all keep every key.

    The mask sees to sliding windows; a layer that forgot what left its window could not
    be rewound. A cache with layers of the model's own is left as it is: their sizes agree
    with each other, and a snapshot holds all they have.
    """
    try:
        cache = DynamicCache(config=config)
    except (AttributeError, KeyError, TypeError, ValueError):  # the layers are made when needed
        return DynamicCache()
    if any(type(layer) not in _PLAIN for layer in cache.layers):
        return cache
    for number, layer in enumerate(cache.layers):
        if type(layer) is DynamicSlidingWindowLayer:
            cache.layers[number] = DynamicLayer()
        elif type(layer) is LinearAttentionAndSlidingWindowAttentionLayer:
            states = layer.number_of_states
            cache.layers[number] = LinearAttentionAndFullAttentionLayer(number_of_states=states)
    return cache


def select(
    memory: Any, rows: Sequence[int], n_rows: int, *, width: int, cuts: Sequence[int]
) -> Any:
    """Return a copy of some rows.

    Args:
        memory: of `n_rows` rows; left alone.
        rows: its rows, in the new order; a row may come several times, or not at all.
        n_rows: rows of `memory`.
        width: columns of keys to keep, of those that are left behind the cuts.
        cuts: for each new row how many of its last keys to drop.
    """
    index = torch.tensor(list(rows), dtype=torch.int64)
    least = min(cuts, default=0)
    is_ragged = any(cut != least for cut in cuts)

    def visit(kind: Kind, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dim() < 2 or tensor.shape[0] != n_rows:
            return tensor.clone()
        if kind != "grows":
            return tensor.index_select(0, index.to(tensor.device))
        end = tensor.shape[-2] - least
        if not is_ragged:
            kept = tensor[..., max(0, end - width) : end, :]
            return kept.index_select(0, index.to(tensor.device))
        parts = [
            tensor[row, :, max(0, tensor.shape[-2] - cut - width) : tensor.shape[-2] - cut]
            for row, cut in zip(rows, cuts, strict=True)
        ]
        return _stacked([part[None] for part in parts])

    return _rebuilt(visit, memory)


def join(memories: Sequence[Any]) -> Any:
    """Return one memory with the rows of all, in order; shorter ones are padded in front."""
    if len(memories) == 1:
        return memories[0]

    def visit(kind: Kind, *tensors: torch.Tensor) -> torch.Tensor:
        if tensors[0].dim() < 2:
            return tensors[0]
        return _stacked(tensors) if kind == "grows" else torch.cat(tensors)

    return _rebuilt(visit, *memories)


def snapshot(memory: Any) -> Any:
    """Return a copy of all that does not simply grow; keys and values are left out."""

    def visit(kind: Kind, tensor: torch.Tensor) -> torch.Tensor:
        if kind == "grows":
            return tensor.new_empty(0)
        return tensor if kind == "fixed" else tensor.clone()

    return _rebuilt(visit, memory)


def graft(memory: Any, earlier: Any) -> Any:
    """Return `earlier`, a snapshot of the same rows, with the keys and values of `memory`."""

    def visit(kind: Kind, old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        return new if kind == "grows" else old

    return _rebuilt(visit, earlier, memory)


def width(memory: Any) -> int:
    """Return the columns of keys; 0 where there are none."""
    widest = 0

    def visit(kind: Kind, tensor: torch.Tensor) -> torch.Tensor:
        nonlocal widest
        if kind == "grows" and tensor.dim() == 4:
            widest = max(widest, tensor.shape[-2])
        return tensor

    _rebuilt(visit, memory)
    return widest


def _stacked(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Join keys [rows, heads, columns, size] of different widths at the right edge."""
    width = max(tensor.shape[-2] for tensor in tensors)
    padded = [nn.functional.pad(t, (0, 0, width - t.shape[-2], 0)) for t in tensors]
    return torch.cat(padded)


def _rebuilt(visit: Visit, first: Any, *others: Any, kind: Kind = "state") -> Any:
    """Return a nest like `first` whose tensors are `visit(kind, tensor of each nest)`."""
    if isinstance(first, torch.Tensor):
        return visit(kind, first, *others)
    if isinstance(first, dict):
        return {
            key: _rebuilt(visit, value, *(o[key] for o in others)) for key, value in first.items()
        }
    if isinstance(first, (list, tuple)):
        return type(first)(_rebuilt(visit, *values) for values in zip(first, *others, strict=True))
    if not hasattr(first, "__dict__") or isinstance(first, (type, *_WITHOUT_PARTS)):
        return first
    made = copy.copy(first)
    for name, value in vars(first).items():
        values = (value, *(vars(other)[name] for other in others))
        vars(made)[name] = _rebuilt(visit, *values, kind=_kind(first, name))
    return made


def _kind(holder: Any, name: str) -> Kind:
    """Return the kind of a tensor by where it is kept."""
    if isinstance(holder, (Source, SourceLayer)):
        return "fixed"
    return "grows" if name in ("keys", "values") and type(holder) in _GROWING else "state"
