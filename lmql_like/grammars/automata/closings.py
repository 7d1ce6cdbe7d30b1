"""How soon a grammar's text can end: the bytes of a completion, for limits of the token count."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmql_like.errors import GrammarError
from lmql_like.grammars.automata.nearest_first import nearest_first

__all__ = ["Closings"]

_MOST_EXACT = 4000  # states that a search for the shortest completion may see
_MOST_SEARCHED = 20_000  # states that a search for any completion may see
_GREED = 3  # how much less a byte behind counts than one ahead, where any completion will do


class _Machine(Protocol):
    def accepting(self, state: int) -> int:
        """Return the regimes of the token count (bits) in which a state accepts."""

    def targets(self, state: int) -> NDArray[np.int32]:
        """Return int32[256]: the live state behind each byte, 0 where there is none."""

    def distance(self, state: int) -> int:
        """Return a number of bytes that every text from a state to acceptance has at least."""


class Closings:
    """Completions of the states of an automaton that shows only live ones.

    Args:
        machine: the automaton.
    """

    def __init__(self, machine: _Machine) -> None:
        self._machine = machine
        self._nearest: dict[int, int] = {}

    def distance(self, state: int) -> int:
        """Return the bytes of a completion, of the shortest if it is found in time.

        Behind the first byte of that completion, it is no longer than what is left of it.

        Raises:
            GrammarError: G201 where none is found in time.
        """
        if state not in self._nearest:
            for greed, most in ((1, _MOST_EXACT), (_GREED, _MOST_SEARCHED)):
                way = nearest_first(
                    state, self._behind, partial(self._ahead, greed), self._is_end, most
                )
                if way is not None:
                    break
            if way is None:
                raise GrammarError(
                    "G201",
                    f"no end of the text was found after {_MOST_SEARCHED} states",
                    help="bound len(X) instead of len(TOKENS(X)), or loosen the other conditions",
                )
            for at, node in enumerate(way.nodes):
                left = len(way.nodes) - 1 - at
                self._nearest[node] = min(left, self._nearest.get(node, left))
        return self._nearest[state]

    def _ahead(self, greed: int, state: int) -> int:
        return greed * self._machine.distance(state)

    def _is_end(self, state: int) -> bool:
        return bool(self._machine.accepting(state))

    def _behind(self, state: int) -> Iterator[tuple[int, int]]:
        targets, first = np.unique(self._machine.targets(state), return_index=True)
        for byte, target in zip(first.tolist(), targets.tolist(), strict=True):
            if target:
                yield byte, target
