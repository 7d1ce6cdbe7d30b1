"""Runs the experts of a mixture: buffered, adaptively gated, or as they are.

`install` replaces the experts implementation of a model, by transformers' own interface.
Tokens are sorted by expert and each expert is run once over its tokens, without padding;
products and sums are those of transformers' `grouped_mm`. What an expert computes does not
depend on when and from where its weights came: the outputs are equal bit by bit, whatever
the buffer holds.

Adaptive gating (Li et al. 2023): where a token's first expert leads the second by more than
a margin, it alone is used, with the weight of all. That changes results.

Pre-gating (after Hwang et al. 2024): a layer's output, put through the next layer's norm and
router, mostly names the experts that the next layer will use; they are prefetched while
its attention runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS, grouped_mm_experts_forward

from lmql_like.errors import ModelError
from lmql_like.runtime.transformers_expert_buffer import ExpertBuffer, Weights

__all__ = ["ExpertLayer", "expert_layers", "expert_weights", "install", "release_weights"]

_NAME = "lmql_like"
_RUNNER = "_lmql_like_experts"
_ROUTERS = ("gate", "router")
_NORMS = ("post_attention_layernorm", "pre_feedforward_layernorm", "ffn_norm")


@dataclass(eq=False)
class ExpertLayer:
    """One layer's experts.

    Attributes:
        number: layers with experts are numbered from 0.
        experts: the module.
        router: the module that chooses; None where it was not found.
        block: the decoder layer they are part of; None likewise.
    """

    number: int
    experts: nn.Module
    router: nn.Module | None
    block: nn.Module | None


@dataclass(eq=False)
class _Runner:
    """How one layer's experts are run.

    Attributes:
        layer: its number.
        buffer: holds the weights; None where the module does.
        margin: of adaptive gating; None for none.
        saved: how many uses of an expert adaptive gating has saved, and of how many.
    """

    layer: int
    buffer: ExpertBuffer | None
    margin: float | None
    saved: list[int]

    def weights(self, module: nn.Module, expert: int) -> Weights:
        if self.buffer is not None:
            return self.buffer.fetch(self.layer, expert)
        return {name: weight[expert] for name, weight in expert_weights(module).items()}


def expert_layers(model: Any) -> list[ExpertLayer]:
    """Return the layers whose experts go through transformers' interface."""
    modules = dict(model.named_modules())
    layers: list[ExpertLayer] = []
    for name, module in modules.items():
        if not all(hasattr(module, a) for a in ("is_transposed", "has_gate", "num_experts")):
            continue
        owner = modules.get(name.rpartition(".")[0])
        router = next((getattr(owner, r) for r in _ROUTERS if hasattr(owner, r)), None)
        block = None
        for parent in _parents(name):
            if isinstance(modules.get(parent.rpartition(".")[0]), nn.ModuleList):
                block = modules[parent]
                break
        layers.append(ExpertLayer(len(layers), module, router, block))
    return layers


def _parents(name: str) -> Iterator[str]:
    while name:
        name = name.rpartition(".")[0]
        yield name


def expert_weights(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return the weights of a layer's experts, [experts, ...], by name."""
    count = module.num_experts
    return {
        name: weight.data
        for name, weight in module.named_parameters(recurse=False)
        if weight.dim() and weight.shape[0] == count
    }


def release_weights(module: nn.Module) -> None:
    """Drop the weights of a layer's experts, which a store has."""
    for name in expert_weights(module):
        setattr(module, name, nn.Parameter(torch.empty(0), requires_grad=False))


def install(
    model: Any,
    layers: list[ExpertLayer],
    *,
    buffer: ExpertBuffer | None,
    margin: float | None,
    prefetch: bool,
) -> list[int]:
    """Let a model run its experts here.

    Args:
        model: has these layers.
        layers: from `expert_layers`.
        buffer: holds the weights; None where the modules do.
        margin: of adaptive gating, None for none.
        prefetch: guess the next layer's experts; needs a buffer.

    Returns:
        Two counts that grow: uses of experts that adaptive gating saved, and all that the
        routers asked for.

    Raises:
        ModelError: M117, there are no such experts.
    """
    if not layers:
        raise ModelError(
            "M117",
            f"models of the kind '{model.config.model_type}' have no experts that can be "
            "buffered or gated",
            help="leave --expert-budget and --adaptive-gate away",
        )
    counts = [0, 0]
    for layer in layers:
        setattr(layer.experts, _RUNNER, _Runner(layer.number, buffer, margin, counts))
        config: Any = layer.experts.config
        config._experts_implementation = _NAME  # noqa: SLF001 - read at each call
    if buffer is not None and layers[0].block is not None:
        layers[0].block.register_forward_pre_hook(partial(_begin, buffer), with_kwargs=True)
    if buffer is not None and prefetch:
        for layer in layers[1:]:
            if layer.block is not None and layer.router is not None:
                hook = partial(_predict, layer, buffer)
                layer.block.register_forward_pre_hook(hook, with_kwargs=True)
    return counts


def run_experts(
    module: nn.Module, hidden: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
) -> torch.Tensor:
    """Run the chosen experts (the signature is that of transformers' interface).

    Args:
        module: the experts of a layer.
        hidden: [tokens, size].
        top_k_index: int64[tokens, k].
        top_k_weights: [tokens, k].

    Returns:
        [tokens, size].
    """
    runner: _Runner | None = getattr(module, _RUNNER, None)
    if runner is None:  # a model that was built from the configuration of one of ours
        usual: torch.Tensor = grouped_mm_experts_forward(module, hidden, top_k_index, top_k_weights)
        return usual
    n_tokens, k = top_k_index.shape
    flat_weights, flat = top_k_weights.reshape(-1), top_k_index.reshape(-1)
    is_used = flat < int(module.num_experts)  # type: ignore[arg-type]
    runner.saved[1] += int(is_used.sum())
    if runner.margin is not None:
        kept, flat_weights = _leaders(top_k_weights, runner.margin)
        runner.saved[0] += int((is_used & ~kept).sum())
        is_used &= kept
    output = hidden.new_zeros((n_tokens * k, hidden.shape[-1]))
    chosen = sorted(set(flat[is_used].tolist()))
    order = chosen if runner.buffer is None else runner.buffer.order(runner.layer, chosen)
    for expert in order:
        pairs = torch.nonzero((flat == expert) & is_used)[:, 0]
        # No name keeps the weights: the buffer counts on them to be gone at its next call.
        tokens = hidden[pairs // k]
        result = _run_expert(module, runner.weights(module, expert), tokens)
        output[pairs] = (result * flat_weights[pairs, None]).to(output.dtype)
    return output.view(n_tokens, k, -1).sum(dim=1).to(hidden.dtype)


def _leaders(weights: torch.Tensor, margin: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return which choices are kept, and their weights, both flat: [tokens * k]."""
    ranked = weights.sort(dim=-1, descending=True)
    leads = torch.zeros_like(weights[:, 0], dtype=torch.bool)
    if weights.shape[1] > 1:
        shares = ranked.values / weights.sum(-1, keepdim=True)
        leads = shares[:, 0] - shares[:, 1] > margin
    is_first = torch.zeros_like(weights, dtype=torch.bool)
    is_first.scatter_(1, ranked.indices[:, :1], True)
    alone = weights.sum(-1, keepdim=True).expand_as(weights)
    new = torch.where(leads[:, None] & is_first, alone, weights)
    return (~leads[:, None] | is_first).reshape(-1), new.reshape(-1)


def _run_expert(module: nn.Module, weights: Weights, hidden: torch.Tensor) -> torch.Tensor:
    """Run one expert over its tokens, as transformers' `grouped_mm` does."""
    first = "gate_up_proj" if module.has_gate else "up_proj"
    inner = _linear(module, weights, first, hidden)
    activate: Callable[[torch.Tensor], torch.Tensor]
    activate = module._apply_gate if module.has_gate else module.act_fn  # type: ignore[assignment]  # noqa: SLF001 - part of the interface
    outer = _linear(module, weights, "down_proj", activate(inner))
    if module.has_post_expert_norm:
        norm: Callable[[torch.Tensor], torch.Tensor] = module.post_expert_norm  # type: ignore[assignment]
        outer = norm(outer)
    return outer


def _linear(module: nn.Module, weights: Weights, name: str, hidden: torch.Tensor) -> torch.Tensor:
    weight = weights[name]
    product = torch.mm(hidden.to(weight.dtype), weight if module.is_transposed else weight.t())
    bias = weights.get(f"{name}_bias")
    return product if bias is None else product + bias


def _begin(buffer: ExpertBuffer, _block: nn.Module, args: Any, options: Any) -> None:
    """Tell a buffer that the model is run over so many columns."""
    hidden = args[0] if args else options["hidden_states"]
    buffer.begin_pass(hidden.shape[1])


def _predict(
    layer: ExpertLayer, buffer: ExpertBuffer, block: nn.Module, args: Any, options: Any
) -> None:
    """Prefetch what a layer will probably use, from what it is about to read."""
    hidden = args[0] if args else options.get("hidden_states")
    if layer.router is None or hidden is None:
        return
    norm = next((getattr(block, name) for name in _NORMS if hasattr(block, name)), None)
    flat = hidden.reshape(-1, hidden.shape[-1])
    logits = _router_logits(layer.router, flat if norm is None else norm(flat))
    if logits is None:
        return
    k = int(getattr(layer.router, "top_k", 1) or 1)
    likely = logits.topk(min(k, logits.shape[-1]), dim=-1).indices
    buffer.prefetch(layer.number, sorted(set(likely.reshape(-1).tolist())))


def _router_logits(router: nn.Module, hidden: torch.Tensor) -> torch.Tensor | None:
    """Return a router's logits without running its hooks; None for a router of another kind."""
    weight = getattr(router, "weight", None)
    if weight is None or weight.dim() != 2 or weight.shape[1] != hidden.shape[-1]:
        return None
    return nn.functional.linear(hidden.to(weight.dtype), weight, getattr(router, "bias", None))


ALL_EXPERTS_FUNCTIONS.register(_NAME, run_experts)
