"""Random operations on a model state, beside what its rows then are."""

import numpy as np
from hypothesis import strategies as st

N_IDS = 128


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
            new = [
                [int(t) for t in rng.integers(0, N_IDS, rng.integers(0, most + 1))] for _ in rows
            ]
            keep = [int(rng.integers(0, len(ids) + 1)) for ids in new]
            logits = state.extend(new, keep)
            rows = [row + ids for row, ids in zip(rows, new, strict=True)]
            yield rows, keep, logits
        assert state.n_rows == len(rows)


_rows = st.lists(st.integers(0, 7), min_size=1, max_size=5)
_token_lists = st.lists(st.integers(4, N_IDS - 1), max_size=6)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("extend"), st.lists(_token_lists, min_size=1, max_size=4)),
        st.tuples(st.just("step"), st.lists(st.integers(4, N_IDS - 1), min_size=1, max_size=4)),
        st.tuples(st.just("gather"), _rows),
        st.tuples(st.just("rewind"), st.lists(st.integers(0, 9), min_size=1, max_size=4)),
    ),
    min_size=1,
    max_size=8,
)
"""Operations that do not name rows: their parts are dealt out to whatever rows there are."""


def drawn_walk(state, operations, rows):
    """Yield (rows, kept logits) along drawn operations; rows never get shorter than given."""
    shortest = [list(row) for row in rows]
    for name, parts in operations:
        if name == "gather":
            picked = [part % len(rows) for part in parts]
            state.gather(picked)
            rows, shortest = ([list(kept[i]) for i in picked] for kept in (rows, shortest))
        elif name == "rewind":
            counts = [
                min(parts[i % len(parts)], len(row) - len(least))
                for i, (row, least) in enumerate(zip(rows, shortest, strict=True))
            ]
            state.rewind(counts)
            rows = [row[: len(row) - n] for row, n in zip(rows, counts, strict=True)]
        else:
            dealt = [parts[i % len(parts)] for i in range(len(rows))]
            new = [[part] for part in dealt] if name == "step" else dealt
            keep = [(len(ids) + 1) // 2 for ids in new]
            logits = state.extend(new, keep)
            rows = [row + ids for row, ids in zip(rows, new, strict=True)]
            yield rows, keep, logits
