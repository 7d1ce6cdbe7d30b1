"""What Python calls: every kernel of an automaton and its masks behind handles.

`calls` is None for patterns and anything else for grammars; it decides at compile time
whether there are frames to look after. Results are those of the kernels named the same.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.compose import compose_mask
from lmql_like.kernels.handles import (
    open_dfa,
    open_memo,
    open_network,
    open_nfa,
    open_slices,
    open_trie,
)
from lmql_like.kernels.layouts import OVERFLOW
from lmql_like.kernels.subset import initial_state, successor
from lmql_like.kernels.walk import (
    advance_bytes,
    collect_token_ends,
    forced_run,
    live_symbols,
    mask_tokens,
    mask_tokens_ending_in,
)

__all__ = [
    "enter_advance",
    "enter_advance_token",
    "enter_compose",
    "enter_forced_run",
    "enter_initial_state",
    "enter_live_symbols",
    "enter_mask",
    "enter_mask_ending_in",
    "enter_token_ends",
]


@njit(cache=True, nogil=True)
def enter_initial_state(h: np.ndarray, calls: int | None) -> int:
    """See `initial_state`."""
    if calls is None:
        return initial_state(open_nfa(h), open_dfa(h), None)
    return initial_state(open_nfa(h), open_dfa(h), open_network(h))


@njit(cache=True, nogil=True)
def enter_advance(h: np.ndarray, calls: int | None, state: int, data: np.ndarray) -> int:
    """See `advance_bytes`."""
    if calls is None:
        return advance_bytes(open_nfa(h), open_dfa(h), None, state, data)
    return advance_bytes(open_nfa(h), open_dfa(h), open_network(h), state, data)


@njit(cache=True, nogil=True)
def enter_advance_token(
    h: np.ndarray,
    calls: int | None,
    state: int,
    token: int,
    start: np.ndarray,
    data: np.ndarray,
) -> int:
    """Return the state behind the token data[start[token] : start[token + 1]], 0 or OVERFLOW."""
    nfa, dfa = open_nfa(h), open_dfa(h)
    for i in range(start[token], start[token + 1]):
        symbol = nfa.class_of_byte[data[i]]
        if symbol < 0:
            return 0
        target = np.int64(dfa.table[state, symbol])
        if target < 0:
            if calls is None:
                target = successor(nfa, dfa, None, state, np.int64(symbol))
            else:
                target = successor(nfa, dfa, open_network(h), state, np.int64(symbol))
            if target == OVERFLOW:
                return OVERFLOW
        if target == 0:
            return 0
        state = int(target)
    return state


@njit(cache=True, nogil=True)
def enter_live_symbols(h: np.ndarray, calls: int | None, state: int, out: np.ndarray) -> int:
    """See `live_symbols`."""
    if calls is None:
        return live_symbols(open_nfa(h), open_dfa(h), None, state, out)
    return live_symbols(open_nfa(h), open_dfa(h), open_network(h), state, out)


@njit(cache=True, nogil=True)
def enter_forced_run(
    h: np.ndarray, calls: int | None, state: int, only_byte: np.ndarray, out: np.ndarray
) -> int:
    """See `forced_run`."""
    if calls is None:
        return forced_run(open_nfa(h), open_dfa(h), None, state, only_byte, out)
    return forced_run(open_nfa(h), open_dfa(h), open_network(h), state, only_byte, out)


@njit(cache=True, nogil=True)
def enter_compose(
    h: np.ndarray,
    calls: int | None,
    vocabulary: np.ndarray,
    memo: np.ndarray,
    state: int,
    row: np.ndarray,
) -> int:
    """See `compose_mask`."""
    nfa, dfa, room = open_nfa(h), open_dfa(h), open_memo(memo)
    trie, slices = open_trie(vocabulary), open_slices(vocabulary)
    if calls is None:
        return compose_mask(nfa, dfa, None, trie, slices, room, state, row)
    return compose_mask(nfa, dfa, open_network(h), trie, slices, room, state, row)


@njit(cache=True, nogil=True)
def enter_mask(
    h: np.ndarray,
    calls: int | None,
    vocabulary: np.ndarray,
    memo: np.ndarray,
    state: int,
    row: np.ndarray,
) -> int:
    """See `mask_tokens`."""
    nfa, dfa, room = open_nfa(h), open_dfa(h), open_memo(memo)
    trie, slices = open_trie(vocabulary), open_slices(vocabulary)
    if calls is None:
        return mask_tokens(nfa, dfa, None, trie, slices, room, state, row)
    return mask_tokens(nfa, dfa, open_network(h), trie, slices, room, state, row)


@njit(cache=True, nogil=True)
def enter_mask_ending_in(
    h: np.ndarray,
    calls: int | None,
    vocabulary: np.ndarray,
    memo: np.ndarray,
    state: int,
    wanted: np.ndarray,
    row: np.ndarray,
) -> int:
    """See `mask_tokens_ending_in`."""
    nfa, dfa, path = open_nfa(h), open_dfa(h), open_memo(memo).path
    trie, slices = open_trie(vocabulary), open_slices(vocabulary)
    if calls is None:
        return mask_tokens_ending_in(nfa, dfa, None, trie, slices, state, path, wanted, row)
    net = open_network(h)
    return mask_tokens_ending_in(nfa, dfa, net, trie, slices, state, path, wanted, row)


@njit(cache=True, nogil=True)
def enter_token_ends(
    h: np.ndarray, calls: int | None, vocabulary: np.ndarray, memo: np.ndarray, state: int
) -> int:
    """See `collect_token_ends`."""
    nfa, dfa, path = open_nfa(h), open_dfa(h), open_memo(memo).path
    trie, slices = open_trie(vocabulary), open_slices(vocabulary)
    if calls is None:
        return collect_token_ends(nfa, dfa, None, trie, slices, state, path)
    return collect_token_ends(nfa, dfa, open_network(h), trie, slices, state, path)
