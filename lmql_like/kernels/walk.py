"""Walk a vocabulary's trie with the lazy automaton: masks, ends of tokens, forced bytes."""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.layouts import (
    OVERFLOW,
    DfaArrays,
    MemoArrays,
    NetworkArrays,
    NfaArrays,
    SliceArrays,
    TrieArrays,
)
from lmql_like.kernels.slices import admits_slice
from lmql_like.kernels.subset import successor

__all__ = [
    "advance_bytes",
    "collect_token_ends",
    "forced_run",
    "live_symbols",
    "mask_tokens",
    "mask_tokens_ending_in",
]


@njit(cache=True, nogil=True)
def mask_tokens(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    trie: TrieArrays,
    slices: SliceArrays,
    memo: MemoArrays,
    state: int,
    row: np.ndarray,
) -> int:
    """Set the bits of all tokens after which an accepting state can be reached.

    Args:
        nfa: the components.
        dfa: the automaton, grown on the way.
        net: a grammar's calls and frames, None for patterns.
        trie: the tries of the slices' left-over tokens, and of all groups of tokens.
        slices: the slices.
        memo: its probes and scratch are used.
        state: where the walk starts.
        row: int32[words] in and out; bits are only added.

    Returns:
        0, or OVERFLOW: grow the automaton and call again.
    """
    n_slices = slices.longest.size
    chosen = n_slices
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
            chosen = index
            for word in range(row.size):
                row[word] |= slices.rows[index, word]
            break
    path, table, classes = memo.path, dfa.table, nfa.class_of_byte
    depths, bytes_in, ends = trie.depth, trie.byte, trie.end
    token_start, token_ids = trie.token_start, trie.token_ids
    path[0] = state
    # What the slice leaves over of the first group, and then the other groups.
    node, last = slices.first_node[chosen], slices.first_node[chosen + 1]
    while True:
        if node == last:
            if last == trie.byte.size:
                return 0
            node, last = max(last, slices.first_node[n_slices + 1]), np.int32(trie.byte.size)
            continue
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
            row[token >> 5] |= np.int32(1) << np.int32(token & 31)
        node += 1


@njit(cache=True, nogil=True)
def mask_tokens_ending_in(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    trie: TrieArrays,
    slices: SliceArrays,
    state: int,
    path: np.ndarray,
    wanted: np.ndarray,
    row: np.ndarray,
) -> int:
    """Set the bits of the tokens that end in a state s with wanted[s] != 0.

    Args and result as of `mask_tokens`; `path` is int32[longest token + 1] scratch.
    """
    # Read in the loop, a field of a bundle costs a reference count.
    table, classes = dfa.table, nfa.class_of_byte
    depths, bytes_in, ends = trie.depth, trie.byte, trie.end
    token_start, token_ids = trie.token_start, trie.token_ids
    path[0] = state
    node, nodes = int(slices.first_node[slices.longest.size]), trie.byte.size
    while node < nodes:
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
        if target < wanted.size and wanted[target]:
            for i in range(token_start[node], token_start[node + 1]):
                token = token_ids[i]
                row[token >> 5] |= np.int32(1) << np.int32(token & 31)
        node += 1
    return 0


@njit(cache=True, nogil=True)
def collect_token_ends(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    trie: TrieArrays,
    slices: SliceArrays,
    state: int,
    path: np.ndarray,
) -> int:
    """Put the distinct states in which tokens end into `dfa.parent`.

    Returns:
        How many there are, or OVERFLOW.
    """
    table, classes = dfa.table, nfa.class_of_byte
    depths, bytes_in, ends = trie.depth, trie.byte, trie.end
    token_start = trie.token_start
    path[0] = state
    seen = np.zeros(dfa.status.size, np.uint8)
    node, nodes = int(slices.first_node[slices.longest.size]), trie.byte.size
    while node < nodes:
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
        if token_start[node + 1] > token_start[node]:
            seen[target] = 1
        node += 1
    found = 0
    for end in range(seen.size):
        if seen[end]:
            dfa.parent[found] = end
            found += 1
    return found


@njit(cache=True, nogil=True)
def advance_bytes(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    state: int,
    data: np.ndarray,
) -> int:
    """Return the live state behind uint8[n] bytes, 0 if there is none, or OVERFLOW."""
    for i in range(data.size):
        symbol = nfa.class_of_byte[data[i]]
        if symbol < 0:
            return 0
        state = successor(nfa, dfa, net, np.int64(state), np.int64(symbol))
        if state <= 0:
            return state
    return state


@njit(cache=True, nogil=True)
def live_symbols(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    state: int,
    out: np.ndarray,
) -> int:
    """Write the byte classes that lead to live states into out; return their number."""
    found = 0
    for symbol in range(dfa.table.shape[1]):
        target = successor(nfa, dfa, net, np.int64(state), np.int64(symbol))
        if target == OVERFLOW:
            return OVERFLOW
        if target:
            out[found] = symbol
            found += 1
    return found


@njit(cache=True, nogil=True)
def forced_run(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    state: int,
    only_byte: np.ndarray,
    out: np.ndarray,
) -> int:
    """Write the bytes that must follow a state: while it does not accept and one byte can follow.

    Args:
        nfa: the components.
        dfa: the automaton.
        net: a grammar's calls and frames, None for patterns.
        state: where the run starts.
        only_byte: int32[classes]; the byte of a class that has just one, else -1.
        out: uint8[limit] out.

    Returns:
        Number of bytes written, or OVERFLOW.
    """
    written = 0
    while written < out.size and dfa.accepting[state] == 0:
        choice = -1
        for symbol in range(dfa.table.shape[1]):
            target = successor(nfa, dfa, net, np.int64(state), np.int64(symbol))
            if target == OVERFLOW:
                return OVERFLOW
            if target:
                if choice >= 0 or only_byte[symbol] < 0:
                    return written
                choice = symbol
        if choice < 0:
            return written
        out[written] = only_byte[choice]
        written += 1
        state = dfa.table[state, choice]
    return written
