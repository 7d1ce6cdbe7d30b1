"""Two automata side by side: one of a grammar, and a table of what must hold beside it.

A *pair* is a state of the grammar's automaton and a state of the table. Stops depend on
both: where the text so far is accepted, a stop phrase that just ended ends the text, and
one that would be cut off may begin (`BesideArrays`). Which pairs have a completion is not
known here: `verdicts` has what was found out so far, and pairs it says nothing of are
handed back.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.handles import (
    open_dfa,
    open_lexer,
    open_machine,
    open_network,
    open_nfa,
    open_trie,
)
from lmql_like.kernels.layouts import (
    OVERFLOW,
    BesideArrays,
    DfaArrays,
    LexerArrays,
    MachineArrays,
    NetworkArrays,
    NfaArrays,
    TrieArrays,
)
from lmql_like.kernels.subset import successor
from lmql_like.kernels.threads import machine_step

__all__ = [
    "ASKED",
    "FULL_LIST",
    "HOPELESS",
    "IMPOSSIBLE",
    "NEW_STATE",
    "OPEN",
    "VIABLE",
    "enter_called_pair_walk",
    "enter_lexed_pair_walk",
    "enter_product_walk",
]

# Verdicts on a pair: nothing known, it has a completion, it has none, no text leads to it
# (then it does not matter), and it was handed back.
OPEN, VIABLE, HOPELESS, IMPOSSIBLE, ASKED = range(5)

# Returned where a list had no room, and where states of the grammar are new.
FULL_LIST = -2
NEW_STATE = -3


@njit(cache=True, nogil=True)
def _step(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    lexer: LexerArrays | None,
    machine: MachineArrays | None,
    state: int,
    symbol: int,
) -> int:
    """Return the grammar's state behind a class of bytes, 0 or OVERFLOW."""
    if lexer is None or machine is None:
        return successor(nfa, dfa, net, state, symbol)
    return machine_step(nfa, dfa, net, lexer, machine, state, symbol)


@njit(cache=True, nogil=True)
def _walk(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    lexer: LexerArrays | None,
    machine: MachineArrays | None,
    classes: np.ndarray,
    table: np.ndarray,
    accepting: np.ndarray,
    beside: BesideArrays,
    trie: TrieArrays,
    nodes: np.ndarray,
    paths: np.ndarray,
    verdicts: np.ndarray,
    row_of: np.ndarray,
    wanted: np.ndarray,
    asked: np.ndarray,
    row: np.ndarray,
) -> int:
    """See `enter_product_walk`."""
    # Read in the loop, a field of a bundle costs a reference count.
    moves, regular, alone, agrees = beside.moves, beside.regular, beside.alone, beside.agrees
    ends, stops, injected, is_final = beside.ends, beside.stops, beside.injected, beside.is_final
    depths, bytes_in, behind = trie.depth, trie.byte, trie.end
    token_start, token_ids = trie.token_start, trie.token_ids
    node, last, found = np.int64(nodes[0]), np.int64(nodes[1]), 0
    while node < last:
        depth, byte = depths[node], bytes_in[node]
        other, symbol = np.int64(moves[paths[1, depth], byte]), np.int64(classes[byte])
        state = np.int64(0)
        if paths[0, depth] and symbol >= 0 and regular[other]:
            state = np.int64(table[paths[0, depth], symbol])
            if state < 0:
                before = np.int64(paths[0, depth])
                state = np.int64(_step(nfa, dfa, net, lexer, machine, before, symbol))
                if state == OVERFLOW:
                    return OVERFLOW
        if state == 0 and not alone[other]:
            node = np.int64(behind[node])
            continue
        is_over = is_final[other] != 0
        if is_over:
            state = np.int64(0)
        elif ends[other] or (state and agrees[other] and accepting[state]):
            is_over = stops[other] != 0
            other = np.int64(injected[other])
        if state >= row_of.size:
            return NEW_STATE
        paths[0, depth + 1], paths[1, depth + 1] = state, other
        number, known = np.int64(row_of[state]), np.int64(VIABLE)
        if number >= 0 and not alone[other]:
            known = np.int64(verdicts[number, regular[other]])
        if token_start[node] < token_start[node + 1] and number != -2:
            if number < 0 or known == OPEN:
                if found == asked.shape[0]:
                    return FULL_LIST
                asked[found, 0], asked[found, 1] = state, other
                found += 1
                if number < 0:
                    row_of[state] = -2
                else:
                    verdicts[number, regular[other]] = ASKED
            elif known == VIABLE:
                if row.size == 0:
                    wanted[number, other] = 1
                elif wanted.size == 0 or wanted[number, other]:
                    for i in range(token_start[node], token_start[node + 1]):
                        row[token_ids[i] >> 5] |= np.int32(1) << np.int32(token_ids[i] & 31)
        node = np.int64(behind[node]) if is_over or known == HOPELESS else node + 1
    return found


# Numba compiles every branch of an entry, also those that no call takes. So there is an
# entry for each kind of automaton, and only the one that is used is ever compiled.


@njit(cache=True, nogil=True)
def enter_product_walk(
    h: np.ndarray,
    calls: int | None,  # noqa: ARG001
    beside: BesideArrays,
    vocabulary: np.ndarray,
    nodes: np.ndarray,
    paths: np.ndarray,
    verdicts: np.ndarray,
    row_of: np.ndarray,
    wanted: np.ndarray,
    asked: np.ndarray,
    row: np.ndarray,
) -> int:
    """Walk the vocabulary's trie with a pair.

    Args:
        h: handle of the grammar's automaton; of the parser's, where a lexer stands before it.
        calls: None where no rule calls another.
        beside: the table.
        vocabulary: handle of the tries.
        nodes: int64[2] the first node, and the one behind the last.
        paths: int32[2, longest token + 2] scratch; [:, 0] is the pair.
        verdicts: int8[rows, condition's states] in and out; OPEN becomes ASKED.
        row_of: int32[states] in and out: the row of a grammar's state, -1: none yet, which
            becomes -2 when it is handed back. Row 0 belongs to state 0.
        wanted: uint8[rows, table's states], or [0, 0]; only tokens that end in a marked pair.
            Where `row` is empty, out: pairs in which tokens end are marked.
        asked: int64[n, 2] out: pairs to decide, after which the walk is to be made again.
        row: int32[words] in and out; bits are only added.

    Returns:
        The number of pairs in `asked`, OVERFLOW, FULL_LIST or NEW_STATE (`row_of` is short).
    """
    nfa, dfa = open_nfa(h), open_dfa(h)
    return _walk(
        nfa,
        dfa,
        open_network(h),
        None,
        None,
        nfa.class_of_byte,
        dfa.table,
        dfa.accepting,
        beside,
        open_trie(vocabulary),
        nodes,
        paths,
        verdicts,
        row_of,
        wanted,
        asked,
        row,
    )


@njit(cache=True, nogil=True)
def enter_lexed_pair_walk(
    h: np.ndarray,
    calls: int | None,  # noqa: ARG001
    lexed: np.ndarray,
    beside: BesideArrays,
    vocabulary: np.ndarray,
    nodes: np.ndarray,
    paths: np.ndarray,
    verdicts: np.ndarray,
    row_of: np.ndarray,
    wanted: np.ndarray,
    asked: np.ndarray,
    row: np.ndarray,
) -> int:
    """As `enter_product_walk`, with a lexer, and a parser whose rules call none.

    `lexed` is the handle of lexer and machine.
    """
    lexer, machine = open_lexer(lexed), open_machine(lexed)
    return _walk(
        open_nfa(h),
        open_dfa(h),
        None,
        lexer,
        machine,
        lexer.class_of_byte,
        machine.table,
        machine.accepting,
        beside,
        open_trie(vocabulary),
        nodes,
        paths,
        verdicts,
        row_of,
        wanted,
        asked,
        row,
    )


@njit(cache=True, nogil=True)
def enter_called_pair_walk(
    h: np.ndarray,
    calls: int | None,  # noqa: ARG001
    lexed: np.ndarray,
    beside: BesideArrays,
    vocabulary: np.ndarray,
    nodes: np.ndarray,
    paths: np.ndarray,
    verdicts: np.ndarray,
    row_of: np.ndarray,
    wanted: np.ndarray,
    asked: np.ndarray,
    row: np.ndarray,
) -> int:
    """As `enter_lexed_pair_walk`, where rules call each other."""
    lexer, machine = open_lexer(lexed), open_machine(lexed)
    return _walk(
        open_nfa(h),
        open_dfa(h),
        open_network(h),
        lexer,
        machine,
        lexer.class_of_byte,
        machine.table,
        machine.accepting,
        beside,
        open_trie(vocabulary),
        nodes,
        paths,
        verdicts,
        row_of,
        wanted,
        asked,
        row,
    )
