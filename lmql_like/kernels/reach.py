"""Shortest ways to a goal over a graph of states."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["UNBOUNDED", "distances_to", "longest_ways", "rule_distances"]

UNBOUNDED = 0x3FFFFFFF


@njit(cache=True, nogil=True)
def distances_to(
    n: int, sources: np.ndarray, targets: np.ndarray, weights: np.ndarray, goals: np.ndarray
) -> np.ndarray:
    """Return int32[n]: the least weight of a way from each state to a goal, -1: there is none.

    Args:
        n: number of states.
        sources: int32[links] where each link begins.
        targets: int32[links] where it ends.
        weights: int8[links] 0 or 1.
        goals: int32[...] states at distance 0.
    """
    start = np.zeros(n + 1, np.int64)
    for target in targets:
        start[target + 1] += 1
    for i in range(n):
        start[i + 1] += start[i]
    fill = start[:-1].copy()
    incoming = np.empty(sources.size, np.int64)
    for link in range(sources.size):
        incoming[fill[targets[link]]] = link
        fill[targets[link]] += 1
    distance = np.full(n, -1, np.int32)
    settled = np.zeros(n, np.bool_)
    # Two stacks: states at the present distance, and those one further. A state may be
    # put on both before it is settled, hence room for every link.
    now, later = np.empty(n + sources.size, np.int32), np.empty(n + sources.size, np.int32)
    now_size, later_size, reached = 0, 0, 0
    for goal in goals:
        now[now_size] = goal
        now_size += 1
    while now_size:
        while now_size:
            now_size -= 1
            state = now[now_size]
            if settled[state]:
                continue
            settled[state] = True
            distance[state] = reached
            for i in range(start[state], start[state + 1]):
                link = incoming[i]
                source = sources[link]
                if settled[source]:
                    continue
                if weights[link] == 0:
                    now[now_size] = source
                    now_size += 1
                else:
                    later[later_size] = source
                    later_size += 1
        now, later = later, now
        now_size, later_size = later_size, 0
        reached += 1
    return distance


@njit(cache=True, nogil=True)
def rule_distances(
    edges: np.ndarray,
    jumps: np.ndarray,
    calls: np.ndarray,
    rule_first: np.ndarray,
    goals: np.ndarray,
) -> np.ndarray:
    """Return int32[n]: the fewest bytes from each state to its rule's end, -1: there is no way.

    Knuth's generalization of shortest paths to grammars (IPL 1977), by relaxation until
    nothing changes: a call costs what the called rule costs.

    Args:
        edges: int32[..., 4] source, first class, last class, target.
        jumps: int32[..., 2] source, target.
        calls: int32[..., 3] source, rule, return state.
        rule_first: int32[rules] start states.
        goals: int8[n] 1: a rule, a pattern or the whole text ends here.
    """
    far = np.int32(0x3FFFFFFF)
    distance = np.where(goals != 0, np.int32(0), far)
    changed = True
    while changed:
        changed = False
        for i in range(calls.shape[0] - 1, -1, -1):
            way = min(far, distance[rule_first[calls[i, 1]]] + distance[calls[i, 2]])
            if way < distance[calls[i, 0]]:
                distance[calls[i, 0]] = way
                changed = True
        for i in range(edges.shape[0] - 1, -1, -1):
            way = distance[edges[i, 3]] + 1
            if way < distance[edges[i, 0]]:
                distance[edges[i, 0]] = way
                changed = True
        for i in range(jumps.shape[0] - 1, -1, -1):
            way = distance[jumps[i, 1]]
            if way < distance[jumps[i, 0]]:
                distance[jumps[i, 0]] = way
                changed = True
    return np.where(distance == far, np.int32(-1), distance).astype(np.int32)


@njit(cache=True, nogil=True)
def longest_ways(
    n: int, sources: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return int32[n]: the most weight of a way that begins in each state.

    It is UNBOUNDED for states that reach a circle.

    Args:
        n: number of states.
        sources: int32[links] where each link begins.
        targets: int32[links] where it ends.
        weights: int8[links] 0 or 1.
    """
    start = np.zeros(n + 1, np.int64)
    open_links = np.zeros(n, np.int64)  # to states whose longest way is not known yet
    for link in range(sources.size):
        start[targets[link] + 1] += 1
        open_links[sources[link]] += 1
    for i in range(n):
        start[i + 1] += start[i]
    fill = start[:-1].copy()
    incoming = np.empty(sources.size, np.int64)
    for link in range(sources.size):
        incoming[fill[targets[link]]] = link
        fill[targets[link]] += 1
    longest = np.zeros(n, np.int32)
    stack = np.empty(n, np.int32)
    top = 0
    for state in range(n):
        if open_links[state] == 0:
            stack[top] = state
            top += 1
    while top:
        top -= 1
        state = stack[top]
        for i in range(start[state], start[state + 1]):
            link = incoming[i]
            source = sources[link]
            longest[source] = max(longest[source], longest[state] + weights[link])
            open_links[source] -= 1
            if open_links[source] == 0:
                stack[top] = source
                top += 1
    for state in range(n):
        if open_links[state]:
            longest[state] = UNBOUNDED
    return longest
