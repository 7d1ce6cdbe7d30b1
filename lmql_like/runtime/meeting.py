"""Runs that go on at the same time share the model's batches.

Each run of a `Meeting` sees the model as if it were alone with it (`Member`). Where it asks
for a forward pass, it waits until the others ask, too; then one pass serves all of them.
The rows of all runs are rows of one model state, and a run that joins starts from the row
that has read most of what it begins with.

A run that computes for long (a tool, a large grammar) is not waited for: it is *away* until
it asks again.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmql_like.errors import LmqlLikeError
from lmql_like.runtime.model import LanguageModel, ModelState

__all__ = ["Meeting", "Member"]

PATIENCE = 0.1
"""Seconds for which a pass waits for runs that have not asked for it yet."""

_FRESH = -1
"""The row of the common state that a row which has read nothing has."""


@dataclass(eq=False)
class _Request:
    """The arguments of one `extend`, and what became of it."""

    new_ids: Sequence[Sequence[int]]
    keep: Sequence[int]
    blocks: list[NDArray[np.float32]] | None = None
    error: Exception | None = None


class Meeting:
    """Runs over one model, and the rows of them all.

    Args:
        model: it is only used here while the meeting lasts.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.changed = threading.Condition()
        self._members: set[Member] = set()
        self._away: set[Member] = set()
        self._rows = _CommonRows(model)

    def join(self) -> Member:
        """Return the model as a new run sees it; the run calls `leave` at its end."""
        member = Member(self)
        with self.changed:
            self._members.add(member)
        return member

    def leave(self, member: Member) -> None:
        """Let the others go on without a run."""
        with self.changed:
            self._members.discard(member)
            self._away.discard(member)
            self.changed.notify_all()

    def open(self, member: Member, n_rows: int) -> ModelState:
        """Return a state of fresh rows for a run."""
        state = _MemberState(self, member, n_rows)
        with self.changed:
            self._rows.add(state)
        return state

    def ask(self, state: _MemberState, request: _Request) -> list[NDArray[np.float32]]:
        """Take part in the next pass; return the logits of the state's rows.

        Raises:
            ModelError: the model cannot go on.
        """
        with self.changed:
            state.request = request
            self._away.discard(state.member)
            self.changed.notify_all()
            last_call = time.monotonic() + PATIENCE
            while request.blocks is None and request.error is None:
                missing = self._members - self._away - self._rows.asking()
                patience = last_call - time.monotonic()
                if missing and patience > 0:
                    self.changed.wait(patience)
                    continue
                self._away |= missing
                self._rows.extend()
                self.changed.notify_all()
        if request.error is not None:
            raise request.error
        return request.blocks or []


class Member:
    """The model, as one run of a meeting sees it."""

    def __init__(self, meeting: Meeting) -> None:
        self.meeting = meeting
        self.name = meeting.model.name
        self.vocabulary = meeting.model.vocabulary
        self.max_length = meeting.model.max_length

    def encode(self, text: str, *, at_start: bool) -> list[int]:
        """Return token ids that spell a text, as the model does."""
        return self.meeting.model.encode(text, at_start=at_start)

    def new_state(self, n_rows: int) -> ModelState:
        """Return a state whose rows are among those of all runs."""
        return self.meeting.open(self, n_rows)

    def leave(self) -> None:
        """End the run's part in the meeting."""
        self.meeting.leave(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.meeting.model, name)


class _MemberState:
    """The rows of one run: where they are in the common state, and what is to be forgotten.

    Attributes:
        n_rows: rows.
        forward_passes: passes that this state had a part in.
        rows: their rows in the common state.
        forgotten: for each row how many of its last tokens are to be rewound.
        request: what it asks of the next pass.
        failure: what became of its rows, where they are lost.
    """

    def __init__(self, meeting: Meeting, member: Member, n_rows: int) -> None:
        self.n_rows = n_rows
        self.forward_passes = 0
        self.meeting = meeting
        self.member = member
        self.rows = [_FRESH] * n_rows
        self.forgotten = [0] * n_rows
        self.request: _Request | None = None
        self.failure: Exception | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether no row has read anything, and none is to read now."""
        return self.request is None and all(row == _FRESH for row in self.rows)

    def extend(
        self, new_ids: Sequence[Sequence[int]], keep: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        """Feed tokens together with the other runs; return the logits asked for."""
        if self.failure is not None:
            raise self.failure
        self.forward_passes += 1
        return self.meeting.ask(self, _Request(new_ids, keep))

    def gather(self, rows: Sequence[int]) -> None:
        """Rearrange the rows; the common state follows in the next pass."""
        with self.meeting.changed:
            self.rows = [self.rows[row] for row in rows]
            self.forgotten = [self.forgotten[row] for row in rows]
            self.n_rows = len(rows)

    def rewind(self, counts: Sequence[int]) -> None:
        """Forget tokens; the common state follows in the next pass."""
        with self.meeting.changed:
            self.forgotten = [had + more for had, more in zip(self.forgotten, counts, strict=True)]


class _CommonRows:
    """One model state, and whose its rows are.

    Args:
        model: runs.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._state: ModelState | None = None
        self._read: list[tuple[int, ...]] = []  # what each row has read
        self._parts: list[weakref.ref[_MemberState]] = []

    def add(self, state: _MemberState) -> None:
        """Let a run's state have a part from the next pass on."""
        self._parts.append(weakref.ref(state))

    def asking(self) -> set[Member]:
        """Return the runs that ask for a pass."""
        return {part.member for part in self._living() if part.request is not None}

    def _living(self) -> list[_MemberState]:
        return [part for reference in self._parts if (part := reference()) is not None]

    def extend(self) -> None:
        """Run the model once for every state that asks, and answer them."""
        living = self._living()
        self._parts = [weakref.ref(part) for part in living]
        parts = [part for part in living if not part.is_fresh]
        asking = [(part, part.request) for part in parts if part.request is not None]
        try:
            blocks = self._pass(parts)
        except (LmqlLikeError, ArithmeticError, MemoryError, RuntimeError, ValueError) as error:
            for _, request in asking:  # every run raises it for itself
                request.error = error
            for part in parts:
                part.failure = error
            self._state, self._read = None, []
            self._parts = [weakref.ref(part) for part in living if part.is_fresh]
        else:
            for part, request in asking:
                request.blocks = blocks[part]
        for part, _ in asking:
            part.request = None

    def _pass(self, parts: Sequence[_MemberState]) -> dict[_MemberState, list[NDArray[np.float32]]]:
        """Rearrange, rewind and extend the common state; return the logits of each part."""
        sources: list[int] = []
        forgotten: list[int] = []
        feeds: list[Sequence[int]] = []
        keeps: list[int] = []
        read: list[tuple[int, ...]] = []
        for part in parts:
            request = part.request or _Request([()] * part.n_rows, [0] * part.n_rows)
            rows = zip(part.rows, part.forgotten, request.new_ids, request.keep, strict=True)
            for row, lost, new_ids, keep in rows:
                source, known = row, self._known(row, lost)
                ids = tuple(new_ids)
                if row == _FRESH and self._read:
                    source, known = self._donor(ids[: len(ids) - keep])
                    ids = ids[len(known) :]
                sources.append(max(source, 0))
                forgotten.append(len(self._read[source]) - len(known) if self._read else 0)
                feeds.append(ids)
                keeps.append(keep)
                read.append((*known, *ids))
        blocks = self._run(sources, forgotten, feeds, keeps)
        self._read = read
        return self._dealt(parts, blocks)

    def _known(self, row: int, lost: int) -> tuple[int, ...]:
        """Return what a row has read once its last tokens are forgotten."""
        if row == _FRESH:
            return ()
        return self._read[row][: len(self._read[row]) - lost]

    def _donor(self, ids: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        """Return the row that has read most of some tokens, and what it has read of them."""
        lengths = [_common_length(read, ids) for read in self._read]
        row = max(range(len(lengths)), key=lengths.__getitem__)
        return row, ids[: lengths[row]]

    def _run(
        self,
        sources: Sequence[int],
        forgotten: Sequence[int],
        feeds: Sequence[Sequence[int]],
        keeps: Sequence[int],
    ) -> list[NDArray[np.float32]]:
        if self._state is None or not self._read:
            self._state = self._model.new_state(len(feeds))
            return self._state.extend(feeds, keeps)
        if list(sources) != list(range(len(self._read))):
            self._state.gather(sources)
        if any(forgotten):
            self._state.rewind(forgotten)
        return self._state.extend(feeds, keeps)

    @staticmethod
    def _dealt(
        parts: Sequence[_MemberState], blocks: Sequence[NDArray[np.float32]]
    ) -> dict[_MemberState, list[NDArray[np.float32]]]:
        """Give each part its rows, and its share of the logits, which the next pass overwrites."""
        dealt = {}
        at = 0
        for part in parts:
            own = blocks[at : at + part.n_rows]
            part.rows = list(range(at, at + part.n_rows))
            part.forgotten = [0] * part.n_rows
            at += part.n_rows
            dealt[part] = [np.array(block) for block in own]
        return dealt


def _common_length(left: Sequence[int], right: Sequence[int]) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count
