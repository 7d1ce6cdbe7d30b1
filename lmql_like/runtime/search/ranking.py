"""Length normalization and early stopping: what a result scores, and when no better can come.

The score of a hypothesis is `logprob / length ** length_penalty`, where the length counts
the tokens in holes and the ends of holes with text that the model chose (as transformers
counts the end-of-text token), and is 1 at least.

Log-probabilities only fall, and lengths grow but for what is taken back (a stop phrase,
the text of a nested query), so an unfinished hypothesis can reach

* at most its score of now, without what may be taken back, where the penalty is 0 or less;
* at most `logprob / longest ** length_penalty`, where it is above 0. The longest a
  hypothesis can get is known: `max_len` bounds the tokens, and there is no more than one
  end for each.

A search that ends when nothing that goes on can reach the n-th result ends with the same
results as one that never ends early; that is `early_stopping=False`. `True` ends with the
n-th complete result. "heuristic" compares with the scores of now, whatever the penalty;
it is what transformers does for `early_stopping=False` (and our False is its "never").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.search.strategy import STATUS_ORDER, Placed

__all__ = ["Ranking", "Shelf"]


@dataclass(frozen=True)
class Ranking:
    """How results are scored, and when a search ends.

    Attributes:
        length_penalty: power of the length that divides a log-probability.
        early_stopping: False, True or "heuristic".
        max_len: tokens of a whole prompt at most.
    """

    length_penalty: float = 0.0
    early_stopping: bool | str = False
    max_len: int = 2048

    def score(self, hypothesis: Hypothesis) -> float:
        """Return what a hypothesis scores as it is."""
        if self.length_penalty == 0:
            return hypothesis.logprob
        return hypothesis.logprob / float(max(1, hypothesis.length) ** self.length_penalty)

    def reach(self, hypothesis: Hypothesis) -> float:
        """Return a score that nothing which goes on from a hypothesis exceeds."""
        if self.length_penalty == 0 or self.early_stopping == "heuristic":
            return self.score(hypothesis)
        length = hypothesis.least_length
        if self.length_penalty > 0:
            length = max(2 * (self.max_len - hypothesis.least_prompt), hypothesis.length)
        return hypothesis.logprob / float(max(1, length) ** self.length_penalty)

    def best_first(self, hypotheses: list[Hypothesis]) -> list[Hypothesis]:
        """Sort: complete ones first, then truncated ones, then dead ends; each by score."""
        return sorted(hypotheses, key=lambda h: (STATUS_ORDER[h.status or ""], -self.score(h)))


class Shelf:
    """The best finished hypotheses of a search.

    Args:
        n: how many results are wanted; None for all.
        ranking: how they are scored.
    """

    def __init__(self, n: int | None, ranking: Ranking) -> None:
        self._n = n
        self._ranking = ranking
        self._complete: list[Hypothesis] = []
        self._others: list[Hypothesis] = []

    @property
    def complete(self) -> list[Hypothesis]:
        """The complete ones, best first."""
        return self._complete

    def add(self, hypothesis: Hypothesis) -> None:
        """Set a finished hypothesis aside, if it is good enough."""
        kept = self._complete if hypothesis.status == "complete" else self._others
        kept.append(hypothesis)
        kept[:] = self._ranking.best_first(kept)[: self._n]

    def results(self) -> list[Hypothesis]:
        """Return the results: complete ones first, best first."""
        return [*self._complete, *self._others][: self._n]

    def bar(self) -> float:
        """Return what a hypothesis must exceed to be among the results."""
        if self._n is None or len(self._complete) < self._n:
            return -np.inf
        return self._ranking.score(self._complete[-1])

    def still_going(self, active: list[Placed]) -> list[Placed]:
        """Return those that may still be among the results, by the rule for stopping early."""
        bar = self.bar()
        if bar == -np.inf:
            return active
        if self._ranking.early_stopping is True:
            return []
        if self._ranking.early_stopping == "heuristic":
            # A score below the bar may rise later: all go on while one is above it.
            is_over = all(self._ranking.reach(child) <= bar for _, child in active)
            return [] if is_over else active
        return [placed for placed in active if self._ranking.reach(placed[1]) > bar]
