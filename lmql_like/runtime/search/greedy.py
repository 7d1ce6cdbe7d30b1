"""Greedy search: always the likeliest token. `argmax(max_len)`, and penalties."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.search.penalties import Penalties
from lmql_like.runtime.search.strategy import END, Choice, Offer, Placed, Strategy, Take

__all__ = ["Greedy", "likeliest"]

_NO_PENALTIES = Penalties()


class Greedy(Strategy):
    """One hypothesis, which takes the likeliest candidate at every step.

    Args:
        penalties: on tokens that the text holds already.
    """

    ranks = False
    capacity = 1

    def __init__(self, penalties: Penalties = _NO_PENALTIES) -> None:
        self.width: int | None = 1 if penalties.are_none else None
        self._penalties = penalties
        self._finished: list[Hypothesis] = []

    def step(self, offers: Sequence[Offer], take: Take) -> list[Placed]:
        """Take the best candidate; a token wins over the end of the hole if it is likelier."""
        going: list[Placed] = []
        for parent, offer in enumerate(offers):
            child = take(likeliest(parent, offer, self._penalties))
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


def likeliest(parent: int, offer: Offer, penalties: Penalties = _NO_PENALTIES) -> Choice:
    """Return the likeliest candidate of an offer, after the penalties."""
    if len(offer.logprobs):
        weights = offer.logprobs if penalties.are_none else penalties.logprobs(offer)
        best = int(np.argmax(weights))
        if weights[best] > offer.end_logprob:
            return Choice(parent, int(offer.token_ids[best]), float(offer.logprobs[best]))
    return Choice(parent, END, offer.end_logprob)
