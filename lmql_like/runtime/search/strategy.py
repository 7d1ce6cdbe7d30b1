"""What a search is: from what the model offers its hypotheses to the hypotheses that go on.

The engine runs the model for all hypotheses of all inputs at once and hands each
strategy its own *offers*: for every hypothesis the tokens that its mask allows with the
model's log-probabilities, and the log-probability of ending the hole. The strategy picks
choices, has them applied, and returns the hypotheses that go on. What has finished it
keeps.

Log-probabilities are the model's own, before masking, in nats. A strategy may draw or
order by anything else; what it hands to `take` is the log-probability of the offer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmql_like.runtime.hypotheses import Hypothesis

__all__ = ["END", "Choice", "Offer", "Placed", "Strategy", "Take", "best_first"]

END = -1
"""The choice that ends the open hole, where a token id would stand."""

STATUS_ORDER = {"complete": 0, "truncated": 1, "dead-end": 2}


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """What may follow a hypothesis.

    Attributes:
        hypothesis: it needs a choice.
        token_ids: int32[m], the allowed tokens: the best `Strategy.width` of them, best
            first, or all of them in order of their ids where `width` is None.
        logprobs: float32[m], in nats, normalized over the whole vocabulary.
        end_logprob: of ending the open hole; -inf where it may not end.
        normalizer: log-sum-exp of the logits: a logit is its log-probability plus this.
        coverage: int32[m], the coverage of the hole's phrases behind each token, where
            `Strategy.by_coverage` asks for it and the hole has phrases to cover.
    """

    hypothesis: Hypothesis
    token_ids: NDArray[np.int32]
    logprobs: NDArray[np.float32]
    end_logprob: float
    normalizer: float = 0.0
    coverage: NDArray[np.int32] | None = None

    def choices(self, parent: int) -> list[Choice]:
        """Return all candidates, best first; a token stands before an end as likely."""
        found = [
            Choice(parent, token, logprob)
            for token, logprob in zip(self.token_ids.tolist(), self.logprobs.tolist(), strict=True)
        ]
        if self.end_logprob > -np.inf:
            found.append(Choice(parent, END, self.end_logprob))
        return sorted(found, key=lambda choice: -choice.logprob)


@dataclass(frozen=True, slots=True)
class Choice:
    """A token id, or `END`, for the offer number `parent`."""

    parent: int
    token: int
    logprob: float


Take = Callable[[Choice], Hypothesis]
Placed = tuple[int | None, Hypothesis]


class Strategy(Protocol):
    """The search over one input: which choices to take, and which results to keep.

    Attributes:
        width: how many tokens an offer must hold; None for all allowed ones.
        ranks: hypotheses are compared by log-probability, so every token's must be known.
        capacity: the most hypotheses that go on at a time, as far as can be said now.
        by_coverage: an offer holds the best `width` tokens of each coverage (see `Offer`).
    """

    width: int | None
    ranks: bool
    capacity: int
    by_coverage: bool = False

    def begin(self, hypothesis: Hypothesis) -> None:
        """Look at the hypothesis at the first choice, before the first step."""
        del hypothesis  # most need not know it

    def step(self, offers: Sequence[Offer], take: Take) -> list[Placed]:
        """Choose, and return the hypotheses that go on.

        Args:
            offers: one for each hypothesis that needs a choice; none is without a
                candidate. There may be none at all: then every hypothesis that was going
                on has finished, and only those that the strategy kept back are left.
            take: applies a choice and runs the program to the next one. The result may
                have finished: then the strategy keeps it, or lets it go.

        Returns:
            For each hypothesis that goes on the number of the offer it came from, and
            the hypothesis; None for the number of one that the strategy had kept back:
            what the model has read of it is found again or read again. One that has
            finished but has tokens left to score (see `Hypothesis.is_settled`) goes on
            too; it comes back through `finish`.
        """
        ...

    def finish(self, hypothesis: Hypothesis) -> None:
        """Keep a hypothesis that has finished outside `step`."""
        ...

    def results(self) -> list[Hypothesis]:
        """Return the finished hypotheses worth returning, best first."""
        ...

    def kept_back(self) -> Sequence[Hypothesis]:
        """Return the unfinished hypotheses that may still go on, but do not now."""
        return ()


def best_first(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Sort: complete ones first, then truncated ones, then dead ends; each by logprob."""
    return sorted(hypotheses, key=lambda h: (STATUS_ORDER[h.status or ""], -h.logprob))
