"""Sets a loaded model's experts up as its user asked, and reports what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
import torch

from lmql_like.runtime.routing import RoutedToken
from lmql_like.runtime.transformers_expert_buffer import (
    ExpertBuffer,
    ExpertStore,
    FileStore,
    HostStore,
    Weights,
    check_budget,
    save_experts,
)
from lmql_like.runtime.transformers_experts import (
    expert_layers,
    expert_weights,
    install,
    release_weights,
)
from lmql_like.runtime.transformers_routing import RoutingRecorder

__all__ = ["ExpertOptions", "ExpertReporter", "expert_file", "set_up_experts"]


_STAGED = 16  # prefetched experts: a few for each row of a small batch


@dataclass(frozen=True)
class ExpertOptions:
    """What a user wants of a model's experts.

    Attributes:
        budget: bytes that they may take on the device; None for all.
        adaptive_gate: the margin by which a token's first expert must lead to be used
            alone; None for never. It changes results.
        routing: note which experts are used.
        prefetch: guess what the next layer needs; None for where that pays, on a CUDA
            device, whose copies run beside its computing. Only with a budget.
    """

    budget: int | None = None
    adaptive_gate: float | None = None
    routing: bool = False
    prefetch: bool | None = None


@dataclass(eq=False)
class ExpertReporter:
    """What became of a model's experts since it was loaded.

    Attributes:
        recorder: watches them; None where that was not asked for.
        buffer: holds them; None where there is no budget.
        gated: uses of experts that adaptive gating saved, and all; None without it.
    """

    recorder: RoutingRecorder | None = None
    buffer: ExpertBuffer | None = None
    gated: list[int] | None = None

    def to_json(self) -> dict[str, Any] | None:
        """Return a report as plain values; None where nothing was asked for."""
        report: dict[str, Any] = {}
        if self.recorder is not None:
            report["routing"] = self.recorder.to_json()
        if self.buffer is not None:
            report["buffer"] = self.buffer.report.to_json()
        if self.gated is not None:
            report["adaptive_gate"] = {"saved": self.gated[0], "asked": self.gated[1]}
        return report or None

    def last_of_row(self, row: int) -> RoutedToken | None:
        """Return where the token went that a row of the state read last; None if unknown."""
        return None if self.recorder is None else self.recorder.last_of_row(row)

    def routed_tokens(self) -> Sequence[RoutedToken]:
        """Return where the last generated tokens went; none without a recorder."""
        return () if self.recorder is None else self.recorder.routed_tokens()


def set_up_experts(
    model: Any, options: ExpertOptions, *, device: torch.device, file: Path | None = None
) -> ExpertReporter:
    """Set a model's experts up, before it is moved to its device.

    Args:
        model: with its weights.
        options: what is wanted.
        device: where the model will compute.
        file: where its experts are or will be kept for the next time, for a model on a
            CPU: its memory is what a budget saves. Without it they stay in host memory.

    Raises:
        ModelError: M116, M117.
    """
    reporter = ExpertReporter()
    prefetch = device.type == "cuda" if options.prefetch is None else options.prefetch
    if options.budget is not None or options.adaptive_gate is not None:
        layers = expert_layers(model)
        if options.budget is not None and layers:
            weights = [expert_weights(layer.experts) for layer in layers]
            host = HostStore(weights)
            check_budget([host.size(layer.number) for layer in layers], options.budget)
            store = _store(weights, device, file)
            reporter.buffer = ExpertBuffer(
                store,
                len(layers),
                options.budget,
                device,
                n_staged=_STAGED if prefetch else 0,
            )
            for layer in layers:
                release_weights(layer.experts)
        counts = install(
            model,
            layers,
            buffer=reporter.buffer,
            margin=options.adaptive_gate,
            prefetch=prefetch,
        )
        reporter.gated = None if options.adaptive_gate is None else counts
    if options.routing:
        reporter.recorder = RoutingRecorder(model)
    return reporter


def _store(weights: Sequence[Weights], device: torch.device, file: Path | None) -> ExpertStore:
    if file is None or device.type == "cuda":
        return HostStore(weights, pinned=device.type == "cuda")
    if not file.exists():
        save_experts(weights, file)
    return FileStore(file)


def expert_file(source: Path, model: Any) -> Path:
    """Return where the experts of a model are kept: in the user's cache.

    Args:
        source: its folder, or its name on the hub.
        model: tells the version of what came from the hub.
    """
    about = [str(source), str(model.dtype), str(getattr(model.config, "_commit_hash", None))]
    for file in sorted(source.glob("*.safetensors")) if source.is_dir() else ():
        state = file.stat()
        about += [str(file.resolve()), str(state.st_size), str(state.st_mtime_ns)]
    digest = hashlib.sha256("\n".join(about).encode()).hexdigest()
    return platformdirs.user_cache_path("lmql-like") / "experts" / f"{digest[:24]}.safetensors"
