"""What every token of a vocabulary would cover: one walk of the trie, phrases read along.

The naive twin is in `tests/reference/phrase_coverage.py`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lmql_like.kernels.layouts import TrieArrays

__all__ = ["count_behind_tokens"]


@njit(cache=True, nogil=True)
def count_behind_tokens(
    trie: TrieArrays,
    moves: NDArray[np.int32],
    reached: NDArray[np.int64],
    progress: NDArray[np.int32],
    sizes: NDArray[np.int32],
    node: int,
    goals: int,
    counts: NDArray[np.int32],
) -> None:
    """Write the coverage behind every token.

    Args:
        trie: (in) the tokens; every node is visited.
        moves: (in) int32[nodes, 256], the automaton of the phrases.
        reached: (in) int64[nodes], goals that are covered there, as bits.
        progress: (in) int32[nodes, goals], what a begun phrase of a goal counts there.
        sizes: (in) int32[goals], what a covered goal counts.
        node: the automaton's state in front of the token.
        goals: the goals covered in front of it, as bits.
        counts: (out) int32[vocabulary]; those of tokens outside the trie are not written.
    """
    deepest = np.int32(0)
    for depth in trie.depth:
        deepest = max(deepest, depth)
    nodes = np.zeros(deepest + 2, np.int32)
    covered = np.zeros(deepest + 2, np.int64)
    nodes[0], covered[0] = node, goals
    for at in range(len(trie.byte)):
        depth = trie.depth[at]
        state = moves[nodes[depth], trie.byte[at]]
        mask = covered[depth] | reached[state]
        nodes[depth + 1], covered[depth + 1] = state, mask
        first, end = trie.token_start[at], trie.token_start[at + 1]
        if first == end:
            continue
        count, begun = np.int32(0), np.int32(0)
        for goal in range(len(sizes)):
            if (mask >> np.int64(goal)) & np.int64(1):
                count += sizes[goal]
            else:
                begun = max(begun, progress[state, goal])
        for token in range(first, end):
            counts[trie.token_ids[token]] = count + begun
