"""A beam for each hole that is being filled: `beam_var(n, length_penalty, prune, ...)`.

LMQL's decoder. Hypotheses at different holes do not compete: they are pooled by the name
of the hole they are at. At every step each hypothesis is tried with its `n` likeliest
choices. Of a pool's children the candidates are the `n` best, the best of each parent,
and those to which forced text was added; they are sorted into banks by their number of
forced tokens, among which `n` places are divided (see `banks`).

Hypotheses compare by `logprob / length ** length_penalty`. The search ends when nothing
goes on, with `2 n` complete hypotheses, or when `n` are complete and none that goes on
has a better score. `prune` drops hypotheses whose log-probability is below `prune` times
that of the best result; `return_first` ends with the first one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.interpreter import Fill
from lmql_like.runtime.search.banks import allocate
from lmql_like.runtime.search.ranking import Ranking, Shelf
from lmql_like.runtime.search.strategy import Offer, Placed, Strategy, Take

__all__ = ["BeamVar"]

_Child = tuple[int, Hypothesis]


class BeamVar(Strategy):
    """Pools of hypotheses, one for each hole.

    Args:
        n: width of a pool's beam, and number of results.
        ranking: how hypotheses and results are scored.
        prune: factor of the best result's log-probability; None prunes nothing.
        return_first: end with the first result.
    """

    ranks = True

    def __init__(
        self, n: int, ranking: Ranking, *, prune: float | None = None, return_first: bool = False
    ) -> None:
        self.width: int | None = n
        self.capacity = 2 * n
        self._n = n
        self._ranking = ranking
        self._prune = prune
        self._return_first = return_first
        self._shelf = Shelf(n, ranking)
        self._n_complete = 0

    def step(self, offers: Sequence[Offer], take: Take) -> list[Placed]:
        """Take the choices of every hypothesis; the best of each pool go on."""
        tails: list[Placed] = []
        pools: dict[str, list[_Child]] = {}
        for parent, offer in enumerate(offers):
            for choice in offer.choices(parent)[: self._n]:
                child = take(choice)
                if child.is_settled:
                    self.finish(child)
                elif child.status is not None:
                    tails.append((parent, child))
                elif isinstance(child.step, Fill):
                    pools.setdefault(child.step.hole.name, []).append((parent, child))
        active: list[Placed] = []
        for pool in pools.values():
            active += self._kept([item for item in pool if not self._is_pruned(item[1])], offers)
        return tails + self._still_going(active)

    def finish(self, hypothesis: Hypothesis) -> None:
        """Set a finished hypothesis aside."""
        self._n_complete += hypothesis.status == "complete"
        self._shelf.add(hypothesis)

    def results(self) -> list[Hypothesis]:
        """Return at most `n`: complete ones first, best first."""
        return self._shelf.results()

    def _kept(self, pool: Sequence[_Child], offers: Sequence[Offer]) -> list[_Child]:
        """Return the hypotheses of a pool that go on."""
        ranked = sorted(pool, key=lambda item: -self._ranking.score(item[1]))
        first_of = {parent: at for at, (parent, _) in reversed(list(enumerate(ranked)))}
        banks: dict[int, list[_Child]] = {}
        for at, (parent, child) in enumerate(ranked):
            was_forced = child.n_forced > offers[parent].hypothesis.n_forced
            if at < self._n or at == first_of[parent] or was_forced:
                banks.setdefault(child.n_forced, []).append((parent, child))
        places = allocate(Counter({bank: len(items) for bank, items in banks.items()}), self._n)
        return [item for bank, items in banks.items() for item in items[: places[bank]]]

    def _is_pruned(self, hypothesis: Hypothesis) -> bool:
        complete = self._shelf.complete
        if self._prune is None or not complete:
            return False
        return hypothesis.logprob < self._prune * max(result.logprob for result in complete)

    def _still_going(self, active: list[Placed]) -> list[Placed]:
        if self._n_complete >= 2 * self._n or (self._return_first and self._shelf.complete):
            return []
        return self._shelf.still_going(active)
