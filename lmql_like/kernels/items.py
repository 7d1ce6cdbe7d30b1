"""Sets of items: what an automaton may be doing after some bytes, before a set becomes a state.

An item is `frame << 32 | nfa state`. `add_closure` follows what needs no byte: empty
moves, and rules that end. Calls of rules are noted on the way and entered afterwards, by
`enter_calls`, when all callers of a rule at this place are known.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.companion import note_frame
from lmql_like.kernels.layouts import (
    FRAMES,
    FULL,
    LOCAL,
    OVERFLOW,
    PAIRS,
    SCRATCH,
    DfaArrays,
    NetworkArrays,
    NfaArrays,
)

__all__ = ["add_closure", "enter_calls", "frame_of", "kill_component", "set_hash", "sort"]


@njit(cache=True, nogil=True)
def sort(items: np.ndarray) -> None:
    """Sort in place, by Shell's method (CACM 1959) with Knuth's gaps: quick to compile."""
    for gap in (29524, 9841, 3280, 1093, 364, 121, 40, 13, 4, 1):
        for i in range(gap, items.size):
            item = items[i]
            j = i
            while j >= gap and items[j - gap] > item:
                items[j] = items[j - gap]
                j -= gap
            items[j] = item


@njit(cache=True, nogil=True)
def set_hash(members: np.ndarray, size: int, seed: int) -> np.int64:
    """Return a non-negative hash of the first `size` members and a seed."""
    value = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x2545F4914F6CDD1D)
    for i in range(size):
        value = (value ^ np.uint64(members[i])) * np.uint64(0xFF51AFD7ED558CCD)
        value ^= value >> np.uint64(32)
    return np.int64(value & np.uint64(0x7FFFFFFFFFFFFFFF))


@njit(cache=True, nogil=True)
def _is_new(dfa: DfaArrays, net: NetworkArrays, state: int, frame: int, clock: int) -> int:
    """Mark an item as visited: 1 it was not yet, 0 it was, or OVERFLOW."""
    if frame == 0:
        if dfa.stamp[state] == clock:
            return 0
        dfa.stamp[state] = clock
        return 1
    item = frame << 32 | state
    mask = net.seen_item.size - 1
    bucket = (item * 0x9E3779B97F4A7C1 >> 20) & mask
    for _ in range(32):
        if net.seen_clock[bucket] != clock:
            net.seen_clock[bucket] = clock
            net.seen_item[bucket] = item
            return 1
        if net.seen_item[bucket] == item:
            return 0
        bucket = (bucket + 1) & mask
    dfa.counts[FULL] = SCRATCH
    return OVERFLOW


@njit(cache=True, nogil=True)
def _note_call(dfa: DfaArrays, net: NetworkArrays, rule: int, pair: int, clock: int) -> int:
    """Note one pair of a rule's frame to be; return 0 or OVERFLOW."""
    entry = dfa.counts[SCRATCH]
    if entry == net.call_pair.size:
        dfa.counts[FULL] = SCRATCH
        return OVERFLOW
    net.call_pair[entry] = pair
    net.call_next[entry] = net.call_head[rule] if net.call_clock[rule] == clock else -1
    net.call_head[rule] = entry
    net.call_clock[rule] = clock
    dfa.counts[SCRATCH] = entry + 1
    return 0


@njit(cache=True, nogil=True)
def _note_calls(dfa: DfaArrays, net: NetworkArrays, state: int, frame: int, clock: int) -> int:
    """Note the calls that an item makes; return 0 or OVERFLOW."""
    for i in range(net.call_start[state], net.call_start[state + 1]):
        rule = np.int64(net.call_rule[i])
        if frame > LOCAL and net.call_tail[i]:
            # The last thing its rule does: it answers its caller's callers, and no one else.
            for k in range(net.frame_start[frame], net.frame_start[frame + 1]):
                if _note_call(dfa, net, rule, net.pairs[k], clock) == OVERFLOW:
                    return OVERFLOW
        elif (
            _note_call(dfa, net, rule, frame << 32 | np.int64(net.call_return[i]), clock)
            == OVERFLOW
        ):
            return OVERFLOW
    return 0


@njit(cache=True, nogil=True)
def _add_bottom_closure(
    nfa: NfaArrays, dfa: DfaArrays, net: NetworkArrays | None, state: int, clock: int, size: int
) -> int:
    """As `add_closure` for an item in frame 0: no rule ends there, and one array marks visits.

    All items of patterns are such items, so this is the path that has to be short.
    """
    stamp, stack, members = dfa.stamp, dfa.stack, dfa.members
    jump_start, jump_to, edge_start = nfa.jump_start, nfa.jump_to, nfa.edge_start
    accept, component = nfa.accept, nfa.component
    if stamp[state] == clock:
        return size
    stamp[state] = clock
    stack[0] = state
    top = 1
    while top:
        top -= 1
        current = stack[top]
        first_jump, last_jump = jump_start[current], jump_start[current + 1]
        if size == members.size or top + last_jump - first_jump > stack.size:
            dfa.counts[FULL] = SCRATCH
            return OVERFLOW
        if edge_start[current + 1] > edge_start[current] or accept[component[current]] == current:
            members[size] = current
            size += 1
        if net is not None:
            calls = net.call_start[current + 1] > net.call_start[current]
            if calls and _note_calls(dfa, net, current, np.int64(0), clock) == OVERFLOW:
                return OVERFLOW
        for i in range(first_jump, last_jump):
            target = jump_to[i]
            if stamp[target] != clock:
                stamp[target] = clock
                stack[top] = target
                top += 1
    return size


@njit(cache=True, nogil=True)
def add_closure(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    state: int,
    frame: int,
    clock: int,
    size: int,
) -> int:
    """Add an item and all it reaches by empty moves and by rules that end to `members`.

    Calls are only noted; `enter_calls` makes their frames when all of them are known.

    Returns:
        The new number of members, or OVERFLOW.
    """
    if net is None or frame == 0:
        return _add_bottom_closure(nfa, dfa, net, state, clock, size)
    fresh = _is_new(dfa, net, state, frame, clock)
    if fresh != 1:
        return size if fresh == 0 else OVERFLOW
    stack = dfa.stack
    stack[0] = frame << 32 | state
    top = 1
    while top:
        top -= 1
        current, frame = stack[top] & 0xFFFFFFFF, stack[top] >> 32
        first_jump, last_jump = nfa.jump_start[current], nfa.jump_start[current + 1]
        first_pair, last_pair = np.int64(0), np.int64(0)
        if frame and net.rule_end[current]:
            first_pair, last_pair = net.frame_start[frame], net.frame_start[frame + 1]
        room = last_jump - first_jump + last_pair - first_pair
        if size == dfa.members.size or top + room > stack.size:
            dfa.counts[FULL] = SCRATCH
            return OVERFLOW
        # Only items with edges, accepting ones and local ends tell two sets apart.
        if (
            nfa.edge_start[current + 1] > nfa.edge_start[current]
            or (frame == LOCAL and net.rule_end[current])
            or (frame == 0 and nfa.accept[nfa.component[current]] == current)
        ):
            dfa.members[size] = frame << 32 | current
            size += 1
        calls = net.call_start[current + 1] > net.call_start[current]
        if calls and _note_calls(dfa, net, current, frame, clock) == OVERFLOW:
            return OVERFLOW
        for i in range(first_jump, last_jump):
            target = np.int64(nfa.jump_to[i])
            fresh = _is_new(dfa, net, target, frame, clock)
            if fresh == OVERFLOW:
                return OVERFLOW
            if fresh:
                stack[top] = frame << 32 | target
                top += 1
        for i in range(first_pair, last_pair):
            pair = net.pairs[i]
            fresh = _is_new(dfa, net, pair & 0xFFFFFFFF, pair >> 32, clock)
            if fresh == OVERFLOW:
                return OVERFLOW
            if fresh:
                stack[top] = pair
                top += 1
    return size


@njit(cache=True, nogil=True)
def frame_of(nfa: NfaArrays, dfa: DfaArrays, net: NetworkArrays, pairs: np.ndarray) -> int:
    """Return the frame of some pairs, made if it is new, or OVERFLOW; sorts the pairs."""
    sort(pairs)
    size = 0
    for i in range(pairs.size):
        if size == 0 or pairs[i] != pairs[size - 1]:
            pairs[size] = pairs[i]
            size += 1
    mask = net.frame_buckets.size - 1
    bucket = set_hash(pairs, size, 0) & mask
    while net.frame_buckets[bucket]:
        frame = np.int64(net.frame_buckets[bucket])
        begin = net.frame_start[frame]
        if net.frame_start[frame + 1] - begin == size:
            same = True
            for i in range(size):
                if net.pairs[begin + i] != pairs[i]:
                    same = False
                    break
            if same:
                return frame
        bucket = (bucket + 1) & mask
    frame, used = dfa.counts[FRAMES], dfa.counts[PAIRS]
    if frame + 1 >= net.frame_start.size or used + size > net.pairs.size:
        dfa.counts[FULL] = FRAMES if frame + 1 >= net.frame_start.size else PAIRS
        return OVERFLOW
    net.frame_buckets[bucket] = frame
    for i in range(size):
        net.pairs[used + i] = pairs[i]
    net.frame_start[frame + 1] = used + size
    dfa.counts[FRAMES] = frame + 1
    dfa.counts[PAIRS] = used + size
    note_frame(net, nfa.distance, frame)
    return frame


@njit(cache=True, nogil=True)
def enter_calls(nfa: NfaArrays, dfa: DfaArrays, net: NetworkArrays, clock: int, size: int) -> int:
    """Add the first items of all rules called from `members`; the new size, or OVERFLOW.

    Rules come in an order in which each stands before those it begins with, and none
    ends without a byte, so each frame is complete when its turn comes.
    """
    if dfa.counts[SCRATCH] == 0:
        return size
    for rule in range(net.rule_first.size):
        if net.call_clock[rule] != clock:
            continue
        found = 0
        entry = net.call_head[rule]
        while entry >= 0:
            if found == dfa.stack.size:
                dfa.counts[FULL] = SCRATCH
                return OVERFLOW
            dfa.stack[found] = net.call_pair[entry]
            found += 1
            entry = net.call_next[entry]
        frame = frame_of(nfa, dfa, net, dfa.stack[:found])
        if frame == OVERFLOW:
            return OVERFLOW
        size = add_closure(nfa, dfa, net, np.int64(net.rule_first[rule]), frame, clock, size)
        if size == OVERFLOW:
            return OVERFLOW
    return size


@njit(cache=True, nogil=True)
def kill_component(nfa: NfaArrays, dfa: DfaArrays, component: int, clock: int, size: int) -> int:
    """Remove a component's items from `members`; return the new size."""
    kept = 0
    for i in range(size):
        state = dfa.members[i] & 0xFFFFFFFF
        if nfa.component[state] == component:
            dfa.stamp[state] = clock - 1
        else:
            dfa.members[kept] = dfa.members[i]
            kept += 1
    return kept
