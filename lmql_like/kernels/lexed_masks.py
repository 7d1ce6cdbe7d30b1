"""Masks of lexed grammars, put together from parts as in `kernels.compose`.

A lexeme is what a rule is there: the tokens that stay within the lexeme are a part, which
depends on the lexer's state alone. Where a lexeme may end in mid-token, the node behind it
goes into an exit set, labelled with the terminal; what comes next depends on the set and
on the *context*, the terminals that the parser takes then, and on nothing else of the
parser's state. Nodes where the longer lexeme wins anyway are left out.

A node of an exit set is `terminal << 50 | lexer state << 32 | trie node << 1 | is token`:
the lexer's state behind the lexeme, and either the first node of what follows it or, with
the last bit set, the node at which both the lexeme and a token end.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.compose import TOO_MANY
from lmql_like.kernels.layouts import (
    OVERFLOW,
    DfaArrays,
    LexerArrays,
    MachineArrays,
    MemoArrays,
    NetworkArrays,
    NfaArrays,
    SliceArrays,
    TrieArrays,
)
from lmql_like.kernels.lexed_parser import parser_step
from lmql_like.kernels.lexed_walk import LARGE, find_pair, finish_pair, prepare_walk, walk_lexer
from lmql_like.kernels.lexer import (
    begin_lexeme,
    context_of,
    enter_bucket,
    enter_key_of,
    goes_on,
    lexer_step,
)
from lmql_like.kernels.memo import add_token, begin_part, begin_with_row, write_part
from lmql_like.kernels.slices import is_listed
from lmql_like.kernels.threads import machine_step

__all__ = ["compose_lexed_mask", "mask_by_threads"]

# What `_follow` misses: a step of the parser, a context, a part, room on the agenda.
DONE, STEP, CONTEXT, NEXT, ROOM = range(5)

# Items of its `at`: the part whose exit sets are put on the agenda, the first that is not
# there yet, the parser's state in front of them; how much of the agenda is done; its length.
PART, LEAF, PARSED, AT, WAITING = range(5)

_MOST_WAITING = 1 << 16


@njit(cache=True, nogil=True)
def _admits_slice(
    lexer: LexerArrays,
    state: int,
    reader: np.ndarray,
    longest: int,
    probes: np.ndarray,
    work: np.ndarray,
) -> int:
    """Tell whether a lexeme goes on through all texts of a slice; as `slices.admits_slice`."""
    visited, table, classes = lexer.visited, lexer.table, lexer.class_of_byte
    visited[visited.size - 1] += 1
    clock = visited[visited.size - 1]
    now, later, tail = 0, 1, 1
    work[now, 0, 0], work[now, 0, 1] = state, 0
    for _ in range(longest):
        head, waiting = 0, 0
        while head < tail:
            source, reading = np.int64(work[now, head, 0]), work[now, head, 1]
            head += 1
            for byte in probes:
                then, symbol = reader[reading, byte], np.int64(classes[byte])
                if then < 0 or symbol < 0:
                    continue
                target = np.int64(table[source, symbol])
                if target < 0:
                    target = lexer_step(lexer, source, symbol)
                if target <= 0:
                    return target
                if then:
                    if not is_listed(work[now, :tail], target, then):
                        if tail == work.shape[1]:
                            return 0
                        work[now, tail, 0], work[now, tail, 1] = target, then
                        tail += 1
                    continue
                if visited[target] == clock:
                    continue
                more = goes_on(lexer, target)
                if more <= 0:
                    return more
                visited[target] = clock
                if waiting == work.shape[1]:
                    return 0
                work[later, waiting, 0], work[later, waiting, 1] = target, 0
                waiting += 1
        now, later, tail = later, now, waiting
    return 1


@njit(cache=True, nogil=True)
def _first_part(
    lexer: LexerArrays,
    trie: TrieArrays,
    slices: SliceArrays,
    memo: MemoArrays,
    spine: np.ndarray,
    state: int,
    group: int,
) -> int:
    """Return the part of a lexer state, or OVERFLOW."""
    part = find_pair(memo.buckets, memo.key_start, memo.keys, group, state)
    if part >= 0:
        return part
    n_slices = slices.longest.size
    chosen = n_slices + group
    if group == 0:
        for index in range(n_slices):
            probes = memo.probes[index, : memo.probes[index, 256]]
            reader, longest = slices.reader[index], np.int64(slices.longest[index])
            admitted = _admits_slice(lexer, state, reader, longest, probes, memo.work)
            if admitted == OVERFLOW:
                return OVERFLOW
            if admitted:
                chosen = index
                break
    place = np.empty((3, 1), np.int64)
    first, last = np.int64(slices.first_node[chosen]), np.int64(slices.first_node[chosen + 1])
    place[0, 0], place[1, 0], place[2, 0] = first, last, state
    if first < last and prepare_walk(lexer, trie, memo, spine, first, last, state) == OVERFLOW:
        return OVERFLOW
    begin_part(memo)
    if chosen < n_slices and begin_with_row(memo, slices.rows[chosen]) == OVERFLOW:
        return OVERFLOW
    if walk_lexer(lexer, trie, memo, place[0], place[1], place[2], 1, np.int64(0)) == OVERFLOW:
        return OVERFLOW
    return finish_pair(memo, np.int64(group), state)


@njit(cache=True, nogil=True)
def _next_part(
    lexer: LexerArrays,
    trie: TrieArrays,
    memo: MemoArrays,
    spine: np.ndarray,
    leaving: int,
    context: int,
    may_end: int,
) -> int:
    """Make the part of an exit set, or OVERFLOW.

    Behind its lexemes the parser takes a context next, and `may_end` is 1 if nothing needs to
    follow. With demands left open no text ends: at its end nothing meets a guard any more.
    """
    begin, end = memo.exit_start[leaving], memo.exit_start[leaving + 1]
    nodes, ends = memo.nodes, trie.end
    enter_key, enter_value = lexer.enter_key, lexer.enter_value
    mask = enter_key.size - 1
    places = np.empty((3, end - begin), np.int64)
    whole = np.empty(end - begin, np.int64)  # nodes at which a lexeme and a token end
    n, n_whole = 0, 0
    for i in range(begin, end):
        entry = nodes[i]
        terminal, state = entry >> 50, entry >> 32 & 0x3FFFF
        node = (entry & 0xFFFFFFFF) >> 1
        key = enter_key_of(state, terminal, context)
        bucket = enter_bucket(key, mask)
        while enter_key[bucket] and enter_key[bucket] != key:
            bucket = (bucket + 1) & mask
        start = np.int64(enter_value[bucket])
        if not enter_key[bucket]:
            start = begin_lexeme(lexer, state, terminal, context)
            if start == OVERFLOW:
                return OVERFLOW
        if entry & 1:
            ends_text = may_end and terminal == lexer.winner[state]
            if start or (ends_text and lexer.pool[lexer.set_start[state + 1] - 1] >> 32 < 2):
                whole[n_whole] = node
                n_whole += 1
        elif start:
            last = np.int64(ends[node])
            made = 0
            if last - node >= LARGE:
                made = prepare_walk(lexer, trie, memo, spine, node, last, start)
            if made == OVERFLOW:
                return OVERFLOW
            places[0, n], places[1, n], places[2, n] = node, last, start
            n += 1
    begin_part(memo)
    for i in range(n_whole):
        node = whole[i]
        for k in range(trie.token_start[node], trie.token_start[node + 1]):
            if add_token(memo, np.int64(trie.token_ids[k])) == OVERFLOW:
                return OVERFLOW
    lowest = np.int64(-1)
    if walk_lexer(lexer, trie, memo, places[0], places[1], places[2], n, lowest) == OVERFLOW:
        return OVERFLOW
    return finish_pair(memo, np.int64(leaving) << 8, context << 1 | may_end)


@njit(cache=True, nogil=True)
def _put(seen: np.ndarray, key: int) -> bool:
    """Put a key into an open hash table, 0: free; tell whether it was not there yet."""
    mask = seen.size - 1
    bucket = (key * 0x9E3779B97F4A7C1 >> 20) & mask
    while seen[bucket]:
        if seen[bucket] == key:
            return False
        bucket = (bucket + 1) & mask
    seen[bucket] = key
    return True


@njit(cache=True, nogil=True)
def _follow(
    table: np.ndarray,
    accepting: np.ndarray,
    ignored: np.ndarray,
    context_of_parsed: np.ndarray,
    buckets: np.ndarray,
    key_start: np.ndarray,
    keys: np.ndarray,
    token_start: np.ndarray,
    tokens: np.ndarray,
    part_row: np.ndarray,
    rows: np.ndarray,
    leave_start: np.ndarray,
    leaves: np.ndarray,
    exit_start: np.ndarray,
    nodes: np.ndarray,
    agenda: np.ndarray,
    seen: np.ndarray,
    at: np.ndarray,
    row: np.ndarray,
) -> int:
    """Write the parts that are known into a row, until the agenda is done or something is missing.

    The arrays are fields of the parser, the lexer and the memo, one by one: a bundle as a
    whole would take longer to pass than the whole call to run. `agenda`, int64[m] in and out,
    has items `parser state << 32 | exit set`; `seen`, int64[2 m] in and out, is a hash table of
    them; `at`, int64[5] in and out, see PART to WAITING, says where to go on; bits of `row`,
    int32[words], are only added.

    Returns DONE, or what is missing: STEP, CONTEXT, NEXT or ROOM.
    """
    part, leaf, parsed = at[PART], at[LEAF], at[PARSED]
    done, waiting = at[AT], at[WAITING]
    missing = DONE
    while True:
        last = np.int64(leave_start[part + 1])
        while leaf < last:
            if waiting == agenda.size:
                missing = ROOM
                break
            leaving = np.int64(leaves[leaf])
            terminal = nodes[exit_start[leaving]] >> 50
            behind = np.int64(parsed)
            if not ignored[terminal]:
                behind = np.int64(table[parsed, terminal])
                if behind < 0:
                    missing = STEP
                    break
            if behind and _put(seen, behind << 32 | leaving):
                agenda[waiting] = behind << 32 | leaving
                waiting += 1
            leaf += 1
        if missing != DONE or done == waiting:
            break
        parsed, leaving = agenda[done] >> 32, agenda[done] & 0xFFFFFFFF
        context = np.int64(0)
        if parsed < context_of_parsed.size:
            context = np.int64(context_of_parsed[parsed])
        if context == 0:
            missing = CONTEXT
            break
        may_end = 1 if accepting[parsed] else 0
        found = find_pair(buckets, key_start, keys, leaving << 8, context << 1 | may_end)
        if found < 0:
            missing = NEXT
            break
        done += 1
        part, leaf = found, np.int64(leave_start[found])
        stored = part_row[part]
        if stored >= 0:
            for word in range(row.size):
                row[word] |= rows[stored, word]
        else:
            for i in range(token_start[part], token_start[part + 1]):
                token = tokens[i]
                row[token >> 5] |= np.int32(1) << np.int32(token & 31)
    at[PART], at[LEAF], at[PARSED] = part, leaf, parsed
    at[AT], at[WAITING] = done, waiting
    return missing


@njit(cache=True, nogil=True)
def compose_lexed_mask(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    lexer: LexerArrays,
    machine: MachineArrays,
    trie: TrieArrays,
    slices: SliceArrays,
    memo: MemoArrays,
    spine: np.ndarray,
    state: int,
    row: np.ndarray,
) -> int:
    """Set the bits of all tokens after which some thread of a state is left, or the text may end.

    Args:
        nfa: the parser's rules over terminals.
        dfa: the parser, grown on the way.
        net: the parser's calls and frames, None where no rule calls another.
        lexer: the lexer, grown on the way.
        machine: the threads.
        trie: the tries of `slices`.
        slices: groups of tokens and their slices.
        memo: the parts, grown on the way.
        spine: int32[...] the nodes of the tries with large subtrees, ascending.
        state: the machine's state.
        row: int32[words] in and out; bits are only added.

    Returns:
        0, OVERFLOW (grow what is marked full and call again) or TOO_MANY.
    """
    agenda, seen = np.empty(1024, np.int64), np.zeros(2048, np.int64)
    at = np.zeros(5, np.int64)
    first, n_groups = machine.set_start[state], slices.first_node.size - 1 - slices.longest.size
    for index in range((machine.set_start[state + 1] - first) * n_groups):
        thread, group = machine.pool[first + index // n_groups], np.int64(index % n_groups)
        part = _first_part(lexer, trie, slices, memo, spine, thread & 0xFFFFFFFF, group)
        if part == OVERFLOW:
            return OVERFLOW
        write_part(memo, part, row)
        at[PART], at[LEAF], at[PARSED] = part, memo.leave_start[part], thread >> 32
        while True:
            missing = _follow(
                dfa.table,
                dfa.accepting,
                lexer.ignored,
                lexer.context_of,
                memo.buckets,
                memo.key_start,
                memo.keys,
                memo.token_start,
                memo.tokens,
                memo.part_row,
                memo.rows,
                memo.leave_start,
                memo.leaves,
                memo.exit_start,
                memo.nodes,
                agenda,
                seen,
                at,
                row,
            )
            if missing == DONE:
                break
            if missing == ROOM:
                if agenda.size == _MOST_WAITING:
                    return TOO_MANY
                longer = np.empty(2 * agenda.size, np.int64)
                seen = np.zeros(2 * seen.size, np.int64)
                for i in range(agenda.size):
                    longer[i] = agenda[i]
                    _put(seen, agenda[i])
                agenda = longer
                continue
            if missing == STEP:
                made = np.int64(0)
                for leaf in range(at[LEAF], memo.leave_start[at[PART] + 1]):
                    terminal = memo.nodes[memo.exit_start[memo.leaves[leaf]]] >> 50
                    if lexer.ignored[terminal]:
                        continue
                    made = parser_step(nfa, dfa, net, at[PARSED], terminal)
                    if made > 0:
                        made = context_of(lexer, nfa, dfa, made)
                    if made == OVERFLOW:
                        break
            else:
                parsed, leaving = agenda[at[AT]] >> 32, agenda[at[AT]] & 0xFFFFFFFF
                made = context_of(lexer, nfa, dfa, parsed)
                if missing == NEXT and made != OVERFLOW:
                    may_end = 1 if dfa.accepting[parsed] else 0
                    made = _next_part(lexer, trie, memo, spine, leaving, made, may_end)
            if made == OVERFLOW:
                return OVERFLOW
    return 0


@njit(cache=True, nogil=True)
def mask_by_threads(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    lexer: LexerArrays,
    machine: MachineArrays,
    trie: TrieArrays,
    first: int,
    path: np.ndarray,
    state: int,
    wanted: np.ndarray,
    row: np.ndarray,
) -> int:
    """As `compose_lexed_mask`, byte by byte over the trie's nodes from `first` on.

    Where `wanted`, uint8[...], is not empty: only tokens that end in a state s with
    wanted[s] != 0. An empty `row` asks for the states instead: wanted[s] is set to 1 for
    those in which tokens end, and TOO_MANY returned where it is too short.
    """
    path[0] = state
    node = first
    while node < trie.byte.size:
        symbol = np.int64(lexer.class_of_byte[trie.byte[node]])
        target = np.int64(0)
        if symbol >= 0:
            source = np.int64(path[trie.depth[node]])
            target = machine_step(nfa, dfa, net, lexer, machine, source, symbol)
            if target == OVERFLOW:
                return OVERFLOW
        if target == 0:
            node = int(trie.end[node])
            continue
        path[trie.depth[node] + 1] = target
        if row.size == 0:
            if target >= wanted.size:
                return TOO_MANY
            if trie.token_start[node + 1] > trie.token_start[node]:
                wanted[target] = 1
        elif wanted.size == 0 or (target < wanted.size and wanted[target]):
            for i in range(trie.token_start[node], trie.token_start[node + 1]):
                token = trie.token_ids[i]
                row[token >> 5] |= np.int32(1) << np.int32(token & 31)
        node += 1
    return 0
