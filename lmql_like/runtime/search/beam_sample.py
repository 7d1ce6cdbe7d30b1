"""Beam search that draws: `beam_sample(n, temperature, top_k, top_p, ..., seed)`.

At every step `2 n` different candidates are drawn, one after another without putting any
back, from all candidates of all active hypotheses; then they compete as in beam search,
by their whole log-probability. A candidate's weight is the probability of its hypothesis
times that of its choice after temperature and truncation, as in transformers'
`generate(do_sample=True, num_beams=n)`.

Each draw takes one uniform number of the input's own generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.search.beam import take_in_order
from lmql_like.runtime.search.penalties import Penalties
from lmql_like.runtime.search.ranking import Ranking, Shelf
from lmql_like.runtime.search.sampling import candidate_logprobs
from lmql_like.runtime.search.strategy import END, Choice, Offer, Placed, Strategy, Take
from lmql_like.runtime.search.truncation import Truncation

__all__ = ["BeamSample"]

_NO_PENALTIES = Penalties()


class BeamSample(Strategy):
    """A beam whose candidates are drawn.

    Args:
        n: width of the beam, and number of results.
        seed: of the run.
        input_index: number of the input.
        truncation: how a choice's distribution is cut.
        ranking: how results are scored, and when the search ends.
    """

    width: int | None = None
    ranks = True

    def __init__(
        self, n: int, *, seed: int, input_index: int, truncation: Truncation, ranking: Ranking
    ) -> None:
        self.capacity = 2 * n
        self._n = n
        self._truncation = truncation
        self._shelf = Shelf(n, ranking)
        self._random = np.random.default_rng(np.random.SeedSequence([seed, input_index])).random

    def step(self, offers: Sequence[Offer], take: Take) -> list[Placed]:
        """Draw candidates; `n` of them at most go on with the search."""
        choices = self._drawn(offers)
        taken, tails = take_in_order(choices, self._n, take, self.finish)
        active: list[Placed] = [(choice.parent, child) for choice, child in taken]
        return tails + self._shelf.still_going(active)

    def finish(self, hypothesis: Hypothesis) -> None:
        """Set a finished hypothesis aside."""
        self._shelf.add(hypothesis)

    def results(self) -> list[Hypothesis]:
        """Return at most `n`: complete ones first, best first."""
        return self._shelf.results()

    def _drawn(self, offers: Sequence[Offer]) -> list[Choice]:
        """Return different candidates, best first."""
        if not offers:
            return []
        best = max(offer.hypothesis.logprob for offer in offers)
        urns = []
        for offer in offers:
            kept, weights = self._truncation.apply(candidate_logprobs(offer, _NO_PENALTIES))
            share = np.exp(offer.hypothesis.logprob - best) / weights.sum()
            urns.append(_Urn(kept, np.cumsum(weights * share)))
        drawn = []
        for parent, candidate in _draw(urns, 2 * self._n, self._random):
            offer = offers[parent]
            if candidate == len(offer.token_ids):
                choice = Choice(parent, END, offer.end_logprob)
            else:
                token, logprob = offer.token_ids[candidate], offer.logprobs[candidate]
                choice = Choice(parent, int(token), float(logprob))
            drawn.append((offer.hypothesis.logprob + choice.logprob, choice))
        drawn.sort(key=lambda item: -item[0])
        return [choice for _, choice in drawn]


@dataclass
class _Urn:
    """The candidates of one hypothesis, from which none is drawn twice.

    Attributes:
        candidates: their numbers.
        cumulative: running sums of their weights.
        taken: places of those that were drawn, in order.
    """

    candidates: NDArray[np.intp]
    cumulative: NDArray[np.float64]
    taken: list[int] = field(default_factory=list)

    def weight(self, place: int) -> float:
        """Return the weight of the candidate at a place."""
        before = self.cumulative[place - 1] if place else 0.0
        return float(self.cumulative[place] - before)

    @property
    def left(self) -> float:
        """The weight of what is still in the urn."""
        if len(self.taken) == len(self.candidates):
            return 0.0
        return float(self.cumulative[-1]) - sum(map(self.weight, self.taken))

    def draw(self, point: float) -> int:
        """Take out, and return, the candidate on which a point of what is left falls."""
        for place in self.taken:  # move the point past the gaps that lie before it
            if self.cumulative[place] - self.weight(place) > point:
                break
            point += self.weight(place)
        place = int(np.searchsorted(self.cumulative, point, "right"))
        place = self._nearest_left(place)
        self.taken.append(place)
        self.taken.sort()
        return int(self.candidates[place])

    def _nearest_left(self, place: int) -> int:
        """Return the place, or where rounding hit a taken one or the edge, one beside it."""
        taken = set(self.taken)
        later = range(place, len(self.candidates))
        earlier = range(min(place, len(self.candidates)) - 1, -1, -1)
        return next(other for span in (later, earlier) for other in span if other not in taken)


def _draw(urns: Sequence[_Urn], count: int, random: Callable[[], float]) -> list[tuple[int, int]]:
    """Draw up to `count` candidates without putting any back; return (urn, candidate)."""
    drawn: list[tuple[int, int]] = []
    while len(drawn) < count:
        left = [urn.left for urn in urns]
        full = [n for n, urn in enumerate(urns) if len(urn.taken) < len(urn.candidates)]
        if not full:
            break
        point = random() * sum(left[n] for n in full)
        for n in full:
            if point < left[n] or n == full[-1]:
                drawn.append((n, urns[n].draw(max(0.0, point))))
                break
            point -= left[n]
    return drawn
