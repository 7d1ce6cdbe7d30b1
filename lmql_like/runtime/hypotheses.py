"""A hypothesis: one way the run may have gone so far, as a value.

It owns its tokens, its log-probability, the state of its program and of the recognizer
of the hole it is in. Nothing in it changes: a search forks a hypothesis by keeping a
reference, and two hypotheses of one batch may be at different holes, in different
branches of the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lmql_like.grammars.formulas import And, StopsBefore
from lmql_like.grammars.masker import MaskerState
from lmql_like.runtime.coverage import Coverage
from lmql_like.runtime.interpreter import Hole, Step
from lmql_like.runtime.masking import Recognizer
from lmql_like.runtime.trace import Moment

__all__ = ["Hypothesis", "Mark", "OpenHole", "Segment", "Status", "incomplete_tail"]

Status = str  # "complete" | "truncated" | "dead-end"


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the text: literal prompt text (`hole` is None) or what a hole got."""

    data: bytes
    hole: str | None


Value = TypeVar("Value")


def _changed(value: Value, changes: Mapping[str, Any]) -> Value:
    """Return a copy of a frozen object in which some attributes are others.

    What `dataclasses.replace` does, ten times as fast: a step makes several copies of
    every hypothesis.
    """
    copy = object.__new__(type(value))
    copy.__dict__.update(value.__dict__)
    copy.__dict__.update(changes)
    return copy


@dataclass(frozen=True, slots=True)
class Mark:
    """What a hypothesis had where a query began whose text may have to go again."""

    n_ids: int
    n_segments: int
    n_spans: int
    n_prompt: int
    n_ends: int


@dataclass(frozen=True)
class OpenHole:
    """The hole that a hypothesis is filling.

    Attributes:
        hole: what the program wants there.
        recognizer: the automaton of its constraints and the masker over it.
        state: the masker's state behind `raw`.
        first: index into the hypothesis's `ids` of the hole's first token.
        raw: the bytes of the hole's tokens.
        coverage: which of the phrases that must occur in the hole do; None if none must.
        to_heal: the end of the prompt that the next tokens write again.
        lead: the end of the prompt that the hole's first token begins with.
    """

    hole: Hole
    recognizer: Recognizer
    state: MaskerState
    first: int
    raw: bytes
    coverage: Coverage | None = None
    to_heal: bytes = b""
    lead: bytes = b""

    def but(self, **changes: Any) -> OpenHole:
        """Return a copy in which some attributes are others."""
        return _changed(self, changes)

    @property
    def takes_back(self) -> bool:
        """Whether the end of the hole may take text back: a stop phrase it stops before."""
        formula = self.hole.formula
        parts = formula.parts if isinstance(formula, And) else (formula,)
        return any(isinstance(part, StopsBefore) for part in parts)


@dataclass(frozen=True)
class Hypothesis:
    """One way the run may have gone so far.

    Attributes:
        step: where the program is.
        ids: every token of the prompt, start tokens included.
        n_fed: how many leading tokens of `ids` the model's row has read.
        unscored: indices into `ids` of forced hole tokens whose log-probability has not
            been read from the model yet.
        logprob: sum over the hole tokens scored so far, ends of holes included where the
            model was asked, in nats.
        open_hole: the hole being filled, or None.
        is_closing: the hole has ended, but tokens that its end will take back must be
            scored first.
        segments: the text of closed holes and literals, in order.
        status: None while the hypothesis goes on.
        lane: which of a decoder's independent samples this is.
        is_ranked: its search compares log-probabilities, so every forced token is scored.
        n_prompt: tokens of literal text and start tokens.
        n_generated: hole tokens that the model chose.
        n_forced: hole tokens that were appended without asking the model.
        n_lost: forced tokens that left the prompt again before they were scored.
        trace: its last record, where the run is traced.
        n_ends: ends of holes with text that the model chose.
        spans: indices into `ids` of each closed hole's tokens, first and behind the last.
        covered: coverage of the closed holes.
        note: its search's own; it travels with the hypothesis to its children.
        marks: where each nested query that is not done began, if its text may have to go.
    """

    step: Step
    ids: tuple[int, ...] = ()
    n_fed: int = 0
    unscored: tuple[int, ...] = ()
    logprob: float = 0.0
    open_hole: OpenHole | None = None
    is_closing: bool = False
    segments: tuple[Segment, ...] = ()
    status: Status | None = None
    lane: int = 0
    is_ranked: bool = False
    n_prompt: int = 0
    n_generated: int = 0
    n_forced: int = 0
    n_lost: int = 0
    trace: Moment | None = field(default=None, repr=False, compare=False)
    n_ends: int = 0
    spans: tuple[tuple[int, int], ...] = ()
    covered: int = 0
    note: Any = None
    marks: tuple[Mark, ...] = ()

    def but(self, **changes: Any) -> Hypothesis:
        """Return a copy in which some attributes are others."""
        return _changed(self, changes)

    @property
    def needs_choice(self) -> bool:
        """Whether the model must be asked for the next token."""
        return self.status is None and not self.is_closing

    @property
    def is_settled(self) -> bool:
        """Whether it has finished and, if it is to be ranked, is fully scored."""
        return self.status is not None and not (self.is_ranked and self.unscored)

    @property
    def length(self) -> int:
        """Tokens that stand in holes, and ends of holes that the model chose."""
        return len(self.ids) - self.n_prompt + self.n_ends

    @property
    def least_length(self) -> int:
        """What the length cannot fall below: what an end may take back does not count."""
        hole = self.open_hole
        if self.marks:
            mark = self.marks[0]
            return mark.n_ids - mark.n_prompt + mark.n_ends
        if hole is not None and hole.takes_back:
            return hole.first - self.n_prompt + self.n_ends
        return self.length

    @property
    def least_prompt(self) -> int:
        """What the number of tokens outside holes cannot fall below."""
        return self.marks[0].n_prompt if self.marks else self.n_prompt

    @property
    def coverage(self) -> int:
        """How far the phrases that must occur are covered, in all holes (see `coverage`)."""
        hole = self.open_hole
        if hole is None or hole.coverage is None:
            return self.covered
        return self.covered + hole.coverage.count

    @property
    def hole_ids(self) -> tuple[int, ...]:
        """The tokens that stand in holes, in order."""
        spans = self.spans
        if self.open_hole is not None:
            spans = (*spans, (self.open_hole.first, len(self.ids)))
        return tuple(token_id for first, end in spans for token_id in self.ids[first:end])

    @property
    def data(self) -> bytes:
        """The bytes of the whole text, the open hole's included."""
        return b"".join(segment.data for segment in self.all_segments)

    @property
    def all_segments(self) -> tuple[Segment, ...]:
        """The text in pieces, the open hole's last."""
        hole = self.open_hole
        if hole is None or not hole.raw:
            return self.segments
        return (*self.segments, Segment(hole.raw, hole.hole.name))

    @property
    def text(self) -> str:
        """The whole text; a character that is not whole yet is left out."""
        return self.data.decode("utf-8", errors="ignore")


def incomplete_tail(data: bytes) -> int:
    """Return how many bytes at the end of UTF-8 text belong to a character cut short."""
    for length in range(1, min(4, len(data)) + 1):
        byte = data[-length]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:
            size = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return 0 if length >= size else length
    return 0
