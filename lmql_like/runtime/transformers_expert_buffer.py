"""Keeps the experts that are needed often on the device, within a budget of bytes.

    ExpertStore        all experts, in host memory or in a memory-mapped safetensors file
    ExpertBuffer       the hot ones on the device; fetches the others when they are needed

An expert's score is how often it was needed, recent passes counting more. A missing
expert is loaded into a place of its own that the budget always leaves free; it stays if
there is room, or if it has outscored a resident one. Prompts pass by: they need nearly
every expert once, and would flush what the tokens behind them need. What is prefetched is
a guess of what the next layer will need, and has a corner of its own; it changes when an
expert is loaded, never what is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open

from lmql_like.errors import ModelError

__all__ = [
    "BufferReport",
    "ExpertBuffer",
    "ExpertStore",
    "FileStore",
    "HostStore",
    "Weights",
    "check_budget",
    "save_experts",
]

Key = tuple[int, int]  # layer, expert
Weights = Mapping[str, torch.Tensor]

_DECAY = 0.98  # of a score, in a pass
_FEW_COLUMNS = 4  # tokens of a row; a pass over more is one over prompts


class ExpertStore(Protocol):
    """All experts of a model, layer by layer."""

    def load(self, key: Key, device: torch.device) -> Weights:
        """Return the weights of one expert on a device, by their names in the module."""
        ...

    def size(self, layer: int) -> int:
        """Return the bytes of one expert of a layer."""
        ...


class HostStore:
    """Experts in host memory, pinned where the device is a CUDA one.

    Args:
        layers: for each layer its weights by name, [experts, ...].
        pinned: copies to a CUDA device need not wait for the host.
    """

    def __init__(self, layers: Sequence[Weights], *, pinned: bool = False) -> None:
        self._layers = [
            {name: weight.pin_memory() if pinned else weight for name, weight in layer.items()}
            for layer in layers
        ]

    def load(self, key: Key, device: torch.device) -> Weights:
        """Return a copy of one expert's weights on a device."""
        layer, expert = key
        return {
            name: weight[expert].to(device, copy=True, non_blocking=weight.is_pinned())
            for name, weight in self._layers[layer].items()
        }

    def size(self, layer: int) -> int:
        """Return the bytes of one expert of a layer."""
        weights = self._layers[layer].values()
        return sum(weight[0].numel() * weight.element_size() for weight in weights)


class FileStore:
    """Experts in a safetensors file that is mapped into memory; tensors are `layer.name`.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._file: Any = safe_open(str(path), framework="pt")
        self._names: dict[int, list[str]] = {}
        names: list[str] = list(self._file.keys())  # type: ignore[no-untyped-call]
        for name in names:
            layer, _, weight = name.partition(".")
            self._names.setdefault(int(layer), []).append(weight)

    def load(self, key: Key, device: torch.device) -> Weights:
        """Read one expert's weights."""
        layer, expert = key
        return {
            name: self._file.get_slice(f"{layer}.{name}")[expert].to(device)
            for name in self._names[layer]
        }

    def size(self, layer: int) -> int:
        """Return the bytes of one expert of a layer."""
        weights = self.load((layer, 0), torch.device("cpu")).values()
        return sum(weight.numel() * weight.element_size() for weight in weights)


@dataclass
class BufferReport:
    """What a buffer did.

    Attributes:
        budget: bytes that experts may take on the device.
        peak: the most they took.
        hits: times an expert was there.
        prefetch_hits: of these, times it had been prefetched.
        misses: times one had to be loaded.
        bypassed: of these, for prompts.
        prefetches: experts that were loaded on a guess.
        moved: bytes loaded.
    """

    budget: int
    peak: int = 0
    hits: int = 0
    prefetch_hits: int = 0
    misses: int = 0
    bypassed: int = 0
    prefetches: int = 0
    moved: int = 0

    def to_json(self) -> dict[str, int]:
        """Return the figures by their names."""
        return asdict(self)


class ExpertBuffer:
    """The experts on the device.

    Args:
        store: all experts.
        n_layers: layers with experts.
        budget: bytes for experts on the device.
        device: computes.
        n_staged: how many prefetched experts are held at most; they take at most a quarter
            of the budget.

    Raises:
        ModelError: M116, not even one expert fits.
    """

    def __init__(
        self,
        store: ExpertStore,
        n_layers: int,
        budget: int,
        device: torch.device,
        *,
        n_staged: int = 0,
    ) -> None:
        self.report = BufferReport(budget)
        self._store = store
        self._device = device
        self._sizes = [store.size(layer) for layer in range(n_layers)]
        check_budget(self._sizes, budget)
        spare = max(self._sizes)  # always free for the expert that is being used
        self._most_staged = min(n_staged * spare, budget // 4, budget - spare)
        self._most_kept = budget - spare - self._most_staged
        self._kept: dict[Key, Weights] = {}
        self._staged: dict[Key, Future[Weights]] = {}
        self._kept_bytes = self._staged_bytes = 0
        self._scores: dict[Key, tuple[float, int]] = {}
        self._pass = 0
        self._is_prompt = False
        self._worker = ThreadPoolExecutor(1, "experts")

    def begin_pass(self, n_columns: int) -> None:
        """Note that the model is run again: scores fade.

        Args:
            n_columns: tokens that a row reads; with several, the pass is one over prompts.
        """
        self._pass += 1
        self._is_prompt = n_columns > _FEW_COLUMNS

    def order(self, layer: int, experts: Sequence[int]) -> list[int]:
        """Return experts in an order that uses those on the device before any is replaced."""

        def rank(expert: int) -> tuple[bool, bool, int]:
            key = (layer, expert)
            return key not in self._kept, key not in self._staged, expert

        return sorted(experts, key=rank)

    def fetch(self, layer: int, expert: int) -> Weights:
        """Return the weights of an expert on the device; valid until the next call."""
        key = (layer, expert)
        if not self._is_prompt:
            self._scores[key] = (self._score(key) + 1.0, self._pass)
        kept = self._kept.get(key)
        if kept is not None:
            self.report.hits += 1
            return kept
        if key in self._staged:
            self.report.hits += 1
            self.report.prefetch_hits += 1
            weights = self._unstaged(key)
        else:
            self.report.misses += 1
            self.report.bypassed += self._is_prompt
            self.report.moved += self._sizes[layer]
            self._note_peak(self._sizes[layer])
            weights = self._store.load(key, self._device)
            self._synchronize()
        if self._make_room(key):
            self._kept[key] = weights
            self._kept_bytes += self._sizes[layer]
        return weights

    def prefetch(self, layer: int, experts: Sequence[int]) -> None:
        """Begin to load experts that will probably be needed next; not for prompts."""
        for key in [key for key in self._staged if key[0] != layer]:
            self._unstage(key)  # a guess that was wrong, or too late
        if self._is_prompt:
            return
        for expert in experts:
            key, size = (layer, expert), self._sizes[layer]
            if key in self._kept or key in self._staged:
                continue
            if self._staged_bytes + size > self._most_staged:
                return
            self._staged_bytes += size
            self._note_peak(0)
            self.report.prefetches += 1
            self.report.moved += size
            self._staged[key] = self._worker.submit(self._load, key)

    def _note_peak(self, more: int) -> None:
        self.report.peak = max(self.report.peak, self._kept_bytes + self._staged_bytes + more)

    def _load(self, key: Key) -> Weights:
        if self._device.type != "cuda":
            return self._store.load(key, self._device)
        with torch.cuda.stream(torch.cuda.Stream(self._device)):  # type: ignore[no-untyped-call]
            weights = self._store.load(key, self._device)
            self._synchronize()
        return weights

    def _synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()

    def _unstaged(self, key: Key) -> Weights:
        """Take a prefetched expert out, when it has arrived."""
        weights = self._staged.pop(key).result()
        self._staged_bytes -= self._sizes[key[0]]
        self._note_peak(self._sizes[key[0]])
        if self._device.type == "cuda":  # it was made on the worker's stream
            for weight in weights.values():
                weight.record_stream(torch.cuda.current_stream(self._device))
        return weights

    def _unstage(self, key: Key) -> None:
        """Drop a prefetched expert; one that is being loaded takes room until it is there."""
        loading = self._staged.pop(key)
        if not loading.cancel():
            loading.result()
        self._staged_bytes -= self._sizes[key[0]]

    def _score(self, key: Key) -> float:
        score, at = self._scores.get(key, (0.0, self._pass))
        return float(score * _DECAY ** (self._pass - at))

    def _make_room(self, key: Key) -> bool:
        """Make room among the kept ones if the expert has outscored them; tell whether."""
        needed = self._kept_bytes + self._sizes[key[0]] - self._most_kept
        if needed <= 0:
            return True
        if self._is_prompt:
            return False
        victims: list[Key] = []
        for score, other in sorted((self._score(other), other) for other in self._kept):
            if needed <= 0 or score >= self._score(key):
                break
            victims.append(other)
            needed -= self._sizes[other[0]]
        if needed > 0:
            return False
        for victim in victims:
            del self._kept[victim]
            self._kept_bytes -= self._sizes[victim[0]]
        return True


def check_budget(sizes: Sequence[int], budget: int) -> None:
    """Refuse a budget that does not hold one expert.

    Args:
        sizes: bytes of an expert of each layer.
        budget: bytes for experts.

    Raises:
        ModelError: M116.
    """
    largest = max(sizes)
    if budget < largest:
        raise ModelError(
            "M116",
            f"an expert takes {largest:,} bytes, the budget is {budget:,}",
            help=f"raise --expert-budget; one expert of each layer takes {sum(sizes):,} bytes",
        )


def save_experts(layers: Sequence[Weights], path: Path) -> None:
    """Write experts to a file that `FileStore` reads; whole or not at all."""
    from safetensors.torch import save_file

    tensors: dict[str, Any] = {
        f"{number}.{name}": weight.contiguous()
        for number, layer in enumerate(layers)
        for name, weight in layer.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{id(tensors):x}.part")
    save_file(tensors, str(partial))
    partial.replace(path)
