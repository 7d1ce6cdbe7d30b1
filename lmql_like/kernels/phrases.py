"""Phrases that must occur, counted in tokens: what tokens do to them, and how few will do.

Naive twins are in `tests/reference/phrase_needs.py`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lmql_like.kernels.layouts import TrieArrays

__all__ = ["FAR", "behind_tokens", "fewest_tokens"]

FAR = 0x3FFFFFFF  # no sequence of tokens leads there


@njit(cache=True, nogil=True)
def behind_tokens(
    trie: TrieArrays,
    moves: NDArray[np.int32],
    reached: NDArray[np.int64],
    node: int,
    beside: int,
    found: NDArray[np.int64],
) -> int:
    """Write where tokens lead from a node of a phrase reader.

    Args:
        trie: (in) the tokens.
        moves: (in) int32[nodes, 256], -1 for none.
        reached: (in) int64[nodes] goals that are reached there, as bits.
        node: where the tokens begin.
        beside: tokens are left out whose first byte leads from `node` where it leads from
            this node; -1: none are.
        found: (out) int64[vocabulary, 3] token, goals reached within it, node behind it.

    Returns:
        How many tokens there are.
    """
    deepest = np.int32(0)
    for depth in trie.depth:
        deepest = max(deepest, depth)
    nodes = np.zeros(deepest + 2, np.int32)
    goals = np.zeros(deepest + 2, np.int64)
    nodes[0] = node
    size, at = 0, 0
    while at < len(trie.byte):
        depth, byte = trie.depth[at], trie.byte[at]
        target = moves[nodes[depth], byte]
        if target < 0 or (depth == 0 and beside >= 0 and moves[beside, byte] == target):
            at = trie.end[at]
            continue
        nodes[depth + 1] = target
        goals[depth + 1] = goals[depth] | reached[target]
        for token in range(trie.token_start[at], trie.token_start[at + 1]):
            found[size, 0] = trie.token_ids[token]
            found[size, 1] = goals[depth + 1]
            found[size, 2] = target
            size += 1
        at += 1
    return size


@njit(cache=True, nogil=True)
def fewest_tokens(
    first: NDArray[np.int64],
    goals: NDArray[np.int64],
    targets: NDArray[np.int32],
    accepting: NDArray[np.bool_],
    n_goals: int,
) -> NDArray[np.int32]:
    """Return int32[2 ** n_goals, nodes]: the fewest tokens that cover what is open.

    Sets of goals that contain more come first, so each is settled by those above it and
    by relaxing the ways within it, until nothing changes.

    Args:
        first: int64[nodes + 1] where a node's moves begin.
        goals: int64[moves] goals that a token covers.
        targets: int32[moves] the node behind it.
        accepting: bool[nodes]: a text that covers everything may end here.
        n_goals: how many goals there are.
    """
    n = accepting.size
    full = (1 << n_goals) - 1
    fewest = np.full((full + 1, n), FAR, np.int32)
    for covered in range(full, -1, -1):
        row = fewest[covered]
        if covered == full:
            for node in range(n):
                if accepting[node]:
                    row[node] = 0
        changed = True
        while changed:
            changed = False
            for node in range(n):
                least = row[node]
                for move in range(first[node], first[node + 1]):
                    way = fewest[covered | goals[move], targets[move]] + np.int32(1)
                    least = min(least, way)
                if least < row[node]:
                    row[node] = least
                    changed = True
    return fewest
