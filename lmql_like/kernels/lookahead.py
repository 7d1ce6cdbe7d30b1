"""Classes of nfa states that look the same for as far as a token can see.

In `[a-z]{1,64}` the state after 7 letters and the one after 9 differ, but no token is so
long that it could find out. Two states are in one *k-class* if k bytes do not tell them
apart: they have edges on the same bytes to states of one (k - 1)-class, call the same
rules and end their rule alike. It is the k-th step of partition refinement (Moore, 1956),
with hashes for the names of the classes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.layouts import NetworkArrays, NfaArrays

__all__ = ["look_ahead_classes"]


@njit(cache=True, nogil=True, inline="always")
def _mixed(a: int, b: int) -> np.uint64:
    """Return a hash of two numbers (the finalizer of MurmurHash3)."""
    value = (np.uint64(a) ^ np.uint64(0x2545F4914F6CDD1D)) * np.uint64(0x9E3779B97F4A7C15)
    value += np.uint64(b)
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@njit(cache=True, nogil=True)
def _closures(nfa: NfaArrays, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the states that each state reaches by empty moves, as rows (start, states).

    Rows longer than `limit` in all: returns empty arrays.
    """
    n = nfa.component.size
    start = np.zeros(n + 1, np.int64)
    items = np.empty(limit, np.int32)
    mark = np.full(n, -1, np.int32)
    used = 0
    for state in range(n):
        head = used
        if used == limit:
            return start[:0], items[:0]
        items[used] = state
        used += 1
        mark[state] = state
        while head < used:
            current = items[head]
            head += 1
            for i in range(nfa.jump_start[current], nfa.jump_start[current + 1]):
                target = nfa.jump_to[i]
                if mark[target] != state:
                    if used == limit:
                        return start[:0], items[:0]
                    mark[target] = state
                    items[used] = target
                    used += 1
        start[state + 1] = used
    return start, items[:used]


@njit(cache=True, nogil=True)
def _refine(
    nfa: NfaArrays, net: NetworkArrays | None, before: np.ndarray, item: np.ndarray
) -> None:
    """Write the k-classes of items, given the (k - 1)-classes of states with their closures."""
    for state in range(item.size):
        value = np.uint64(1)
        if net is not None and net.rule_end[state]:
            value = np.uint64(2)
        for edge in range(nfa.edge_start[state], nfa.edge_start[state + 1]):
            label = nfa.edge_low[edge] << 16 | nfa.edge_high[edge]
            value += _mixed(before[nfa.edge_to[edge]], label)
        if net is not None:
            for i in range(net.call_start[state], net.call_start[state + 1]):
                value += _mixed(before[net.call_return[i]], -1 - np.int64(net.call_rule[i]))
        item[state] = np.int64(value)


@njit(cache=True, nogil=True)
def look_ahead_classes(nfa: NfaArrays, net: NetworkArrays | None, depths: np.ndarray) -> np.ndarray:
    """Return int64[groups + 1, 2, n]: classes of items and of states with their closures.

    Args:
        nfa: the components.
        net: a grammar's calls, None for patterns.
        depths: int64[groups] how many bytes the tokens of each group have at most,
            ascending; for the last group, of unbounded tokens, each state is its own class.
    """
    n = nfa.component.size
    classes = np.empty((depths.size + 1, 2, n), np.int64)
    for group in range(depths.size + 1):
        for state in range(n):
            classes[group, 0, state] = state
            classes[group, 1, state] = state
    start, reached = _closures(nfa, 8 * n + 64)
    if start.size == 0:
        return classes
    item = np.empty(n, np.int64)
    whole = np.ones(n, np.int64)
    depth = 0
    for group in range(depths.size):
        while depth < depths[group]:
            _refine(nfa, net, whole, item)
            for state in range(n):
                value = np.uint64(0)
                for i in range(start[state], start[state + 1]):
                    if item[reached[i]] != 1:  # neither edge nor call nor end: says nothing
                        value += _mixed(item[reached[i]], 7)
                whole[state] = np.int64(value)
            depth += 1
        classes[group, 0] = item
        classes[group, 1] = whole
    return classes
