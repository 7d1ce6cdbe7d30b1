"""Walks of a lexer through tries, put together from walks of large subtrees.

What a lexeme allows below a node of the trie depends on the lexer's state there and on
nothing else. After the first byte of a name, a string or a comment that state is nearly
always one that was met before, in another context or behind another lexeme. So the walk of
each large subtree is a part by itself, under the key (-1 - node, state), and a walk from a
new state is little more than a merge of such parts, one for each byte that can come next.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.layouts import (
    DEAD,
    EVERY_TERMINAL,
    LIVE,
    MEMO_FULL,
    NEW_ROW,
    NEW_TOKENS,
    OVERFLOW,
    TOKENS,
    LexerArrays,
    MemoArrays,
    TrieArrays,
)
from lmql_like.kernels.lexer import begin_lexeme, goes_on, lexer_step, next_winner
from lmql_like.kernels.memo import (
    add_node,
    add_token,
    begin_part,
    finish_part,
    list_to_row,
)

__all__ = ["LARGE", "find_pair", "finish_pair", "prepare_walk", "walk_lexer"]

LARGE = 128  # nodes of a subtree whose walk is a part by itself


@njit(cache=True, nogil=True)
def find_pair(
    buckets: np.ndarray, key_start: np.ndarray, keys: np.ndarray, first: int, second: int
) -> int:
    """Return the part of a key of two numbers, or -1 - the bucket; as `memo.find_part`."""
    value = np.uint64(0x2545F4914F6CDD1D)
    value = (value ^ np.uint64(first)) * np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(32)
    value = (value ^ np.uint64(second)) * np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(32)
    mask = buckets.size - 1
    bucket = np.int64(value & np.uint64(0x7FFFFFFFFFFFFFFF)) & mask
    while buckets[bucket]:
        part = np.int64(buckets[bucket])
        begin = key_start[part]
        if keys[begin] == first and keys[begin + 1] == second:
            return part
        bucket = (bucket + 1) & mask
    return -1 - bucket


@njit(cache=True, nogil=True)
def finish_pair(memo: MemoArrays, first: int, second: int) -> int:
    """Store the part under construction under a key of two numbers; return it, or OVERFLOW."""
    memo.key[0] = first
    memo.key[1] = second
    found = find_pair(memo.buckets, memo.key_start, memo.keys, first, second)
    return finish_part(memo, -1 - found, 2)


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
def _merge(memo: MemoArrays, part: int) -> int:
    """Add the tokens and the ends of lexemes of a finished part to the part; 0 or OVERFLOW."""
    rows, stored, row = memo.rows, memo.part_row[part], memo.counts[NEW_ROW]
    first, last = memo.token_start[part], memo.token_start[part + 1]
    used = memo.counts[NEW_TOKENS]
    if row < 0 and (stored >= 0 or used + last - first > rows.shape[1] // 2):
        row = list_to_row(memo, used)
        if row == OVERFLOW:
            return OVERFLOW
        used = 0
    if stored >= 0:
        for word in range(rows.shape[1]):
            rows[row, word] |= rows[stored, word]
    elif row >= 0:
        for i in range(first, last):
            token = memo.tokens[i]
            rows[row, token >> 5] |= np.int32(1) << np.int32(token & 31)
    else:
        begin = memo.counts[TOKENS] + used
        if begin + last - first > memo.tokens.size:
            memo.counts[MEMO_FULL] = TOKENS
            return OVERFLOW
        for i in range(first, last):
            memo.tokens[begin + i - first] = memo.tokens[i]
        memo.counts[NEW_TOKENS] = used + last - first
    for i in range(memo.leave_start[part], memo.leave_start[part + 1]):
        leaving = memo.leaves[i]
        for k in range(memo.exit_start[leaving], memo.exit_start[leaving + 1]):
            if add_node(memo, memo.nodes[k]) == OVERFLOW:
                return OVERFLOW
    return 0


@njit(cache=True, nogil=True)
def walk_lexer(
    lexer: LexerArrays,
    trie: TrieArrays,
    memo: MemoArrays,
    firsts: np.ndarray,
    lasts: np.ndarray,
    states: np.ndarray,
    n: int,
    lowest: int,
) -> int:
    """Add the tokens and the ends of lexemes below some places of the tries to the part.

    Large subtrees are walked only where `prepare_walk` did not do it before. Place i are the
    nodes firsts[i] to lasts[i], int64[n] each, with the lexer in states[i] in front of them.
    Lexemes that ended in front of a node are noted at depths above `lowest` only.

    Returns:
        0 or OVERFLOW.
    """
    path, table, classes, winner = memo.path, lexer.table, lexer.class_of_byte, lexer.winner
    going, certain, rows, follow = lexer.goes_on, lexer.is_certain, memo.rows, lexer.follow
    token_start, token_ids, ends = trie.token_start, trie.token_ids, trie.end
    depths, bytes_in = trie.depth, trie.byte
    buckets, key_start, keys, counts = memo.buckets, memo.key_start, memo.keys, memo.counts
    tokens, begin = memo.tokens, memo.counts[TOKENS]
    used, row = memo.counts[NEW_TOKENS], memo.counts[NEW_ROW]
    most, large = rows.shape[1] // 2, np.int64(LARGE)
    place, node, last = -1, np.int64(0), np.int64(0)
    while True:
        if node >= last:
            place += 1
            if place == n:
                break
            node, last = firsts[place], lasts[place]
            if node < last:
                path[depths[node]] = states[place]
            continue
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
            node = np.int64(ends[node])
            continue
        more = np.int64(going[target])
        if more != LIVE:
            more = goes_on(lexer, target)
            if more == OVERFLOW:
                return OVERFLOW
        if not more and winner[target] < 0:
            node = np.int64(ends[node])
            continue
        if ends[node] - node >= large:
            part = find_pair(buckets, key_start, keys, -1 - node, target)
            if part >= 0:
                counts[NEW_TOKENS] = used
                if _merge(memo, part) == OVERFLOW:
                    return OVERFLOW
                used, row = counts[NEW_TOKENS], counts[NEW_ROW]
                node = np.int64(ends[node])
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
                counts[MEMO_FULL] = TOKENS
                return OVERFLOW
            tokens[begin + used] = token
            used += 1
            if used > most:
                row = list_to_row(memo, used)
                if row == OVERFLOW:
                    return OVERFLOW
                used = 0
        node += 1
    counts[NEW_TOKENS] = used
    return 0


@njit(cache=True, nogil=True)
def _make_subtree(
    lexer: LexerArrays, trie: TrieArrays, memo: MemoArrays, node: int, state: int
) -> int:
    """Make the part of a node and its subtree, a state being behind the node; 0 or OVERFLOW."""
    begin_part(memo)
    more = goes_on(lexer, state)
    if more == OVERFLOW:
        return OVERFLOW
    for i in range(trie.token_start[node], trie.token_start[node + 1]):
        added = 0
        if more:
            added = add_token(memo, np.int64(trie.token_ids[i]))
        elif i == trie.token_start[node]:
            added = _note_ends(lexer, memo, state, node, np.int64(1))
        if added == OVERFLOW:
            return OVERFLOW
    place = np.empty((3, 1), np.int64)
    place[0, 0], place[1, 0], place[2, 0] = node + 1, trie.end[node], state
    if walk_lexer(lexer, trie, memo, place[0], place[1], place[2], 1, np.int64(0)) == OVERFLOW:
        return OVERFLOW
    return finish_pair(memo, -1 - node, state)


@njit(cache=True, nogil=True)
def prepare_walk(
    lexer: LexerArrays,
    trie: TrieArrays,
    memo: MemoArrays,
    spine: np.ndarray,
    first: int,
    last: int,
    state: int,
) -> int:
    """Make the parts of the large subtrees that a walk of nodes first to last will meet.

    Args:
        lexer: the lexer.
        trie: the tries.
        memo: no part may be under construction.
        spine: int32[...] the nodes with large subtrees, ascending.
        first: the first node.
        last: the node behind the last.
        state: the lexer's state in front of the first.

    Returns:
        0 or OVERFLOW.
    """
    memo.path[trie.depth[first]] = state
    i, most = 0, spine.size
    while i < most:
        middle = (i + most) >> 1
        if spine[middle] < first:
            i = middle + 1
        else:
            most = middle
    while most < spine.size and spine[most] < last:
        most += 1
    most -= i
    if most == 0:
        return 0
    nodes, states = np.empty(most, np.int64), np.empty(most, np.int64)
    size = 0
    while i < spine.size and spine[i] < last:
        node = np.int64(spine[i])
        depth = trie.depth[node]
        symbol = np.int64(lexer.class_of_byte[trie.byte[node]])
        target, more = np.int64(0), np.int64(0)
        if symbol >= 0:
            target = lexer_step(lexer, np.int64(memo.path[depth]), symbol)
            if target > 0:
                more = goes_on(lexer, target)
            if min(target, more) == OVERFLOW:
                return OVERFLOW
        known = target == 0 or (not more and lexer.winner[target] < 0)
        if not known:
            found = find_pair(memo.buckets, memo.key_start, memo.keys, -1 - node, target)
            known = found >= 0
        i += 1
        if known:
            while i < spine.size and spine[i] < trie.end[node]:
                i += 1
            continue
        memo.path[depth + 1] = target
        nodes[size] = node
        states[size] = target
        size += 1
    for k in range(size - 1, -1, -1):  # inner subtrees first: they stand behind the outer ones
        if _make_subtree(lexer, trie, memo, nodes[k], states[k]) == OVERFLOW:
            return OVERFLOW
    return 0
