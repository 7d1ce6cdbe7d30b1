"""Random operations on a model state, beside what its rows then are."""

import numpy as np


def random_walk(model, seed, n_steps, longest=12):
    """Yield (rows, kept logits) along a random sequence of operations."""
    rng = np.random.default_rng(seed)
    rows = [[] for _ in range(int(rng.integers(1, 4)))]
    state = model.new_state(len(rows))
    for _ in range(n_steps):
        move = rng.integers(0, 4)
        if move == 0 and rows:
            counts = [int(rng.integers(0, len(row) + 1)) for row in rows]
            if rng.integers(2):
                counts = [min(count, 2) for count in counts]
            state.rewind(counts)
            rows = [row[: len(row) - count] for row, count in zip(rows, counts, strict=True)]
        elif move == 1:
            picked = [int(i) for i in rng.integers(0, len(rows), int(rng.integers(1, 6)))]
            state.gather(picked)
            rows = [list(rows[i]) for i in picked]
        else:
            most = longest if rng.integers(3) == 0 else 2
            new = [[int(t) for t in rng.integers(0, 128, rng.integers(0, most + 1))] for _ in rows]
            keep = [int(rng.integers(0, len(ids) + 1)) for ids in new]
            logits = state.extend(new, keep)
            rows = [row + ids for row, ids in zip(rows, new, strict=True)]
            yield rows, keep, logits
        assert state.n_rows == len(rows)
