"""Grid beam search (Hokamp and Liu 2017): `grid(n, banks, length_penalty, early_stopping)`.

A beam that must write unlikely phrases never begins them: what begins one is always less
likely than what does not. So hypotheses are organized by step and *coverage*, how far the
phrases of `INCLUDES` (and `"s" in X`) are written (see `runtime.coverage`), and compete
only with those of the same coverage. At every step

* each hypothesis offers its best tokens of each coverage that a token leads to: those
  that begin or go on with a phrase, in any tokenization, beside those that do not;
* a cell takes, of all candidates with its coverage, the best `n` that go on
  (`banks="full"`), or `n` are divided among the cells (`banks="dynamic"`, see `banks`);
* the cells of the column, and of every other input, go through the model in one batch.

Coverage orders the search and nothing else: that every phrase occurs before a hole ends
is a condition that the hole's mask enforces, with everything else that is asked of it.
So every result contains every phrase; and the results are the `n` best where `n` is as
large as the number of hypotheses alive in a cell.

A text that drops a phrase it has begun falls back to the cell of what is whole. Coverage
adds up over the holes of a program.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.search.banks import allocate
from lmql_like.runtime.search.beam import take_in_order
from lmql_like.runtime.search.ranking import Ranking, Shelf
from lmql_like.runtime.search.strategy import END, Choice, Offer, Placed, Strategy, Take

__all__ = ["Grid"]


class Grid(Strategy):
    """A beam for each coverage, advanced together.

    Args:
        n: width of a cell's beam, or of all together; and number of results.
        is_dynamic: `n` places are divided among the cells.
        ranking: how results are scored, and when the search ends.
    """

    ranks = True
    by_coverage = True

    def __init__(self, n: int, ranking: Ranking, *, is_dynamic: bool = False) -> None:
        self.width: int | None = 2 * n
        self.capacity = 2 * n
        self._n = n
        self._is_dynamic = is_dynamic
        self._shelf = Shelf(n, ranking)

    def begin(self, hypothesis: Hypothesis) -> None:
        """Ask for as many rows as the cells of the first hole will have."""
        hole = hypothesis.open_hole
        if hole is not None and hole.coverage is not None and not self._is_dynamic:
            self.capacity = self._n * (2 + hole.coverage.tracker.total)

    def step(self, offers: Sequence[Offer], take: Take) -> list[Placed]:
        """Fill the next column, cell by cell."""
        cells = _cells(offers, 2 * self._n)
        places = dict.fromkeys(cells, self._n)
        if self._is_dynamic:
            places = allocate({cell: len(choices) for cell, choices in cells.items()}, self._n)
        active: list[Placed] = []
        tails: list[Placed] = []
        for cell, choices in cells.items():
            taken, unscored = take_in_order(choices, places[cell], take, self.finish)
            active += [(choice.parent, child) for choice, child in taken]
            tails += unscored
        going = tails + self._shelf.still_going(active)
        self.capacity = max(self.capacity, len(going))
        return going

    def finish(self, hypothesis: Hypothesis) -> None:
        """Set a finished hypothesis aside."""
        self._shelf.add(hypothesis)

    def results(self) -> list[Hypothesis]:
        """Return at most `n`: complete ones first, best first."""
        return self._shelf.results()


def _cells(offers: Sequence[Offer], count: int) -> dict[int, list[Choice]]:
    """Return the best candidates of each coverage, the furthest first.

    Among equals an earlier offer's come first, and the end of a hole before its tokens.
    """
    if not offers:
        return {}
    parents = np.repeat(np.arange(len(offers)), [1 + len(offer.token_ids) for offer in offers])
    tokens = np.concatenate([part for offer in offers for part in (_END, offer.token_ids)])
    logprobs = np.concatenate(
        [part for offer in offers for part in ((offer.end_logprob,), offer.logprobs)]
    )
    coverage = np.concatenate([_coverage(offer) for offer in offers])
    before = np.asarray([offer.hypothesis.logprob for offer in offers], np.float64)
    totals = before[parents] + logprobs
    cells: dict[int, list[Choice]] = {}
    order = np.argsort(-totals, kind="stable")
    for cell in np.unique(coverage)[::-1].tolist():
        best = order[coverage[order] == cell][:count].tolist()
        choices = [
            Choice(int(parents[at]), int(tokens[at]), float(logprobs[at]))
            for at in best
            if totals[at] > -np.inf
        ]
        if choices:
            cells[cell] = choices
    return cells


_END = np.array([END], np.int32)


def _coverage(offer: Offer) -> NDArray[np.int32]:
    """Return the coverage behind an offer's candidates, the end of the hole first."""
    hypothesis = offer.hypothesis
    if offer.coverage is None:
        return np.full(1 + len(offer.token_ids), hypothesis.coverage, np.int32)
    return np.concatenate([[hypothesis.coverage], hypothesis.covered + offer.coverage])
