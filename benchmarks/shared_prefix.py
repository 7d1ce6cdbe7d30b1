"""What does it save to store what rows share once?

    python benchmarks/shared_prefix.py [--beams 8] [--prompts 128 512 1024]

A random Llama of 49 million weights, one thread. For each prompt length: the time to read
the prompt for all hypotheses of a beam (once for each of them, as transformers' beam search
does, and once for all), the bytes of keys and values after the fork, and the time of a step
that feeds one token to each row and reorders them at random. Medians; ratios within one run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lmql_like.runtime.transformers_forward import StateMaker

_STEPS = 24


def main() -> None:
    """Print one table."""
    arguments = _arguments()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=16384,
        hidden_size=512,
        intermediate_size=1408,
        num_hidden_layers=10,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=4096,
    )
    model = LlamaForCausalLM(config).eval()
    print("| prompt | read by each row, ms | read once, ms | ratio |", end="")
    print(" keys, MB: cache | shared | step, ms: cache | shared | ratio |")
    print("|---" * 9 + "|")
    for length in arguments.prompts:
        _print_row(model, length, arguments.beams)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--beams", type=int, default=8)
    parser.add_argument("--prompts", type=int, nargs="+", default=[128, 512, 1024])
    return parser.parse_args()


def _print_row(model: LlamaForCausalLM, length: int, beams: int) -> None:
    states = StateMaker(model)
    rng = np.random.default_rng(length)
    prompt = [int(token) for token in rng.integers(0, 16384, length)]
    apart = _seconds(
        lambda: states.make("cache", beams).extend([prompt] * beams, [1] * beams), repeats=2
    )
    once = _seconds(lambda: states.make("cache", 1).extend([prompt], [1]), repeats=3)
    steps, stored = [], []
    for mode in ("cache", "shared"):
        state = states.make(mode, 1)
        state.extend([prompt], [0])
        state.gather([0] * beams)
        stored.append(state.stored_bytes / 2**20)
        times = []
        for _ in range(_STEPS):
            begin = time.perf_counter()
            state.extend([[int(token)] for token in rng.integers(0, 16384, beams)], [1] * beams)
            state.gather([int(row) for row in rng.integers(0, beams, beams)])
            times.append(time.perf_counter() - begin)
        steps.append(statistics.median(times))
    print(
        f"| {length} | {apart * 1e3:.0f} | {once * 1e3:.0f} | {apart / once:.1f} |"
        f" {stored[0]:.1f} | {stored[1]:.1f} | {steps[0] * 1e3:.1f} | {steps[1] * 1e3:.1f} |"
        f" {steps[0] / steps[1]:.2f} |",
        flush=True,
    )


def _seconds(act: Callable[[], object], *, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        act()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


if __name__ == "__main__":
    main()
