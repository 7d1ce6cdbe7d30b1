"""Greedy search: always the likeliest token. `argmax(max_len)`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.search.strategy import END, Choice, Offer, Placed, Take

__all__ = ["Greedy", "likeliest"]


class Greedy:
    """One hypothesis, which takes the likeliest candidate at every step."""

    width: int | None = 1
    ranks = False
    capacity = 1

    def __init__(self) -> None:
        self._finished: list[Hypothesis] = []

    def step(self, offers: Sequence[Offer], take: Take) -> list[Placed]:
        """Take the best candidate; a token wins over the end of the hole if it is likelier."""
        going: list[Placed] = []
        for parent, offer in enumerate(offers):
            child = take(likeliest(parent, offer))
            if child.status is None:
                going.append((parent, child))
            else:
                self._finished.append(child)
        return going

    def finish(self, hypothesis: Hypothesis) -> None:
        """Keep a hypothesis that has finished."""
        self._finished.append(hypothesis)

    def results(self) -> list[Hypothesis]:
        """Return the one hypothesis."""
        return self._finished


def likeliest(parent: int, offer: Offer) -> Choice:
    """Return the likeliest candidate of an offer."""
    if len(offer.logprobs):
        best = int(np.argmax(offer.logprobs))
        if offer.logprobs[best] > offer.end_logprob:
            return Choice(parent, int(offer.token_ids[best]), float(offer.logprobs[best]))
    return Choice(parent, END, offer.end_logprob)
