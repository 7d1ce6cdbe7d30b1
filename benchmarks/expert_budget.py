"""What does a budget for experts cost?

    python benchmarks/expert_budget.py

Two mixtures on one thread of a CPU: the embedded model, whose routers are trained, and a
random one of 170 million weights (4 layers, width 512, 32 experts of which 4 are used),
whose routers prefer nothing: the worst case. Each answers prompts token by token; the experts
that the budget leaves out are read from a memory-mapped file that the system has cached.
The outputs are compared with those of everything resident.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, Qwen3MoeConfig

from lmql_like.runtime.transformers_expert_buffer import HostStore
from lmql_like.runtime.transformers_expert_setup import ExpertOptions, set_up_experts
from lmql_like.runtime.transformers_experts import expert_layers, expert_weights
from lmql_like.runtime.transformers_forward import StateMaker
from lmql_like.runtime.transformers_loading import DEFAULT_MODEL_FOLDER

_SHARES = (1.0, 0.75, 0.5, 0.25, 0.125)
_PROMPTS, _LENGTH, _TOKENS = 6, 24, 40


def main() -> None:
    """Print a table for each model."""
    torch.set_num_threads(1)
    for name, build in (("embedded", _embedded), ("random", _random)):
        print(f"### {name}\n")
        print("| budget | prefetch | ms per token | ratio | on the device | prefetched |", end="")
        print(" loaded, MB per token | peak, MB |\n" + "|---" * 8 + "|")
        _measure(build)
        print()


def _embedded() -> Any:
    return AutoModelForCausalLM.from_pretrained(DEFAULT_MODEL_FOLDER, dtype=torch.float32).eval()


def _random() -> Any:
    torch.manual_seed(0)
    config = Qwen3MoeConfig(
        vocab_size=8192,
        hidden_size=512,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=64,
        num_experts=32,
        num_experts_per_tok=4,
        moe_intermediate_size=768,
        initializer_range=0.05,
    )
    return AutoModelForCausalLM.from_config(config).eval()


def _measure(build: Callable[[], Any]) -> None:
    base, wanted = 0.0, b""
    with tempfile.TemporaryDirectory() as folder:
        for share in _SHARES:
            for prefetch in (False, True) if share < 1.0 else (False,):
                model = build()
                budget = int(share * _expert_bytes(model)) + _one_expert(model) * (share == 1.0)
                options = ExpertOptions(budget=budget, prefetch=prefetch)
                cpu = torch.device("cpu")
                file = Path(folder) / "experts.safetensors"
                reporter = set_up_experts(model, options, device=cpu, file=file)
                _answer(model, seed=1)  # the buffer fills
                report = reporter.buffer.report
                before = (report.hits, report.misses, report.prefetch_hits, report.moved)
                seconds, found = _answer(model, seed=0)
                base, wanted = base or seconds, wanted or found
                if found != wanted:
                    raise SystemExit("the outputs differ")
                after = (report.hits, report.misses, report.prefetch_hits, report.moved)
                hits, misses, guessed, moved = (b - a for a, b in zip(before, after, strict=True))
                print(
                    f"| {share:.1%} | {'yes' if prefetch else 'no'} |"
                    f" {seconds * 1e3:.2f} | {seconds / base:.2f} |"
                    f" {hits / (hits + misses):.0%} | {guessed / (hits + misses):.0%} |"
                    f" {moved / 2**20 / _PROMPTS / _TOKENS:.2f} | {report.peak / 2**20:.1f} |",
                    flush=True,
                )


def _answer(model: Any, *, seed: int) -> tuple[float, bytes]:
    """Return the seconds that a token takes at best (5th percentile), and all logits' bytes."""
    rng = np.random.default_rng(seed)
    size = model.config.vocab_size
    states = StateMaker(model)
    seconds: list[float] = []
    logits: list[bytes] = []
    for _ in range(_PROMPTS):
        state = states.make("shared", 1)
        (block,) = state.extend([[int(token) for token in rng.integers(1, size, _LENGTH)]], [1])
        for _ in range(_TOKENS):
            begin = time.perf_counter()
            (block,) = state.extend([[int(block[-1].argmax())]], [1])
            seconds.append(time.perf_counter() - begin)
            logits.append(block.tobytes())
    return float(np.quantile(seconds, 0.05)), b"".join(logits)


def _expert_bytes(model: Any) -> int:
    return sum(
        weight.numel() * weight.element_size()
        for layer in expert_layers(model)
        for weight in expert_weights(layer.experts).values()
    )


def _one_expert(model: Any) -> int:
    return HostStore([expert_weights(layer.experts) for layer in expert_layers(model)]).size(0)


if __name__ == "__main__":
    main()
