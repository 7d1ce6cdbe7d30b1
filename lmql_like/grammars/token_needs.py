"""How many tokens the phrases of a condition need, from every state: a table.

One walk of the vocabulary for all tokens, and one for each beginning of a phrase through
the few tokens that could go on with it, gives the moves between (goals covered, phrase
begun) that tokens make; the fewest of them to acceptance follow backwards, the larger sets
of goals first. From then on, whether all phrases fit under a count is a comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmql_like.grammars.automata.phrases import CoverageAutomaton, PhraseReader
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.kernels.phrases import FAR, behind_tokens, fewest_tokens

__all__ = ["TokenMoves", "TokenNeeds", "token_moves"]


class ItemSets(Protocol):
    """A deterministic automaton whose states are sets of nfa states."""

    def items(self, state: int) -> NDArray[np.int64]:
        """Return the nfa states of a state."""


@dataclass(frozen=True)
class TokenMoves:
    """The distinct moves that tokens make from each node of a phrase reader.

    Attributes:
        first: int64[nodes + 1] where a node's moves begin.
        goals: int64[moves] goals that a token covers, as bits.
        targets: int32[moves] the node behind it.
        tokens: int64[moves] the shortest such token.
    """

    first: NDArray[np.int64]
    goals: NDArray[np.int64]
    targets: NDArray[np.int32]
    tokens: NDArray[np.int64]


def token_moves(reader: PhraseReader, vocabulary: Vocabulary) -> TokenMoves:
    """Return what the tokens of a vocabulary do to the phrases."""
    lengths = vocabulary.token_lengths
    found = np.empty((vocabulary.size, 3), np.int64)
    trie, moves = vocabulary.trie, reader.moves
    n_nodes = len(moves)

    def distinct(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Keep the shortest token of each move."""
        shorter_first = rows[np.argsort(lengths[rows[:, 0]], kind="stable")]
        _, kept = np.unique(shorter_first[:, 1] * n_nodes + shorter_first[:, 2], return_index=True)
        return shorter_first[kept]

    size = behind_tokens(trie, moves, reader.reached, 0, -1, found)
    head = np.array([token[:1] or b"\0" for token in vocabulary.tokens]).view(np.uint8)
    from_start = found[:size].copy()
    from_start = from_start[np.argsort(head[from_start[:, 0]], kind="stable")]
    cuts = np.searchsorted(head[from_start[:, 0]], np.arange(257))
    by_byte = [distinct(from_start[a:b]) for a, b in pairwise(cuts)]
    rows = [distinct(from_start)]
    for node in range(1, n_nodes):
        size = behind_tokens(trie, moves, reader.reached, node, 0, found)
        alike = np.flatnonzero((moves[node] == moves[0]) & (moves[0] >= 0))
        rows.append(distinct(np.concatenate([found[:size], *(by_byte[b] for b in alike)])))
    joined = np.concatenate(rows)
    return TokenMoves(
        first=np.cumsum([0, *map(len, rows)]),
        goals=np.ascontiguousarray(joined[:, 1]),
        targets=joined[:, 2].astype(np.int32),
        tokens=np.ascontiguousarray(joined[:, 0]),
    )


class TokenNeeds:
    """The fewest tokens from the states of a constraint to texts that have all phrases.

    Args:
        automaton: the phrases.
        vocabulary: the tokens.
        dfa: the constraint; one item of each state is a state of `automaton`.
        first: the nfa state that is the automaton's first one.
        says_all: nothing but phrases and token counts is asked for.
    """

    def __init__(
        self,
        automaton: CoverageAutomaton,
        vocabulary: Vocabulary,
        dfa: ItemSets,
        first: int,
        *,
        says_all: bool,
    ) -> None:
        self._automaton = automaton
        self._vocabulary = vocabulary
        self._dfa = dfa
        self._first = first
        self._says_all = says_all

    @cached_property
    def _moves(self) -> TokenMoves:
        return token_moves(self._automaton.reader, self._vocabulary)

    @cached_property
    def _fewest(self) -> NDArray[np.int32]:
        reader, moves = self._automaton.reader, self._moves
        table: NDArray[np.int32] = fewest_tokens(
            moves.first, moves.goals, moves.targets, reader.is_between, reader.n_goals
        )
        return table

    @cached_property
    def is_exact(self) -> bool:
        """Whether as many tokens as are needed, and any more, do make an accepted text.

        That is so where nothing else is asked for, and a text that may end can go on by a
        token to one that may end, too.
        """
        if not self._says_all:
            return False
        reader, moves = self._automaton.reader, self._moves
        goes_on = np.add.reduceat(
            np.append(reader.is_between[moves.targets], False), moves.first[:-1]
        )
        goes_on[np.diff(moves.first) == 0] = False
        met = np.zeros(len(reader.moves), np.bool_)
        met[0] = met[moves.targets] = True
        return bool(goes_on[reader.is_between & met].all())

    def fewest(self, state: int) -> int:
        """Return a number of tokens that every completion has at least."""
        goals, node = self._place(state)
        return int(self._fewest[goals, node])

    def way(self, state: int) -> list[int]:
        """Return fewest tokens that cover what is open; empty where none can."""
        goals, node = self._place(state)
        ids: list[int] = []
        if self._fewest[goals, node] >= FAR:
            return ids
        moves = self._moves
        while self._fewest[goals, node]:
            begin, end = moves.first[node], moves.first[node + 1]
            needs = self._fewest[goals | moves.goals[begin:end], moves.targets[begin:end]]
            move = begin + int(needs.argmin())
            ids.append(int(moves.tokens[move]))
            goals, node = goals | int(moves.goals[move]), int(moves.targets[move])
        return ids

    def _place(self, state: int) -> tuple[int, int]:
        """Return the goals covered in a state, and the node of the reader."""
        items = self._dfa.items(state)
        at = int(items[np.searchsorted(items, self._first)]) - self._first
        return int(self._automaton.goals[at]), int(self._automaton.begun[at])
