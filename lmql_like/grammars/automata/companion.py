"""A regular condition that a grammar must agree with, as a table; see `kernels.companion`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmql_like.errors import GrammarError
from lmql_like.grammars.automata.machine import ByteMachine

__all__ = ["Companion", "tabulate"]

_MOST_STATES = 4096


@dataclass(frozen=True)
class Companion:
    """A deterministic automaton; state 0 is dead, 1 the start.

    Attributes:
        moves: int32[states, symbols] target of each state on each byte, or symbol.
        accepts: int8[states].
    """

    moves: NDArray[np.int32]
    accepts: NDArray[np.int8]


def tabulate(dfa: ByteMachine) -> Companion:
    """Return all states of an automaton over bytes as a table.

    Raises:
        GrammarError: G202 where there are too many.
    """
    if not dfa.start:
        return Companion(np.zeros((2, 256), np.int32), np.zeros(2, np.int8))
    number = {dfa.start: 1}
    waiting, rows, accepts = [dfa.start], [np.zeros(256, np.int32)], [0]
    for state in waiting:
        targets = dfa.targets(state)
        for target in np.unique(targets[targets > 0]).tolist():
            if target not in number:
                number[target] = len(number) + 1
                waiting.append(target)
        if len(number) > _MOST_STATES:
            raise GrammarError(
                "G202",
                f"the conditions beside a grammar need more than {_MOST_STATES} states",
                help="make their counts and length bounds smaller, or write them into the grammar",
            )
        rows.append(targets)
        accepts.append(dfa.accepting(state) & 1)
    renumbered = np.zeros(max(number) + 1, np.int32)
    renumbered[list(number)] = list(number.values())
    return Companion(renumbered[np.array(rows)], np.array(accepts, np.int8))
