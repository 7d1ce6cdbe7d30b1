"""Phrases that must occur, and phrases that must not: one deterministic automaton for all.

A state is (which goals are covered, which beginning of a phrase stands at the text's end),
as in Aho and Corasick's automaton (CACM 1975), over valid UTF-8: where no phrase has
begun, it says how far the last character is read. Beginnings of phrases that matter no
more, their goals being covered, are forgotten, so a text that has everything is in one
state. The ways to acceptance in this automaton are exact: the shortest text that covers
what is left is a shortest common superstring.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmql_like.grammars.regex.nodes import Finite
from lmql_like.grammars.utf8 import valid_utf8_table

__all__ = ["CoverageAutomaton", "PhraseReader", "read_phrases"]

_FORBIDDEN = 1 << 62  # in `pending`: beside the goals' bits


@dataclass(frozen=True, eq=False)
class PhraseReader:
    """Which beginning of a phrase stands at the end of a text.

    Attributes:
        moves: int32[nodes, 256] the node behind each byte; -1: no valid text goes on so, or
            a forbidden phrase ends. Node 0 is the start.
        reached: int64[nodes], bit g: a phrase of goal g ends here.
        pending: int64[nodes], bit g: a phrase of goal g goes on behind this beginning; bit
            62: a forbidden one does.
        suffix: int32[nodes] what is left where a beginning does not matter; a shorter one.
        is_between: bool[nodes]: the text is whole characters.
        n_goals: how many goals there are.
    """

    moves: NDArray[np.int32]
    reached: NDArray[np.int64]
    pending: NDArray[np.int64]
    suffix: NDArray[np.int32]
    is_between: NDArray[np.bool_]
    n_goals: int

    @property
    def n_plain(self) -> int:
        """How many nodes say only how far a character is read: the first ones."""
        return int((self.suffix == np.arange(len(self.suffix))).sum())


@dataclass(frozen=True, eq=False)
class CoverageAutomaton:
    """The automaton of texts that cover all goals, and what its states mean.

    Attributes:
        reader: the phrases.
        node: a component of a constraint.
        goals: int64[states] the goals that are covered, as bits.
        begun: int32[states] the node of `reader`.
    """

    reader: PhraseReader
    node: Finite
    goals: NDArray[np.int64]
    begun: NDArray[np.int32]

    @classmethod
    def of(cls, reader: PhraseReader, most_states: int) -> CoverageAutomaton | None:
        """Make it; None where it has more than `most_states` states."""
        n, full = len(reader.suffix), (1 << reader.n_goals) - 1
        if (full + 1) * reader.n_plain > most_states or (full + 1) * n > 16 * most_states:
            return None
        kept = _remembered(reader)
        own = kept == np.arange(n, dtype=np.int32)
        if int(own.sum()) > most_states:
            return None
        goals, begun = np.nonzero(own)
        number = np.full(kept.shape, -1, np.int32)
        number[goals, begun] = np.arange(len(goals), dtype=np.int32)
        first, last = _byte_classes(reader.moves)
        node = reader.moves[:, first][begun]
        covered = goals[:, None] | reader.reached[node]
        targets = np.where(node < 0, -1, number[covered, kept[covered, node]])
        accepting = np.flatnonzero((goals == full) & reader.is_between[begun])
        finite = Finite(len(goals), _edges(targets, first, last), tuple(accepting.tolist()))
        return cls(reader, finite, goals.astype(np.int64), begun.astype(np.int32))


def read_phrases(goals: Sequence[Iterable[str]], forbidden: Iterable[str] = ()) -> PhraseReader:
    """Return the reader of some goals, each a set of phrases one of which must occur.

    Args:
        goals: none of the phrases empty; at most 60 goals.
        forbidden: phrases that may not occur, none of them empty.
    """
    sets = [frozenset(phrase.encode() for phrase in goal) for goal in goals]
    never = frozenset(phrase.encode() for phrase in forbidden)
    whole = never.union(*sets)
    prefixes = {phrase[:n] for phrase in whole for n in range(1, len(phrase) + 1)}
    plain = np.array(valid_utf8_table(), np.int32)
    names = [b""] * len(plain) + sorted(prefixes, key=lambda prefix: (len(prefix), prefix))
    number = {name: len(plain) + i for i, name in enumerate(names[len(plain) :])}
    n = len(names)
    moves = np.full((n, 256), -1, np.int32)
    moves[: len(plain)] = plain
    reached, pending = np.zeros(n, np.int64), np.zeros(n, np.int64)
    suffix = np.arange(n, dtype=np.int32)
    is_between = np.zeros(n, np.bool_)
    is_between[0] = True
    dead = np.zeros(n, np.bool_)
    bits = [*(1 << goal for goal in range(len(sets))), _FORBIDDEN]
    for bit, phrases in zip(bits, [*sets, never], strict=True):
        for phrase in phrases:
            pending[[number[phrase[:i]] for i in range(1, len(phrase))]] |= bit
            reached[number[phrase]] |= bit & ~_FORBIDDEN
    children = _children(prefixes)
    for node in [0, *range(len(plain), n)]:  # shorter ones first, so a suffix is done
        name = names[node]
        if node:
            moves[node] = moves[suffix[node]]
            reached[node] |= reached[suffix[node]]
            is_between[node] = is_between[suffix[node]]
            dead[node] = dead[suffix[node]] or name in never
        for child in children.get(name, ()):
            suffix[number[child]] = moves[node, child[-1]]
            moves[node, child[-1]] = number[child]
    moves[(moves >= 0) & dead[moves]] = -1
    return PhraseReader(moves, reached, pending, suffix, is_between, len(sets))


def _children(prefixes: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    children: dict[bytes, list[bytes]] = {}
    for prefix in prefixes:
        children.setdefault(prefix[:-1], []).append(prefix)
    return children


def _remembered(reader: PhraseReader) -> NDArray[np.int32]:
    """Return int32[2 ** goals, nodes]: what is remembered of a node where goals are covered."""
    open_goals = ~np.arange(1 << reader.n_goals, dtype=np.int64)
    kept = np.zeros((len(open_goals), len(reader.suffix)), np.int32)
    for node, suffix in enumerate(reader.suffix.tolist()):
        if suffix == node:
            kept[:, node] = node
        else:
            matters = (reader.pending[node] & open_goals) != 0
            kept[:, node] = np.where(matters, node, kept[:, suffix])
    return kept


def _byte_classes(moves: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and last byte of each interval that no node tells apart."""
    changes = (moves[:, 1:] != moves[:, :-1]).any(axis=0)
    first = np.concatenate([[0], 1 + np.flatnonzero(changes)])
    return first, np.append(first[1:] - 1, 255)


def _edges(
    targets: NDArray[np.int32], first: NDArray[np.int64], last: NDArray[np.int64]
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Return the edges of int32[states, classes] targets, -1 for none, as columns."""
    begins = np.ones(targets.shape, np.bool_)
    begins[:, 1:] = targets[:, 1:] != targets[:, :-1]
    ends = np.ones(targets.shape, np.bool_)
    ends[:, :-1] = begins[:, 1:]
    source, low = np.nonzero(begins & (targets >= 0))
    _, high = np.nonzero(ends & (targets >= 0))
    columns = source, first[low], last[high], targets[source, low]
    a, b, c, d = (column.tolist() for column in columns)
    return a, b, c, d
