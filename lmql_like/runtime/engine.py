"""The loop: one forward pass for all inputs, holes and branches, then one choice each.

    admit inputs while there is room          new rows start from the row nearest to them
    feed what the rows have not read          one pass, rows of different lengths
    offer                                     masks, the model's log-probabilities
    step                                      each input's search picks choices; programs run on
    rearrange                                 one gather

The engine knows no constraint, no program and no strategy: it moves arrays between
those who do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lmql_like.errors import LmqlLikeError
from lmql_like.kernels.selection import allowed_logprobs, select_listed, select_top_k
from lmql_like.runtime.batch import Batch, check_normalizer
from lmql_like.runtime.coverage import Coverage
from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.masking import MaskRow, MaskTable
from lmql_like.runtime.model import LanguageModel, LogitBlock, host_logits
from lmql_like.runtime.routing import RoutedToken
from lmql_like.runtime.search.strategy import END, Choice, Offer, Strategy
from lmql_like.runtime.stepper import Stepper
from lmql_like.runtime.tracing import Recorder

__all__ = ["Engine", "Group"]

Value = TypeVar("Value")


@dataclass(eq=False)
class Group:
    """One search over one input.

    Attributes:
        input_index: number of the input.
        search: its strategy, which also keeps what has finished.
        start: returns the hypothesis at the first choice.
        error: what failed in the query's own code.
        active: the hypotheses that go on, or may later.
        is_over: the search has ended, or failed.
    """

    input_index: int
    search: Strategy
    start: Callable[[], Hypothesis]
    error: LmqlLikeError | None = None
    active: list[Hypothesis] = field(default_factory=list)
    is_over: bool = False


class Engine:
    """Advances groups together over one model.

    Args:
        model: runs.
        stepper: applies choices.
        masks: the table that `stepper` uses.
        max_rows: groups are admitted while their rows together stay within this; at
            least one group runs.
        raises: an error in a query's own code ends the run instead of its group.
        recorder: records what happens, where a trace is wanted.
        max_tokens: the most tokens that the model reads in one pass; None for 16,384.
    """

    def __init__(
        self,
        model: LanguageModel,
        stepper: Stepper,
        masks: MaskTable,
        *,
        max_rows: int,
        raises: bool,
        recorder: Recorder | None = None,
        max_tokens: int | None = None,
    ) -> None:
        self.batch = Batch(model, max_tokens)
        self._model = model
        self._stepper = stepper
        self._masks = masks
        self._max_rows = max_rows
        self._raises = raises
        self._recorder = recorder
        self._size = model.vocabulary.size
        self._owners: list[Group] = []
        self._all_ids = np.empty(self._size, np.int32)
        self._all_logprobs = np.empty(self._size, np.float32)

    def run(self, groups: Iterable[Group]) -> Iterator[Group]:
        """Run all groups to their end; yield a group whenever it has moved on.

        Groups are taken from `groups` as soon as there is room for one, so that the rows
        of one that ends go to the next.
        """
        waiting = _Waiting(groups)
        going: list[tuple[Group, int, Hypothesis]] = []
        arriving: list[tuple[Group, Hypothesis]] = []
        while True:
            running = [*(group for group, _, _ in going), *(group for group, _ in arriving)]
            for group in self._admitted(waiting, set(running)):
                arriving += [(group, hypothesis) for hypothesis in group.active]
                running += [group] * len(group.active)
                yield group
            self.batch.rearrange(
                [(row, hypothesis) for _, row, hypothesis in going],
                [hypothesis for _, hypothesis in arriving],
            )
            self._owners = running
            if not running:
                return
            offers = self._ask()
            going, arriving = [], []
            for group, rows in _by_group(self._owners):
                moved = self._step(group, rows, offers)
                group.active = [hypothesis for _, hypothesis in moved]
                group.active += group.search.kept_back()
                group.is_over = not moved
                for row, hypothesis in moved:
                    if row is None:
                        arriving.append((group, hypothesis))
                    else:
                        going.append((group, row, hypothesis))
                yield group
            if self._recorder is not None:
                self._recorder.end_round(self.batch, self._masks, len(self._owners))

    def _admitted(self, waiting: _Waiting, running: set[Group]) -> Iterator[Group]:
        """Start the next groups while there is room."""
        reserved = sum(group.search.capacity for group in running)
        while (group := waiting.first()) is not None:
            if reserved and reserved + group.search.capacity > self._max_rows:
                return
            if not group.active:
                self._begin(group)
            if group.active and reserved and reserved + group.search.capacity > self._max_rows:
                return  # its search says now that it needs more
            waiting.take()
            if group.active:
                reserved += group.search.capacity
            group.is_over = not group.active
            yield group

    def _begin(self, group: Group) -> None:
        """Run a group's program to its first choice."""
        hypothesis = self._try(group, group.start)
        if hypothesis is not None and hypothesis.is_settled:
            group.search.finish(hypothesis)
        elif hypothesis is not None:
            group.active = [hypothesis]
            group.search.begin(hypothesis)

    def _ask(self) -> list[Offer | None]:
        """Feed until every row has its offer, or has finished and is scored."""
        offers: list[Offer | None] = [None] * len(self._owners)
        wanted = [True] * len(self._owners)
        while any(wanted):
            self._masks.prepare(
                (hypothesis.open_hole.recognizer, hypothesis.open_hole.state)
                for hypothesis, want in zip(self.batch.hypotheses, wanted, strict=True)
                if want and hypothesis.needs_choice and hypothesis.open_hole
            )
            last = self.batch.feed(wanted)
            selected = self._selected_on_device(last)
            for row, want in enumerate(wanted):
                logits = last[row]
                if logits is not None:
                    offers[row] = selected.get(row) or self._offer(row, host_logits(logits))
                    wanted[row] = False
                elif want:
                    wanted[row] = self._is_still_wanted(row)
        return offers

    def _is_still_wanted(self, row: int) -> bool:
        """Move on a hypothesis that was only waiting for its tokens' log-probabilities."""
        hypothesis, group = self.batch.hypotheses[row], self._owners[row]
        if group.error is not None:
            return False
        if hypothesis.unscored or hypothesis.needs_choice:
            return True
        if hypothesis.is_closing:
            resumed = self._try(group, partial(self._stepper.resume, hypothesis))
            if resumed is None:
                return False
            hypothesis = self.batch.hypotheses[row] = resumed
        if hypothesis.is_settled:
            group.search.finish(hypothesis)
        return not hypothesis.is_settled

    def _selected_on_device(self, last: Sequence[LogitBlock | None]) -> dict[int, Offer]:
        """Return the offers of rows whose logits stay on the model's device, made all at once.

        Searches that look at every token, or at the best of each coverage, and traces need
        the logits themselves.
        """
        by_width: dict[int, list[int]] = {}
        for row, logits in enumerate(last):
            search = self._owners[row].search
            if logits is None or isinstance(logits, np.ndarray) or self._recorder is not None:
                continue
            if search.width is not None and not search.by_coverage:
                by_width.setdefault(search.width, []).append(row)
        offers: dict[int, Offer] = {}
        for width, rows in by_width.items():
            hypotheses = [self.batch.hypotheses[row] for row in rows]
            blocks: list[Any] = [last[row] for row in rows]
            bits = np.stack([self._stepper.mask(hypothesis).bits for hypothesis in hypotheses])
            ends = [self._stepper.end_ids(hypothesis) for hypothesis in hypotheses]
            found = blocks[0].select(blocks, bits, width, ends)
            for at, (row, hypothesis) in enumerate(zip(rows, hypotheses, strict=True)):
                normalizer = float(found.normalizers[at])
                check_normalizer(normalizer)
                count = int(np.count_nonzero(found.ids[at] >= 0))
                ids, logprobs = found.ids[at, :count], found.logprobs[at, :count]
                end = float(found.listed[at])
                offers[row] = Offer(hypothesis, ids, logprobs, end, normalizer)
        return offers

    def _offer(self, row: int, logits: NDArray[np.float32]) -> Offer:
        hypothesis = self.batch.hypotheses[row]
        mask = self._stepper.mask(hypothesis)
        search = self._owners[row].search
        hole = hypothesis.open_hole
        coverage = None
        if search.width is None:
            ids, logprobs = self._all_ids, self._all_logprobs
            count, normalizer = allowed_logprobs(logits, mask.bits, ids, logprobs)
            ids, logprobs = ids[:count].copy(), logprobs[:count].copy()
        elif search.by_coverage and hole is not None and hole.coverage is not None:
            ids, logprobs, coverage, normalizer = self._best_of_each_coverage(
                logits, mask, hole.coverage, search.width
            )
        else:
            ids, logprobs, normalizer = _best(logits, mask.bits, search.width)
        check_normalizer(normalizer)
        end_ids = self._stepper.end_ids(hypothesis)
        end = -np.inf
        if end_ids:
            end = float(np.logaddexp.reduce(logits[end_ids].astype(np.float64)) - normalizer)
        if self._recorder is not None:
            owner = self._owners[row].input_index
            routing = self._routing(row, hypothesis)
            hypothesis = self._recorder.ask(hypothesis, owner, logits, mask, end, routing)
        return Offer(hypothesis, ids, logprobs, end, float(normalizer), coverage)

    def _routing(self, row: int, hypothesis: Hypothesis) -> RoutedToken | None:
        """Return where the model's experts sent a row's last token, where they are watched."""
        experts = getattr(self._model, "experts", None)
        found: RoutedToken | None = None if experts is None else experts.last_of_row(row)
        return found if found and found.token_id == hypothesis.ids[-1] else None

    def _best_of_each_coverage(
        self, logits: NDArray[np.float32], mask: MaskRow, before: Coverage, width: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32], float]:
        """Return the best allowed tokens of each coverage: ids, log-probabilities, coverages."""
        classes = before.classes(self._model.vocabulary)
        ids, logprobs, normalizer = _best(logits, mask.bits & classes.bits, width)
        parts = [(ids, logprobs, np.full(len(ids), classes.usual, np.int32))]
        for count, listed in classes.others:
            ids, logprobs = np.empty(width, np.int32), np.empty(width, np.float32)
            n = select_listed(logits, mask.bits, listed, normalizer, ids, logprobs)
            if n:
                parts.append((ids[:n], logprobs[:n], np.full(n, count, np.int32)))
        every_id, every_logprob, every_count = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        return every_id, every_logprob, every_count, normalizer

    def _step(
        self, group: Group, rows: Sequence[int], offers: Sequence[Offer | None]
    ) -> list[tuple[int | None, Hypothesis]]:
        """Let a group's search choose; return the hypotheses that go on, with their rows.

        One that the search had kept back has no row.
        """
        if group.error is not None:
            return []
        open_rows: list[int] = []
        own: list[Offer] = []
        for row in rows:
            offer = offers[row]
            if offer is None:
                continue
            if len(offer.token_ids) == 0 and offer.end_logprob == -np.inf:
                group.search.finish(offer.hypothesis.but(status="dead-end"))
                continue
            open_rows.append(row)
            own.append(offer)

        def take(choice: Choice) -> Hypothesis:
            parent = own[choice.parent].hypothesis
            if choice.token == END:
                child = self._stepper.take_end(parent, choice.logprob)
            else:
                child = self._stepper.take_token(parent, choice.token, choice.logprob)
            return child if self._recorder is None else self._recorder.answer(child, choice)

        placed = self._try(group, partial(group.search.step, own, take)) or []
        return [
            (None if parent is None else open_rows[parent], hypothesis)
            for parent, hypothesis in placed
        ]

    def _try(self, group: Group, act: Callable[[], Value]) -> Value | None:
        """Act for a group; an error of its own (code, constraint, text) ends it, or is raised."""
        try:
            return act()
        except LmqlLikeError as error:
            if self._raises:
                raise
            group.error = error
            group.active = []
            return None


class _Waiting:
    """Groups that have not begun, of which the first can be looked at."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self._groups = iter(groups)
        self._first: Group | None = None

    def first(self) -> Group | None:
        """Return the next group; None if there are no more."""
        if self._first is None:
            self._first = next(self._groups, None)
        return self._first

    def take(self) -> Group:
        """Return the next group and go on to the one behind it."""
        group = self.first()
        if group is None:
            raise ValueError("no group is waiting")
        self._first = None
        return group


def _best(
    logits: NDArray[np.float32], bits: NDArray[np.int32], width: int
) -> tuple[NDArray[np.int32], NDArray[np.float32], float]:
    """Return the best allowed tokens, their log-probabilities, and the log-sum-exp."""
    ids = np.empty((1, width), np.int32)
    logprobs = np.empty((1, width), np.float32)
    normalizers = np.empty(1)
    select_top_k(logits[None], bits[None], ids, logprobs, normalizers)
    count = int(np.count_nonzero(ids[0] >= 0))
    return ids[0, :count], logprobs[0, :count], float(normalizers[0])


def _by_group(owners: Sequence[Group]) -> list[tuple[Group, list[int]]]:
    """Return each group with its rows, in the order of the rows."""
    rows: dict[Group, list[int]] = {}
    for row, group in enumerate(owners):
        rows.setdefault(group, []).append(row)
    return list(rows.items())
