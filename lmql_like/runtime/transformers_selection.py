"""What a search needs of logits, computed where they lie: only candidates leave the device.

    LogitsOnDevice     rows of logits that stay where the model runs
    best_allowed       mask, log-sum-exp and top-k of many rows, in torch operations

The packed bitmask, a thirty-second of the logits' count in words, goes over from pinned
memory while the model still computes: nothing here waits before the candidates are read.
On a CPU `kernels.selection` is faster by far; both give the same candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from lmql_like.runtime.model import Selected

__all__ = ["Deliver", "LogitsOnDevice", "best_allowed", "on_device", "to_host"]

Deliver: TypeAlias = Callable[[torch.Tensor], Any]
"""Turns a pass's logits, [rows, kept, vocabulary], into what a state returns."""


def to_host(logits: torch.Tensor) -> NDArray[np.float32]:
    """Return logits as an array."""
    array: NDArray[np.float32] = logits.float().cpu().numpy()
    return array


@dataclass(frozen=True, slots=True, eq=False)
class LogitsOnDevice:
    """Rows of logits, [..., vocabulary], as `runtime.model.DeviceLogits` wants them."""

    logits: torch.Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return tuple(self.logits.shape)

    def __getitem__(self, key: Any) -> LogitsOnDevice:
        return LogitsOnDevice(self.logits[key])

    def host(self) -> NDArray[np.float32]:
        """Return them as an array."""
        return to_host(self.logits)

    @torch.inference_mode()
    def logprobs(
        self, rows: Sequence[int], ids: Sequence[int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the log-probabilities of `ids[i]` behind row `rows[i]`, and log-sum-exps."""
        place = self.logits.device
        wanted = self.logits[_tensor(rows, place)].float()
        chosen = wanted.gather(1, _tensor(ids, place)[:, None])[:, 0]
        normalizers = wanted.logsumexp(1)
        both = torch.stack([chosen - normalizers, normalizers]).double().cpu().numpy()
        return both[0], both[1]

    @staticmethod
    @torch.inference_mode()
    def select(
        rows: Sequence[LogitsOnDevice],
        bits: NDArray[np.int32],
        width: int,
        listed: Sequence[Sequence[int]],
    ) -> Selected:
        """Return the best allowed tokens of many rows (see `runtime.model.DeviceLogits`)."""
        logits = torch.stack([row.logits for row in rows])
        place = logits.device
        packed = _sent(bits, place)
        most = max([1, *map(len, listed)])
        padded = np.full((len(rows), most), -1, np.int64)
        for row, some in zip(padded, listed, strict=True):
            row[: len(some)] = some
        ids, logprobs, normalizers = best_allowed(logits, packed, width)
        sent = _sent(padded, place)
        ends = logits.gather(1, sent.clamp(min=0)).float()
        ends = torch.where(sent < 0, -torch.inf, ends).logsumexp(1) - normalizers
        return Selected(
            ids.to(torch.int32).cpu().numpy(),
            logprobs.cpu().numpy(),
            normalizers.double().cpu().numpy(),
            ends.double().cpu().numpy(),
        )


def on_device(logits: torch.Tensor) -> LogitsOnDevice:
    """Leave logits where they are."""
    return LogitsOnDevice(logits)


def best_allowed(
    logits: torch.Tensor, packed: torch.Tensor, width: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return what `kernels.selection.select_top_k` writes, by torch operations.

    Args:
        logits: [n, vocabulary], of any floating type, on any device.
        packed: int32[n, ceil(vocabulary / 32)] bitmask on the same device.
        width: how many of the best to return.

    Returns:
        int64[n, width] ids, best first, smaller ones first among equals, -1 where fewer are
        allowed; float32[n, width] log-probabilities; float32[n] log-sum-exps.
    """
    size = logits.shape[1]
    values = logits.float() + 0.0  # no -0.0: keys are ordered by bits
    normalizers = values.logsumexp(1)
    lanes = torch.arange(32, dtype=torch.int32, device=logits.device)
    allowed = (packed[:, :, None] >> lanes & 1).flatten(1)[:, :size] != 0
    allowed &= values > -torch.inf
    bits = values.view(torch.int32)
    ordered = (bits ^ (bits >> 31 & 0x7FFFFFFF)).long()
    ids = torch.arange(size, device=logits.device)
    # One key for both: the value above, and below it the id, the smaller the better.
    keys = torch.where(allowed, (ordered << 32) + (0xFFFFFFFF - ids), torch.iinfo(torch.int64).min)
    best = keys.topk(min(width, size), dim=1).values
    found = 0xFFFFFFFF - (best & 0xFFFFFFFF)
    is_none = best == torch.iinfo(torch.int64).min
    logprobs = values.gather(1, torch.where(is_none, 0, found)) - normalizers[:, None]
    logprobs = torch.where(is_none, -torch.inf, logprobs)
    found = torch.where(is_none, -1, found)
    if width > size:
        found = torch.nn.functional.pad(found, (0, width - size), value=-1)
        logprobs = torch.nn.functional.pad(logprobs, (0, width - size), value=-torch.inf)
    return found, logprobs, normalizers


def _sent(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Return an array on a device; on CUDA the copy runs beside what is computed there."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def _tensor(values: Sequence[int], device: torch.device) -> torch.Tensor:
    return _sent(np.asarray(values, np.int64), device)
