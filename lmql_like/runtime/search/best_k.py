"""Best-first search: `best_k(k, budget, kappa, beta, gamma, max_heap_size, ...)`.

LMQL's decoder, after Xu, Xiong, Savarese and Zhou's best-k search (2022). All unfinished
hypotheses, whatever their length, wait on one heap. In each round

* the best `k` leave it: by their score less `kappa * age ** beta`, where the age is the
  number of rounds since the hypothesis was made;
* each is tried with its `top_k_continuations` likeliest choices;
* what has completed the program is a result; of the others those whose choice had a
  probability below `gamma` are dropped, unless nothing else is left, and the rest wait on
  the heap, of which the best `max_heap_size` are kept.

The search ends when `budget` hypotheses have left the heap and there is a result, or
when the heap is empty. A score is `logprob / length ** length_penalty`, of what the model
has been asked: text that was forced counts when its hypothesis leaves the heap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.search.ranking import Ranking, Shelf
from lmql_like.runtime.search.strategy import Offer, Placed, Strategy, Take

__all__ = ["BestK", "BestKRules"]


@dataclass(frozen=True)
class BestKRules:
    """The parameters of the search; see the module."""

    k: int = 4
    budget: int = 30
    kappa: float = 1.0
    beta: float = 0.5
    gamma: float = 0.05
    max_heap_size: int = 500
    top_k_continuations: int = 5


class BestK(Strategy):
    """A heap of hypotheses; a hypothesis's note is the round in which it was made.

    Args:
        rules: parameters.
        ranking: how hypotheses and results are scored.
    """

    ranks = True

    def __init__(self, rules: BestKRules, ranking: Ranking) -> None:
        self.width: int | None = rules.top_k_continuations
        self.capacity = max(1, rules.k)
        self._rules = rules
        self._ranking = ranking
        self._shelf = Shelf(None, ranking)
        self._heap: list[Hypothesis] = []
        self._round = 0
        self._n_expanded = 0

    def step(self, offers: Sequence[Offer], take: Take) -> list[Placed]:
        """Try the choices of those that left the heap; the next ones leave it."""
        tails: list[Placed] = []
        grown: list[Hypothesis] = []
        unlikely: list[Hypothesis] = []
        self._n_expanded += len(offers)
        for parent, offer in enumerate(offers):
            for choice in offer.choices(parent)[: self._rules.top_k_continuations]:
                child = take(choice).but(note=self._round)
                if child.is_settled:
                    self.finish(child)
                elif child.status is not None:
                    tails.append((parent, child))
                else:
                    is_likely = np.exp(choice.logprob) >= self._rules.gamma
                    (grown if is_likely else unlikely).append(child)
        has_result = bool(self._shelf.complete) or any(h.status == "complete" for _, h in tails)
        if not self._heap and not grown and not has_result:
            grown = unlikely
        heap = sorted([*self._heap, *grown], key=self._urgency)[: self._rules.max_heap_size]
        self._round += 1
        if self._n_expanded >= self._rules.budget and has_result:
            return tails
        heap.sort(key=self._urgency)  # a round older
        self._heap = heap[self._rules.k :]
        return [*tails, *((None, hypothesis) for hypothesis in heap[: self._rules.k])]

    def finish(self, hypothesis: Hypothesis) -> None:
        """Set a finished hypothesis aside."""
        self._shelf.add(hypothesis)

    def results(self) -> list[Hypothesis]:
        """Return all results: complete ones first, best first."""
        return self._shelf.results()

    def kept_back(self) -> Sequence[Hypothesis]:
        """Return the heap."""
        return self._heap

    def _urgency(self, hypothesis: Hypothesis) -> float:
        """Return the negative of the score less what the age takes off."""
        age = float(self._round - hypothesis.note)
        decay = self._rules.kappa * age**self._rules.beta
        return float(decay - self._ranking.score(hypothesis))
