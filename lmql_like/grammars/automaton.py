"""A compiled constraint: what maskers and the runtime know of one."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from bisect import bisect_right

from lmql_like.grammars.automata.machine import ByteMachine
from lmql_like.grammars.token_needs import TokenNeeds
from lmql_like.grammars.vocabulary import Vocabulary

__all__ = ["Automaton"]

_EVERY_BYTE = bytes(range(256))


class Automaton(ABC):
    """A constraint on bytes; made by `compiler`, used through `TokenMasker`.

    Deterministic states are built on demand, once for each set of bytes that vocabularies
    can write, and shared by all maskers of this automaton.

    Attributes:
        count_bounds: token counts at which a test of the count changes; empty without such.
    """

    def __init__(self, count_bounds: tuple[int, ...] = ()) -> None:
        self.count_bounds = count_bounds
        self._lock = threading.Lock()
        self._machines: dict[bytes, ByteMachine] = {}

    @property
    def has_calls(self) -> bool:
        """Whether rules call each other: a grammar that is more than a pattern."""
        return True

    @property
    def highest_count(self) -> int | None:
        """The highest token count at which any text can be accepted, None if unbounded."""
        return None

    def token_needs(self, dfa: ByteMachine, vocabulary: Vocabulary) -> TokenNeeds | None:  # noqa: ARG002
        """Return how many tokens phrases that must occur need; None without any."""
        return None

    @property
    def lowest_count(self) -> int:
        """The lowest token count at which a grammar's text can be accepted."""
        return 0

    @abstractmethod
    def _make_dfa(self, alphabet: bytes) -> ByteMachine:
        """Return a new deterministic automaton over some bytes."""

    def dfa(self, alphabet: bytes = _EVERY_BYTE) -> ByteMachine:
        """Return the automaton over the bytes that a vocabulary can write."""
        with self._lock:
            if alphabet not in self._machines:
                self._machines[alphabet] = self._make_dfa(alphabet)
            return self._machines[alphabet]

    def regime(self, count: int) -> int:
        """Return which range between `count_bounds` a token count lies in."""
        return bisect_right(self.count_bounds, count)

    def is_empty(self) -> bool:
        """Tell whether no text at all satisfies the constraint."""
        return self.dfa().start == 0

    def matches(self, text: str | bytes) -> bool:
        """Tell whether a whole text satisfies the constraint; tests of token counts are left out.

        For STOPS_BEFORE the text is the raw one, with or without the phrase behind it.
        """
        dfa = self.dfa()
        state = dfa.start
        if state:
            state = dfa.advance(state, text.encode() if isinstance(text, str) else text)
        return bool(state and dfa.accepting(state))

    def value(self, raw: bytes) -> bytes:
        """Return the hole's text: `raw` without a STOPS_BEFORE phrase at its end."""
        return raw
