"""Steps of a parser over terminals, the short way.

`subset.successor` serves formulas of many components, with rules, counters, companions and
searches for completions. A parser has one component, and each of its sets that is not empty
is live. What is left of a step is short: move the items, close the set, look it up. It is
written over the arrays themselves, for the bundles that hold them would take longer to pass
from one function to the next than a step takes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.items import frame_of, set_hash, sort
from lmql_like.kernels.layouts import (
    FULL,
    ITEMS,
    LIVE,
    LOCAL,
    OVERFLOW,
    SCRATCH,
    STATES,
    UNKNOWN,
    DfaArrays,
    NetworkArrays,
    NfaArrays,
)
from lmql_like.kernels.subset import successor

__all__ = ["parser_step"]

_PROBES = 32  # places in which a visited item is looked for


@njit(cache=True, nogil=True)
def _is_new(
    item: int, clock: int, stamp: np.ndarray, seen_item: np.ndarray, seen_clock: np.ndarray
) -> int:
    """Mark an item as visited: 1 it was not yet, 0 it was, or OVERFLOW."""
    if item >> 32 == 0:
        if stamp[item] == clock:
            return 0
        stamp[item] = clock
        return 1
    mask = seen_item.size - 1
    bucket = (item * 0x9E3779B97F4A7C1 >> 20) & mask
    for _ in range(_PROBES):
        if seen_clock[bucket] != clock:
            seen_clock[bucket] = clock
            seen_item[bucket] = item
            return 1
        if seen_item[bucket] == item:
            return 0
        bucket = (bucket + 1) & mask
    return OVERFLOW


@njit(cache=True, nogil=True)
def _close(
    nfa: NfaArrays, dfa: DfaArrays, net: NetworkArrays, clock: int, top: int, size: int
) -> int:
    """Add the items on the stack, and all they reach without a terminal, to `members`.

    Calls are noted, as by `items.add_closure`. Returns the new size or OVERFLOW.
    """
    stack, members, stamp, counts = dfa.stack, dfa.members, dfa.stamp, dfa.counts
    edge_start, jump_start, jump_to = nfa.edge_start, nfa.jump_start, nfa.jump_to
    call_start, call_rule, call_return = net.call_start, net.call_rule, net.call_return
    call_tail, call_next, call_pair = net.call_tail, net.call_next, net.call_pair
    call_head, call_clock, rule_end = net.call_head, net.call_clock, net.rule_end
    frame_start, pairs = net.frame_start, net.pairs
    seen_item, seen_clock, accept = net.seen_item, net.seen_clock, np.int64(nfa.accept[0])
    noted = counts[SCRATCH]
    while top:
        top -= 1
        item = stack[top]
        fresh = _is_new(item, clock, stamp, seen_item, seen_clock)
        if fresh == 0:
            continue
        state, frame = item & 0xFFFFFFFF, item >> 32
        first, last = np.int64(0), np.int64(0)
        if frame:
            first, last = frame_start[frame], frame_start[frame + 1]
        room = top + jump_start[state + 1] - jump_start[state] + last - first
        calls = (call_start[state + 1] - call_start[state]) * max(np.int64(1), last - first)
        if (
            fresh == OVERFLOW
            or size == members.size
            or room > stack.size
            or noted + calls > call_pair.size
        ):
            counts[FULL] = SCRATCH
            return OVERFLOW
        if edge_start[state + 1] > edge_start[state] or item == accept:
            members[size] = item
            size += 1
        for i in range(call_start[state], call_start[state + 1]):
            rule = call_rule[i]
            tail = frame > LOCAL and call_tail[i]
            for k in range(first, last) if tail else range(1):
                call_pair[noted] = pairs[k] if tail else frame << 32 | np.int64(call_return[i])
                call_next[noted] = call_head[rule] if call_clock[rule] == clock else -1
                call_head[rule] = noted
                call_clock[rule] = clock
                noted += 1
        for i in range(jump_start[state], jump_start[state + 1]):
            stack[top] = frame << 32 | np.int64(jump_to[i])
            top += 1
        if rule_end[state]:
            for k in range(first, last):
                stack[top] = pairs[k]
                top += 1
    counts[SCRATCH] = noted
    return size


@njit(cache=True, nogil=True)
def _find(
    members: np.ndarray,
    size: int,
    seed: int,
    buckets: np.ndarray,
    start: np.ndarray,
    pool: np.ndarray,
) -> int:
    """Return which of the sets in a pool the first `size` members are, or -1 - the bucket."""
    mask = buckets.size - 1
    bucket = set_hash(members, size, seed) & mask
    while buckets[bucket]:
        known = np.int64(buckets[bucket])
        begin = start[known]
        same = start[known + 1] - begin == size
        for i in range(size):
            if not same:
                break
            same = pool[begin + i] == members[i]
        if same:
            return known
        bucket = (bucket + 1) & mask
    return -1 - bucket


@njit(cache=True, nogil=True)
def _enter_calls(nfa: NfaArrays, dfa: DfaArrays, net: NetworkArrays, clock: int, size: int) -> int:
    """Add the first items of all rules called from `members`; as `items.enter_calls`."""
    stack = dfa.stack
    for rule in range(net.rule_first.size):
        if net.call_clock[rule] != clock:
            continue
        found = 0
        entry = net.call_head[rule]
        while entry >= 0:
            if found == stack.size:
                dfa.counts[FULL] = SCRATCH
                return OVERFLOW
            stack[found] = net.call_pair[entry]
            found += 1
            entry = net.call_next[entry]
        frame = np.int64(-1)
        if found == 1:
            frame = _find(stack, 1, 0, net.frame_buckets, net.frame_start, net.pairs)
        if frame < 0:
            frame = frame_of(nfa, dfa, net, stack[:found])
            if frame == OVERFLOW:
                return OVERFLOW
        stack[0] = frame << 32 | np.int64(net.rule_first[rule])
        size = _close(nfa, dfa, net, clock, np.int64(1), size)
        if size == OVERFLOW:
            return OVERFLOW
    return size


@njit(cache=True, nogil=True)
def _add(
    nfa: NfaArrays, dfa: DfaArrays, net: NetworkArrays, size: int, accepting: int, bucket: int
) -> int:
    """Make the state of the sorted set in `members`; return it or OVERFLOW."""
    state, used = dfa.counts[STATES], dfa.counts[ITEMS]
    if state + 1 >= dfa.set_start.size or used + size > dfa.pool.size:
        dfa.counts[FULL] = STATES if state + 1 >= dfa.set_start.size else ITEMS
        return OVERFLOW
    members, pool, table = dfa.members, dfa.pool, dfa.table
    least = np.int32(0x3FFFFFFF)
    for i in range(size):
        item = members[i]
        pool[used + i] = item
        least = min(least, nfa.distance[item & 0xFFFFFFFF] + net.frame_distance[item >> 32])
    for symbol in range(table.shape[1]):
        table[state, symbol] = UNKNOWN
    dfa.buckets[bucket] = state
    dfa.set_start[state + 1] = used + size
    dfa.status[state] = LIVE
    dfa.accepting[state] = accepting
    dfa.distance[state] = 0 if accepting else least
    dfa.injecting[state] = 0
    dfa.stopped[state] = 0
    dfa.companion[state] = 0
    dfa.leaving[state] = 0
    dfa.counts[STATES] = state + 1
    dfa.counts[ITEMS] = used + size
    return state


@njit(cache=True, nogil=True)
def parser_step(
    nfa: NfaArrays, dfa: DfaArrays, net: NetworkArrays | None, parsed: int, terminal: int
) -> int:
    """Return the state behind a terminal, 0 if there is none, or OVERFLOW.

    As `subset.successor`, for one component without rules, counters and companion.
    """
    known = np.int64(dfa.table[parsed, terminal])
    if known >= 0:
        return known
    if net is None:
        return successor(nfa, dfa, net, parsed, terminal)
    pool, stack = dfa.pool, dfa.stack
    edge_start, edge_low, edge_high = nfa.edge_start, nfa.edge_low, nfa.edge_high
    last = dfa.stamp.size - 1
    dfa.counts[SCRATCH] = 0
    dfa.stamp[last] += 2
    clock = np.int64(dfa.stamp[last])
    top = 0
    for i in range(dfa.set_start[parsed], dfa.set_start[parsed + 1]):
        source, frame = pool[i] & 0xFFFFFFFF, pool[i] >> 32
        for edge in range(edge_start[source], edge_start[source + 1]):
            if edge_low[edge] <= terminal <= edge_high[edge]:
                if top == stack.size:
                    dfa.counts[FULL] = SCRATCH
                    return OVERFLOW
                stack[top] = frame << 32 | np.int64(nfa.edge_to[edge])
                top += 1
    size = np.int64(0)
    if top:
        size = _close(nfa, dfa, net, clock, top, size)
        if size != OVERFLOW and dfa.counts[SCRATCH]:
            size = _enter_calls(nfa, dfa, net, clock, size)
        if size == OVERFLOW:
            return OVERFLOW
    target = np.int64(0)
    if size:
        sort(dfa.members[:size])
        accept = nfa.accept[0]
        accepting = nfa.all_regimes[0] if accept >= 0 and dfa.stamp[accept] == clock else 0
        target = _find(dfa.members, size, accepting * 4, dfa.buckets, dfa.set_start, dfa.pool)
        if target < 0:
            target = _add(nfa, dfa, net, size, accepting, -1 - target)
            if target == OVERFLOW:
                return OVERFLOW
    dfa.table[parsed, terminal] = target
    return target
