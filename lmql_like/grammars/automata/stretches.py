"""Can a grammar's text go on for some bytes, and end soon behind them?

For lower bounds of the token count: where each byte is a token, a text of enough bytes has
enough tokens. All states shown are live, so it takes a way of that many bytes, and behind
it a completion that is short enough.
"""

from __future__ import annotations

from typing import TypeAlias

from lmql_like.errors import GrammarError
from lmql_like.grammars.automata.machine import ByteMachine

__all__ = ["Stretches"]

_MOST_SEARCHED = 100_000
_At: TypeAlias = "tuple[int, int, int | None]"  # state, bytes needed, bytes at most


class Stretches:
    """Answers for one automaton, remembered.

    Args:
        machine: the automaton.
    """

    def __init__(self, machine: ByteMachine) -> None:
        self._machine = machine
        self._known: dict[_At, bool] = {}

    def exists(self, state: int, need: int, room: int | None) -> bool:
        """Tell whether some completion of a state has from `need` to `room` bytes.

        Depth first: each state together with what is still needed is entered once.

        Raises:
            GrammarError: G201 where the search goes on for too long to tell.
        """
        start = (state, need, room)
        if not self._is_near(state, need, room):
            return False
        stack = [start]
        came: dict[_At, _At | None] = {start: None}
        while stack:
            at = stack.pop()
            if at[1] <= 0 or self._known.get(at):
                step: _At | None = at
                while step is not None:
                    self._known[step] = True
                    step = came[step]
                return True
            if at in self._known:
                continue
            if len(came) > _MOST_SEARCHED:
                raise GrammarError(
                    "G201",
                    f"after {_MOST_SEARCHED} states it is not known whether a text can have so "
                    "many tokens",
                    help="bound len(X) from below instead of len(TOKENS(X)), or by less",
                )
            left = None if at[2] is None else at[2] - 1
            for target in self._machine.successors(at[0]):
                then = (target, at[1] - 1, left)
                if then not in came and self._is_near(*then):
                    came[then] = at
                    stack.append(then)
        self._known.update(dict.fromkeys(came, False))
        return False

    def _is_near(self, state: int, need: int, room: int | None) -> bool:
        """Tell whether the bounds leave room, and the shortest completion fits into it."""
        if room is None:
            return True
        return need <= room and self._machine.closing_distance(state) <= room
