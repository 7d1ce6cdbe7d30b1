"""Lazy subset construction: one deterministic state at a time, and only when asked for.

A deterministic state is a sorted set of items (nfa states, each in a frame of the calls
of a grammar's rules; patterns have none) over all components, together with what the
formula says of it. `successor` is the one entry point: it looks a transition
up, builds it when it was never taken, and answers only with states from which an
accepting one can be reached (see `is_live`). Cost of a new transition: the edges of the
set's states plus one hash of the result.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.companion import drop_dead_items
from lmql_like.kernels.formula import evaluate, evaluate_possible
from lmql_like.kernels.items import add_closure, enter_calls, kill_component, set_hash, sort
from lmql_like.kernels.layouts import (
    DEAD,
    FRAMES,
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

__all__ = [
    "INJECT",
    "STOP_AFTER",
    "initial_state",
    "is_live",
    "local_state",
    "rehash",
    "rehash_frames",
    "successor",
]

STOP_AFTER = 0  # rule: where the program holds and the component accepts, the hole ends
INJECT = 1  # rule: where the program holds, the component may start here


@njit(cache=True, nogil=True)
def _holds(nfa: NfaArrays, dfa: DfaArrays, rule: int, clock: int) -> bool:
    """Tell whether a rule fires: its phrase just ended, and its condition holds.

    An injected phrase was tied to its condition at its first byte.
    """
    accept = nfa.accept[nfa.rule_component[rule]]
    if accept < 0 or dfa.stamp[accept] != clock:
        return False
    if nfa.rule_kind[rule] == INJECT:
        return True
    return evaluate(nfa, np.int64(nfa.rule_program[rule]), dfa.stamp, clock, dfa.truth) != 0


@njit(cache=True, nogil=True)
def _intern(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    size: int,
    clock: int,
    companion: int = 0,
) -> int:
    """Return the state of the set in `members` (made if new), 0 if dead, or OVERFLOW.

    `companion` is the companion's state, 0 where there is none.
    """
    injecting, stopped = 0, 0
    for rule in range(nfa.rule_kind.size):
        if nfa.rule_kind[rule] == INJECT and evaluate(
            nfa, np.int64(nfa.rule_program[rule]), dfa.stamp, clock, dfa.truth
        ):
            injecting = 1
            first = np.int64(nfa.rule_start[rule])
            # A phrase is a pattern: it calls no rules, whatever stands beside it.
            size = add_closure(nfa, dfa, None, first, np.int64(0), clock, size)
            if size == OVERFLOW:
                return OVERFLOW
    accepting = evaluate(nfa, np.int64(0), dfa.stamp, clock, dfa.truth)
    if net is not None and companion:
        size = drop_dead_items(dfa, net, companion, size)
        if not net.beside_accepts[companion]:
            accepting = np.int64(0)
    fired = np.int64(0)
    for rule in range(nfa.rule_kind.size):
        if _holds(nfa, dfa, rule, clock):
            stopped = 1
            fired |= np.int64(1) << rule
    for rule in range(nfa.rule_kind.size):
        # Every rule saw the whole set above; only now what the fired ones kill goes.
        if fired >> rule & 1:
            if nfa.rule_kind[rule] == INJECT:
                size = kill_component(nfa, dfa, np.int64(nfa.rule_component[rule]), clock, size)
            size = kill_component(nfa, dfa, np.int64(nfa.rule_alive[rule]), clock, size)
    if accepting == 0:
        alive = dfa.truth[dfa.truth.size - nfa.accept.size :]
        alive[:] = 0
        for i in range(size):
            alive[nfa.component[dfa.members[i] & 0xFFFFFFFF]] = 1
        if not evaluate_possible(nfa, alive, dfa.truth):
            return 0
    return _find_or_add(nfa, dfa, net, size, accepting, injecting, stopped, companion)


@njit(cache=True, nogil=True)
def _settle(nfa: NfaArrays, dfa: DfaArrays, state: int) -> None:
    """Note a lower bound of a new state's bytes to acceptance, and whether it is surely live."""
    if dfa.accepting[state]:
        dfa.status[state] = LIVE
        dfa.distance[state] = 0
        return
    nearest = dfa.truth[dfa.truth.size - nfa.accept.size :]  # free again, the state being made
    pool, component_of, distance, required = dfa.pool, nfa.component, nfa.distance, nfa.required
    nearest[:] = 0x7FFFFFFF
    for i in range(dfa.set_start[state], dfa.set_start[state + 1]):
        member = pool[i] & 0xFFFFFFFF
        component = component_of[member]
        nearest[component] = min(nearest[component], distance[member])
    bound = 0
    for component in range(required.size):
        if required[component]:
            bound = max(bound, nearest[component])
    dfa.distance[state] = bound
    if nfa.spans.shape[0] and _is_too_long(nfa, dfa, state, bound):
        dfa.status[state] = DEAD
    elif nfa.trusted[0]:
        dfa.status[state] = LIVE


@njit(cache=True, nogil=True)
def _is_too_long(nfa: NfaArrays, dfa: DfaArrays, state: int, fewest_bytes: int) -> bool:
    """Tell whether one required component needs more than another one has room for.

    Measured in characters and in bytes. It spares a search through all that a text could
    still be: that it cannot get longer is what no shortest distance shows.
    """
    best = dfa.truth[dfa.truth.size - nfa.accept.size :]
    pool, component_of, spans, required = dfa.pool, nfa.component, nfa.spans, nfa.required
    fewest, most_characters, most_bytes = 0, 0x7FFFFFFF, 0x7FFFFFFF
    for measure in range(3):
        best[:] = 0x7FFFFFFF if measure == 0 else 0
        for i in range(dfa.set_start[state], dfa.set_start[state + 1]):
            member = pool[i] & 0xFFFFFFFF
            component, span = component_of[member], spans[member, measure]
            if measure == 0:
                best[component] = min(best[component], span)
            else:
                best[component] = max(best[component], span)
        for component in range(required.size):
            if not required[component]:
                continue
            if measure == 0:
                fewest = max(fewest, best[component])
            elif measure == 1:
                most_characters = min(most_characters, best[component])
            else:
                most_bytes = min(most_bytes, best[component])
    return fewest > most_characters or fewest_bytes > most_bytes


@njit(cache=True, nogil=True)
def _find_or_add(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    size: int,
    accepting: int,
    injecting: int,
    stopped: int,
    companion: int,
) -> int:
    """Look the set in `members` up in the hash table; add it if it is new."""
    members = dfa.members[:size]
    sort(members)
    mask = dfa.buckets.size - 1
    bucket = set_hash(members, size, accepting * 4 + injecting * 2 + stopped + 8 * companion) & mask
    while dfa.buckets[bucket]:
        state = np.int64(dfa.buckets[bucket])
        begin = dfa.set_start[state]
        if (
            dfa.set_start[state + 1] - begin == size
            and dfa.accepting[state] == accepting
            and dfa.injecting[state] == injecting
            and dfa.stopped[state] == stopped
            and dfa.companion[state] == companion
        ):
            same = True
            for i in range(size):
                if dfa.pool[begin + i] != members[i]:
                    same = False
                    break
            if same:
                return state
        bucket = (bucket + 1) & mask
    state = dfa.counts[0]
    used = dfa.counts[1]
    if state + 1 >= dfa.set_start.size or used + size > dfa.pool.size:
        dfa.counts[FULL] = STATES if state + 1 >= dfa.set_start.size else ITEMS
        return OVERFLOW
    dfa.buckets[bucket] = state
    for i in range(size):  # a slice assignment would compile its error messages too
        dfa.pool[used + i] = members[i]
    dfa.set_start[state + 1] = used + size
    dfa.table[state, :] = UNKNOWN
    dfa.status[state] = 0
    dfa.accepting[state] = accepting
    dfa.injecting[state] = injecting
    dfa.stopped[state] = stopped
    dfa.companion[state] = companion
    dfa.leaving[state] = 0
    if net is not None:
        for i in range(size):
            if members[i] >> 32 == LOCAL and net.rule_end[members[i] & 0xFFFFFFFF]:
                dfa.leaving[state] = 1
    dfa.counts[0] = state + 1
    dfa.counts[1] = used + size
    _settle(nfa, dfa, state)
    if net is not None:
        least = np.int32(0x3FFFFFFF)
        for i in range(size):
            q, frame = members[i] & 0xFFFFFFFF, members[i] >> 32
            least = min(least, nfa.distance[q] + net.frame_distance[frame])
        dfa.distance[state] = 0 if accepting else least
    return state


@njit(cache=True, nogil=True)
def rehash(dfa: DfaArrays) -> None:
    """Fill an empty hash table with all states there are."""
    mask = dfa.buckets.size - 1
    for state in range(1, dfa.counts[0]):
        begin, end = dfa.set_start[state], dfa.set_start[state + 1]
        seed = dfa.accepting[state] * 4 + dfa.injecting[state] * 2 + dfa.stopped[state]
        seed += 8 * dfa.companion[state]
        bucket = set_hash(dfa.pool[begin:end], end - begin, seed) & mask
        while dfa.buckets[bucket]:
            bucket = (bucket + 1) & mask
        dfa.buckets[bucket] = state


@njit(cache=True, nogil=True)
def rehash_frames(dfa: DfaArrays, net: NetworkArrays) -> None:
    """Fill an empty hash table with all frames there are."""
    mask = net.frame_buckets.size - 1
    for frame in range(LOCAL + 1, dfa.counts[FRAMES]):
        begin, end = net.frame_start[frame], net.frame_start[frame + 1]
        bucket = set_hash(net.pairs[begin:end], end - begin, 0) & mask
        while net.frame_buckets[bucket]:
            bucket = (bucket + 1) & mask
        net.frame_buckets[bucket] = frame


@njit(cache=True, nogil=True)
def _tick(dfa: DfaArrays) -> int:
    """Begin a new set: advance the clock by two, one value to mark, one for "removed"."""
    last = dfa.stamp.size - 1
    dfa.counts[SCRATCH] = 0
    dfa.stamp[last] += 2
    return np.int64(dfa.stamp[last])


@njit(cache=True, nogil=True)
def initial_state(nfa: NfaArrays, dfa: DfaArrays, net: NetworkArrays | None) -> int:
    """Make the start state; return it, 0 if nothing can match, or OVERFLOW."""
    clock = _tick(dfa)
    size = 0
    for i in range(nfa.starts.size):
        size = add_closure(nfa, dfa, net, np.int64(nfa.starts[i]), np.int64(0), clock, size)
        if size == OVERFLOW:
            return OVERFLOW
    if net is not None:
        size = enter_calls(nfa, dfa, net, clock, size)
        if size == OVERFLOW:
            return OVERFLOW
    companion = 1 if net is not None and net.beside.shape[0] else 0
    state = _intern(nfa, dfa, net, size, clock, companion)
    if state <= 0:
        return state
    live = is_live(nfa, dfa, net, state)
    if live == OVERFLOW:
        return OVERFLOW
    return state if live else 0


@njit(cache=True, nogil=True)
def local_state(
    nfa: NfaArrays, dfa: DfaArrays, net: NetworkArrays, states: np.ndarray, closed: bool
) -> int:
    """Make the state of a rule that is read on its own, in the frame LOCAL.

    Args:
        nfa: the components.
        dfa: the automaton.
        net: the calls and frames.
        states: int64[...] nfa states of the rule.
        closed: True if their empty moves, calls and ends are looked after elsewhere.

    Returns:
        The state or OVERFLOW.
    """
    clock = _tick(dfa)
    size = 0
    for state in states:
        if closed:
            if size == dfa.members.size:
                dfa.counts[FULL] = SCRATCH
                return OVERFLOW
            dfa.members[size] = np.int64(LOCAL) << 32 | state
            size += 1
        else:
            size = add_closure(nfa, dfa, net, state, np.int64(LOCAL), clock, size)
            if size == OVERFLOW:
                return OVERFLOW
    if not closed:
        size = enter_calls(nfa, dfa, net, clock, size)
        if size == OVERFLOW:
            return OVERFLOW
    return _intern(nfa, dfa, net, size, clock, np.int64(0))


@njit(cache=True, nogil=True)
def _build(
    nfa: NfaArrays, dfa: DfaArrays, net: NetworkArrays | None, state: int, symbol: int
) -> int:
    """Build the transition of a state on a byte class; return the target, 0 or OVERFLOW.

    The classes around `symbol` that meet the same edges have the same target; the whole
    interval is written at once.
    """
    clock = _tick(dfa)
    size = 0
    first, last = 0, dfa.table.shape[1] - 1
    companion = np.int64(0)
    if net is not None and dfa.companion[state]:
        beside = net.beside[dfa.companion[state]]
        companion = np.int64(beside[symbol])
        if companion == 0:
            dfa.table[state, symbol] = 0
            return 0
        first, last = symbol, symbol
        while first > 0 and beside[first - 1] == companion:
            first -= 1
        while last + 1 < beside.size and beside[last + 1] == companion:
            last += 1
    # Read in the loop, a field of a bundle costs a reference count.
    pool, edge_start, edge_to = dfa.pool, nfa.edge_start, nfa.edge_to
    edge_low, edge_high = nfa.edge_low, nfa.edge_high
    for i in range(dfa.set_start[state], dfa.set_start[state + 1]):
        source, frame = pool[i] & 0xFFFFFFFF, pool[i] >> 32
        for edge in range(edge_start[source], edge_start[source + 1]):
            low, high = edge_low[edge], edge_high[edge]
            if high < symbol:
                first = max(first, high + 1)
            elif low > symbol:
                last = min(last, low - 1)
            else:
                first = max(first, low)
                last = min(last, high)
                size = add_closure(nfa, dfa, net, np.int64(edge_to[edge]), frame, clock, size)
                if size == OVERFLOW:
                    return OVERFLOW
    if net is not None:
        size = enter_calls(nfa, dfa, net, clock, size)
        if size == OVERFLOW:
            return OVERFLOW
    target = _intern(nfa, dfa, net, size, clock, companion)
    if target == OVERFLOW:
        return OVERFLOW
    if target == 0 or dfa.status[target] == DEAD:
        dfa.table[state, first : last + 1] = 0
        return 0
    dfa.table[state, first : last + 1] = target if dfa.status[target] == LIVE else -(target + 1)
    return target


@njit(cache=True, nogil=True)
def is_live(nfa: NfaArrays, dfa: DfaArrays, net: NetworkArrays | None, state: int) -> int:
    """Tell whether an accepting state can be reached: 1, 0 or OVERFLOW.

    Depth first, nearest first by `distance`, until an accepting or known live state is
    met: the states on the way to it are live. Where the search ends without one, all it
    visited are dead. Every state is settled once, so the total cost is the part of the
    automaton reached.
    """
    if dfa.status[state]:
        return 1 if dfa.status[state] == LIVE else 0
    last = dfa.visited.size - 1
    dfa.visited[last] += 1
    clock = dfa.visited[last]
    dfa.queue[0] = state
    dfa.parent[state] = 0
    dfa.visited[state] = clock
    top, bottom = 1, dfa.queue.size  # the stack grows up from 0, the done ones down from the end
    while top:
        top -= 1
        current = np.int64(dfa.queue[top])
        bottom -= 1
        dfa.queue[bottom] = current
        best = top
        for symbol in range(dfa.table.shape[1]):
            value = dfa.table[current, symbol]
            if value == UNKNOWN:
                value = _build(nfa, dfa, net, current, symbol)
                if value == OVERFLOW:
                    return OVERFLOW
            target = -value - 1 if value < 0 else value
            if target == 0 or dfa.status[target] == DEAD or dfa.visited[target] == clock:
                continue
            if dfa.status[target] == LIVE:
                while current:
                    dfa.status[current] = LIVE
                    current = dfa.parent[current]
                return 1
            dfa.visited[target] = clock
            dfa.parent[target] = current
            dfa.queue[top] = target
            if top == best or dfa.distance[target] < dfa.distance[dfa.queue[best]]:
                best = top
            top += 1
        if best < top:
            dfa.queue[best], dfa.queue[top - 1] = dfa.queue[top - 1], dfa.queue[best]
    for i in range(bottom, dfa.queue.size):
        dfa.status[dfa.queue[i]] = DEAD
    return 0


@njit(cache=True, nogil=True)
def successor(
    nfa: NfaArrays, dfa: DfaArrays, net: NetworkArrays | None, state: int, symbol: int
) -> int:
    """Return the live state behind a byte class, 0 if there is none, or OVERFLOW."""
    value = dfa.table[state, symbol]
    if value >= 0:
        return value
    target = _build(nfa, dfa, net, state, symbol) if value == UNKNOWN else np.int64(-value - 1)
    if target <= 0:
        return target
    live = is_live(nfa, dfa, net, target)
    if live == OVERFLOW:
        return OVERFLOW
    dfa.table[state, symbol] = target if live else 0
    return dfa.table[state, symbol]
