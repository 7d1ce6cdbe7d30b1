"""What Python calls of lexed grammars: kernels behind handles, see `kernels.entries`.

`parser` is the handle of the parser's automaton, `calls` None where no rule calls another,
`h` the handle of lexer and machine.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.handles import (
    open_dfa,
    open_lexer,
    open_machine,
    open_memo,
    open_network,
    open_nfa,
    open_slices,
    open_trie,
)
from lmql_like.kernels.layouts import OVERFLOW
from lmql_like.kernels.lexed_masks import compose_lexed_mask, mask_by_threads
from lmql_like.kernels.threads import first_machine_state, machine_step

__all__ = [
    "enter_first_machine_state",
    "enter_lexed_advance",
    "enter_lexed_compose",
    "enter_lexed_symbols",
    "enter_lexed_walk",
]


@njit(cache=True, nogil=True)
def enter_first_machine_state(
    parser: np.ndarray,
    calls: int | None,  # noqa: ARG001
    h: np.ndarray,
    parsed: int,
) -> int:
    """See `first_machine_state`."""
    nfa, dfa = open_nfa(parser), open_dfa(parser)
    return first_machine_state(nfa, dfa, open_lexer(h), open_machine(h), parsed)


@njit(cache=True, nogil=True)
def enter_lexed_advance(
    parser: np.ndarray,
    calls: int | None,
    h: np.ndarray,
    state: int,
    first: int,
    last: int,
    data: np.ndarray,
) -> int:
    """Return the state behind data[first:last], 0 where no text goes on so, or OVERFLOW."""
    lexer, machine = open_lexer(h), open_machine(h)
    for i in range(first, last):
        symbol = np.int64(lexer.class_of_byte[data[i]])
        if symbol < 0:
            return 0
        target = np.int64(machine.table[state, symbol])
        if target < 0:
            nfa, dfa = open_nfa(parser), open_dfa(parser)
            if calls is None:
                target = machine_step(nfa, dfa, None, lexer, machine, state, symbol)
            else:
                net = open_network(parser)
                target = machine_step(nfa, dfa, net, lexer, machine, state, symbol)
            if target == OVERFLOW:
                return OVERFLOW
        if target == 0:
            return 0
        state = int(target)
    return state


@njit(cache=True, nogil=True)
def enter_lexed_symbols(
    parser: np.ndarray, calls: int | None, h: np.ndarray, state: int, out: np.ndarray
) -> int:
    """Write the state behind each byte class, or 0, into int32[classes]; 0 or OVERFLOW."""
    lexer, machine = open_lexer(h), open_machine(h)
    nfa, dfa = open_nfa(parser), open_dfa(parser)
    for symbol in range(out.size):
        if calls is None:
            target = machine_step(nfa, dfa, None, lexer, machine, state, np.int64(symbol))
        else:
            net = open_network(parser)
            target = machine_step(nfa, dfa, net, lexer, machine, state, np.int64(symbol))
        if target == OVERFLOW:
            return OVERFLOW
        out[symbol] = target
    return 0


@njit(cache=True, nogil=True)
def enter_lexed_compose(
    parser: np.ndarray,
    calls: int | None,
    h: np.ndarray,
    vocabulary: np.ndarray,
    memo: np.ndarray,
    spine: np.ndarray,
    state: int,
    row: np.ndarray,
) -> int:
    """See `compose_lexed_mask`."""
    nfa, dfa, room = open_nfa(parser), open_dfa(parser), open_memo(memo)
    lexer, machine = open_lexer(h), open_machine(h)
    trie, slices = open_trie(vocabulary), open_slices(vocabulary)
    if calls is None:
        return compose_lexed_mask(
            nfa, dfa, None, lexer, machine, trie, slices, room, spine, state, row
        )
    net = open_network(parser)
    return compose_lexed_mask(nfa, dfa, net, lexer, machine, trie, slices, room, spine, state, row)


@njit(cache=True, nogil=True)
def enter_lexed_walk(
    parser: np.ndarray,
    calls: int | None,
    h: np.ndarray,
    vocabulary: np.ndarray,
    memo: np.ndarray,
    state: int,
    wanted: np.ndarray,
    row: np.ndarray,
) -> int:
    """See `mask_by_threads`."""
    nfa, dfa, path = open_nfa(parser), open_dfa(parser), open_memo(memo).path
    lexer, machine = open_lexer(h), open_machine(h)
    trie, slices = open_trie(vocabulary), open_slices(vocabulary)
    first = np.int64(slices.first_node[slices.longest.size])
    if calls is None:
        return mask_by_threads(
            nfa, dfa, None, lexer, machine, trie, first, path, state, wanted, row
        )
    net = open_network(parser)
    return mask_by_threads(nfa, dfa, net, lexer, machine, trie, first, path, state, wanted, row)
