"""Beam search over the whole program: `beam(n, max_len)`.

Every step compares hypotheses by the log-probability of all hole tokens so far,
whatever hole or branch of the program they are in. From the candidates of all active
hypotheses the best `2 n` are looked at, best first; those that complete the program are
set aside, and the first `n` that do not are active next. As in transformers' beam search, a
candidate that completes the program counts only if it is among the best `n`. The search
ends when no active hypothesis can overtake the `n`-th complete one: log-probabilities
only fall.

What is exact: every log-probability, because forced tokens are scored in the pass that
feeds them; and the `n` results, if the beam is as wide as the number of hypotheses that
are alive at a time. A narrower beam is a heuristic, as everywhere. There is no length
normalization.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.search.strategy import (
    END,
    Choice,
    Offer,
    Placed,
    Take,
    best_first,
)

__all__ = ["Beam"]


class Beam:
    """The `n` likeliest hypotheses, advanced together.

    Args:
        n: width of the beam, and number of results.
    """

    def __init__(self, n: int) -> None:
        self.width: int | None = 2 * n
        self.ranks = n > 1
        self.capacity = 2 * n
        self._n = n
        self._complete: list[Hypothesis] = []
        self._others: list[Hypothesis] = []

    def step(self, offers: Sequence[Offer], take: Take) -> list[Placed]:
        """Take the best candidates; `n` of them at most go on with the search."""
        active: list[Placed] = []
        tails: list[Placed] = []
        for rank, choice in enumerate(self._best_choices(offers)):
            if len(active) == self._n:
                break
            child = take(choice)
            if child.status is None:
                active.append((choice.parent, child))
            elif rank < self._n:
                if child.is_settled:
                    self.finish(child)
                else:
                    tails.append((choice.parent, child))
        bar = self._bar()
        return tails + [(parent, child) for parent, child in active if child.logprob > bar]

    def finish(self, hypothesis: Hypothesis) -> None:
        """Set a finished hypothesis aside."""
        kept = self._complete if hypothesis.status == "complete" else self._others
        kept.append(hypothesis)
        kept[:] = best_first(kept)[: self._n]

    def results(self) -> list[Hypothesis]:
        """Return at most `n`: complete ones first, best first."""
        return best_first([*self._complete, *self._others])[: self._n]

    def _bar(self) -> float:
        """Return what a hypothesis must exceed to be among the results."""
        return self._complete[-1].logprob if len(self._complete) == self._n else -np.inf

    def _best_choices(self, offers: Sequence[Offer]) -> list[Choice]:
        parents = np.repeat(np.arange(len(offers)), [1 + len(offer.token_ids) for offer in offers])
        tokens = np.concatenate([[END, *offer.token_ids] for offer in offers])
        logprobs = np.concatenate([[offer.end_logprob, *offer.logprobs] for offer in offers])
        before = np.asarray([offer.hypothesis.logprob for offer in offers], np.float64)
        totals = before[parents] + logprobs
        order = np.argsort(-totals, kind="stable")[: 2 * self._n]
        return [
            Choice(int(parents[at]), int(tokens[at]), float(logprobs[at]))
            for at in order
            if totals[at] > -np.inf
        ]
