"""Applies to a hypothesis what its program wrote: text, and text that goes again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lmql_like.runtime.hypotheses import Hypothesis, Mark, Segment
from lmql_like.runtime.model import LanguageModel
from lmql_like.runtime.steps import Begin, Edit, End, Write

__all__ = ["PromptWriter"]


class PromptWriter:
    """Encodes text in front of holes; takes the text of nested queries back.

    Args:
        model: encodes.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    def write(self, hypothesis: Hypothesis, edits: Sequence[Edit]) -> Hypothesis:
        """Return a hypothesis after what its program did."""
        for edit in edits:
            if isinstance(edit, Write):
                hypothesis = self._append(hypothesis, edit.text, edit.hole)
            elif isinstance(edit, Begin):
                hypothesis = replace(hypothesis, marks=(*hypothesis.marks, _mark(hypothesis)))
            else:
                hypothesis = _end(hypothesis, edit)
        return hypothesis

    def begin(self, hypothesis: Hypothesis) -> Hypothesis:
        """Return a hypothesis with the tokens that every prompt starts with, if it has none."""
        return hypothesis if hypothesis.ids else self._append(hypothesis, "", None)

    @staticmethod
    def loses_unscored(hypothesis: Hypothesis, edits: Sequence[Edit]) -> bool:
        """Tell whether tokens would go whose log-probabilities have not been read yet."""
        n_marks = lowest = len(hypothesis.marks)
        for edit in edits:
            n_marks += isinstance(edit, Begin) - isinstance(edit, End)
            if isinstance(edit, End) and edit.removes_text:
                lowest = min(lowest, n_marks)
        if lowest == len(hypothesis.marks):
            return False
        first = hypothesis.marks[lowest].n_ids
        return any(at >= first for at in hypothesis.unscored)

    def _append(self, hypothesis: Hypothesis, text: str, hole: str | None) -> Hypothesis:
        new = self._model.encode(text, at_start=not hypothesis.ids)
        segments = hypothesis.segments
        if text:
            segments = (*segments, Segment(text.encode(), hole))
        return replace(
            hypothesis,
            ids=(*hypothesis.ids, *new),
            segments=segments,
            n_prompt=hypothesis.n_prompt + len(new),
        )


def _mark(hypothesis: Hypothesis) -> Mark:
    return Mark(
        len(hypothesis.ids),
        len(hypothesis.segments),
        len(hypothesis.spans),
        hypothesis.n_prompt,
        hypothesis.n_ends,
    )


def _end(hypothesis: Hypothesis, edit: End) -> Hypothesis:
    """End the query that began at the last mark."""
    mark = hypothesis.marks[-1]
    hypothesis = replace(hypothesis, marks=hypothesis.marks[:-1])
    if not edit.removes_text:
        return hypothesis
    unscored = tuple(at for at in hypothesis.unscored if at < mark.n_ids)
    return replace(
        hypothesis,
        ids=hypothesis.ids[: mark.n_ids],
        n_fed=min(hypothesis.n_fed, mark.n_ids),
        segments=hypothesis.segments[: mark.n_segments],
        spans=hypothesis.spans[: mark.n_spans],
        n_prompt=mark.n_prompt,
        n_ends=mark.n_ends,
        unscored=unscored,
        n_lost=hypothesis.n_lost + len(hypothesis.unscored) - len(unscored),
    )
