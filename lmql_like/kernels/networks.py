"""A grammar's rules, written out one by one -> rules that begin with a byte or a call.

The rules' automata come as columns in the order in which they were written; see
`grammars.cfg.network` for what the rewriting is for.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["begin_rules"]


@njit(cache=True, nogil=True)
def _rows_of(n: int, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the rows of each state begin in an order of rows by state, and that order."""
    start = np.zeros(n + 1, np.int32)
    for source in sources:
        start[source + 1] += 1
    for state in range(n):
        start[state + 1] += start[state]
    fill = start[:-1].copy()
    order = np.empty(sources.size, np.int32)
    for row in range(sources.size):
        order[fill[sources[row]]] = row
        fill[sources[row]] += 1
    return start, order


@njit(cache=True, nogil=True)
def _ranks(n_rules: int, begun: np.ndarray) -> np.ndarray:
    """Return an order in which a rule stands before those it begins with; empty if none is.

    Args:
        n_rules: how many rules there are.
        begun: int32[..., 2] rule, a rule that it may call before it reads a byte.
    """
    start, order = _rows_of(n_rules, begun[:, 0])
    waiting = np.zeros(n_rules, np.int32)  # rules that begin with this one, not yet placed
    for row in range(begun.shape[0]):
        waiting[begun[row, 1]] += 1
    placed = np.empty(n_rules, np.int32)
    size, done = 0, 0
    for rule in range(n_rules):
        if waiting[rule] == 0:
            placed[size] = rule
            size += 1
    while done < size:
        rule = placed[done]
        done += 1
        for i in range(start[rule], start[rule + 1]):
            callee = begun[order[i], 1]
            waiting[callee] -= 1
            if waiting[callee] == 0:
                placed[size] = callee
                size += 1
    return placed if size == n_rules else placed[:0]


@njit(cache=True, nogil=True)
def _closures(begin: np.ndarray, jumps: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the states that each rule's start reaches by empty moves, as rows (start, states)."""
    start, order = _rows_of(n, jumps[0])
    seen = np.full(n, -1, np.int32)
    stack, items = np.empty(n + 1, np.int32), np.empty(2 * n + 16, np.int32)
    first_item = np.zeros(begin.size + 1, np.int32)
    used = 0
    for rule in range(begin.size):
        if used + n > items.size:
            larger = np.empty(2 * (used + n), np.int32)
            larger[:used] = items[:used]
            items = larger
        stack[0], top = begin[rule], 1
        seen[begin[rule]] = rule
        while top:
            top -= 1
            state = stack[top]
            items[used] = state
            used += 1
            for i in range(start[state], start[state + 1]):
                target = jumps[1, order[i]]
                if seen[target] != rule:
                    seen[target] = rule
                    stack[top] = target
                    top += 1
        first_item[rule + 1] = used
    return first_item, items


@njit(cache=True, nogil=True)
def _copied(
    rows: np.ndarray, n: int, begin: np.ndarray, first_item: np.ndarray, items: np.ndarray
) -> tuple[np.ndarray, int]:
    """Return rows, and behind them those of the states of each closure as the rule's own.

    Args:
        rows: int32[columns, ...]; the first column is the source.
        n: how many states there are.
        begin: int32[rules] the new source of a rule's rows.
        first_item: where the states of each rule's closure begin.
        items: the states of all closures.
    """
    start, order = _rows_of(n, rows[0])
    width, size = rows.shape
    total = size
    for i in range(first_item[begin.size]):
        total += start[items[i] + 1] - start[items[i]]
    out = np.empty((total, width), np.int32)
    for row in range(size):
        for column in range(width):
            out[row, column] = rows[column, row]
    for rule in range(begin.size):
        first = size
        for k in range(first_item[rule], first_item[rule + 1]):
            for i in range(start[items[k]], start[items[k] + 1]):
                for column in range(width):
                    out[size, column] = rows[column, order[i]]
                out[size, 0] = begin[rule]
                if not _is_listed(out, first, size):
                    size += 1
    return out[:size], rows.shape[1]


@njit(cache=True, nogil=True)
def _is_listed(rows: np.ndarray, first: int, last: int) -> bool:
    """Tell whether a row is equal to one of those from `first` on, of the nearest few."""
    for row in range(max(first, last - 64), last):
        same = True
        for column in range(rows.shape[1]):
            same = same and rows[row, column] == rows[last, column]
        if same:
            return True
    return False


@njit(cache=True, nogil=True)
def begin_rules(
    edges: np.ndarray, jumps: np.ndarray, calls: np.ndarray, begin: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give each rule a start that nothing leads to and that makes no empty move.

    Args:
        edges: int32[4, ...] columns source, first byte, last byte, target.
        jumps: int32[2, ...] source, target.
        calls: int32[3, ...] source, rule, return state.
        begin: int32[rules] the rules' start states. The new one of rule r is state n + r.
        n: how many states there are.

    Returns:
        edges and calls as rows, those of the new starts behind the others, and an order in
        which each rule stands before those it begins with, empty where one begins with itself.
    """
    first_item, items = _closures(begin, jumps, n)
    fresh = np.arange(n, n + begin.size).astype(np.int32)
    all_edges, _ = _copied(edges, n, fresh, first_item, items)
    all_calls, old = _copied(calls, n, fresh, first_item, items)
    begun = all_calls[old:, :2].copy()
    begun[:, 0] -= n
    return all_edges, all_calls, _ranks(begin.size, begun)
