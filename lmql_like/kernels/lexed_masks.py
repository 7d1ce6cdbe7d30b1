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
    DEAD,
    EVERY_TERMINAL,
    LIVE,
    MEMO_FULL,
    NEW_ROW,
    NEW_TOKENS,
    OVERFLOW,
    TOKENS,
    DfaArrays,
    LexerArrays,
    MachineArrays,
    MemoArrays,
    NetworkArrays,
    NfaArrays,
    SliceArrays,
    TrieArrays,
)
from lmql_like.kernels.lexer import begin_lexeme, context_of, goes_on, lexer_step, next_winner
from lmql_like.kernels.memo import (
    add_node,
    add_token,
    begin_part,
    begin_with_row,
    find_part,
    finish_part,
    list_to_row,
    write_part,
)
from lmql_like.kernels.slices import is_listed
from lmql_like.kernels.threads import behind_lexeme, ends_text, machine_step

__all__ = ["compose_lexed_mask", "mask_by_threads"]


@njit(cache=True, nogil=True)
def _can_follow(lexer: LexerArrays, state: int, symbol: int) -> int:
    """Tell whether a lexeme that ended in a state can be followed by a byte class; or OVERFLOW.

    What is refuted where every terminal is a candidate is so in each narrower context.
    """
    if lexer.follow[state, symbol]:
        return 1 if lexer.follow[state, symbol] == LIVE else 0
    found = 0
    terminal = np.int64(lexer.winner[state])
    while terminal >= 0 and not found:
        begun = begin_lexeme(lexer, state, terminal, np.int64(EVERY_TERMINAL))
        target = lexer_step(lexer, begun, symbol) if begun > 0 else begun
        if target > 0:
            found = 1 if lexer.winner[target] >= 0 else goes_on(lexer, target)
        if min(target, found) == OVERFLOW:
            return OVERFLOW
        terminal = next_winner(lexer, state, terminal)
    lexer.follow[state, symbol] = LIVE if found else DEAD
    return found


@njit(cache=True, nogil=True)
def _note_ends(lexer: LexerArrays, memo: MemoArrays, state: int, node: int, is_token: int) -> int:
    """Add a node to the part's exit sets for all terminals that may end in a state."""
    terminal = np.int64(lexer.winner[state])
    while terminal >= 0:
        entry = terminal << 50 | state << 32 | node << 1 | is_token
        if add_node(memo, entry) == OVERFLOW:
            return OVERFLOW
        terminal = next_winner(lexer, state, terminal)
    return 0


@njit(cache=True, nogil=True)
def _walk(
    lexer: LexerArrays,
    trie: TrieArrays,
    memo: MemoArrays,
    first: int,
    last: int,
    lowest: int,
) -> int:
    """Add the tokens and the ends of lexemes at nodes first to last to the part.

    Args:
        lexer: the lexer.
        trie: the tries.
        memo: `memo.path` holds the state in front of the first node, at the node's depth.
        first: the first node.
        last: the node behind the last.
        lowest: above this depth, lexemes that ended in front of a node are noted.

    Returns:
        0 or OVERFLOW.
    """
    path, table, classes, winner = memo.path, lexer.table, lexer.class_of_byte, lexer.winner
    going, certain, rows, follow = lexer.goes_on, lexer.is_certain, memo.rows, lexer.follow
    token_start, token_ids, ends = trie.token_start, trie.token_ids, trie.end
    depths, bytes_in = trie.depth, trie.byte
    tokens, begin = memo.tokens, memo.counts[TOKENS]
    used, row = memo.counts[NEW_TOKENS], memo.counts[NEW_ROW]
    most = rows.shape[1] // 2
    node = first
    while node < last:
        depth = depths[node]
        source = np.int64(path[depth])
        symbol = np.int64(classes[bytes_in[node]])
        target = np.int64(0)
        if symbol >= 0:
            target = np.int64(table[source, symbol])
            if target < 0:
                target = lexer_step(lexer, source, symbol)
                if target == OVERFLOW:
                    return OVERFLOW
        # Where a longer lexeme surely ends, the shorter one did not.
        ended = winner[source] >= 0 and depth > lowest and symbol >= 0 and not certain[target]
        if ended and follow[source, symbol] != DEAD:
            follows = _can_follow(lexer, source, symbol)
            if follows and _note_ends(lexer, memo, source, node, 0) == OVERFLOW:
                follows = OVERFLOW
            if follows == OVERFLOW:
                return OVERFLOW
        if target == 0:
            node = int(ends[node])
            continue
        more = np.int64(going[target])
        if more != LIVE:
            more = goes_on(lexer, target)
            if more == OVERFLOW:
                return OVERFLOW
        if not more and winner[target] < 0:
            node = int(ends[node])
            continue
        path[depth + 1] = target
        for i in range(token_start[node], token_start[node + 1]):
            if not more:
                if _note_ends(lexer, memo, target, node, 1) == OVERFLOW:
                    return OVERFLOW
                break
            token = token_ids[i]
            if row >= 0:
                rows[row, token >> 5] |= np.int32(1) << np.int32(token & 31)
                continue
            if begin + used == tokens.size:
                memo.counts[MEMO_FULL] = TOKENS
                return OVERFLOW
            tokens[begin + used] = token
            used += 1
            if used > most:
                row = list_to_row(memo, used)
                if row == OVERFLOW:
                    return OVERFLOW
                used = 0
        node += 1
    memo.counts[NEW_TOKENS] = used
    return 0


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
    state: int,
    group: int,
) -> int:
    """Return the part of a lexer state, or OVERFLOW."""
    memo.key[0] = group
    memo.key[1] = state
    part = find_part(memo, 2)
    if part >= 0:
        return part
    begin_part(memo)
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
                if begin_with_row(memo, slices.rows[index]) == OVERFLOW:
                    return OVERFLOW
                chosen = index
                break
    memo.path[0] = state
    first, last = np.int64(slices.first_node[chosen]), np.int64(slices.first_node[chosen + 1])
    if _walk(lexer, trie, memo, first, last, np.int64(0)) == OVERFLOW:
        return OVERFLOW
    return finish_part(memo, -1 - part, 2)


@njit(cache=True, nogil=True)
def _next_part(
    dfa: DfaArrays,
    lexer: LexerArrays,
    trie: TrieArrays,
    memo: MemoArrays,
    leaving: int,
    parsed: int,
    context: int,
    group: int,
) -> int:
    """Return the part of an exit set behind whose lexemes the parser is in a state."""
    may_end = 1 if dfa.accepting[parsed] else 0
    memo.key[0] = leaving << 8 | group
    memo.key[1] = context << 1 | may_end
    part = find_part(memo, 2)
    if part >= 0:
        return part
    begin_part(memo)
    begin, end = memo.exit_start[leaving], memo.exit_start[leaving + 1]
    for i in range(begin, end):
        entry = memo.nodes[i]
        terminal, state = entry >> 50, entry >> 32 & 0x3FFFF
        node = (entry & 0xFFFFFFFF) >> 1
        start = begin_lexeme(lexer, state, terminal, context)
        if start == OVERFLOW:
            return OVERFLOW
        if entry & 1:
            if start or ends_text(dfa, lexer, parsed, state, terminal):
                for k in range(trie.token_start[node], trie.token_start[node + 1]):
                    if add_token(memo, np.int64(trie.token_ids[k])) == OVERFLOW:
                        return OVERFLOW
        elif start:
            memo.path[trie.depth[node]] = start
            last = np.int64(trie.end[node])
            if _walk(lexer, trie, memo, node, last, np.int64(-1)) == OVERFLOW:
                return OVERFLOW
    return finish_part(memo, -1 - part, 2)


@njit(cache=True, nogil=True)
def _push(memo: MemoArrays, size: int, parsed: int, leaving: int) -> int:
    """Put a parser state and an exit set on the agenda if they were not there yet."""
    for i in range(size):
        if memo.agenda[i, 0] == parsed and memo.agenda[i, 1] == leaving:
            return size
    if size < memo.agenda.shape[0]:
        memo.agenda[size, 0] = parsed
        memo.agenda[size, 1] = leaving
    return size + 1


@njit(cache=True, nogil=True)
def _push_leaves(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    lexer: LexerArrays,
    memo: MemoArrays,
    part: int,
    parsed: int,
    waiting: int,
) -> int:
    """Put the exit sets of a part on the agenda; its new size, OVERFLOW or TOO_MANY."""
    for i in range(memo.leave_start[part], memo.leave_start[part + 1]):
        leaving = np.int64(memo.leaves[i])
        terminal = memo.nodes[memo.exit_start[leaving]] >> 50
        behind = behind_lexeme(nfa, dfa, net, lexer, parsed, terminal)
        if behind == OVERFLOW:
            return OVERFLOW
        if behind:
            waiting = _push(memo, waiting, behind, leaving)
        if waiting > memo.agenda.shape[0]:
            return TOO_MANY
    return waiting


@njit(cache=True, nogil=True)
def _collect(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    lexer: LexerArrays,
    machine: MachineArrays,
    trie: TrieArrays,
    slices: SliceArrays,
    memo: MemoArrays,
    state: int,
    group: int,
    found: int,
) -> int:
    """Append a state's parts for one group to memo.found; their number, OVERFLOW or TOO_MANY."""
    waiting = 0
    for i in range(machine.set_start[state], machine.set_start[state + 1]):
        thread = machine.pool[i]
        part = _first_part(lexer, trie, slices, memo, thread & 0xFFFFFFFF, group)
        if part == OVERFLOW:
            return OVERFLOW
        if found == memo.found.size:
            return TOO_MANY
        memo.found[found] = part
        found += 1
        waiting = _push_leaves(nfa, dfa, net, lexer, memo, part, thread >> 32, waiting)
        if waiting < 0:
            return waiting
    done = 0
    while done < waiting:
        parsed, leaving = memo.agenda[done, 0], memo.agenda[done, 1]
        done += 1
        context = context_of(lexer, nfa, dfa, parsed)
        if context == OVERFLOW:
            return OVERFLOW
        part = _next_part(dfa, lexer, trie, memo, leaving, parsed, context, group)
        if part == OVERFLOW:
            return OVERFLOW
        if found == memo.found.size:
            return TOO_MANY
        memo.found[found] = part
        found += 1
        waiting = _push_leaves(nfa, dfa, net, lexer, memo, part, parsed, waiting)
        if waiting < 0:
            return waiting
    return found


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
        state: the machine's state.
        row: int32[words] in and out; bits are only added.

    Returns:
        0, OVERFLOW (grow what is marked full and call again) or TOO_MANY.
    """
    found = 0
    for group in range(slices.first_node.size - 1 - slices.longest.size):
        found = _collect(
            nfa, dfa, net, lexer, machine, trie, slices, memo, state, np.int64(group), found
        )
        if found < 0:
            return found
    for i in range(found):
        write_part(memo, memo.found[i], row)
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
