"""Evaluate the boolean formula over a set of nfa states.

A program is a postfix sequence of pairs (operation, argument). Truth values are bit
sets over *regimes*: the ranges of the token count between which the count's tests
change. A formula without token counts has one regime. Two passes over the same program:

* `evaluate` with what holds now: acceptance;
* `evaluate_possible` with what may still hold, in the bounds [surely, possibly]: a
  state whose formula is surely false in every regime is dead, whatever follows.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmql_like.kernels.layouts import NfaArrays

__all__ = ["AND", "COMPONENT", "CONSTANT", "COUNTER", "NOT", "OR", "evaluate", "evaluate_possible"]

CONSTANT = 0  # argument 0 or 1
COMPONENT = 1  # argument: component; true iff its accepting state is in the set
COUNTER = 2  # argument: counter; true in the regimes where its test holds
NOT = 3
AND = 4  # argument: number of operands
OR = 5  # argument: number of operands


@njit(cache=True, nogil=True)
def evaluate(nfa: NfaArrays, program: int, stamp: np.ndarray, clock: int, truth: np.ndarray) -> int:
    """Return the regimes (bits) in which a program is true of the set marked in `stamp`.

    Args:
        nfa: the components and programs.
        program: which program.
        stamp: [n + 1] in; nfa state s is in the set iff stamp[s] == clock.
        clock: the mark.
        truth: [64] scratch.
    """
    everything = nfa.all_regimes[0]
    top = 0
    for pc in range(nfa.code_start[program], nfa.code_start[program + 1], 2):
        operation, argument = nfa.code[pc], nfa.code[pc + 1]
        if operation == CONSTANT:
            truth[top] = everything if argument else 0
            top += 1
        elif operation == COMPONENT:
            accept = nfa.accept[argument]
            truth[top] = everything if accept >= 0 and stamp[accept] == clock else 0
            top += 1
        elif operation == COUNTER:
            truth[top] = nfa.regimes[argument]
            top += 1
        elif operation == NOT:
            truth[top - 1] = everything & ~truth[top - 1]
        else:
            value = truth[top - 1]
            for i in range(2, argument + 1):
                value = value & truth[top - i] if operation == AND else value | truth[top - i]
            top -= argument - 1
            truth[top - 1] = value
    return truth[0]


@njit(cache=True, nogil=True)
def evaluate_possible(nfa: NfaArrays, alive: np.ndarray, truth: np.ndarray) -> bool:
    """Tell whether program 0 may become true, now or later.

    Args:
        nfa: the components and programs.
        alive: [components] in; 0: no state of the component is left, its test is false for good.
        truth: [2 * operands] scratch; pairs (surely, possibly).
    """
    top = 0
    for pc in range(nfa.code_start[0], nfa.code_start[1], 2):
        operation, argument = nfa.code[pc], nfa.code[pc + 1]
        if operation == CONSTANT:
            truth[top] = argument
            truth[top + 1] = argument
            top += 2
        elif operation == COMPONENT:
            truth[top] = 0
            truth[top + 1] = alive[argument]
            top += 2
        elif operation == COUNTER:
            truth[top] = 0
            truth[top + 1] = 1
            top += 2
        elif operation == NOT:
            surely = truth[top - 2]
            truth[top - 2] = 1 - truth[top - 1]
            truth[top - 1] = 1 - surely
        else:
            surely, possibly = truth[top - 2], truth[top - 1]
            for i in range(2, argument + 1):
                if operation == AND:
                    surely &= truth[top - 2 * i]
                    possibly &= truth[top - 2 * i + 1]
                else:
                    surely |= truth[top - 2 * i]
                    possibly |= truth[top - 2 * i + 1]
            top -= 2 * (argument - 1)
            truth[top - 2] = surely
            truth[top - 1] = possibly
    return truth[1] != 0
