"""Parts of masks and the sets of nodes at which rules end: look up, begin, add to, finish.

A part under construction stands at the end of the pools; `counts` says how far it is. Its
tokens are a list until they would take more room than a packed row.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.items import set_hash, sort
from lmql_like.kernels.layouts import (
    EXITS,
    KEYS,
    LEAVES,
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
    "add_token",
    "begin_part",
    "begin_with_row",
    "find_part",
    "finish_part",
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
def add_token(memo: MemoArrays, token: int) -> int:
    """Add a token to the part under construction; 0 or OVERFLOW."""
    row = memo.counts[NEW_ROW]
    if row >= 0:
        memo.rows[row, token >> 5] |= np.int32(1) << np.int32(token & 31)
        return 0
    place = memo.counts[TOKENS] + memo.counts[NEW_TOKENS]
    if place == memo.tokens.size:
        memo.counts[MEMO_FULL] = TOKENS
        return OVERFLOW
    memo.tokens[place] = token
    memo.counts[NEW_TOKENS] += 1
    if memo.counts[NEW_TOKENS] > memo.rows.shape[1] // 2:
        return 0 if list_to_row(memo, memo.counts[NEW_TOKENS]) != OVERFLOW else OVERFLOW
    return 0


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
def _group_nodes(nodes: np.ndarray, room: np.ndarray) -> bool:
    """Sort nodes that ascend but for a few values of their upper 32 bits; False if they do not.

    `room` is as long as `nodes`.
    """
    kinds = np.empty(32, np.int64)
    n_kinds = 0
    last = np.int64(-1)
    for i in range(nodes.size):
        kind = nodes[i] >> 32
        if kind == last:
            continue
        last = kind
        known = False
        for k in range(n_kinds):
            known |= kinds[k] == kind
        if not known:
            if n_kinds == kinds.size:
                return False
            kinds[n_kinds] = kind
            n_kinds += 1
    sort(kinds[:n_kinds])
    size = 0
    for k in range(n_kinds):
        for i in range(nodes.size):
            if nodes[i] >> 32 == kinds[k]:
                if size and nodes[i] <= room[size - 1]:
                    return False
                room[size] = nodes[i]
                size += 1
    for i in range(size):
        nodes[i] = room[i]
    return True


@njit(cache=True, nogil=True)
def _sort_nodes(nodes: np.ndarray, room: np.ndarray) -> int:
    """Sort nodes in place and drop what is there twice; return how many are left."""
    if _group_nodes(nodes, room):
        return nodes.size
    sort(nodes)
    size = 0
    for i in range(nodes.size):
        if size == 0 or nodes[i] != nodes[size - 1]:
            nodes[size] = nodes[i]
            size += 1
    return size


@njit(cache=True, nogil=True)
def _find_exit(memo: MemoArrays, nodes: np.ndarray) -> int:
    """Return the exit set of some nodes, or -1 - the bucket it would go into."""
    mask = memo.exit_buckets.size - 1
    bucket = set_hash(nodes, nodes.size, 0) & mask
    while memo.exit_buckets[bucket]:
        known = np.int64(memo.exit_buckets[bucket])
        begin = memo.exit_start[known]
        if memo.exit_start[known + 1] - begin == nodes.size:
            same = True
            for i in range(nodes.size):
                if memo.nodes[begin + i] != nodes[i]:
                    same = False
                    break
            if same:
                return known
        bucket = (bucket + 1) & mask
    return -1 - bucket


@njit(cache=True, nogil=True)
def _take_exits(memo: MemoArrays, part: int) -> int:
    """Give a part the exit sets of its nodes, one for each label; 0 or OVERFLOW."""
    first = memo.counts[NODES]
    last = first + memo.counts[NEW_NODES]
    if last + memo.counts[NEW_NODES] > memo.nodes.size:
        memo.counts[MEMO_FULL] = NODES
        return OVERFLOW
    size = _sort_nodes(memo.nodes[first:last], memo.nodes[last:])
    kept = first  # nodes of new sets move down over those of known ones
    begin = first
    while begin < first + size:
        end = begin + 1
        while end < first + size and memo.nodes[end] >> 50 == memo.nodes[begin] >> 50:
            end += 1
        known = _find_exit(memo, memo.nodes[begin:end])
        leaves = memo.counts[LEAVES]
        if leaves == memo.leaves.size:
            memo.counts[MEMO_FULL] = LEAVES
            return OVERFLOW
        if known < 0:
            fresh = memo.counts[EXITS]
            if fresh + 1 >= memo.exit_start.size:
                memo.counts[MEMO_FULL] = EXITS
                return OVERFLOW
            memo.exit_buckets[-1 - known] = fresh
            for i in range(begin, end):
                memo.nodes[kept] = memo.nodes[i]
                kept += 1
            memo.exit_start[fresh + 1] = kept
            memo.counts[NODES] = kept
            memo.counts[EXITS] = fresh + 1
            known = fresh
        memo.leaves[leaves] = known
        memo.counts[LEAVES] = leaves + 1
        begin = end
    memo.leave_start[part + 1] = memo.counts[LEAVES]
    return 0


@njit(cache=True, nogil=True)
def finish_part(memo: MemoArrays, bucket: int, size: int) -> int:
    """Store the part under construction under the key in `memo.key`; return it, or OVERFLOW."""
    part, used = memo.counts[PARTS], memo.counts[KEYS]
    if part + 1 >= memo.key_start.size or used + size > memo.keys.size:
        memo.counts[MEMO_FULL] = PARTS if part + 1 >= memo.key_start.size else KEYS
        return OVERFLOW
    memo.counts[LEAVES] = memo.leave_start[part]
    if _take_exits(memo, part) == OVERFLOW:
        return OVERFLOW
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
        bucket = set_hash(memo.nodes[begin:end], end - begin, 0) & mask
        while memo.exit_buckets[bucket]:
            bucket = (bucket + 1) & mask
        memo.exit_buckets[bucket] = known
