"""Can a text be completed, in tokens of this vocabulary, within the token counts allowed?

By bytes alone the automaton knows (it only shows live states). Two things need tokens:

* a token count: the shortest completion must fit under an upper bound, and some
  completion must reach a lower one;
* a vocabulary that cannot write every byte by itself: then a completion by bytes may
  have no tokens that write it.

`Completions.fits(state, count)` is exact, but for a grammar beside an upper bound of the
token count, where it errs towards closing early (see `_search`). It first tries what
bytes can show (each byte a token, where the vocabulary has them all), and searches token
by token only where that settles nothing: near a limit. Phrases that must occur are not
searched for: a table tells how many tokens they need (`token_needs`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lmql_like.grammars.automata.machine import ByteMachine
from lmql_like.grammars.automata.stretches import Stretches
from lmql_like.grammars.automaton import Automaton
from lmql_like.grammars.mask_memo import MaskMemo
from lmql_like.kernels.phrases import FAR

__all__ = ["Completions"]

_MOST_BYTE_STATES = 512


class Completions:
    """Answers for one automaton and one vocabulary, remembered.

    Args:
        automaton: gives the token counts at which its tests change.
        dfa: its deterministic automaton over the vocabulary's bytes.
        memo: the masker's; it knows the vocabulary.
    """

    def __init__(self, automaton: Automaton, dfa: ByteMachine, memo: MaskMemo) -> None:
        self._automaton = automaton
        self._dfa = dfa
        self._memo = memo
        self._vocabulary = memo.vocabulary
        self._ends: dict[int, NDArray[np.int32]] = {}
        self._fits: dict[tuple[int, int], bool] = {}
        self._needs = automaton.token_needs(dfa, memo.vocabulary)
        self._byte_ways: dict[int, tuple[int, int]] = {}
        self._stretches = Stretches(dfa)
        self._last_count = automaton.count_bounds[-1] if automaton.count_bounds else 0

    def saturate(self, count: int) -> int:
        """Return the count, or the last one that any test tells apart."""
        return min(count, self._last_count)

    def accepts(self, state: int, count: int) -> bool:
        """Tell whether the text may end in a state after `count` tokens."""
        return bool(self._dfa.accepting(state) >> self._automaton.regime(count) & 1)

    def token_ends(self, state: int) -> NDArray[np.int32]:
        """Return the distinct states behind one more token."""
        ends = self._ends.get(state)
        if ends is None:
            if len(self._ends) > 4096:  # bounded: each is a small array, made again if needed
                self._ends.clear()
            ends = self._dfa.token_ends(state, self._memo)
            self._ends[state] = ends
        return ends

    def fits(self, state: int, count: int) -> bool:
        """Tell whether some sequence of tokens leads from here to an accepted text."""
        key = state, self.saturate(count)
        found = self._fits.get(key)
        if found is None:
            if len(self._fits) > 1_000_000:
                self._fits.clear()
            found = self._fits[key] = self._search(*key)
        return found

    def _search(self, state: int, count: int) -> bool:
        if self.accepts(state, count):
            return True
        if self._automaton.has_calls and self._automaton.count_bounds:
            return self._grammar_fits(state, count)
        if self._needs is not None:
            fewest, ceiling = self._needs.fewest(state), self._automaton.highest_count
            if fewest >= FAR or (ceiling is not None and count + fewest > ceiling):
                return False
            if self._needs.is_exact or self._leads_to_end(state, count):
                return True
        if self._vocabulary.spells_every_byte:
            if not self._automaton.count_bounds:
                return True  # the automaton shows live states only
            end, length = self._shortest_in_bytes(state)
            if end and self.accepts(end, count + length):
                return True
            # With each byte a token: a yes is a proof, a no is not.
            if self._reaches(state, count, self._dfa.successors, _MOST_BYTE_STATES):
                return True
        return self._reaches(state, count, self._token_ends, None)

    def _grammar_fits(self, state: int, count: int) -> bool:
        """Tell whether a grammar's text can be ended in time, were each byte a token.

        A grammar has no end of states to search. So it may close a text earlier than
        needed, and closes it in any case.
        """
        ceiling = self._automaton.highest_count
        room = None if ceiling is None else ceiling - count
        need = self._automaton.lowest_count - count
        if need > 0:
            return self._stretches.exists(state, need, room)
        return room is None or self._dfa.closing_distance(state) <= room

    def _leads_to_end(self, state: int, count: int) -> bool:
        """Tell whether the fewest tokens that cover all phrases are an accepted text's.

        A yes is a proof, a no is not: other conditions may want other tokens.
        """
        if self._needs is None:
            return False
        for token_id in self._needs.way(state):
            state = self._dfa.advance_token(state, token_id, self._vocabulary)
            if not state:
                return False
            count += 1
            if self.accepts(state, count):
                return True
        return False

    def _shortest_in_bytes(self, state: int) -> tuple[int, int]:
        """Return an accepting state and how many bytes lead to it: few, by the distances known.

        The state is 0 where the distances, lower bounds as they are, lead astray.
        """
        if len(self._byte_ways) > 1_000_000:
            self._byte_ways.clear()
        path: list[int] = []
        end, length = 0, 0
        while len(path) < _MOST_BYTE_STATES:
            known = self._byte_ways.get(state)
            if known is not None or self._dfa.accepting(state):
                end, length = known or (state, 0)
                break
            following = self._dfa.successors(state)
            if not following:
                break
            path.append(state)
            self._byte_ways[state] = (0, 0)  # a way that comes back here leads astray
            state = min(following, key=self._dfa.distance)
        for back, passed in enumerate(reversed(path), start=1):
            self._byte_ways[passed] = (end, length + back)
        return self._byte_ways.get(path[0], (end, length)) if path else (end, length)

    def _token_ends(self, state: int) -> list[int]:
        ends: list[int] = self.token_ends(state).tolist()
        return ends

    def _reaches(
        self,
        state: int,
        count: int,
        following: Callable[[int], list[int]],
        most_states: int | None,
    ) -> bool:
        """Search for an accepted text, step by step, all states of a step at once.

        Where the states repeat while no test of the count changes, the steps in between
        would repeat too: the count jumps ahead by whole periods, so a lower bound of a
        million tokens costs no more than one of ten.
        """
        layer = frozenset((state,))
        met: dict[frozenset[int], int] = {}  # layers in this range of the count
        while layer:
            if any(self.accepts(s, count) for s in layer):
                return True
            if (most_states and len(layer) > most_states) or self._is_hopeless(layer, count):
                return False
            bound = self._next_bound(count)
            if layer in met:
                if bound is None:
                    return False
                count += (bound - 1 - count) // (count - met[layer]) * (count - met[layer])
                met.clear()
            met[layer] = count
            layer = frozenset(t for s in layer for t in following(s))
            count += 1
            if count == bound:
                met.clear()
        return False

    def _next_bound(self, count: int) -> int | None:
        """Return the next token count at which a test changes."""
        bounds = self._automaton.count_bounds
        index = bisect_right(bounds, count)
        return bounds[index] if index < len(bounds) else None

    def _is_hopeless(self, layer: frozenset[int], count: int) -> bool:
        """Tell whether, by the shortest ways in bytes, no state of a layer can make it."""
        ceiling = self._automaton.highest_count
        if ceiling is None:
            return False
        room = (ceiling - count) * self._vocabulary.longest_token
        return all(self._dfa.distance(s) > room for s in layer)
