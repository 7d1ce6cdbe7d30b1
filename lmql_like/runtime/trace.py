"""What happened in a run, as records that point at their predecessors.

    Question    a hypothesis waited for the model: what the mask allowed, what was likely
    Answer      a search took one of the candidates for a hypothesis

Each question knows the answer it follows, each answer its question, so the last record of
a hypothesis is its whole history, and hypotheses with a common past share its records.
The records of a run form a tree for each input. They are made only where a trace is asked
for (`runtime/tracing.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lmql_like.runtime.routing import RoutedToken
from lmql_like.runtime.steps import Hole

__all__ = ["Answer", "Candidate", "Moment", "Question", "Round", "RunRecord", "Trace"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that could have come next.

    Attributes:
        token_id: the token; -1 for the end of the hole.
        data: its bytes; empty for the end of the hole.
        logprob: the model's own, before masking, in nats.
        is_allowed: whether the mask has its bit.
    """

    token_id: int
    data: bytes
    logprob: float
    is_allowed: bool


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A hypothesis waited for the model.

    Attributes:
        parent: the answer that led here; None at the first question of an input.
        input_index: number of the input.
        number: questions are numbered through the run.
        round: number of the round of forward passes it was asked in.
        hole: the open hole: its name, its place and what its text has to satisfy.
        segment: how many pieces of text, literal ones and holes, stand before the hole.
        raw: the bytes of the hole so far.
        n_allowed: tokens that the mask allows, the end of the hole left out.
        n_tokens: tokens of the vocabulary.
        allowed_mass: probability of all candidates together, the end included.
        candidates: the likeliest allowed ones, best first, the end among them.
        wanted: the likeliest tokens whatever the mask says, best first.
        sample: some allowed tokens in the order of their ids, evenly spread.
        logprob: of the hypothesis before this question.
        text: the hypothesis's text so far.
        routing: where the model, a mixture of experts that is watched, sent the token
            behind which the question stands.
    """

    parent: Answer | None
    input_index: int
    number: int
    round: int
    hole: Hole
    segment: int
    raw: bytes
    n_allowed: int
    n_tokens: int
    allowed_mass: float
    candidates: tuple[Candidate, ...]
    wanted: tuple[Candidate, ...]
    sample: tuple[bytes, ...]
    logprob: float
    text: str
    routing: RoutedToken | None = None

    @property
    def can_end(self) -> bool:
        """Whether ending the hole was a candidate."""
        return any(candidate.token_id < 0 for candidate in self.candidates)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A candidate was taken.

    Attributes:
        question: what it answers.
        number: answers are numbered through the run.
        token_id: the token; -1 for the end of the hole.
        data: its bytes.
        logprob: of the choice, in nats.
        total: of the hypothesis behind it, as far as its tokens were scored by then.
        status: None where the hypothesis goes on to another question, or was dropped.
        lane: number of the sample.
        text: the hypothesis's text behind it, forced and literal text included.
    """

    question: Question
    number: int
    token_id: int
    data: bytes
    logprob: float
    total: float
    status: str | None
    lane: int
    text: str


Moment = Question | Answer


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of the engine: what it fed and how long it took.

    Attributes:
        rows: hypotheses in the batch.
        passes: forward passes.
        model_seconds: inside the model.
        mask_seconds: in filling bitmasks.
        seconds: altogether.
    """

    rows: int
    passes: int
    model_seconds: float
    mask_seconds: float
    seconds: float


@dataclass(eq=False)
class RunRecord:
    """The records of a whole run, in the order they were made."""

    questions: list[Question] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Trace:
    """How one result came about.

    Attributes:
        run: the records of the run, which all its results share.
        last: the result's last record; None where the model was never asked.
    """

    run: RunRecord = field(repr=False)
    last: Moment | None = field(repr=False)

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The choices of this result, first to last."""
        return tuple(reversed(list(self._backwards())))

    @property
    def dead_end(self) -> Question | None:
        """The question that nothing could answer, where the result ended at one."""
        return self.last if isinstance(self.last, Question) else None

    def _backwards(self) -> Iterator[Answer]:
        answer = self.last.parent if isinstance(self.last, Question) else self.last
        while answer is not None:
            yield answer
            answer = answer.question.parent
