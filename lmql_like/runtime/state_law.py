"""The law of model states, as a check: rows along a random walk against fresh runs.

    worst_difference(new_state, fresh_logits, ...)    0 where the law holds, up to rounding

A walk extends rows of different lengths by one token and by several, forks, reorders and
drops them, and rewinds them by little and by much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lmql_like.runtime.model import ModelState

__all__ = ["TOLERANCE", "random_walk", "worst_difference"]

TOLERANCE = 1e-4
"""Largest difference of logits, relative to the largest logit (at least 1), that is rounding."""

_MAX_ROWS = 5
_MANY, _FEW = 12, 2  # new tokens of a row, at most

Fresh = Callable[[Sequence[int]], NDArray[np.float32]]
Visited = tuple[list[list[int]], list[int], list[NDArray[np.float32]]]


def worst_difference(
    new_state: Callable[[int], ModelState],
    fresh_logits: Fresh,
    vocabulary_size: int,
    *,
    seeds: int = 3,
    n_steps: int = 14,
) -> float:
    """Return the largest relative difference between a state's logits and those of fresh runs.

    Args:
        new_state: makes a state of so many rows.
        fresh_logits: runs the model once over a whole row; float32[length, vocabulary].
        vocabulary_size: token ids are drawn below it.
        seeds: walks.
        n_steps: operations of each.

    Returns:
        Infinity where a logit is no number.
    """
    worst = 0.0
    for seed in range(seeds):
        for rows, keep, blocks in random_walk(new_state, vocabulary_size, seed, n_steps):
            for row, kept, block in zip(rows, keep, blocks, strict=True):
                if kept:
                    worst = max(worst, _difference(block, fresh_logits(row)[-kept:]))
            if worst == np.inf:
                return worst
    return worst


def random_walk(
    new_state: Callable[[int], ModelState], vocabulary_size: int, seed: int, n_steps: int
) -> Iterator[Visited]:
    """Yield rows, how many logits were kept of each, and these, after each extension."""
    rng = np.random.default_rng(seed)
    rows: list[list[int]] = [[] for _ in range(int(rng.integers(2, 4)))]
    state = new_state(len(rows))
    for step in range(n_steps):
        move = rng.integers(0, 4) if step else 2
        if move == 0:
            most = [len(row) if rng.integers(2) else min(_FEW, len(row)) for row in rows]
            counts = [int(rng.integers(0, n + 1)) for n in most]
            state.rewind(counts)
            rows = [row[: len(row) - n] for row, n in zip(rows, counts, strict=True)]
        elif move == 1:
            picked = [int(i) for i in rng.integers(0, len(rows), int(rng.integers(1, _MAX_ROWS)))]
            state.gather(picked)
            rows = [list(rows[i]) for i in picked]
        else:
            most_new = _MANY if rng.integers(3) == 0 else _FEW
            counts = [int(n) for n in rng.integers(0, most_new + 1, len(rows))]
            new = [[int(t) for t in rng.integers(0, vocabulary_size, n)] for n in counts]
            keep = [int(rng.integers(0, n + 1)) for n in counts]
            blocks = state.extend(new, keep)
            rows = [row + ids for row, ids in zip(rows, new, strict=True)]
            yield rows, keep, blocks


def _difference(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    if found.shape != wanted.shape or not np.isfinite(found).all():
        return float(np.inf)
    return float(np.abs(found - wanted).max() / max(1.0, float(np.abs(wanted).max())))
