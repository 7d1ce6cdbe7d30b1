"""Put masks together from parts that many states share.

Where a state's set of items is live as soon as it is not empty (patterns and grammars
alone; not `and`, not `not`), its mask is the union of what its items allow. The items of
one frame are read on their own, in the frame LOCAL: the tokens that stay within the rule
are a *part*, and where the rule may end in mid-token, the node of the trie is noted in the
part's *exit set*. What the return states behind the frame make of an exit set, walking
only the tries below it, is another part, with an exit set of its own, and so on:

    mask(q . r1 . r2 ...) = m(q) | m(r1, x(q)) | m(r2, x(r1, x(q))) | ...

A part's key are the *look-ahead classes* of the states it begins with, so states that no
token can tell apart share it (`kernels.lookahead`), and so do all stacks above and below.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.items import sort
from lmql_like.kernels.layouts import (
    FULL,
    LOCAL,
    MEMO,
    MEMO_FULL,
    NEW_ROW,
    NEW_TOKENS,
    OVERFLOW,
    TOKENS,
    DfaArrays,
    MemoArrays,
    NetworkArrays,
    NfaArrays,
    SliceArrays,
    TrieArrays,
)
from lmql_like.kernels.memo import (
    add_node,
    begin_part,
    begin_with_row,
    find_part,
    finish_part,
    list_to_row,
    write_part,
)
from lmql_like.kernels.slices import admits_slice
from lmql_like.kernels.subset import local_state, successor

__all__ = ["TOO_MANY", "compose_mask"]

TOO_MANY = -2  # the mask has more parts than there is room for: walk the trie instead


@njit(cache=True, nogil=True)
def _write_key(memo: MemoArrays, head: int, size: int) -> int:
    """Sort the classes in memo.key[1:], drop what is there twice; return the key's size."""
    memo.key[0] = head
    classes = memo.key[1 : size + 1]
    sort(classes)
    kept = 1
    for i in range(classes.size):
        if kept == 1 or classes[i] != memo.key[kept - 1]:
            memo.key[kept] = classes[i]
            kept += 1
    return kept


@njit(cache=True, nogil=True)
def _walk(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    trie: TrieArrays,
    memo: MemoArrays,
    first: int,
    last: int,
) -> int:
    """Add the tokens and ends of rules at nodes first to last to the part; 0 or OVERFLOW.

    `memo.path` holds the state in front of the first node, at the node's depth. A call
    with whole bundles, or a field of a bundle read in the loop (references are counted),
    costs as much as several nodes: what every node needs is written out.
    """
    path, table, leaving, classes = memo.path, dfa.table, dfa.leaving, nfa.class_of_byte
    token_start, token_ids, ends = trie.token_start, trie.token_ids, trie.end
    depths, bytes_in, rows = trie.depth, trie.byte, memo.rows
    tokens, begin = memo.tokens, memo.counts[TOKENS]
    used, row = memo.counts[NEW_TOKENS], memo.counts[NEW_ROW]
    most = memo.rows.shape[1] // 2
    node = first
    while node < last:
        depth = depths[node]
        symbol = classes[bytes_in[node]]
        target = np.int64(0)
        if symbol >= 0:
            target = np.int64(table[path[depth], symbol])
            if target < 0:
                target = successor(nfa, dfa, net, np.int64(path[depth]), np.int64(symbol))
                if target == OVERFLOW:
                    return OVERFLOW
        if target == 0:
            node = int(ends[node])
            continue
        path[depth + 1] = target
        for i in range(token_start[node], token_start[node + 1]):
            token = token_ids[i]
            if row >= 0:
                rows[row, token >> 5] |= np.int32(1) << np.int32(token & 31)
                continue
            if begin + used == tokens.size:
                memo.counts[MEMO_FULL] = TOKENS
                dfa.counts[FULL] = MEMO
                return OVERFLOW
            tokens[begin + used] = token
            used += 1
            if used > most:
                row = list_to_row(memo, used)
                if row == OVERFLOW:
                    dfa.counts[FULL] = MEMO
                    return OVERFLOW
                used = 0
        ends_rule = net is not None and leaving[target] and ends[node] > node + 1
        if ends_rule and add_node(memo, node) == OVERFLOW:
            dfa.counts[FULL] = MEMO
            return OVERFLOW
        node += 1
    memo.counts[NEW_TOKENS] = used
    return 0


@njit(cache=True, nogil=True)
def _first_range(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    slices: SliceArrays,
    memo: MemoArrays,
    state: int,
    group: int,
) -> int:
    """Return which trie a state must walk for a group; takes a slice's row where one fits."""
    n_slices = slices.longest.size
    if group > 0:
        return n_slices + group
    for index in range(n_slices):
        admitted = admits_slice(
            nfa,
            dfa,
            net,
            state,
            slices.reader[index],
            slices.longest[index],
            memo.probes[index, : memo.probes[index, 256]],
            memo.work,
        )
        if admitted == OVERFLOW:
            return OVERFLOW
        if admitted:
            if begin_with_row(memo, slices.rows[index]) == OVERFLOW:
                dfa.counts[FULL] = MEMO
                return OVERFLOW
            return index
    return n_slices


@njit(cache=True, nogil=True)
def _first_part(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    trie: TrieArrays,
    slices: SliceArrays,
    memo: MemoArrays,
    state: int,
    begin: int,
    end: int,
    group: int,
) -> int:
    """Return the part of the items pool[begin:end] of a state, all in one frame, or OVERFLOW."""
    for i in range(begin, end):
        memo.key[1 + i - begin] = memo.classes[group, 0, dfa.pool[i] & 0xFFFFFFFF]
    size = _write_key(memo, np.int64(group), end - begin)
    part = find_part(memo, size)
    if part >= 0:
        return part
    begin_part(memo)
    start = state
    if net is not None:
        for i in range(begin, end):
            dfa.stack[i - begin] = dfa.pool[i] & 0xFFFFFFFF
        start = local_state(nfa, dfa, net, dfa.stack[: end - begin], True)
        if start == OVERFLOW:
            return OVERFLOW
    chosen = _first_range(nfa, dfa, net, slices, memo, start, group)
    if chosen == OVERFLOW:
        return OVERFLOW
    memo.path[0] = start
    first, last = np.int64(slices.first_node[chosen]), np.int64(slices.first_node[chosen + 1])
    if _walk(nfa, dfa, net, trie, memo, first, last) == OVERFLOW:
        return OVERFLOW
    finished = finish_part(memo, -1 - part, size)
    if finished == OVERFLOW:
        dfa.counts[FULL] = MEMO
    return finished


@njit(cache=True, nogil=True)
def _next_part(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays,
    trie: TrieArrays,
    memo: MemoArrays,
    begin: int,
    end: int,
    leaving: int,
    group: int,
) -> int:
    """Return the part of an exit set followed by the return states pairs[begin:end].

    Or OVERFLOW, or TOO_MANY where there are more of them than a key can hold.
    """
    if end - begin >= memo.key.size:
        return TOO_MANY
    for i in range(begin, end):
        memo.key[1 + i - begin] = memo.classes[group, 1, net.pairs[i] & 0xFFFFFFFF]
    size = _write_key(memo, np.int64(leaving) << 8 | group, end - begin)
    part = find_part(memo, size)
    if part >= 0:
        return part
    begin_part(memo)
    start = local_state(nfa, dfa, net, net.pairs[begin:end] & 0xFFFFFFFF, False)
    if start == OVERFLOW:
        return OVERFLOW
    for i in range(memo.exit_start[leaving], memo.exit_start[leaving + 1]):
        node = np.int64(memo.nodes[i])
        memo.path[trie.depth[node] + 1] = start
        if dfa.leaving[start] and add_node(memo, node) == OVERFLOW:
            dfa.counts[FULL] = MEMO
            return OVERFLOW
        last = np.int64(trie.end[node])
        if start and _walk(nfa, dfa, net, trie, memo, node + 1, last) == OVERFLOW:
            return OVERFLOW
    finished = finish_part(memo, -1 - part, size)
    if finished == OVERFLOW:
        dfa.counts[FULL] = MEMO
    return finished


@njit(cache=True, nogil=True)
def _push(memo: MemoArrays, size: int, frame: int, leaving: int) -> int:
    """Put a frame and an exit set on the agenda if they were not there yet; the new size."""
    for i in range(size):
        if memo.agenda[i, 0] == frame and memo.agenda[i, 1] == leaving:
            return size
    if size < memo.agenda.shape[0]:
        memo.agenda[size, 0] = frame
        memo.agenda[size, 1] = leaving
    return size + 1


@njit(cache=True, nogil=True)
def _collect(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    trie: TrieArrays,
    slices: SliceArrays,
    memo: MemoArrays,
    state: int,
    group: int,
    found: int,
) -> int:
    """Append a state's parts for one group to memo.found; their number, OVERFLOW or TOO_MANY."""
    waiting = 0
    begin, last = dfa.set_start[state], dfa.set_start[state + 1]
    while begin < last:
        frame = dfa.pool[begin] >> 32
        end = begin + 1
        while end < last and dfa.pool[end] >> 32 == frame:
            end += 1
        part = _first_part(nfa, dfa, net, trie, slices, memo, state, begin, end, group)
        if part == OVERFLOW:
            return OVERFLOW
        if found == memo.found.size:
            return TOO_MANY
        memo.found[found] = part
        found += 1
        if frame > LOCAL:
            for i in range(memo.leave_start[part], memo.leave_start[part + 1]):
                waiting = _push(memo, waiting, frame, np.int64(memo.leaves[i]))
        begin = end
    if net is None:
        return found
    done = 0
    while done < waiting:
        if waiting > memo.agenda.shape[0]:
            return TOO_MANY
        frame, leaving = memo.agenda[done, 0], memo.agenda[done, 1]
        done += 1
        begin, last = net.frame_start[frame], net.frame_start[frame + 1]
        while begin < last:
            below = net.pairs[begin] >> 32
            end = begin + 1
            while end < last and net.pairs[end] >> 32 == below:
                end += 1
            part = _next_part(nfa, dfa, net, trie, memo, begin, end, leaving, group)
            if part < 0:
                return part
            if found == memo.found.size:
                return TOO_MANY
            memo.found[found] = part
            found += 1
            if below > LOCAL:
                for i in range(memo.leave_start[part], memo.leave_start[part + 1]):
                    waiting = _push(memo, waiting, below, np.int64(memo.leaves[i]))
            begin = end
    return found


@njit(cache=True, nogil=True)
def compose_mask(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    trie: TrieArrays,
    slices: SliceArrays,
    memo: MemoArrays,
    state: int,
    row: np.ndarray,
) -> int:
    """Set the bits of all tokens after which some item of a state is left.

    Args:
        nfa: the components; `trusted` must be set.
        dfa: the automaton, grown on the way.
        net: a grammar's calls and frames, None for patterns.
        trie: the tries of `slices`.
        slices: groups of tokens and their slices.
        memo: the parts, grown on the way.
        state: the state.
        row: int32[words] in and out; bits are only added.

    Returns:
        0, OVERFLOW (grow the array named in `counts` and call again) or TOO_MANY.
    """
    n = dfa.set_start[state + 1] - dfa.set_start[state]
    if n >= memo.key.size or n > dfa.stack.size:
        return TOO_MANY
    found = 0
    for group in range(memo.classes.shape[0]):
        found = _collect(nfa, dfa, net, trie, slices, memo, state, group, found)
        if found < 0:
            return found
    for i in range(found):
        write_part(memo, memo.found[i], row)
    return 0
