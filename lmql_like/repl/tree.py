"""The hypotheses of a run as a tree: what they share is one branch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.text import Text
from rich.tree import Tree

from lmql_like.runtime.trace import Answer, Question, RunRecord, Trace

__all__ = ["Branch", "grow_tree", "show_tree"]

_MOST_BRANCHES = 200
_LONGEST_LABEL = 100


@dataclass
class Branch:
    """A stretch that all hypotheses behind it share.

    Attributes:
        text: what it adds to the prompt, forced and literal text included.
        logprob: of its choices, in nats.
        total: of the hypotheses that reach its end.
        n_choices: how often the model was asked on it.
        status: how it ended; None where branches follow.
        answer: the last choice on it.
        branches: what follows, the likeliest first.
    """

    text: str
    logprob: float
    total: float
    n_choices: int
    status: str | None
    answer: Answer
    branches: list[Branch] = field(default_factory=list)


def grow_tree(record: RunRecord, input_index: int = 0) -> list[Branch]:
    """Return the branches of an input's hypotheses, from its first question on.

    A hypothesis that its search gave up has the status "dropped".
    """
    answers: dict[Question, list[Answer]] = {}
    for answer in record.answers:
        answers.setdefault(answer.question, []).append(answer)
    following: dict[Answer, list[Question]] = {}
    roots: list[Question] = []
    for question in record.questions:
        if question.input_index != input_index:
            continue
        if question.parent is None:
            roots.append(question)
        else:
            following.setdefault(question.parent, []).append(question)
    return _branches(roots, answers, following)


_Answers = Mapping[Question, Sequence[Answer]]
_Following = Mapping[Answer, Sequence[Question]]


def _branches(
    questions: Sequence[Question], answers: _Answers, following: _Following
) -> list[Branch]:
    grown = [
        _branch(answer, answers, following)
        for question in questions
        for answer in answers.get(question, ())
    ]
    return sorted(grown, key=lambda branch: -branch.logprob)


def _branch(answer: Answer, answers: _Answers, following: _Following) -> Branch:
    """Return what begins with an answer, as far as it goes on in one way only."""
    text, logprob, count = _added(answer), answer.logprob, 1
    questions = following.get(answer, ())
    while len(questions) == 1 and len(answers.get(questions[0], ())) == 1:
        answer = answers[questions[0]][0]
        text, logprob, count = text + _added(answer), logprob + answer.logprob, count + 1
        questions = following.get(answer, ())
    status = answer.status
    if status is None:
        if not questions:
            status = "dropped"
        elif not any(answers.get(question) for question in questions):
            status = "dropped" if any(question.candidates for question in questions) else "dead-end"
    branches = [] if status else _branches(questions, answers, following)
    return Branch(text, logprob, answer.total, count, status, answer, branches)


def _added(answer: Answer) -> str:
    """Return what a choice added to the text; a stop phrase may have been taken back."""
    before, after = answer.question.text, answer.text
    shared = 0
    while shared < min(len(before), len(after)) and before[shared] == after[shared]:
        shared += 1
    return after[shared:]


def show_tree(record: RunRecord, kept: Trace | None, title: str, input_index: int = 0) -> Tree:
    """Return the tree to be printed; the branches of the result that was kept are marked."""
    on_path = {id(answer) for answer in kept.answers} if kept else set()
    tree = Tree(Text(title, style="bold"))
    left = _MOST_BRANCHES
    todo = [(tree, branch) for branch in grow_tree(record, input_index)]
    while todo and left:
        parent, branch = todo.pop(0)
        node = parent.add(_label(branch, is_kept=id(branch.answer) in on_path))
        todo += [(node, inner) for inner in branch.branches]
        left -= 1
    if todo:
        tree.add(Text(f"... and {len(todo)} more branches", style="dim"))
    return tree


def _label(branch: Branch, *, is_kept: bool) -> Text:
    text = repr(branch.text)
    if len(text) > _LONGEST_LABEL:
        text = f"{text[: _LONGEST_LABEL // 2]} ... {text[-_LONGEST_LABEL // 2 :]}"
    label = Text(text, style="bold cyan" if is_kept else "")
    label.append(f"  p {math.exp(branch.logprob):.3g}", style="yellow")
    if branch.status:
        label.append(f"  {branch.status}, log p {branch.total:.3f}", style="dim")
        if is_kept:
            label.append("  <- kept", style="green")
    return label
