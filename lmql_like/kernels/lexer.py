"""A lexer that is always of two minds: lazy subset construction over all terminals.

Maximal munch says where a lexeme ends: where no longer text is a lexeme of any candidate.
A reader of single bytes cannot know that yet, so it goes on in two ways, "the lexeme ended
here" and "it goes on", and the first remembers what would refute it. A state is a set of
items in layers:

* layer 0: the lexeme that is being read, in all terminals that it may turn out to be;
* layer 1: what must not come to pass: lexemes that began earlier may not reach an accept,
  and guards (lookahead behind a terminal) may not be met;
* layers 2 and up: what must come to pass. If an earlier lexeme does reach an accept that
  has guards, all is well if one of the guards forbids that end. Each such demand is a
  layer of its own; where it dies unfulfilled, the state is dead.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.items import set_hash, sort
from lmql_like.kernels.layouts import (
    CONTEXTS,
    DEAD,
    ENTERED,
    LEXER_FULL,
    LEXER_ITEMS,
    LEXER_STATES,
    LIVE,
    OVERFLOW,
    UNKNOWN,
    DfaArrays,
    LexerArrays,
    NfaArrays,
)

__all__ = [
    "begin_lexeme",
    "context_of",
    "enter_bucket",
    "enter_key_of",
    "goes_on",
    "lexer_step",
    "next_winner",
    "rehash_lexer",
]

_MEMBERS = 5  # in LEXER_FULL: the scratch had no room
_LAYERS = 40  # demands at one time; a text that makes more of them is refused


@njit(cache=True, nogil=True)
def _add(lexer: LexerArrays, size: int, layer: int, state: int) -> int:
    """Append an item to `members`; return the new size or OVERFLOW."""
    if size == lexer.members.size:
        lexer.counts[LEXER_FULL] = _MEMBERS
        return OVERFLOW
    lexer.members[size] = np.int64(layer) << 32 | state
    return size + 1


@njit(cache=True, nogil=True)
def _intern(lexer: LexerArrays, size: int) -> int:
    """Return the state of the set in `members`, 0 if nothing is being read, or OVERFLOW."""
    members = lexer.members[:size]
    sort(members)
    kept = 0
    for i in range(size):
        if kept == 0 or members[i] != members[kept - 1]:
            members[kept] = members[i]
            kept += 1
    if kept == 0 or members[0] >> 32 != 0:
        return 0
    mask = lexer.buckets.size - 1
    bucket = set_hash(members, kept, 0) & mask
    while lexer.buckets[bucket]:
        state = np.int64(lexer.buckets[bucket])
        begin = lexer.set_start[state]
        if lexer.set_start[state + 1] - begin == kept:
            same = True
            for i in range(kept):
                if lexer.pool[begin + i] != members[i]:
                    same = False
                    break
            if same:
                return state
        bucket = (bucket + 1) & mask
    state, used = lexer.counts[LEXER_STATES], lexer.counts[LEXER_ITEMS]
    if state + 1 >= lexer.set_start.size or used + kept > lexer.pool.size:
        no_states = state + 1 >= lexer.set_start.size
        lexer.counts[LEXER_FULL] = LEXER_STATES if no_states else LEXER_ITEMS
        return OVERFLOW
    lexer.buckets[bucket] = state
    winner, certain = -1, 0
    for i in range(kept):
        lexer.pool[used + i] = members[i]
        item = members[i] & 0xFFFFFFFF
        if members[i] >> 32 == 0 and lexer.accepts[item]:
            terminal = lexer.terminal[item]
            if winner < 0 or terminal < winner:
                winner = terminal
            if lexer.guard_start[item + 1] == lexer.guard_start[item]:
                certain = 1
    lexer.winner[state] = winner
    lexer.is_certain[state] = certain
    lexer.is_bound[state] = members[kept - 1] >> 32 != 0
    lexer.goes_on[state] = 0
    lexer.table[state, :] = UNKNOWN
    lexer.follow[state, :] = 0
    lexer.set_start[state + 1] = used + kept
    lexer.counts[LEXER_STATES] = state + 1
    lexer.counts[LEXER_ITEMS] = used + kept
    return state


@njit(cache=True, nogil=True)
def _follow(lexer: LexerArrays, size: int, layer: int, target: int, fresh: int) -> int:
    """Add what an item of a layer becomes; the new size, OVERFLOW, or -2 if it is refuted.

    Demands that it gives rise to go into the layer `fresh`.
    """
    if layer == 1:
        if lexer.guard_accepts[target]:
            return -2
        if lexer.accepts[target]:
            first, last = lexer.guard_start[target], lexer.guard_start[target + 1]
            if first == last or fresh >= _LAYERS:
                return -2
            for i in range(first, last):
                size = _add(lexer, size, fresh, np.int64(lexer.guards[i]))
                if size < 0:
                    return size
    return _add(lexer, size, layer, target)


@njit(cache=True, nogil=True)
def _demands_hold(lexer: LexerArrays, demanded: int, met: int, size: int) -> int:
    """Drop the demands that were met from `members`; -2 if one died, else the new size."""
    kept, alive = 0, np.int64(0)
    for i in range(size):
        layer = lexer.members[i] >> 32
        if layer >= 2:
            alive |= np.int64(1) << layer
        if layer < 2 or not met >> layer & 1:
            lexer.members[kept] = lexer.members[i]
            kept += 1
    return kept if demanded & ~met & ~alive == 0 else -2


@njit(cache=True, nogil=True)
def lexer_step(lexer: LexerArrays, state: int, symbol: int) -> int:
    """Return the state behind a byte class, 0 where nothing can be read on, or OVERFLOW."""
    known = np.int64(lexer.table[state, symbol])
    if known != UNKNOWN:
        return known
    size = 0
    demanded, met = np.int64(0), np.int64(0)
    first, last = 0, lexer.table.shape[1] - 1
    begin, end = lexer.set_start[state], lexer.set_start[state + 1]
    fresh = (lexer.pool[end - 1] >> 32) + 1
    fresh = max(fresh, 2)
    for i in range(begin, end):
        source, layer = lexer.pool[i] & 0xFFFFFFFF, lexer.pool[i] >> 32
        if layer >= 2:
            demanded |= np.int64(1) << layer
        for edge in range(lexer.edge_start[source], lexer.edge_start[source + 1]):
            low, high = lexer.edge_low[edge], lexer.edge_high[edge]
            if high < symbol:
                first = max(first, high + 1)
                continue
            if low > symbol:
                last = min(last, low - 1)
                break  # edges of a state ascend
            first, last = max(first, low), min(last, high)
            target = np.int64(lexer.edge_to[edge])
            if layer >= 2 and lexer.guard_accepts[target]:
                met |= np.int64(1) << layer
            if size < 0:
                continue  # refuted; what is left only narrows the interval
            before = size
            size = _follow(lexer, size, layer, target, fresh)
            if size == OVERFLOW:
                return OVERFLOW
            if size > before + 1:
                fresh += 1
    if size >= 0:
        size = _demands_hold(lexer, demanded, met, size)
    following = _intern(lexer, size) if size >= 0 else 0
    if following == OVERFLOW:
        return OVERFLOW
    lexer.table[state, first : last + 1] = following
    return following


@njit(cache=True, nogil=True)
def goes_on(lexer: LexerArrays, state: int) -> int:
    """Tell whether more bytes can end a lexeme: 1, 0 or OVERFLOW.

    Where nothing is bound, some edge is enough, for every state of a terminal leads to its
    end. Otherwise it takes a search, up to the first state in which a lexeme may end or in
    which all bonds have been shed.
    """
    if lexer.goes_on[state]:
        return 1 if lexer.goes_on[state] == LIVE else 0
    visited, queue = lexer.visited, lexer.queue
    clock_at = visited.size - 1
    visited[clock_at] += 1
    clock = visited[clock_at]
    queue[0] = state
    visited[state] = clock
    head, tail = 0, 1
    while head < tail:
        current = np.int64(queue[head])
        head += 1
        for symbol in range(lexer.table.shape[1]):
            target = lexer_step(lexer, current, np.int64(symbol))
            if target == OVERFLOW:
                return OVERFLOW
            if target == 0:
                continue
            free = not lexer.is_bound[target]
            if lexer.winner[target] >= 0 or free or lexer.goes_on[target] == LIVE:
                lexer.goes_on[state] = LIVE
                return 1
            if lexer.goes_on[target] == DEAD or visited[target] == clock:
                continue
            visited[target] = clock
            queue[tail] = target
            tail += 1
    for i in range(tail):
        lexer.goes_on[queue[i]] = DEAD
    return 0


@njit(cache=True, nogil=True)
def next_winner(lexer: LexerArrays, state: int, after: int) -> int:
    """Return the next terminal by rank behind `after` whose lexeme may end here, or -1.

    There is none behind one without guards: then that one it is.
    """
    found = -1
    for i in range(lexer.set_start[state], lexer.set_start[state + 1]):
        if lexer.pool[i] >> 32:
            break
        item = lexer.pool[i]
        if not lexer.accepts[item]:
            continue
        terminal = lexer.terminal[item]
        guarded = lexer.guard_start[item + 1] > lexer.guard_start[item]
        if terminal <= after and not guarded:
            return -1
        if terminal > after and (found < 0 or terminal < found):
            found = terminal
    return found


@njit(cache=True, nogil=True)
def _make_beginning(lexer: LexerArrays, state: int, terminal: int, context: int) -> int:
    """Make the state for `begin_lexeme`."""
    size, fresh = 0, 2
    for i in range(lexer.set_start[state], lexer.set_start[state + 1]):
        item, layer = lexer.pool[i] & 0xFFFFFFFF, lexer.pool[i] >> 32
        fresh = max(fresh, layer + 1)
        if lexer.edge_start[item + 1] > lexer.edge_start[item]:
            size = _add(lexer, size, max(layer, 1), item)
            if size < 0:
                return size
    for i in range(lexer.set_start[state], lexer.set_start[state + 1]):
        if lexer.pool[i] >> 32:
            break
        item = lexer.pool[i]
        if not lexer.accepts[item] or lexer.terminal[item] > terminal:
            continue
        # Guards of this terminal must not be met; of those that would come first, one must.
        layer = 1 if lexer.terminal[item] == terminal else fresh
        if layer >= _LAYERS:
            return 0
        for guard in range(lexer.guard_start[item], lexer.guard_start[item + 1]):
            size = _add(lexer, size, layer, np.int64(lexer.guards[guard]))
            if size < 0:
                return size
        fresh += layer != 1
    for number in range(lexer.first.size):
        if lexer.contexts[context, number >> 5] >> (number & 31) & 1:
            size = _add(lexer, size, 0, np.int64(lexer.first[number]))
            if size < 0:
                return size
    return _intern(lexer, size)


@njit(cache=True, nogil=True)
def enter_key_of(state: int, terminal: int, context: int) -> np.int64:
    """Return the key of a lexeme's beginning in `lexer.enter_key`, never 0."""
    return (np.int64(state) << 40 | np.int64(terminal + 1) << 24 | context) + 1


@njit(cache=True, nogil=True)
def enter_bucket(key: int, mask: int) -> np.int64:
    """Return the place in `lexer.enter_key` at which a key is looked for first."""
    return (key * 0x9E3779B97F4A7C1 >> 20) & mask


@njit(cache=True, nogil=True)
def begin_lexeme(lexer: LexerArrays, state: int, terminal: int, context: int) -> int:
    """Return the state in which the lexeme behind one that ended begins.

    Args:
        lexer: the lexer.
        state: in which the lexeme ended; 0 at the beginning of the text.
        terminal: what it was.
        context: the terminals that may come next.

    Returns:
        The state; 0 where no lexeme can follow, OVERFLOW.
    """
    key = enter_key_of(state, terminal, context)
    mask = lexer.enter_key.size - 1
    bucket = enter_bucket(key, mask)
    while lexer.enter_key[bucket]:
        if lexer.enter_key[bucket] == key:
            return np.int64(lexer.enter_value[bucket])
        bucket = (bucket + 1) & mask
    if 2 * lexer.counts[ENTERED] > mask:
        lexer.counts[LEXER_FULL] = ENTERED
        return OVERFLOW
    found = _make_beginning(lexer, state, terminal, context)
    if found > 0:
        live = goes_on(lexer, found)
        if live == OVERFLOW:
            return OVERFLOW
        if not live:
            found = 0
    if found == OVERFLOW:
        return OVERFLOW
    lexer.enter_key[bucket] = key
    lexer.enter_value[bucket] = found
    lexer.counts[ENTERED] += 1
    return found


@njit(cache=True, nogil=True)
def context_of(lexer: LexerArrays, nfa: NfaArrays, dfa: DfaArrays, parsed: int) -> int:
    """Return the terminals that may come next behind a parser state, as a context; or OVERFLOW."""
    if parsed < lexer.context_of.size and lexer.context_of[parsed]:
        return np.int64(lexer.context_of[parsed])
    context = lexer.counts[CONTEXTS]
    if parsed >= lexer.context_of.size or context == lexer.contexts.shape[0]:
        lexer.counts[LEXER_FULL] = CONTEXTS
        return OVERFLOW
    bits = lexer.contexts[context]
    bits[:] = 0
    for number in range(lexer.ignored.size):
        if lexer.ignored[number]:
            bits[number >> 5] |= np.int64(1) << (number & 31)
    for i in range(dfa.set_start[parsed], dfa.set_start[parsed + 1]):
        item = dfa.pool[i] & 0xFFFFFFFF
        for edge in range(nfa.edge_start[item], nfa.edge_start[item + 1]):
            for number in range(nfa.edge_low[edge], nfa.edge_high[edge] + 1):
                bits[number >> 5] |= np.int64(1) << (number & 31)
    for known in range(1, context):
        same = True
        for word in range(bits.size):
            if lexer.contexts[known, word] != bits[word]:
                same = False
                break
        if same:
            lexer.context_of[parsed] = known
            return known
    lexer.counts[CONTEXTS] = context + 1
    lexer.context_of[parsed] = context
    return context


@njit(cache=True, nogil=True)
def rehash_lexer(lexer: LexerArrays) -> None:
    """Fill an empty hash table with all states there are."""
    mask = lexer.buckets.size - 1
    for state in range(1, lexer.counts[LEXER_STATES]):
        begin, end = lexer.set_start[state], lexer.set_start[state + 1]
        bucket = set_hash(lexer.pool[begin:end], end - begin, 0) & mask
        while lexer.buckets[bucket]:
            bucket = (bucket + 1) & mask
        lexer.buckets[bucket] = state
