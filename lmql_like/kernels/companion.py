"""A grammar and a deterministic automaton at once: what can still be completed under both.

Whether texts of a grammar exist that an automaton accepts too is decidable (Bar-Hillel,
Perles and Shamir, 1961). `reach_of_rules` finds, for each nfa state q of the grammar and
each state d of the automaton (the *companion*), in which of its states the rule can end.
A frame is live for those companion states from which its return states, and then the
frames below, can be brought to an end; an item is live where its rule can end in such a
state. Sets are kept free of other items, so what is not empty has a completion.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.layouts import DfaArrays, NetworkArrays

__all__ = ["drop_dead_items", "note_frame", "reach_of_rules"]


@njit(cache=True, nogil=True)
def _meet(left: np.ndarray, right: np.ndarray) -> bool:
    common = np.int64(0)
    for word in range(left.size):
        common |= left[word] & right[word]
    return common != 0


@njit(cache=True, nogil=True)
def note_frame(net: NetworkArrays, distance: np.ndarray, frame: int) -> None:
    """Note how far a new frame is from the end, and in which companion states it is live."""
    least = np.int32(0x3FFFFFFF)
    states = net.beside.shape[0]
    live = net.frame_live[frame]
    live[:] = 0
    for i in range(net.frame_start[frame], net.frame_start[frame + 1]):
        below, back = net.pairs[i] >> 32, net.pairs[i] & 0xFFFFFFFF
        least = min(least, distance[back] + net.frame_distance[below])
        for state in range(1, states):
            if not live[state >> 6] >> (state & 63) & 1 and _meet(
                net.reach[back * states + state], net.frame_live[below]
            ):
                live[state >> 6] |= np.int64(1) << (state & 63)
    net.frame_distance[frame] = least


@njit(cache=True, nogil=True)
def drop_dead_items(dfa: DfaArrays, net: NetworkArrays, state: int, size: int) -> int:
    """Drop the items of `members` that a companion state leaves no end; return their number."""
    states = net.beside.shape[0]
    kept = 0
    for i in range(size):
        item = dfa.members[i]
        reached = net.reach[(item & 0xFFFFFFFF) * states + state]
        if _meet(reached, net.frame_live[item >> 32]):
            dfa.members[kept] = item
            kept += 1
    return kept


@njit(cache=True, nogil=True)
def _add_all(target: np.ndarray, source: np.ndarray) -> bool:
    """Add bits; tell whether there were new ones."""
    changed = False
    for word in range(target.size):
        value = target[word] | source[word]
        changed |= value != target[word]
        target[word] = value
    return changed


@njit(cache=True, nogil=True)
def reach_of_rules(
    edges: np.ndarray,
    jumps: np.ndarray,
    calls: np.ndarray,
    rule_first: np.ndarray,
    ends: np.ndarray,
    beside: np.ndarray,
) -> np.ndarray:
    """Return int64[n * states, words]: the companion's states in which rules can end.

    Args:
        edges: int32[..., 4] source, first class, last class, target.
        jumps: int32[..., 2] source, target.
        calls: int32[..., 3] source, rule, return state.
        rule_first: int32[rules] start states.
        ends: int8[n] 1: a rule, or the whole text, ends here.
        beside: int32[states, classes] the companion.

    Cost: sweeps until nothing changes, each over all edges times the companion's moves.
    """
    states = beside.shape[0]
    words = (states + 63) // 64
    n = ends.size
    reach = np.zeros((n * states, words), np.int64)
    for node in range(n):
        if ends[node]:
            for state in range(1, states):
                reach[node * states + state, state >> 6] |= np.int64(1) << (state & 63)
    changed = True
    while changed:
        changed = False
        for i in range(jumps.shape[0] - 1, -1, -1):
            for state in range(1, states):
                source, target = jumps[i, 0] * states + state, jumps[i, 1] * states + state
                changed |= _add_all(reach[source], reach[target])
        for i in range(edges.shape[0] - 1, -1, -1):
            for state in range(1, states):
                before = 0
                for symbol in range(edges[i, 1], edges[i, 2] + 1):
                    then = beside[state, symbol]
                    if then and then != before:
                        before = then
                        source = edges[i, 0] * states + state
                        changed |= _add_all(reach[source], reach[edges[i, 3] * states + then])
        for i in range(calls.shape[0] - 1, -1, -1):
            first = rule_first[calls[i, 1]]
            for state in range(1, states):
                within = reach[first * states + state]
                source = calls[i, 0] * states + state
                for then in range(1, states):
                    if within[then >> 6] >> (then & 63) & 1:
                        changed |= _add_all(reach[source], reach[calls[i, 2] * states + then])
    return reach
