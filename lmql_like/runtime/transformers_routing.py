"""Notes which experts a model uses: for statistics, and token by token for a trace.

The experts modules are watched, so what is noted is what was run; padding is left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from lmql_like.runtime.routing import RoutedToken

__all__ = ["LayerLoad", "RoutingRecorder"]

_KEPT_TOKENS = 4096


@dataclass(eq=False)
class LayerLoad:
    """How one layer's experts were used.

    Attributes:
        name: of the module.
        counts: int64[experts], how often each was chosen.
        n_tokens: tokens that came by.
        n_dropped: choices that a capacity dropped.
        entropy: sum over tokens of the entropy of the router's distribution, in nats.
    """

    name: str
    counts: torch.Tensor
    n_tokens: int = 0
    n_dropped: int = 0
    entropy: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the load as plain values: shares, and means over tokens."""
        total = max(1, int(self.counts.sum()))
        shares = self.counts.double() / total
        spread = -(shares * shares.clamp_min(1e-300).log()).sum()
        return {
            "layer": self.name,
            "load": [round(float(share), 4) for share in shares],
            "load_entropy": round(float(spread), 4),
            "router_entropy": round(self.entropy / max(1, self.n_tokens), 4),
            "dropped": self.n_dropped,
        }


@dataclass(eq=False)
class RoutingRecorder:
    """Watches the experts of a model.

    Args:
        model: any; what has no experts, or tells them no choice, has no statistics.

    Attributes:
        layers: the load of each layer with experts.
        n_generated: tokens read one at a time in their row.
        n_read: tokens read several at a time: prompts, and text that was forced.
        tokens: the last generated ones, oldest first.
    """

    model: Any
    layers: list[LayerLoad] = field(default_factory=list)
    n_generated: int = 0
    n_read: int = 0
    tokens: deque[RoutedToken] = field(default_factory=lambda: deque(maxlen=_KEPT_TOKENS))

    def __post_init__(self) -> None:
        self._ids: torch.Tensor | None = None
        self._real: torch.Tensor | None = None  # bool[rows * columns]
        self._rows: Sequence[int] | None = None
        self._last: dict[int, RoutedToken] = {}
        self._pending: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]] = []
        self._logits: torch.Tensor | None = None
        target = getattr(type(self.model), "_can_record_outputs", None) or {}
        recorded = target.get("router_logits")
        router_class = getattr(recorded, "target_class", None)
        index = getattr(recorded, "index", 0)
        for name, module in self.model.named_modules():
            if name.startswith("encoder."):
                continue
            if type(module).__name__.endswith("Experts"):
                load = LayerLoad(name, torch.zeros(_n_experts(module), dtype=torch.int64))
                self.layers.append(load)
                module.register_forward_pre_hook(partial(self._note, load), with_kwargs=True)
            elif router_class is not None and isinstance(module, router_class):
                module.register_forward_hook(partial(self._note_logits, index))

    def expect(self, rows: Sequence[int]) -> None:
        """Note which rows of a state the next pass is for."""
        self._finish()
        self._rows = list(rows)

    def last_of_row(self, row: int) -> RoutedToken | None:
        """Return where the last token of a row went, as of its last pass."""
        self._finish()
        return self._last.get(row)

    def begin(self, input_ids: torch.Tensor, real: torch.Tensor | None) -> None:
        """Begin a pass.

        Args:
            input_ids: int64[rows, columns].
            real: bool[rows, columns], which are tokens of a row; None for all.
        """
        self._finish()
        self._ids = input_ids
        found = torch.ones_like(input_ids, dtype=torch.bool) if real is None else real
        self._real = found.reshape(-1).cpu()

    def to_json(self) -> dict[str, Any]:
        """Return the statistics as plain values."""
        self._finish()
        chosen = sum(int(load.counts.sum()) for load in self.layers)
        seen = sum(load.n_tokens for load in self.layers)
        return {
            "generated_tokens": self.n_generated,
            "read_tokens": self.n_read,
            "experts_per_token": round(chosen / max(1, seen), 4),
            "layers": [load.to_json() for load in self.layers if load.n_tokens],
        }

    def routed_tokens(self) -> Sequence[RoutedToken]:
        """Return where the last generated tokens went."""
        self._finish()
        return tuple(self.tokens)

    def _note_logits(self, index: int, _module: nn.Module, _args: Any, output: Any) -> None:
        self._logits = output[index] if isinstance(output, (tuple, list)) else output

    def _note(self, load: LayerLoad, _module: nn.Module, args: Any, options: Any) -> None:
        if self._real is None:
            return
        given = [*args, *options.values()]
        if len(given) < 3:  # experts that are told no choice
            return
        chosen, weights = given[1].cpu(), given[2].float().cpu()
        if chosen.dim() == 3:  # Switch: one of each token's experts is marked, or none
            is_dropped = chosen.sum(-1) == 0
            chosen = chosen.argmax(-1).masked_fill(is_dropped, -1)
        real = self._real
        if len(real) != len(chosen):
            return
        valid = chosen[real]
        counts = torch.bincount(valid[valid >= 0].reshape(-1), minlength=len(load.counts))
        counts[: len(load.counts)] += load.counts  # some routers also choose to do nothing
        load.counts = counts
        load.n_tokens += int(real.sum())
        load.n_dropped += int((valid < 0).sum())
        entropies = None
        if self._logits is not None:
            logprobs = self._logits.float().cpu().reshape(len(real), -1).log_softmax(-1)
            entropies = -(logprobs.exp() * logprobs).sum(-1)
            load.entropy += float(entropies[real].sum())
            self._logits = None
        self._pending.append((chosen, weights.reshape(chosen.shape), entropies))

    def _finish(self) -> None:
        """Count the tokens of the pass before, and keep those that were generated."""
        if self._ids is None or self._real is None:
            return
        ids, real = self._ids.cpu(), self._real.reshape(self._ids.shape)
        alone = real & (real.sum(1, keepdim=True) == 1)
        self.n_generated += int(alone.sum())
        self.n_read += int(real.sum() - alone.sum())
        if self._pending:
            for at, columns in enumerate(real):
                if not bool(columns.any()):
                    continue
                last = int(columns.nonzero()[-1])
                routed = self._routed(int(ids[at, last]), at * ids.shape[1] + last)
                if alone[at, last]:
                    self.tokens.append(routed)
                if self._rows is not None and at < len(self._rows):
                    self._last[self._rows[at]] = routed
        self._ids = self._real = self._rows = None
        self._pending = []

    def _routed(self, token_id: int, at: int) -> RoutedToken:
        return RoutedToken(
            token_id,
            tuple(tuple(chosen[at].tolist()) for chosen, _, _ in self._pending),
            tuple(tuple(weights[at].tolist()) for _, weights, _ in self._pending),
            tuple(float(e[at]) for _, _, e in self._pending if e is not None),
        )


def _n_experts(module: nn.Module) -> int:
    count = getattr(module, "num_experts", None)
    return int(count) if isinstance(count, int) else 1
