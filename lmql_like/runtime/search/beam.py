"""Beam search over the whole program: `beam(n, length_penalty, early_stopping, max_len)`.

Every step compares hypotheses by the log-probability of all hole tokens so far,
whatever hole or branch of the program they are in. From the candidates of all active
hypotheses the best `2 n` are looked at, best first; those that complete the program are
set aside, and the first `n` that do not are active next. As in transformers' beam search, a
candidate that completes the program counts only if it is among the best `n`.

What is exact: every log-probability, because forced tokens are scored in the pass that
feeds them; the rule for stopping (see `ranking`); and the `n` results, if the beam is as
wide as the number of hypotheses that are alive at a time. A narrower beam is a heuristic,
as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.search.ranking import Ranking, Shelf
from lmql_like.runtime.search.strategy import END, Choice, Offer, Placed, Strategy, Take

__all__ = ["Beam", "best_choices", "take_in_order"]


class Beam(Strategy):
    """The `n` likeliest hypotheses, advanced together.

    Args:
        n: width of the beam, and number of results.
        ranking: how results are scored, and when the search ends.
    """

    def __init__(self, n: int, ranking: Ranking | None = None) -> None:
        self.width: int | None = 2 * n
        self.ranks = n > 1
        self.capacity = 2 * n
        self._n = n
        self._shelf = Shelf(n, ranking or Ranking())

    def step(self, offers: Sequence[Offer], take: Take) -> list[Placed]:
        """Take the best candidates; `n` of them at most go on with the search."""
        choices = best_choices(offers, 2 * self._n)
        taken, tails = take_in_order(choices, self._n, take, self.finish)
        active: list[Placed] = [(choice.parent, child) for choice, child in taken]
        return tails + self._shelf.still_going(active)

    def finish(self, hypothesis: Hypothesis) -> None:
        """Set a finished hypothesis aside."""
        self._shelf.add(hypothesis)

    def results(self) -> list[Hypothesis]:
        """Return at most `n`: complete ones first, best first."""
        return self._shelf.results()


def best_choices(offers: Sequence[Offer], count: int) -> list[Choice]:
    """Return the best candidates of all offers, by the hypotheses' whole log-probability.

    Among equals an earlier offer's come first, and the end of a hole before its tokens.
    """
    if not offers:
        return []
    parents = np.repeat(np.arange(len(offers)), [1 + len(offer.token_ids) for offer in offers])
    tokens = np.concatenate([part for offer in offers for part in (_END, offer.token_ids)])
    logprobs = np.concatenate(
        [part for offer in offers for part in ((offer.end_logprob,), offer.logprobs)]
    )
    before = np.asarray([offer.hypothesis.logprob for offer in offers], np.float64)
    totals = before[parents] + logprobs
    order = np.argsort(-totals, kind="stable")[:count]
    return [
        Choice(int(parents[at]), int(tokens[at]), float(logprobs[at]))
        for at in order.tolist()
        if totals[at] > -np.inf
    ]


_END = np.array([END], np.int32)


def take_in_order(
    choices: Sequence[Choice],
    n: int,
    take: Take,
    finish: Callable[[Hypothesis], None],
) -> tuple[list[tuple[Choice, Hypothesis]], list[Placed]]:
    """Take choices, best first, until `n` of them go on.

    Args:
        choices: best first.
        n: how many go on; and a choice that finishes counts if it is among the first `n`.
        take: applies a choice.
        finish: keeps a finished hypothesis that is scored.

    Returns:
        Those that go on, with their choices; and finished ones with tokens left to score.
    """
    active: list[tuple[Choice, Hypothesis]] = []
    tails: list[Placed] = []
    for rank, choice in enumerate(choices):
        if len(active) == n:
            break
        child = take(choice)
        if child.status is None:
            active.append((choice, child))
        elif rank < n and child.is_settled:
            finish(child)
        elif rank < n:
            tails.append((choice.parent, child))
    return active, tails
