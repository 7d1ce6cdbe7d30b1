"""Which candidates may be drawn, and how likely: temperature, top-k, top-p, min-p, typical.

In this order, each over what the one before left, normalized again; the same order and
the same edges as in transformers' generation. Candidates are the allowed tokens and the
end of the hole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Truncation"]

_FEW = 1024


@dataclass(frozen=True)
class Truncation:
    """How a distribution is sharpened and cut.

    Attributes:
        temperature: divides the log-probabilities; 0 is not for drawing.
        top_k: how many candidates stay at most.
        top_p: candidates stay while the likelier ones do not reach this probability.
        min_p: candidates stay from this share of the likeliest one's probability on.
        typical_p: candidates stay, the nearest to the expected surprise first, while those
            nearer do not reach this probability (Meister et al. 2023).
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0

    def apply(self, logprobs: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the candidates that stay, and their weights.

        Args:
            logprobs: float64[m] of the candidates, at least one of them finite; they need
                not be normalized.

        Returns:
            Indices of the candidates that stay, in order, and their float64 weights, not
            normalized.
        """
        with np.errstate(over="ignore"):  # a tiny temperature leaves the likeliest alone
            scaled = (logprobs - logprobs.max()) / self.temperature
        kept = np.flatnonzero(scaled > -np.inf)
        if self.top_k is not None and self.top_k < len(kept):
            kept = _largest(scaled, kept, self.top_k)
        if self.top_p < 1.0:
            kept = _nucleus(scaled, kept, self.top_p)
        if self.min_p > 0.0:
            kept = kept[np.exp(scaled[kept]) >= self.min_p]
        if self.typical_p < 1.0:
            kept = _typical(scaled, kept, self.typical_p)
        return kept, np.exp(scaled[kept])


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
    """Return the fewest likeliest indices whose probabilities reach `top_p`, in order.

    Sorts only the likeliest thousand where they suffice.
    """
    mass = top_p * np.exp(scaled[among]).sum()
    for count in (_FEW, len(among)):
        ranked = among if count >= len(among) else _largest(scaled, among, count)
        order = ranked[np.argsort(-scaled[ranked], kind="stable")]
        cumulative = np.cumsum(np.exp(scaled[order]))
        n_kept = 1 + int(np.count_nonzero(cumulative < mass))
        if n_kept <= len(order):
            return np.sort(order[:n_kept])
    return np.sort(order)


def _typical(
    scaled: NDArray[np.float64], among: NDArray[np.intp], typical_p: float
) -> NDArray[np.intp]:
    """Return the fewest most typical indices whose probabilities reach `typical_p`, in order."""
    weights = np.exp(scaled[among])
    probabilities = weights / weights.sum()
    surprise = np.log(weights.sum()) - scaled[among]
    entropy = (probabilities * surprise).sum()
    order = np.argsort(np.abs(surprise - entropy), kind="stable")
    cumulative = np.cumsum(probabilities[order])
    return np.sort(among[order[: 1 + int(np.count_nonzero(cumulative < typical_p))]])
