"""How far the phrases that a hole must include are covered by its text so far.

A *goal* is a set of phrases one of which must occur. Aho and Corasick's automaton
(CACM 1975) over the bytes of all phrases reads the text, so it does not matter how tokens
cut it, or what a token holds beside a phrase's edge.

Coverage is counted in tokens, as in grid beam search (Hokamp and Liu 2017): a phrase has
as many as the tokenizer writes it with, and the beginning of a phrase that stands at the
end of the text counts with the tokens that end in it. A goal that is covered counts with
its longest phrase; of the goals that are not, only the one whose phrase is furthest
begun counts, so that an open phrase is one phrase.

The numbers only order a search. What a hole's text must hold its mask enforces.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from lmql_like.grammars.formulas import And, Formula, Occurs
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.kernels.coverage import count_behind_tokens

__all__ = ["Coverage", "CoverageTracker", "TokenClasses", "goals_of"]

Goal = tuple[bytes, ...]

_MOST_GOALS = 60  # they are bits of one word in the kernel
_MOST_CLASSES = 512


@dataclass(frozen=True, slots=True)
class TokenClasses:
    """The tokens that may follow a text, by the coverage behind them.

    Attributes:
        usual: the coverage behind most tokens.
        bits: int32[n_words], those tokens.
        others: every other coverage, in order, with its token ids, int32.
    """

    usual: int
    bits: NDArray[np.int32]
    others: tuple[tuple[int, NDArray[np.int32]], ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """The coverage of one text, as a value.

    Attributes:
        tracker: the automaton.
        node: its state.
        goals: bit g: goal g is covered.
    """

    tracker: CoverageTracker
    node: int
    goals: int

    @property
    def count(self) -> int:
        """How much is covered, the beginning of a phrase at the end of the text included."""
        return self.tracker.count(self.node, self.goals)

    def behind(self, data: bytes) -> Coverage:
        """Return the coverage with more bytes at the end of the text."""
        node, goals = self.node, self.goals
        moves, reached = self.tracker.moves, self.tracker.reached
        for byte in data:
            node = int(moves[node, byte])
            goals |= int(reached[node])
        return Coverage(self.tracker, node, goals)

    def classes(self, vocabulary: Vocabulary) -> TokenClasses:
        """Return what each token would cover."""
        return self.tracker.classes(self.node, self.goals, vocabulary)


class CoverageTracker:
    """The automaton of some goals.

    Args:
        goals: each a set of phrases, none empty; the first 60 count.
        encode: returns the lengths in bytes of the tokens that write a phrase.

    Attributes:
        total: the coverage of a text that covers all goals.
        moves: int32[nodes, 256], the node behind each byte; node 0 is the start.
        reached: int64[nodes], bit g: a phrase of goal g ends here.
    """

    def __init__(self, goals: Sequence[Goal], encode: Callable[[bytes], Sequence[int]]) -> None:
        self._goals = goals[:_MOST_GOALS]
        ends = {
            phrase: tuple(accumulate(encode(phrase))) for goal in self._goals for phrase in goal
        }
        sizes = [max(len(ends[phrase]) for phrase in goal) for goal in self._goals]
        self._sizes = np.array(sizes, np.int32)
        self.total = sum(sizes)
        self.moves, self.reached, prefixes = _automaton(self._goals)
        self._progress = np.zeros((len(prefixes), len(sizes)), np.int32)
        for node, prefix in enumerate(prefixes):
            self._progress[node] = [
                max(
                    (_progress(prefix, phrase, ends[phrase], size) for phrase in goal),
                    default=0,
                )
                for goal, size in zip(self._goals, sizes, strict=True)
            ]
        self._classes: OrderedDict[tuple[Vocabulary, int, int], TokenClasses] = OrderedDict()
        self._lock = Lock()

    def start(self) -> Coverage:
        """Return the coverage of the empty text."""
        return Coverage(self, 0, 0)

    def count(self, node: int, goals: int) -> int:
        """Return how much is covered in a state."""
        covered = begun = 0
        for goal, size in enumerate(self._sizes):
            if goals >> goal & 1:
                covered += int(size)
            else:
                begun = max(begun, int(self._progress[node, goal]))
        return covered + begun

    def classes(self, node: int, goals: int, vocabulary: Vocabulary) -> TokenClasses:
        """Return what each token would cover behind a state."""
        key = (vocabulary, node, goals)
        with self._lock:
            known = self._classes.get(key)
        if known is None:
            known = self._sorted(node, goals, vocabulary)
            with self._lock:
                self._classes[key] = known
                if len(self._classes) > _MOST_CLASSES:
                    self._classes.popitem(last=False)
        return known

    def _sorted(self, node: int, goals: int, vocabulary: Vocabulary) -> TokenClasses:
        counts = np.full(vocabulary.size, -1, np.int32)
        count_behind_tokens(
            vocabulary.trie,
            self.moves,
            self.reached,
            self._progress,
            self._sizes,
            node,
            goals,
            counts,
        )
        written = counts[counts >= 0]
        usual = int(np.bincount(written).argmax())
        keys = np.unique(written[written != usual]).tolist()
        others = tuple((key, np.flatnonzero(counts == key).astype(np.int32)) for key in keys)
        padded = np.zeros(32 * vocabulary.n_words, np.uint8)
        padded[: len(counts)] = counts == usual
        bits = np.packbits(padded, bitorder="little").view(np.int32)
        return TokenClasses(usual, bits, others)


def goals_of(formula: Formula) -> tuple[Goal, ...]:
    """Return the goals of a condition: its conjuncts that some phrase occurs."""
    parts = formula.parts if isinstance(formula, And) else (formula,)
    return tuple(
        tuple(phrase.encode() for phrase in part.phrases)
        for part in parts
        if isinstance(part, Occurs)
    )


def _progress(prefix: bytes, phrase: bytes, ends: Sequence[int], size: int) -> int:
    """Return what the beginning of a phrase at the end of a text counts, for a goal's size."""
    begun = next(
        n for n in range(min(len(prefix), len(phrase)), -1, -1) if prefix.endswith(phrase[:n])
    )
    whole = sum(end <= begun for end in ends)
    return size - len(ends) + whole if whole else 0


def _automaton(
    goals: Sequence[Goal],
) -> tuple[NDArray[np.int32], NDArray[np.int64], list[bytes]]:
    """Return the moves, the goals reached, and the longest beginning each node stands for."""
    begun = {phrase[:n] for goal in goals for phrase in goal for n in range(1, len(phrase) + 1)}
    prefixes = [b"", *sorted(begun, key=lambda prefix: (len(prefix), prefix))]
    number = {prefix: node for node, prefix in enumerate(prefixes)}
    children: dict[bytes, list[bytes]] = {}
    for prefix in prefixes[1:]:
        children.setdefault(prefix[:-1], []).append(prefix)
    moves = np.zeros((len(prefixes), 256), np.int32)
    reached = np.zeros(len(prefixes), np.int64)
    suffix = [0] * len(prefixes)  # the node of the longest proper suffix
    for node, prefix in enumerate(prefixes):  # a shorter one first, so its suffix is done
        own = sum(1 << g for g, goal in enumerate(goals) if prefix in goal)
        reached[node] = reached[suffix[node]] | own
        moves[node] = moves[suffix[node]]
        for child in children.get(prefix, ()):
            suffix[number[child]] = int(moves[node, child[-1]])
            moves[node, child[-1]] = number[child]
    return moves, reached, prefixes
