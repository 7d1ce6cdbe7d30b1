"""What does it save to keep the states of a recurrent hybrid?

    python benchmarks/recurrent_rows.py

A random Qwen3-Next (4 layers: three Gated DeltaNet, one attention; width 256), one thread, 8
hypotheses of different lengths behind one prompt. A step feeds one token to each and
reorders them at random; every fourth also takes two tokens back from each. Medians.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch
from transformers import AutoModelForCausalLM, Qwen3NextConfig

from lmql_like.runtime.transformers_forward import StateMaker
from lmql_like.runtime.transformers_modes import MODES

_ROWS, _VOCABULARY, _STEPS = 8, 4096, 16


def main() -> None:
    """Print one table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = Qwen3NextConfig(
        vocab_size=_VOCABULARY,
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        num_experts=8,
        num_experts_per_tok=2,
        moe_intermediate_size=128,
        shared_expert_intermediate_size=128,
        linear_key_head_dim=32,
        linear_value_head_dim=32,
        linear_num_key_heads=4,
        linear_num_value_heads=8,
    )
    states = StateMaker(AutoModelForCausalLM.from_config(config).eval())
    print("| prompt | mode | what is kept | ms per step | ratio |\n|---|---|---|---|---|")
    for length in (256, 512):
        base = 0.0
        for mode in ("rows", "rows-by-length", "recompute"):
            seconds = _step(states, mode, length)
            base = base or seconds
            print(
                f"| {length} | `{mode}` | {MODES[mode].meaning} |"
                f" {seconds * 1e3:.1f} | {seconds / base:.1f} |",
                flush=True,
            )


def _step(states: StateMaker, mode: str, length: int) -> float:
    rng = np.random.default_rng(0)

    def tokens(n: int) -> list[int]:
        return [int(token) for token in rng.integers(0, _VOCABULARY, n)]

    state = states.make(mode, 1)
    state.extend([tokens(length)], [1])
    state.gather([0] * _ROWS)
    state.extend([tokens(1 + row) for row in range(_ROWS)], [1] * _ROWS)
    times = []
    for step in range(_STEPS):
        begin = time.perf_counter()
        if step % 4 == 3:
            state.rewind([2] * _ROWS)
        state.extend([tokens(1) for _ in range(_ROWS)], [1] * _ROWS)
        state.gather([int(row) for row in rng.integers(0, _ROWS, _ROWS)])
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


if __name__ == "__main__":
    main()
