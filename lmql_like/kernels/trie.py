"""Build the vocabulary's trie: sorted byte strings -> flat arrays in depth-first order."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["build_trie"]


@njit(cache=True, nogil=True)
def build_trie(
    data: np.ndarray, start: np.ndarray, ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (byte, depth, end, token_start) of the trie of sorted strings.

    Args:
        data: uint8, the strings one after another, in sorted order, none empty.
        start: int64[n + 1] where each string begins.
        ids: int32[n], only its length is read; equal strings share a node.

    Returns:
        The arrays of `TrieArrays`; `token_ids` is `ids` as it came in, because sorted
        order is depth-first order.
    """
    longest = 0
    for i in range(ids.size):
        longest = max(longest, start[i + 1] - start[i])
    byte = np.empty(data.size, np.uint8)
    depth = np.empty(data.size, np.int32)
    end = np.empty(data.size, np.int32)
    token_start = np.zeros(data.size + 1, np.int32)
    path = np.empty(longest + 1, np.int32)
    nodes, previous = 0, 0
    for i in range(ids.size):
        length = start[i + 1] - start[i]
        shared = 0
        while (
            i > 0
            and shared < length
            and shared < previous
            and data[start[i] + shared] == data[start[i - 1] + shared]
        ):
            shared += 1
        for level in range(shared, previous):
            end[path[level]] = nodes
        for level in range(shared, length):
            byte[nodes] = data[start[i] + level]
            depth[nodes] = level
            path[level] = nodes
            nodes += 1
            token_start[nodes] = token_start[nodes - 1]
        # Sorted order: string i ends at the deepest node made so far.
        token_start[nodes] = i + 1
        previous = length
    for level in range(previous):
        end[path[level]] = nodes
    return (
        byte[:nodes].copy(),
        depth[:nodes].copy(),
        end[:nodes].copy(),
        token_start[: nodes + 1].copy(),
    )
