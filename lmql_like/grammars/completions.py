"""Can a text be completed, in tokens of this vocabulary, within the token counts allowed?

By bytes alone the automaton knows (it only shows live states). Two things need tokens:

* a token count: the shortest completion must fit under an upper bound, and some
  completion must reach a lower one;
* a vocabulary that cannot write every byte by itself: then a completion by bytes may
  have no tokens that write it.

`Completions.fits(state, count)` is exact. It first tries what bytes can show (each byte a
token, where the vocabulary has them all), and searches token by token only where that
settles nothing: near a limit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lmql_like.grammars.automata.lazy_dfa import LazyDfa
from lmql_like.grammars.automaton import Automaton
from lmql_like.grammars.vocabulary import Vocabulary

__all__ = ["Completions"]


class Completions:
    """Answers for one automaton and one vocabulary, remembered.

    Args:
        automaton: gives the token counts at which its tests change.
        dfa: its deterministic automaton over the vocabulary's bytes.
        vocabulary: the tokens.
    """

    def __init__(self, automaton: Automaton, dfa: LazyDfa, vocabulary: Vocabulary) -> None:
        self._automaton = automaton
        self._dfa = dfa
        self._vocabulary = vocabulary
        self._path = np.empty(vocabulary.longest_token + 1, np.int32)
        self._ends: dict[int, NDArray[np.int32]] = {}
        self._fits: dict[tuple[int, int], bool] = {}
        self._last_count = automaton.count_bounds[-1] if automaton.count_bounds else 0

    def saturate(self, count: int) -> int:
        """Return the count, or the last one that any test tells apart."""
        return min(count, self._last_count)

    def accepts(self, state: int, count: int) -> bool:
        """Tell whether the text may end in a state after `count` tokens."""
        return bool(self._dfa.accepting(state) >> self._automaton.regime(count) & 1)

    def token_ends(self, state: int) -> NDArray[np.int32]:
        """Return the distinct states behind one more token."""
        if state not in self._ends:
            if len(self._ends) > 4096:  # bounded: each is a small array, made again if needed
                self._ends.clear()
            self._ends[state] = self._dfa.token_ends(state, self._vocabulary.trie, self._path)
        return self._ends[state]

    def fits(self, state: int, count: int) -> bool:
        """Tell whether some sequence of tokens leads from here to an accepted text."""
        key = state, self.saturate(count)
        if key not in self._fits:
            if len(self._fits) > 1_000_000:
                self._fits.clear()
            self._fits[key] = self._search(*key)
        return self._fits[key]

    def _search(self, state: int, count: int) -> bool:
        if self.accepts(state, count):
            return True
        if self._vocabulary.spells_every_byte:
            if not self._automaton.count_bounds:
                return True  # the automaton shows live states only
            if self._fits_by_bytes(state, count):
                return True
        return self._fits_by_tokens(state, count)

    def _fits_by_bytes(self, state: int, count: int) -> bool:
        """Search with each byte a token: a yes is a proof, a no is not.

        Follows, layer by layer, the states that some text of that many bytes reaches.
        """
        layer = {state}
        seen: set[int] = set()
        while layer:
            if any(self.accepts(s, count) for s in layer):
                return True
            if count >= self._last_count:
                layer -= seen  # counts tell nothing apart any more: each state once
                seen |= layer
            if len(layer) > 512 or self._is_hopeless(layer, count):
                return False
            layer = {t for s in layer for t in self._dfa.successors(s)}
            count += 1
        return False

    def _fits_by_tokens(self, state: int, count: int) -> bool:
        """Search token by token, layer by layer; exact."""
        layer = {state}
        seen: set[int] = set()
        while layer:
            if any(self.accepts(s, count) for s in layer):
                return True
            if count >= self._last_count:
                layer -= seen
                seen |= layer
            if self._is_hopeless(layer, count):
                return False
            layer = {int(t) for s in layer for t in self.token_ends(s)}
            count += 1
        return False

    def _is_hopeless(self, layer: set[int], count: int) -> bool:
        """Tell whether, by the shortest ways in bytes, no state of a layer can make it."""
        ceiling = self._automaton.highest_count
        if ceiling is None:
            return False
        room = (ceiling - count) * self._vocabulary.longest_token
        return all(self._dfa.distance(s) > room for s in layer)
