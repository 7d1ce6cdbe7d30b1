"""Diverse beam search (Vijayakumar et al. 2018): `beam(n, groups, diversity_penalty)`.

The beam is divided into groups that choose one after another. At every step a choice
costs a group `diversity_penalty` for each hypothesis of an earlier group that made the
same choice, the same token or the end of its hole, at this step (their Hamming
diversity) and goes on. The penalty orders the candidates of a step and is forgotten:
sums, scores and results are the model's own log-probabilities.

With one group, or without a penalty, every group is a beam of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.search.beam import take_in_order
from lmql_like.runtime.search.ranking import Ranking, Shelf
from lmql_like.runtime.search.strategy import Choice, Offer, Placed, Strategy, Take

__all__ = ["DiverseBeam"]


class DiverseBeam(Strategy):
    """Beams that keep away from each other; a hypothesis's note is its group's number.

    Args:
        n: hypotheses of all groups together, and number of results.
        groups: how many groups; `n` is a multiple of it.
        penalty: what a choice costs for each time an earlier group made it.
        ranking: how results are scored, and when a group ends.
    """

    ranks = True

    def __init__(self, n: int, groups: int, penalty: float, ranking: Ranking) -> None:
        # The penalty moves only choices that earlier groups made, at most n of them.
        self.width: int | None = 2 * (n // groups) + n
        self.capacity = 2 * n
        self._size = n // groups
        self._penalty = penalty
        self._ranking = ranking
        self._shelves = [Shelf(self._size, ranking) for _ in range(groups)]
        self._is_forked = False

    def step(self, offers: Sequence[Offer], take: Take) -> list[Placed]:
        """Let the groups choose, one after another."""
        made: Counter[int] = Counter()
        placed: list[Placed] = []
        for group, shelf in enumerate(self._shelves):
            own = [
                (parent, offer)
                for parent, offer in enumerate(offers)
                if not self._is_forked or offer.hypothesis.note == group
            ]

            def take_for_group(choice: Choice, group: int = group) -> Hypothesis:
                return take(choice).but(note=group)

            choices = self._ordered(own, made)
            taken, tails = take_in_order(choices, self._size, take_for_group, shelf.add)
            made.update(choice.token for choice, _ in taken)
            active: list[Placed] = [(choice.parent, child) for choice, child in taken]
            placed += tails + shelf.still_going(active)
        self._is_forked = True
        return placed

    def finish(self, hypothesis: Hypothesis) -> None:
        """Set a finished hypothesis aside; before the first choice it is every group's."""
        if self._is_forked:
            self._shelves[hypothesis.note].add(hypothesis)
            return
        for shelf in self._shelves:
            shelf.add(hypothesis)

    def results(self) -> list[Hypothesis]:
        """Return the groups' results: complete ones first, best first."""
        return self._ranking.best_first([h for shelf in self._shelves for h in shelf.results()])

    def _ordered(self, own: Sequence[tuple[int, Offer]], made: Counter[int]) -> list[Choice]:
        """Return the best candidates of a group with the penalty taken off."""
        scored = [
            (offer.hypothesis.logprob + choice.logprob - self._penalty * made[choice.token], choice)
            for parent, offer in own
            for choice in offer.choices(parent)
        ]
        scored.sort(key=lambda item: -item[0])
        return [choice for total, choice in scored if total > -np.inf][: 2 * self._size]
