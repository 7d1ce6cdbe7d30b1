"""Independent samples: `sample(n, temperature, top_k, top_p, min_p, typical_p, seed, max_len)`.

A sample's random numbers depend on the seed, the number of the input and the number of
the sample, and on nothing else: it comes out the same whatever else is in the batch.
Each choice takes one uniform number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.search.greedy import likeliest
from lmql_like.runtime.search.penalties import Penalties
from lmql_like.runtime.search.strategy import END, Choice, Offer, Placed, Strategy, Take
from lmql_like.runtime.search.truncation import Truncation

__all__ = ["Sampling", "candidate_logprobs", "drawn_choice"]


class Sampling(Strategy):
    """Some of the samples of one input; they share one hypothesis up to the first choice.

    Args:
        lanes: numbers of the samples.
        seed: of the run.
        input_index: number of the input.
        truncation: how the distribution is cut; temperature 0 takes the likeliest choice.
        penalties: on tokens that the text holds already.
    """

    ranks = False

    def __init__(
        self,
        lanes: Sequence[int],
        *,
        seed: int,
        input_index: int,
        truncation: Truncation,
        penalties: Penalties,
    ) -> None:
        self.capacity = len(lanes)
        self._is_greedy = truncation.temperature == 0.0
        self.width: int | None = 1 if self._is_greedy and penalties.are_none else None
        self._truncation = truncation
        self._penalties = penalties
        self._generators = {
            lane: np.random.default_rng(np.random.SeedSequence([seed, input_index, lane]))
            for lane in lanes
        }
        self._unforked = True
        self._finished: list[Hypothesis] = []

    def step(self, offers: Sequence[Offer], take: Take) -> list[Placed]:
        """Draw one choice for each sample."""
        going: list[Placed] = []
        for parent, offer in enumerate(offers):
            for choice, lane in self._draw(parent, offer):
                child = take(choice).but(lane=lane)
                if child.status is None:
                    going.append((parent, child))
                else:
                    self._finished.append(child)
        self._unforked = False
        return going

    def finish(self, hypothesis: Hypothesis) -> None:
        """Keep a finished sample; before the first choice it is all of them."""
        lanes = list(self._generators) if self._unforked else [hypothesis.lane]
        self._finished.extend(hypothesis.but(lane=lane) for lane in lanes)

    def results(self) -> list[Hypothesis]:
        """Return the samples in order of their numbers."""
        return sorted(self._finished, key=lambda hypothesis: hypothesis.lane)

    def _draw(self, parent: int, offer: Offer) -> list[tuple[Choice, int]]:
        lanes = list(self._generators) if self._unforked else [offer.hypothesis.lane]
        if self._is_greedy:
            return [(likeliest(parent, offer, self._penalties), lane) for lane in lanes]
        kept, weights = self._truncation.apply(candidate_logprobs(offer, self._penalties))
        cumulative = np.cumsum(weights)
        return [
            (drawn_choice(parent, offer, kept, cumulative, self._generators[lane].random()), lane)
            for lane in lanes
        ]


def candidate_logprobs(offer: Offer, penalties: Penalties) -> NDArray[np.float64]:
    """Return float64[m + 1]: an offer's tokens after the penalties, and its end."""
    tokens = offer.logprobs if penalties.are_none else penalties.logprobs(offer)
    return np.append(tokens.astype(np.float64), offer.end_logprob)


def drawn_choice(
    parent: int,
    offer: Offer,
    kept: NDArray[np.intp],
    cumulative: NDArray[np.float64],
    uniform: float,
) -> Choice:
    """Return the candidate that a uniform number in [0, 1) falls on.

    Args:
        parent: number of the offer.
        offer: its tokens are candidates 0, 1, ..., its end is the last.
        kept: the candidates that may be drawn.
        cumulative: running sums of their weights.
        uniform: the number.
    """
    at = int(np.searchsorted(cumulative, uniform * cumulative[-1], "right"))
    candidate = int(kept[min(at, len(kept) - 1)])
    if candidate == len(offer.token_ids):
        return Choice(parent, END, offer.end_logprob)
    return Choice(parent, int(offer.token_ids[candidate]), float(offer.logprobs[candidate]))
