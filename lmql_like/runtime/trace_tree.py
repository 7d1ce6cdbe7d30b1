"""The hypotheses of a run as a tree: what they share is one branch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lmql_like.runtime.trace import Answer, Question, RunRecord

__all__ = ["Branch", "grow_tree"]


@dataclass(eq=False)
class Branch:
    """A stretch that all hypotheses behind it share.

    Attributes:
        answers: its choices, first to last.
        text: what they added to the prompt, forced and literal text included.
        logprob: of its choices, in nats.
        status: how it ended; None where branches follow. A hypothesis that its search gave
            up was "dropped".
        branches: what follows, the likeliest first.
    """

    answers: list[Answer]
    text: str
    logprob: float
    status: str | None = None
    branches: list[Branch] = field(default_factory=list)

    @property
    def last(self) -> Answer:
        """Its last choice."""
        return self.answers[-1]


def grow_tree(record: RunRecord, input_index: int = 0) -> list[Branch]:
    """Return the branches of an input's hypotheses, from its first question on."""
    grower = _Grower(record)
    roots = [q for q in record.questions if q.parent is None and q.input_index == input_index]
    first, todo = grower.branches(roots)
    while todo:  # branches may follow each other more often than calls may nest
        branch = todo.pop()
        branch.branches, more = grower.branches(grower.questions.get(branch.last, ()))
        todo += more
    return first


class _Grower:
    """Knows what follows what.

    Args:
        record: of the run.
    """

    def __init__(self, record: RunRecord) -> None:
        self.answers: dict[Question, list[Answer]] = {}
        self.questions: dict[Answer, list[Question]] = {}
        for answer in record.answers:
            self.answers.setdefault(answer.question, []).append(answer)
        for question in record.questions:
            if question.parent is not None:
                self.questions.setdefault(question.parent, []).append(question)

    def branches(self, questions: Sequence[Question]) -> tuple[list[Branch], list[Branch]]:
        """Return the branches that begin at some questions, and those of them that go on."""
        found = [self._branch(a) for q in questions for a in self.answers.get(q, ())]
        found.sort(key=lambda branch: -branch.logprob)
        return found, [branch for branch in found if branch.status is None]

    def _branch(self, answer: Answer) -> Branch:
        """Return what begins with an answer, as far as it goes on in one way only."""
        branch = Branch([answer], _added(answer), answer.logprob)
        questions = self.questions.get(answer, [])
        while len(questions) == 1 and len(self.answers.get(questions[0], ())) == 1:
            answer = self.answers[questions[0]][0]
            branch.answers.append(answer)
            branch.text += _added(answer)
            branch.logprob += answer.logprob
            questions = self.questions.get(answer, [])
        branch.status = self._status(answer, questions)
        return branch

    def _status(self, answer: Answer, questions: Sequence[Question]) -> str | None:
        if answer.status is not None:
            return answer.status
        if any(self.answers.get(question) for question in questions):
            return None
        could_go_on = not questions or any(question.candidates for question in questions)
        return "dropped" if could_go_on else "dead-end"


def _added(answer: Answer) -> str:
    """Return what a choice added to the text; a stop phrase may have been taken back."""
    before, after = answer.question.text, answer.text
    if after.startswith(before):
        return after[len(before) :]
    shared = 0
    while shared < min(len(before), len(after)) and before[shared] == after[shared]:
        shared += 1
    return after[shared:]
