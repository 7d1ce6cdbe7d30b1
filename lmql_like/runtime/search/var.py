"""A beam over the values of holes: `var(b, n, subdecoder, temperature, ...)`.

LMQL's decoder. It goes from hole to hole. In each round every hypothesis fills the hole
it is at with up to `b` values, found by a search of its own:

* `subdecoder="sample"`: `b` samples at `temperature`; those spelled alike count once;
* `"beam"`: a beam of width `b` by log-probability, until no value can be better;
* `"beam_seq"`: the same, but values compare by `logprob / length ** length_penalty` of
  the hole alone.

When all of them have ended, the best `n` of all values go on, compared by the score of
the whole hypothesis. Holes that leave no choice are filled with the one before them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.search.beam import best_choices
from lmql_like.runtime.search.greedy import likeliest
from lmql_like.runtime.search.penalties import Penalties
from lmql_like.runtime.search.ranking import Ranking, Shelf
from lmql_like.runtime.search.sampling import candidate_logprobs, drawn_choice
from lmql_like.runtime.search.strategy import Choice, Offer, Placed, Strategy, Take
from lmql_like.runtime.search.truncation import Truncation

__all__ = ["Var", "VarRules"]

_NO_PENALTIES = Penalties()


@dataclass(frozen=True)
class VarRules:
    """The parameters of the search; see the module."""

    b: int = 2
    n: int = 2
    subdecoder: str = "sample"
    temperature: float = 1.0
    return_first: bool = False


class Var(Strategy):
    """Rounds of searches, one for each hypothesis and hole.

    A hypothesis's note is the number of its search in the round and, of a sample, its own.

    Args:
        rules: parameters.
        ranking: how hypotheses and results are scored.
        seed: of the run.
        input_index: number of the input.
    """

    def __init__(self, rules: VarRules, ranking: Ranking, *, seed: int, input_index: int) -> None:
        is_sampling = rules.subdecoder == "sample"
        self.width: int | None = None if is_sampling and rules.temperature else 2 * rules.b
        self.ranks = True
        self.capacity = 2 * rules.b * rules.n
        self._rules = rules
        self._ranking = ranking
        self._shelf = Shelf(None, ranking)
        self._seeds = [seed, input_index]
        self._round = 0
        self._searches: list[_HoleSearch] = []
        self._values: list[Placed] = []

    def step(self, offers: Sequence[Offer], take: Take) -> list[Placed]:
        """Advance every search; when all have ended, begin the next round."""
        if not self._searches:
            self._searches = [self._search(0, offer.hypothesis) for offer in offers[:1]]
        going: list[Placed] = []
        tails: list[Placed] = []
        self._values = [(None, value) for _, value in self._values]
        for number, search in enumerate(self._searches):
            own = [
                (parent, offer)
                for parent, offer in enumerate(offers)
                if offer.hypothesis.note is None or offer.hypothesis.note[0] == number
            ]
            for parent, lane, child in search.step(own, take):
                placed = (parent, child.but(note=(number, lane)))
                if child.is_settled:
                    self.finish(child)
                elif child.status is not None:
                    tails.append(placed)
                elif search.has_left(child):
                    self._values.append(placed)
                else:
                    going.append(placed)
        if going or (self._rules.return_first and self._shelf.complete):
            return [*tails, *going]
        return [*tails, *self._next_round()]

    def finish(self, hypothesis: Hypothesis) -> None:
        """Set a finished hypothesis aside."""
        self._shelf.add(hypothesis)

    def results(self) -> list[Hypothesis]:
        """Return all results: complete ones first, best first."""
        return self._shelf.results()

    def kept_back(self) -> Sequence[Hypothesis]:
        """Return the values that wait for the end of their round."""
        own = [value for _, value in self._values]
        return [*own, *(value for search in self._searches for value in search.kept_back())]

    def _next_round(self) -> list[Placed]:
        """Return the best values, each with a search for its next hole."""
        distinct: dict[tuple[int, ...], Placed] = {}
        for parent, value in self._values:
            distinct.setdefault(value.ids, (parent, value))
        ranked = sorted(distinct.values(), key=lambda placed: -self._ranking.score(placed[1]))
        self._values = []
        self._round += 1
        best = [
            (parent, value.but(note=(number, 0)))
            for number, (parent, value) in enumerate(ranked[: self._rules.n])
        ]
        self._searches = [self._search(number, value) for number, (_, value) in enumerate(best)]
        return best

    def _search(self, number: int, start: Hypothesis) -> _HoleSearch:
        rules = self._rules
        if rules.subdecoder != "sample":
            penalty = self._ranking.length_penalty if rules.subdecoder == "beam_seq" else 0.0
            return _HoleBeam(start, rules.b, penalty, self._ranking.max_len)
        seeds = [*self._seeds, self._round, number]
        return _HoleSamples(start, rules.b, rules.temperature, seeds)


_Laned = tuple[int | None, int, Hypothesis]  # as `Placed`, with the number of the sample


class _HoleSearch:
    """A search for the values of the hole that a hypothesis is at."""

    def __init__(self, start: Hypothesis) -> None:
        self._start = start

    def has_left(self, hypothesis: Hypothesis) -> bool:
        """Tell whether a hypothesis has filled the hole."""
        return len(hypothesis.spans) > len(self._start.spans)

    def step(self, offers: Sequence[tuple[int, Offer]], take: Take) -> list[_Laned]:
        """Return what goes on: in the hole, behind it, or finished."""
        raise NotImplementedError

    def kept_back(self) -> Sequence[Hypothesis]:
        """Return values that were not handed on yet."""
        return ()


class _HoleSamples(_HoleSearch):
    """`b` samples of a hole; each goes on to its end."""

    def __init__(self, start: Hypothesis, b: int, temperature: float, seeds: Sequence[int]) -> None:
        super().__init__(start)
        self._truncation = Truncation(temperature)
        self._draws: list[Callable[[], float]] = [
            np.random.default_rng(np.random.SeedSequence([*seeds, lane])).random
            for lane in range(b)
        ]
        self._is_forked = False

    def step(self, offers: Sequence[tuple[int, Offer]], take: Take) -> list[_Laned]:
        """Draw one choice for each sample that is still in the hole."""
        placed: list[_Laned] = []
        for parent, offer in offers:
            if self.has_left(offer.hypothesis):
                placed.append((parent, offer.hypothesis.note[1], offer.hypothesis))
                continue
            lanes = [offer.hypothesis.note[1]] if self._is_forked else range(len(self._draws))
            for lane in lanes:
                child = take(self._drawn(parent, offer, self._draws[lane]))
                placed.append((parent, lane, child))
        self._is_forked = True
        return placed

    def _drawn(self, parent: int, offer: Offer, draw: Callable[[], float]) -> Choice:
        if self._truncation.temperature == 0:
            return likeliest(parent, offer)
        kept, weights = self._truncation.apply(candidate_logprobs(offer, _NO_PENALTIES))
        return drawn_choice(parent, offer, kept, np.cumsum(weights), draw())


class _HoleBeam(_HoleSearch):
    """A beam over one hole; its values are handed on when no better ones can come."""

    def __init__(self, start: Hypothesis, b: int, length_penalty: float, max_len: int) -> None:
        super().__init__(start)
        self._b = b
        self._penalty = length_penalty
        self._max_len = max_len
        self._values: list[Placed] = []

    def kept_back(self) -> Sequence[Hypothesis]:
        """Return the best values so far."""
        return [value for _, value in self._values]

    def step(self, offers: Sequence[tuple[int, Offer]], take: Take) -> list[_Laned]:
        """Advance the beam; return its hypotheses, or its values when it has ended."""
        self._values = [(None, value) for _, value in self._values]
        inside = [item for item in offers if not self.has_left(item[1].hypothesis)]
        self._values += [
            (parent, offer.hypothesis)
            for parent, offer in offers
            if self.has_left(offer.hypothesis)
        ]
        going: list[Placed] = []
        finished: list[Placed] = []
        choices = best_choices([offer for _, offer in inside], 2 * self._b)
        for rank, choice in enumerate(choices):
            if len(going) == self._b:
                break
            parent = inside[choice.parent][0]
            child = take(replace(choice, parent=parent))
            if child.status is None and not self.has_left(child):
                going.append((parent, child))
            elif rank < self._b:
                (finished if child.status else self._values).append((parent, child))
        self._values.sort(key=lambda placed: -self._score(placed[1]))
        del self._values[self._b :]
        going = [placed for placed in going if self._may_win(placed[1])]
        placed = [*finished, *(going or self._handed_over())]
        return [(parent, 0, child) for parent, child in placed]

    def _handed_over(self) -> list[Placed]:
        values, self._values = self._values, []
        return values

    def _score(self, hypothesis: Hypothesis) -> float:
        length = max(1, hypothesis.length - self._start.length)
        return float((hypothesis.logprob - self._start.logprob) / length**self._penalty)

    def _may_win(self, hypothesis: Hypothesis) -> bool:
        if len(self._values) < self._b:
            return True
        longest = max(1, 2 * (self._max_len - hypothesis.least_prompt))
        reach = (hypothesis.logprob - self._start.logprob) / longest**self._penalty
        return bool(reach > self._score(self._values[-1][1]))
