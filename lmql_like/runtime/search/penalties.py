"""Penalties on tokens that the text holds already; they change what is chosen, not its score.

* `repetition_penalty` (Keskar et al. 2019), over the whole prompt, as transformers does:
  a positive logit is divided by it, a negative one multiplied.
* `frequency_penalty` and `presence_penalty`, over the tokens of holes: taken off a logit
  once for each time the token stands there, and once if it does.

The end of a hole is no token and has no penalty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmql_like.runtime.search.strategy import Offer

__all__ = ["Penalties"]


@dataclass(frozen=True)
class Penalties:
    """What a token costs that stands in the text; see the module."""

    repetition: float = 1.0
    frequency: float = 0.0
    presence: float = 0.0

    @property
    def are_none(self) -> bool:
        """Whether no token costs anything."""
        return self.repetition == 1.0 and not self.frequency and not self.presence

    def logprobs(self, offer: Offer) -> NDArray[np.float64]:
        """Return float64[m], the log-probabilities of an offer's tokens after the penalties.

        They are not normalized: they may be compared, and drawn from, with each other and
        with the end's.
        """
        logits = offer.logprobs.astype(np.float64) + offer.normalizer
        if self.repetition != 1.0:
            held = np.isin(offer.token_ids, np.asarray(offer.hypothesis.ids))
            scale = np.where(logits < 0, self.repetition, 1.0 / self.repetition)
            logits = np.where(held, logits * scale, logits)
        if self.frequency or self.presence:
            counts = np.bincount(
                np.asarray(offer.hypothesis.hole_ids, np.int64),
                minlength=int(offer.token_ids.max(initial=0)) + 1,
            )[offer.token_ids]
            logits = logits - self.frequency * counts - self.presence * (counts > 0)
        penalized: NDArray[np.float64] = logits - offer.normalizer
        return penalized
