"""Independent samples: `sample(n, temperature, top_k, top_p, seed, max_len)`.

A sample's random numbers depend on the seed, the number of the input and the number of
the sample, and on nothing else: it comes out the same whatever else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.search.greedy import likeliest
from lmql_like.runtime.search.strategy import END, Choice, Offer, Placed, Take

__all__ = ["Sampling", "truncated_distribution"]

_FEW = 1024


class Sampling:
    """Some of the samples of one input; they share one hypothesis up to the first choice.

    Args:
        lanes: numbers of the samples.
        seed: of the run.
        input_index: number of the input.
        temperature: divides the logits; 0 takes the likeliest token.
        top_k: keep the k likeliest candidates; None keeps all.
        top_p: keep the fewest candidates whose probabilities reach this sum.
    """

    width: int | None = None
    ranks = False

    def __init__(
        self,
        lanes: Sequence[int],
        *,
        seed: int,
        input_index: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
    ) -> None:
        self.capacity = len(lanes)
        if temperature == 0.0:
            self.width = 1
        self._temperature = temperature
        self._top_k = top_k
        self._top_p = top_p
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
                child = replace(take(choice), lane=lane)
                if child.status is None:
                    going.append((parent, child))
                else:
                    self._finished.append(child)
        self._unforked = False
        return going

    def finish(self, hypothesis: Hypothesis) -> None:
        """Keep a finished sample; before the first choice it is all of them."""
        lanes = list(self._generators) if self._unforked else [hypothesis.lane]
        self._finished.extend(replace(hypothesis, lane=lane) for lane in lanes)

    def results(self) -> list[Hypothesis]:
        """Return the samples in order of their numbers."""
        return sorted(self._finished, key=lambda hypothesis: hypothesis.lane)

    def _draw(self, parent: int, offer: Offer) -> list[tuple[Choice, int]]:
        lanes = list(self._generators) if self._unforked else [offer.hypothesis.lane]
        if self._temperature == 0.0:
            return [(likeliest(parent, offer), lane) for lane in lanes]
        logprobs = np.append(offer.logprobs.astype(np.float64), offer.end_logprob)
        order, cumulative = truncated_distribution(
            logprobs, self._temperature, self._top_k, self._top_p
        )
        drawn = []
        for lane in lanes:
            point = self._generators[lane].random() * cumulative[-1]
            at = int(order[min(int(np.searchsorted(cumulative, point, "right")), len(order) - 1)])
            token = END if at == len(offer.token_ids) else int(offer.token_ids[at])
            drawn.append((Choice(parent, token, float(logprobs[at])), lane))
        return drawn


def truncated_distribution(
    logprobs: NDArray[np.float64], temperature: float, top_k: int | None, top_p: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Apply temperature, then top-k, then top-p, as transformers' generation does.

    Args:
        logprobs: float64[m] of the candidates, at least one of them finite; they need
            not be normalized.
        temperature: above 0.
        top_k: how many candidates stay at most.
        top_p: candidates stay as long as the likelier ones' probabilities, normalized
            after top-k, do not reach this sum.

    Returns:
        Indices of the candidates that stay, and the running sums of their probabilities
        (not normalized).
    """
    with np.errstate(over="ignore"):  # a tiny temperature leaves the likeliest alone
        scaled = (logprobs - logprobs.max()) / temperature
    kept = np.flatnonzero(scaled > -np.inf)
    if top_k is not None and top_k < len(kept):
        kept = _largest(scaled, kept, top_k)
    if top_p < 1.0:
        kept = _nucleus(scaled, kept, top_p)
    return kept, np.cumsum(np.exp(scaled[kept]))


def _largest(scaled: NDArray[np.float64], among: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Return the `count` indices of the largest values; smaller indices first among equals."""
    values = scaled[among]
    threshold = np.partition(values, len(values) - count)[len(values) - count]
    above = among[values > threshold]
    equal = among[values == threshold][: count - len(above)]
    return np.sort(np.concatenate([above, equal]))


def _nucleus(
    scaled: NDArray[np.float64], among: NDArray[np.intp], top_p: float
) -> NDArray[np.intp]:
    """Return the fewest likeliest indices whose probabilities reach `top_p` of the whole.

    Sorts only the likeliest thousand where they suffice.
    """
    mass = top_p * np.exp(scaled[among]).sum()
    for count in (_FEW, len(among)):
        ranked = among if count >= len(among) else _largest(scaled, among, count)
        order = ranked[np.argsort(-scaled[ranked], kind="stable")]
        cumulative = np.cumsum(np.exp(scaled[order]))
        n_kept = 1 + int(np.count_nonzero(cumulative < mass))
        if n_kept <= len(order):
            return order[:n_kept]
    return order
