"""The rows of one model state, and the hypotheses they belong to.

`Batch` keeps the two in step: it feeds each row the tokens its hypothesis has and the
row has not read, scores forced tokens from the same pass, and rearranges the rows when
hypotheses fork, end or arrive. How much is fed at once is bounded, so that logits never
need more than a fixed amount of memory, and a prompt never more logits than one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmql_like.errors import ModelError
from lmql_like.kernels.selection import row_logsumexp
from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.model import LanguageModel, LogitBlock, ModelState

__all__ = ["Batch", "Feed"]

_MAX_LOGIT_BYTES = 256 * 2**20
_MAX_TOKENS = 16_384  # that one pass reads, over all rows
_MIN_SHARED = 64  # tokens that reading a common beginning once must save to be worth a pass
_MAX_GAP = 32  # unscored tokens this far apart from the last one are fed in a pass of their own


@dataclass(frozen=True)
class Feed:
    """What one row reads in one pass.

    Attributes:
        start: index into the hypothesis's ids of the first token fed.
        stop: index behind the last token fed.
        keep: logits wanted, behind each of the last `keep` tokens fed.
    """

    start: int
    stop: int
    keep: int


class Batch:
    """Hypotheses with their rows in a model state.

    Args:
        model: reads them.
        max_tokens: the most tokens, over all rows, that are read in one pass.

    Attributes:
        hypotheses: one for each row.
        seconds: time spent in the model.
        rows_fed: rows with tokens, summed over the passes.
    """

    def __init__(self, model: LanguageModel, max_tokens: int | None = None) -> None:
        self.hypotheses: list[Hypothesis] = []
        self.seconds = 0.0
        self.rows_fed = 0
        self._model = model
        self._earlier_passes = 0
        self._state: ModelState | None = None
        self._read: list[tuple[int, ...]] = []  # what each row has read
        self._max_tokens = max_tokens or _MAX_TOKENS
        self._max_kept = max(1, _MAX_LOGIT_BYTES // (4 * model.vocabulary.size))

    @property
    def passes(self) -> int:
        """Forward passes of the model so far."""
        return self._earlier_passes + (self._state.forward_passes if self._state else 0)

    def feed(self, wanted: Sequence[bool]) -> list[LogitBlock | None]:
        """Run the model once for the rows that are wanted.

        Reads the log-probabilities of forced tokens on the way. A row may need several
        calls; it is done when the call returns its logits, or, where the hypothesis
        needs no choice, when nothing is left unscored.

        Returns:
            For each row float32[vocabulary.size], the logits behind its last token, or
            None. Valid until the next call.
        """
        share = max(1, self._max_kept // max(1, sum(wanted)))
        feeds = [
            _plan(hypothesis, share) if want else None
            for hypothesis, want in zip(self.hypotheses, wanted, strict=True)
        ]
        feeds = _bounded(feeds, self._max_tokens)
        blocks = self._run(feeds)
        last: list[LogitBlock | None] = [None] * len(feeds)
        for row, plan in enumerate(feeds):
            if plan is not None:
                hypothesis = self.hypotheses[row]
                if hypothesis.needs_choice and plan.stop == len(hypothesis.ids):
                    last[row] = blocks[row][-1]
                self.hypotheses[row] = _scored(hypothesis, plan, blocks[row])
        return last

    def rearrange(
        self, going: Sequence[tuple[int, Hypothesis]], arriving: Sequence[Hypothesis]
    ) -> None:
        """Keep, fork and drop rows; make rows for new hypotheses behind them.

        Args:
            going: for each kept hypothesis the row it continues.
            arriving: hypotheses that have no row yet. Each starts from the row that
                shares the longest beginning with it, if any does.
        """
        parents = [row for row, _ in going]
        hypotheses = [hypothesis for _, hypothesis in going]
        if arriving and not self._read:
            self._open(arriving)
        for hypothesis in arriving:
            donor, shared = self._donor(hypothesis)
            parents.append(donor)
            hypotheses.append(hypothesis.but(n_fed=shared))
        if parents != list(range(len(self._read))) and self._state is not None:
            began = time.perf_counter()
            self._state.gather(parents)
            self.seconds += time.perf_counter() - began
            self._read = [self._read[row] for row in parents]
        self.hypotheses = hypotheses

    def _open(self, arriving: Sequence[Hypothesis]) -> None:
        """Start a state with one row, which has read what all the hypotheses begin with."""
        self._earlier_passes = self.passes
        self._state = getattr(self._model, "new_search_state", self._model.new_state)(1)
        shared = arriving[0].ids
        for hypothesis in arriving[1:]:
            shared = shared[: _common_length(shared, hypothesis.ids)]
        if (len(arriving) - 1) * len(shared) < _MIN_SHARED:
            self._read = [()]
            return
        began = time.perf_counter()
        for first in range(0, len(shared), self._max_tokens):
            self._state.extend([shared[first : first + self._max_tokens]], [0])
            self.rows_fed += 1
        self.seconds += time.perf_counter() - began
        self._read = [shared]

    def _donor(self, hypothesis: Hypothesis) -> tuple[int, int]:
        lengths = [_common_length(read, hypothesis.ids) for read in self._read]
        row = max(range(len(lengths)), key=lengths.__getitem__)
        return row, lengths[row]

    def _run(self, feeds: Sequence[Feed | None]) -> Sequence[LogitBlock]:
        state = self._state
        if state is None:
            return []
        counts = [
            0 if plan is None else len(read) - plan.start
            for plan, read in zip(feeds, self._read, strict=True)
        ]
        began = time.perf_counter()
        if any(counts):
            state.rewind(counts)
        new_ids = [
            () if plan is None else hypothesis.ids[plan.start : plan.stop]
            for plan, hypothesis in zip(feeds, self.hypotheses, strict=True)
        ]
        blocks = state.extend(new_ids, [0 if plan is None else plan.keep for plan in feeds])
        self.seconds += time.perf_counter() - began
        self.rows_fed += sum(plan is not None for plan in feeds)
        for row, plan in enumerate(feeds):
            if plan is not None:
                self._read[row] = self.hypotheses[row].ids[: plan.stop]
        return blocks


def _plan(hypothesis: Hypothesis, share: int) -> Feed:
    """Decide what a row reads next: all that is left, unless that means too many logits."""
    length = len(hypothesis.ids)
    if not hypothesis.unscored:
        return Feed(min(hypothesis.n_fed, length - 1), length, 1)
    first, last = hypothesis.unscored[0] - 1, hypothesis.unscored[-1]
    is_far = not hypothesis.needs_choice or length - last > _MAX_GAP
    stop = min(last if is_far else length, first + share)
    return Feed(min(hypothesis.n_fed, first), stop, stop - first)


def _bounded(feeds: Sequence[Feed | None], max_tokens: int) -> list[Feed | None]:
    """Cut what is fed to so many tokens in all; what is left comes in later passes."""
    bounded: list[Feed | None] = []
    room = max_tokens
    for plan in feeds:
        if plan is None or room == 0:
            bounded.append(None)
            continue
        stop = min(plan.stop, plan.start + room)
        first_kept = plan.stop - plan.keep
        bounded.append(Feed(plan.start, stop, max(0, stop - first_kept)))
        room -= stop - plan.start
    return bounded


def _scored(hypothesis: Hypothesis, plan: Feed, block: LogitBlock) -> Hypothesis:
    """Return the hypothesis after a pass: fed, and with its forced tokens scored.

    Args:
        hypothesis: before the pass.
        plan: what was fed.
        block: [plan.keep, vocabulary], the logits.
    """
    if not hypothesis.unscored:
        return hypothesis.but(n_fed=plan.stop)
    first = plan.stop - plan.keep
    left = [at for at in hypothesis.unscored if at > plan.stop]
    done = hypothesis.unscored[: len(hypothesis.unscored) - len(left)]
    rows, ids = [at - 1 - first for at in done], [hypothesis.ids[at] for at in done]
    logprob = hypothesis.logprob
    for value, normalizer in _logprobs(block, rows, ids) if done else ():
        check_normalizer(normalizer)
        logprob += value
    return hypothesis.but(n_fed=plan.stop, unscored=tuple(left), logprob=logprob)


def _logprobs(
    block: LogitBlock, rows: Sequence[int], ids: Sequence[int]
) -> list[tuple[float, float]]:
    """Return the log-probability of an id behind each row, and the row's log-sum-exp."""
    if not isinstance(block, np.ndarray):
        logprobs, normalizers = block.logprobs(rows, ids)
        return list(zip(logprobs.tolist(), normalizers.tolist(), strict=True))
    found: list[tuple[float, float]] = []
    normalizer = np.empty(1)
    for row, token_id in zip(rows, ids, strict=True):
        row_logsumexp(block[row][None], normalizer)
        total = float(normalizer[0])
        found.append((float(block[row, token_id]) - total, total))
    return found


def check_normalizer(normalizer: float) -> None:
    """Refuse logits that are no numbers.

    Raises:
        ModelError: M201.
    """
    if not np.isfinite(normalizer):
        raise ModelError(
            "M201",
            "the model's logits are not finite numbers",
            help="load it with dtype='float32'; check that its weights are whole",
        )


def _common_length(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    """Return the length of the longest common beginning, by bisection."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[:middle] == right[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
