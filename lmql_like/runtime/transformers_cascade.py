"""Attention over keys that are stored once and shared by many rows.

A row's keys lie in pieces: *segments* that other rows have in common with it, one behind
another, and its own behind them. The queries of all rows that share a segment meet its
keys in one product; what the pieces give is put together by their log-sum-exp, exactly as
one softmax over all keys (cascade attention; the merge is that of FlashAttention, Dao et
al. 2022).

A model reaches this through transformers' interfaces, under the name `CASCADE`: the cache
hands out a row's own keys with a `View` tied to them; masks are made over the columns of
whole rows, as if nothing were shared, so every kind of mask means what it means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

__all__ = ["CASCADE", "Piece", "View"]

CASCADE = "lmql_like_cascade"
_MAX_SCORES = 2**24  # scores held at once

_Part = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # output, maximum, sum of exponentials


@dataclass(eq=False)
class Piece:
    """A segment as the rows of one pass see it.

    Attributes:
        keys: of each layer that has any, [heads, n, size].
        values: likewise.
        rows: of the pass, which share it; None for all of them.
        columns: int64[rows, n]: where its tokens stand in the whole rows.
        n: tokens.
    """

    keys: dict[int, torch.Tensor]
    values: dict[int, torch.Tensor]
    rows: torch.Tensor | None
    columns: torch.Tensor
    n: int


@dataclass(eq=False)
class View:
    """What is shared in one pass.

    Attributes:
        pieces: the segments.
        width: columns of whole rows before the pass.
        is_own: bool[rows, own columns]: which columns of the own keys, those of the pass
            included, hold tokens of the row.
        uses: layers whose attention has met the segments.
    """

    pieces: Sequence[Piece]
    width: int
    is_own: torch.Tensor
    uses: int = 0
    _masks: dict[int, tuple[Any, list[torch.Tensor | None]]] = field(default_factory=dict)

    def masks(self, mask: torch.Tensor) -> list[torch.Tensor | None]:
        """Return the masks of the pieces and of the own keys; None where all is visible.

        Args:
            mask: bool[rows, 1, queries, columns of whole rows]; the layers share it.
        """
        known = self._masks.get(id(mask))
        if known is None:
            found = [_visible(_taken(mask, piece)) for piece in self.pieces]
            n_own = self.is_own.shape[1]
            own = mask[..., mask.shape[-1] - n_own :] & self.is_own.to(mask.device)[:, None, None]
            known = self._masks[id(mask)] = (mask, [*found, _visible(own)])
        return known[1]


def _taken(mask: torch.Tensor, piece: Piece) -> torch.Tensor:
    """Return the columns of a mask that belong to a piece: bool[its rows, 1, queries, n]."""
    chosen = mask if piece.rows is None else mask.index_select(0, piece.rows.to(mask.device))
    columns = piece.columns.to(mask.device)[:, None, None]
    return chosen.gather(-1, columns.expand(-1, 1, mask.shape[2], -1))


def _visible(mask: torch.Tensor) -> torch.Tensor | None:
    return None if bool(mask.all()) else mask[:, :, None]


def attend(
    _module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **_options: Any,
) -> tuple[torch.Tensor, None]:
    """Attend to segments and own keys (the signature is that of transformers' interface).

    Args:
        query: [rows, heads, queries, size].
        key: own keys [rows, key heads, own columns, size], tied to their `View`.
        value: own values.
        attention_mask: as `View.masks`.
        scaling: of the scores.
        softcap: bounds the scores by `softcap * tanh(score / softcap)`.
        s_aux: a score for each head that takes its share of attention and gives nothing.

    Returns:
        [rows, queries, heads, size of values], and no weights.
    """
    view, layer = key._lmql_like_view  # type: ignore[attr-defined]  # noqa: SLF001 - ours
    view.uses += 1
    n_rows, heads, n_queries, size = query.shape
    groups = heads // key.shape[1]
    scale = size**-0.5 if scaling is None else scaling
    queries = (query * scale).view(n_rows, key.shape[1], groups, n_queries, size)
    *masks, own_mask = view.masks(attention_mask)
    total = _attended(queries, key, value, own_mask, softcap)
    for piece, mask in zip(view.pieces, masks, strict=True):
        chosen = queries if piece.rows is None else queries.index_select(0, piece.rows)
        part = _attended(chosen, piece.keys[layer][None], piece.values[layer][None], mask, softcap)
        total = _merged(total, part, piece.rows)
    if s_aux is not None:
        sink = s_aux.view(1, key.shape[1], groups, 1, 1).float().expand_as(total[1])
        part = (torch.zeros_like(total[0]), sink, torch.ones_like(sink))
        total = _merged(total, part, None)
    output, _, weight = total  # a padding query may see nothing: it must not become NaN
    output = (output / weight.clamp_min(torch.finfo(weight.dtype).tiny)).to(query.dtype)
    return output.view(n_rows, heads, n_queries, -1).transpose(1, 2).contiguous(), None


def _attended(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor | None,
    softcap: float | None,
) -> _Part:
    """Attend to one piece, some queries at a time.

    Args:
        queries: [rows, key heads, groups, queries, size], scaled.
        keys: [rows or 1, key heads, n, size].
        values: likewise.
        mask: bool[rows, 1, 1, queries, n], or None.
        softcap: as in `attend`.
    """
    n_rows, heads, groups, n_queries, _ = queries.shape
    block = max(1, _MAX_SCORES // (n_rows * heads * groups * keys.shape[-2]))
    parts = [
        _attended_block(
            queries[..., start : start + block, :],
            keys,
            values,
            None if mask is None else mask[..., start : start + block, :],
            softcap,
        )
        for start in range(0, n_queries, block)
    ]
    if len(parts) == 1:
        return parts[0]
    output, top, weight = (torch.cat(tensors, dim=3) for tensors in zip(*parts, strict=True))
    return output, top, weight


def _attended_block(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor | None,
    softcap: float | None,
) -> _Part:
    scores = _product(queries, keys.transpose(-1, -2)).float()
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    top = scores.amax(-1, keepdim=True)
    weights = torch.exp(scores - top)
    if mask is not None:  # a query that sees nothing of this piece takes nothing from it
        weights = weights * mask
    output = _product(weights.to(values.dtype), values).float()
    return output, top, weights.sum(-1, keepdim=True)


def _product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return `left @ right`, for all rows at once where they share the right side.

    Args:
        left: [rows, heads, groups, queries, a].
        right: [rows or 1, heads, a, b].
    """
    n_rows, heads, groups, n_queries, _ = left.shape
    if right.shape[0] != n_rows or n_rows == 1:
        flat = left.transpose(0, 1).reshape(heads, n_rows * groups * n_queries, -1)
        product = torch.matmul(flat, right[0])
        return product.view(heads, n_rows, groups, n_queries, -1).transpose(0, 1)
    flat = left.reshape(n_rows, heads, groups * n_queries, -1)
    return torch.matmul(flat, right).view(n_rows, heads, groups, n_queries, -1)


def _merged(total: _Part, part: _Part, rows: torch.Tensor | None) -> _Part:
    """Put a piece to what was attended to before, for some rows or all."""
    if rows is not None:
        merged = _merged(
            (
                total[0].index_select(0, rows),
                total[1].index_select(0, rows),
                total[2].index_select(0, rows),
            ),
            part,
            None,
        )
        output, top, weight = (
            old.index_copy(0, rows, new) for old, new in zip(total, merged, strict=True)
        )
        return output, top, weight
    top = torch.maximum(total[1], part[1])
    left, right = torch.exp(total[1] - top), torch.exp(part[1] - top)
    return total[0] * left + part[0] * right, top, total[2] * left + part[2] * right


def _whole_mask(*args: Any, **options: Any) -> torch.Tensor | None:
    """Return the mask over whole rows; never skip it."""
    mask: torch.Tensor | None = sdpa_mask(*args, **{**options, "allow_is_causal_skip": False})
    return mask


AttentionInterface.register(CASCADE, attend)
AttentionMaskInterface.register(CASCADE, _whole_mask)
