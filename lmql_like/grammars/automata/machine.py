"""What a deterministic automaton over bytes offers, however it makes its states."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmql_like.grammars.mask_memo import MaskMemo
from lmql_like.grammars.vocabulary import Vocabulary

__all__ = ["ByteMachine"]


class ByteMachine(Protocol):
    """States are positive ints, 0 is "no text goes on so"; asking twice costs a look-up.

    Only states from which an accepting one can be reached are ever returned. Several
    threads may use one machine.
    """

    @property
    def start(self) -> int:
        """The start state; 0 where nothing can match."""

    @property
    def n_states(self) -> int:
        """How many states have been made so far."""

    @property
    def n_classes(self) -> int:
        """How many classes of bytes the constraint tells apart."""

    def accepting(self, state: int) -> int:
        """Return the regimes of the token count (bits) in which a state accepts."""

    def distance(self, state: int) -> int:
        """Return a number of bytes that every text from a state to acceptance has at least."""

    def closing_distance(self, state: int) -> int:
        """Return the bytes of some completion of a grammar's state, the shortest if need be.

        Behind the first byte of that completion, the answer is at least one less.
        """

    def successors(self, state: int) -> list[int]:
        """Return the distinct live states behind one more byte."""

    def targets(self, state: int) -> NDArray[np.int32]:
        """Return int32[256]: the live state behind each byte, 0 where there is none."""

    def is_stopped(self, state: int) -> bool:
        """Tell whether a stop phrase ended the text in this state."""

    def is_injecting(self, state: int) -> bool:
        """Tell whether a STOPS_BEFORE phrase may begin in this state."""

    def advance(self, state: int, data: bytes) -> int:
        """Return the state behind some bytes, 0 if no accepting state is reachable there."""

    def advance_token(self, state: int, token_id: int, vocabulary: Vocabulary) -> int:
        """Return the state behind a token of a vocabulary, as `advance` behind its bytes."""

    def live_bytes(self, state: int) -> NDArray[np.bool_]:
        """Return bool[256]: the bytes that may follow a state."""

    def forced_bytes(self, state: int, limit: int = 4096) -> bytes:
        """Return the bytes that must follow a state, up to where it accepts or a choice begins."""

    def new_memo(self, vocabulary: Vocabulary, budget: int) -> MaskMemo:
        """Return an empty memo for the masks of this automaton over a vocabulary."""

    def mask(self, state: int, memo: MaskMemo, row: NDArray[np.int32]) -> None:
        """Add the bits of the tokens that may follow a state to a packed row."""

    def mask_ending_in(
        self, state: int, memo: MaskMemo, wanted: NDArray[np.uint8], row: NDArray[np.int32]
    ) -> None:
        """As `mask`, for tokens that end in a state s with wanted[s] != 0."""

    def token_ends(self, state: int, memo: MaskMemo) -> NDArray[np.int32]:
        """Return the distinct states, ascending, in which the vocabulary's tokens end."""
