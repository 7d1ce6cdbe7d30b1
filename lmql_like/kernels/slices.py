"""Does a state admit every token of a slice? One small search instead of a walk of the trie."""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.layouts import OVERFLOW, DfaArrays, NetworkArrays, NfaArrays
from lmql_like.kernels.subset import successor

__all__ = ["admits_slice", "is_listed"]


@njit(cache=True, nogil=True)
def is_listed(pairs: np.ndarray, state: int, reading: int) -> bool:
    """Tell whether a pair stands among the last few of a list."""
    for i in range(pairs.shape[0] - 1, max(-1, pairs.shape[0] - 17), -1):
        if pairs[i, 0] == state and pairs[i, 1] == reading:
            return True
    return False


@njit(cache=True, nogil=True)
def admits_slice(
    nfa: NfaArrays,
    dfa: DfaArrays,
    net: NetworkArrays | None,
    state: int,
    reader: np.ndarray,
    longest: int,
    probes: np.ndarray,
    work: np.ndarray,
) -> int:
    """Tell whether all texts of up to `longest` slice characters may follow a state.

    The search goes in rounds of one character each, so a state between characters is met
    first with the fewest characters read, and once is enough.

    Args:
        nfa: the components.
        dfa: the automaton, grown on the way.
        net: a grammar's calls and frames, None for patterns.
        state: the state in question.
        reader: int8[readers, 256]; next reader state on a byte, -1 outside the slice;
            reader state 0 stands between characters.
        longest: characters of the slice's longest token.
        probes: int16[n] one byte for each way in which automaton and reader tell bytes apart.
        work: int32[2, m, 2] scratch, pairs (state, reader state) of this round and the
            next; a search that outgrows it gives up.

    Returns:
        1 yes, 0 no or not known, or OVERFLOW.
    """
    visited, table, classes = dfa.visited, dfa.table, nfa.class_of_byte
    last = visited.size - 1
    visited[last] += 1
    clock = visited[last]
    now, later = 0, 1
    work[now, 0, 0], work[now, 0, 1] = state, 0
    tail = 1
    for _ in range(longest):
        head, waiting = 0, 0
        while head < tail:
            source, reading = work[now, head, 0], work[now, head, 1]
            head += 1
            for byte in probes:
                then = reader[reading, byte]
                symbol = classes[byte]
                if then < 0 or symbol < 0:
                    continue
                target = np.int64(table[source, symbol])
                if target < 0:
                    target = successor(nfa, dfa, net, np.int64(source), np.int64(symbol))
                    if target == OVERFLOW:
                        return OVERFLOW
                if target == 0:
                    return 0
                if then == 0:
                    if visited[target] == clock:
                        continue
                    visited[target] = clock
                    if waiting == work.shape[1]:
                        return 0
                    work[later, waiting, 0], work[later, waiting, 1] = target, 0
                    waiting += 1
                elif not is_listed(work[now, :tail], target, then):
                    if tail == work.shape[1]:
                        return 0
                    work[now, tail, 0], work[now, tail, 1] = target, then
                    tail += 1
        now, later = later, now
        tail = waiting
    return 1
