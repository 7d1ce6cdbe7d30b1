"""Parts of masks and the sets of nodes at which rules end: look up, begin, add to, finish.

A part under construction stands at the end of the pools; `counts` says how far it is. Its
tokens are a list until they would take more room than a packed row.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.items import set_hash
from lmql_like.kernels.layouts import (
    EXITS,
    KEYS,
    MEMO_FULL,
    NEW_NODES,
    NEW_ROW,
    NEW_TOKENS,
    NODES,
    OVERFLOW,
    PARTS,
    ROWS,
    TOKENS,
    MemoArrays,
)

__all__ = [
    "add_node",
    "begin_part",
    "begin_with_row",
    "finish_part",
    "find_part",
    "list_to_row",
    "rehash_exits",
    "rehash_parts",
    "write_part",
]


@njit(cache=True, nogil=True)
def find_part(memo: MemoArrays, size: int) -> int:
    """Return the part whose key stands in `memo.key`, or -1 - the bucket it would go into."""
    mask = memo.buckets.size - 1
    bucket = set_hash(memo.key, size, 0) & mask
    while memo.buckets[bucket]:
        part = np.int64(memo.buckets[bucket])
        begin = memo.key_start[part]
        if memo.key_start[part + 1] - begin == size:
            same = True
            for i in range(size):
                if memo.keys[begin + i] != memo.key[i]:
                    same = False
                    break
            if same:
                return part
        bucket = (bucket + 1) & mask
    return -1 - bucket


@njit(cache=True, nogil=True)
def begin_part(memo: MemoArrays) -> None:
    """Begin an empty part."""
    memo.counts[NEW_TOKENS] = 0
    memo.counts[NEW_NODES] = 0
    memo.counts[NEW_ROW] = -1


@njit(cache=True, nogil=True)
def _take_row(memo: MemoArrays) -> int:
    """Give the part under construction a row, in which nothing is written; or OVERFLOW."""
    row = memo.counts[ROWS]
    if row == memo.rows.shape[0]:
        memo.counts[MEMO_FULL] = ROWS
        return OVERFLOW
    memo.counts[NEW_ROW] = row
    return row


@njit(cache=True, nogil=True)
def begin_with_row(memo: MemoArrays, source: np.ndarray) -> int:
    """Let the part under construction begin with all bits of a row; 0 or OVERFLOW."""
    row = _take_row(memo)
    if row == OVERFLOW:
        return OVERFLOW
    for word in range(source.size):
        memo.rows[row, word] = source[word]
    return 0


@njit(cache=True, nogil=True)
def list_to_row(memo: MemoArrays, used: int) -> int:
    """Turn the list of `used` tokens of the part into a row; return the row or OVERFLOW."""
    row = _take_row(memo)
    if row == OVERFLOW:
        return OVERFLOW
    for word in range(memo.rows.shape[1]):
        memo.rows[row, word] = 0
    begin = memo.counts[TOKENS]
    for k in range(begin, begin + used):
        token = memo.tokens[k]
        memo.rows[row, token >> 5] |= np.int32(1) << np.int32(token & 31)
    memo.counts[NEW_TOKENS] = 0
    return row


@njit(cache=True, nogil=True)
def add_node(memo: MemoArrays, node: int) -> int:
    """Note that the rule may end at a node; 0 or OVERFLOW."""
    place = memo.counts[NODES] + memo.counts[NEW_NODES]
    if place == memo.nodes.size:
        memo.counts[MEMO_FULL] = NODES
        return OVERFLOW
    memo.nodes[place] = node
    memo.counts[NEW_NODES] += 1
    return 0


@njit(cache=True, nogil=True)
def _sort_nodes(nodes: np.ndarray) -> int:
    """Sort int32 nodes in place and drop what is there twice; return how many are left."""
    ascending = True
    for i in range(1, nodes.size):
        if nodes[i] <= nodes[i - 1]:
            ascending = False
            break
    if ascending:
        return nodes.size
    nodes[:] = np.sort(nodes)
    size = 0
    for i in range(nodes.size):
        if size == 0 or nodes[i] != nodes[size - 1]:
            nodes[size] = nodes[i]
            size += 1
    return size


@njit(cache=True, nogil=True)
def _nodes_hash(nodes: np.ndarray, size: int) -> np.int64:
    value = np.uint64(size)
    for i in range(size):
        value = (value ^ np.uint64(nodes[i])) * np.uint64(0xFF51AFD7ED558CCD)
        value ^= value >> np.uint64(32)
    return np.int64(value & np.uint64(0x7FFFFFFFFFFFFFFF))


@njit(cache=True, nogil=True)
def _take_exit(memo: MemoArrays) -> int:
    """Return the exit set of the part under construction (0: empty), or OVERFLOW."""
    first = memo.counts[NODES]
    size = _sort_nodes(memo.nodes[first : first + memo.counts[NEW_NODES]])
    if size == 0:
        return 0
    mask = memo.exit_buckets.size - 1
    bucket = _nodes_hash(memo.nodes[first : first + size], size) & mask
    while memo.exit_buckets[bucket]:
        known = np.int64(memo.exit_buckets[bucket])
        begin = memo.exit_start[known]
        if memo.exit_start[known + 1] - begin == size:
            same = True
            for i in range(size):
                if memo.nodes[begin + i] != memo.nodes[first + i]:
                    same = False
                    break
            if same:
                return known
        bucket = (bucket + 1) & mask
    fresh = memo.counts[EXITS]
    if fresh + 1 >= memo.exit_start.size:
        memo.counts[MEMO_FULL] = EXITS
        return OVERFLOW
    memo.exit_buckets[bucket] = fresh
    memo.exit_start[fresh + 1] = first + size
    memo.counts[NODES] = first + size
    memo.counts[EXITS] = fresh + 1
    return fresh


@njit(cache=True, nogil=True)
def finish_part(memo: MemoArrays, bucket: int, size: int) -> int:
    """Store the part under construction under the key in `memo.key`; return it, or OVERFLOW."""
    part, used = memo.counts[PARTS], memo.counts[KEYS]
    if part + 1 >= memo.key_start.size or used + size > memo.keys.size:
        memo.counts[MEMO_FULL] = PARTS if part + 1 >= memo.key_start.size else KEYS
        return OVERFLOW
    leaving = _take_exit(memo)
    if leaving == OVERFLOW:
        return OVERFLOW
    memo.part_exit[part] = leaving
    memo.part_row[part] = memo.counts[NEW_ROW]
    if memo.counts[NEW_ROW] >= 0:
        memo.counts[ROWS] += 1
    memo.counts[TOKENS] += memo.counts[NEW_TOKENS]
    memo.token_start[part + 1] = memo.counts[TOKENS]
    for i in range(size):
        memo.keys[used + i] = memo.key[i]
    memo.counts[KEYS] = used + size
    memo.key_start[part + 1] = used + size
    memo.buckets[bucket] = part
    memo.counts[PARTS] = part + 1
    return part


@njit(cache=True, nogil=True)
def write_part(memo: MemoArrays, part: int, row: np.ndarray) -> None:
    """Add a part's tokens to a packed row."""
    stored = memo.part_row[part]
    if stored >= 0:
        for word in range(row.size):
            row[word] |= memo.rows[stored, word]
        return
    for i in range(memo.token_start[part], memo.token_start[part + 1]):
        token = memo.tokens[i]
        row[token >> 5] |= np.int32(1) << np.int32(token & 31)


@njit(cache=True, nogil=True)
def rehash_parts(memo: MemoArrays) -> None:
    """Fill an empty hash table with all parts there are."""
    mask = memo.buckets.size - 1
    for part in range(1, memo.counts[PARTS]):
        begin, end = memo.key_start[part], memo.key_start[part + 1]
        bucket = set_hash(memo.keys[begin:end], end - begin, 0) & mask
        while memo.buckets[bucket]:
            bucket = (bucket + 1) & mask
        memo.buckets[bucket] = part


@njit(cache=True, nogil=True)
def rehash_exits(memo: MemoArrays) -> None:
    """Fill an empty hash table with all exit sets there are."""
    mask = memo.exit_buckets.size - 1
    for known in range(1, memo.counts[EXITS]):
        begin, end = memo.exit_start[known], memo.exit_start[known + 1]
        bucket = _nodes_hash(memo.nodes[begin:end], end - begin) & mask
        while memo.exit_buckets[bucket]:
            bucket = (bucket + 1) & mask
        memo.exit_buckets[bucket] = known
