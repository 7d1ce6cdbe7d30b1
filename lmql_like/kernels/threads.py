"""Lexer and parser in lockstep: which lexemes a text may be cut into so far.

A *thread* is a parser state (behind the lexemes that ended) and a lexer state (within the
present one). Behind a byte at which a lexeme may end there are two: one goes on with the
lexeme, one begins the next and remembers what would refute it (`kernels.lexer`). A state
of the machine is the set of threads; it is rarely larger than two.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.items import set_hash, sort
from lmql_like.kernels.layouts import (
    MACHINE_FULL,
    MACHINE_STATES,
    OVERFLOW,
    THREADS,
    UNKNOWN,
    DfaArrays,
    LexerArrays,
    MachineArrays,
    NetworkArrays,
    NfaArrays,
)
from lmql_like.kernels.lexed_parser import parser_step
from lmql_like.kernels.lexer import begin_lexeme, context_of, goes_on, lexer_step, next_winner

__all__ = [
    "behind_lexeme",
    "ends_text",
    "first_machine_state",
    "machine_step",
    "rehash_machine",
]

_MEMBERS = 2  # in MACHINE_FULL: the scratch had no room


@njit(cache=True, nogil=True)
def behind_lexeme(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    lexer: LexerArrays,
    parsed: int,
    terminal: int,
) -> int:
    """Return the parser state behind a lexeme, 0 or OVERFLOW; ignored ones leave it as it is."""
    if lexer.ignored[terminal]:
        return parsed
    return parser_step(nfa, dfa, net, parsed, terminal)


@njit(cache=True, nogil=True)
def ends_text(dfa: DfaArrays, lexer: LexerArrays, parsed: int, state: int, terminal: int) -> bool:
    """Tell whether the text may end with a lexeme that ended in a lexer state.

    Not where demands are left open: at the text's end nothing meets a guard any more.
    """
    if dfa.accepting[parsed] == 0 or terminal != lexer.winner[state]:
        return False
    return lexer.pool[lexer.set_start[state + 1] - 1] >> 32 < 2


@njit(cache=True, nogil=True)
def _add(machine: MachineArrays, size: int, parsed: int, state: int) -> int:
    if size == machine.members.size:
        machine.counts[MACHINE_FULL] = _MEMBERS
        return OVERFLOW
    machine.members[size] = parsed << 32 | state
    return size + 1


@njit(cache=True, nogil=True)
def _intern(machine: MachineArrays, size: int, accepting: int) -> int:
    """Return the state of the threads in `members`, 0 if nothing is left, or OVERFLOW."""
    members = machine.members[:size]
    sort(members)
    kept = 0
    for i in range(size):
        if kept == 0 or members[i] != members[kept - 1]:
            members[kept] = members[i]
            kept += 1
    if kept == 0 and not accepting:
        return 0
    mask = machine.buckets.size - 1
    bucket = set_hash(members, kept, accepting) & mask
    while machine.buckets[bucket]:
        state = np.int64(machine.buckets[bucket])
        begin = machine.set_start[state]
        if machine.set_start[state + 1] - begin == kept and machine.accepting[state] == accepting:
            same = True
            for i in range(kept):
                if machine.pool[begin + i] != members[i]:
                    same = False
                    break
            if same:
                return state
        bucket = (bucket + 1) & mask
    state, used = machine.counts[MACHINE_STATES], machine.counts[THREADS]
    if state + 1 >= machine.set_start.size or used + kept > machine.pool.size:
        no_states = state + 1 >= machine.set_start.size
        machine.counts[MACHINE_FULL] = MACHINE_STATES if no_states else THREADS
        return OVERFLOW
    machine.buckets[bucket] = state
    for i in range(kept):
        machine.pool[used + i] = members[i]
    machine.accepting[state] = accepting
    machine.table[state, :] = UNKNOWN
    machine.set_start[state + 1] = used + kept
    machine.counts[MACHINE_STATES] = state + 1
    machine.counts[THREADS] = used + kept
    return state


@njit(cache=True, nogil=True)
def first_machine_state(
    nfa: NfaArrays, dfa: DfaArrays, lexer: LexerArrays, machine: MachineArrays, parsed: int
) -> int:
    """Make the state before the text, given the parser's; 0 if nothing can match, or OVERFLOW."""
    context = context_of(lexer, nfa, dfa, parsed)
    if context == OVERFLOW:
        return OVERFLOW
    state = begin_lexeme(lexer, np.int64(0), np.int64(-1), context)
    if state == OVERFLOW:
        return OVERFLOW
    size = 0
    if state:
        size = _add(machine, size, parsed, state)
        if size == OVERFLOW:
            return OVERFLOW
    return _intern(machine, size, 1 if dfa.accepting[parsed] else 0)


@njit(cache=True, nogil=True)
def machine_step(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    lexer: LexerArrays,
    machine: MachineArrays,
    state: int,
    symbol: int,
) -> int:
    """Return the state behind a byte class, 0 where no text goes on so, or OVERFLOW."""
    known = np.int64(machine.table[state, symbol])
    if known != UNKNOWN:
        return known
    size, accepting = 0, 0
    for i in range(machine.set_start[state], machine.set_start[state + 1]):
        parsed = machine.pool[i] >> 32
        read = lexer_step(lexer, machine.pool[i] & 0xFFFFFFFF, symbol)
        if read <= 0:
            if read == OVERFLOW:
                return OVERFLOW
            continue
        more = goes_on(lexer, read)
        if more:
            size = _add(machine, size, parsed, read) if more > 0 else OVERFLOW
            if size == OVERFLOW:
                return OVERFLOW
        terminal = np.int64(lexer.winner[read])
        while terminal >= 0:
            behind = behind_lexeme(nfa, dfa, net, lexer, parsed, terminal)
            if behind == OVERFLOW:
                return OVERFLOW
            if behind:
                if ends_text(dfa, lexer, behind, read, terminal):
                    accepting = 1
                context = context_of(lexer, nfa, dfa, behind)
                if context == OVERFLOW:
                    return OVERFLOW
                begun = begin_lexeme(lexer, read, terminal, context)
                if begun:
                    size = _add(machine, size, behind, begun) if begun > 0 else OVERFLOW
                    if size == OVERFLOW:
                        return OVERFLOW
            terminal = next_winner(lexer, read, terminal)
    target = _intern(machine, size, accepting)
    if target != OVERFLOW:
        machine.table[state, symbol] = target
    return target


@njit(cache=True, nogil=True)
def rehash_machine(machine: MachineArrays) -> None:
    """Fill an empty hash table with all states there are."""
    mask = machine.buckets.size - 1
    for state in range(1, machine.counts[MACHINE_STATES]):
        begin, end = machine.set_start[state], machine.set_start[state + 1]
        bucket = set_hash(machine.pool[begin:end], end - begin, machine.accepting[state]) & mask
        while machine.buckets[bucket]:
            bucket = (bucket + 1) & mask
        machine.buckets[bucket] = state
