"""Records a run while the engine runs it; without a recorder nothing of this is done."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lmql_like.runtime.batch import Batch
from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.masking import MaskRow, MaskTable
from lmql_like.runtime.model import LanguageModel
from lmql_like.runtime.routing import RoutedToken
from lmql_like.runtime.search.strategy import END, Choice
from lmql_like.runtime.trace import Answer, Candidate, Question, Round, RunRecord

__all__ = ["Recorder"]

_N_CANDIDATES = 12
_N_WANTED = 6
_N_SAMPLE = 24


class Recorder:
    """Makes the records of one run.

    Args:
        model: its vocabulary spells the tokens.

    Attributes:
        record: what was recorded so far.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.record = RunRecord()
        self._vocabulary = model.vocabulary
        self._began = time.perf_counter()
        self._passes = 0
        self._model_seconds = 0.0
        self._mask_seconds = 0.0

    def ask(
        self,
        hypothesis: Hypothesis,
        input_index: int,
        logits: NDArray[np.float32],
        row: MaskRow,
        end_logprob: float,
        routing: RoutedToken | None = None,
    ) -> Hypothesis:
        """Record that a hypothesis waits for a choice; return it with the record.

        Args:
            hypothesis: inside a hole.
            input_index: number of its input.
            logits: float32[vocabulary.size], the model's answer.
            row: what its mask allows.
            end_logprob: of ending the hole; -inf where it may not end.
            routing: where the model's experts sent the last token, where that is known.
        """
        hole = hypothesis.open_hole
        if hole is None:
            raise ValueError("the hypothesis is not inside a hole")
        size = self._vocabulary.size
        logprobs = logits.astype(np.float64)
        top = logprobs.max()
        logprobs -= top + np.log(np.exp(logprobs - top).sum())
        mask = np.unpackbits(row.bits.view(np.uint8), bitorder="little")[:size].astype(bool)
        allowed = np.flatnonzero(mask)
        best = [self._candidate(at, logprobs, mask) for at in _best(logprobs, allowed)]
        if end_logprob > -np.inf:
            best.append(Candidate(END, b"", end_logprob, is_allowed=True))
            best.sort(key=lambda candidate: -candidate.logprob)
        parent = hypothesis.trace
        question = Question(
            parent=parent if isinstance(parent, Answer) else None,
            input_index=input_index,
            number=len(self.record.questions),
            round=len(self.record.rounds),
            hole=hole.hole,
            segment=len(hypothesis.segments),
            raw=hole.raw,
            n_allowed=len(allowed),
            n_tokens=size,
            allowed_mass=float(np.exp(logprobs[allowed]).sum() + np.exp(end_logprob)),
            candidates=tuple(best),
            wanted=tuple(
                self._candidate(at, logprobs, mask)
                for at in _best(logprobs, np.arange(size))[:_N_WANTED]
            ),
            sample=tuple(self._vocabulary.tokens[at] for at in _spread(allowed)),
            logprob=hypothesis.logprob,
            text=hypothesis.text,
            routing=routing,
        )
        self.record.questions.append(question)
        return replace(hypothesis, trace=question)

    def answer(self, child: Hypothesis, choice: Choice) -> Hypothesis:
        """Record that a search took a choice; return what it led to with the record."""
        question = child.trace
        if not isinstance(question, Question):
            raise TypeError("the hypothesis was never recorded as waiting")
        answer = Answer(
            question=question,
            number=len(self.record.answers),
            token_id=choice.token,
            data=b"" if choice.token == END else self._vocabulary.tokens[choice.token],
            logprob=choice.logprob,
            total=child.logprob,
            status=child.status,
            lane=child.lane,
            text=child.text,
        )
        self.record.answers.append(answer)
        return replace(child, trace=answer)

    def end_round(self, batch: Batch, masks: MaskTable, rows: int) -> None:
        """Record what one turn of the engine took."""
        now = time.perf_counter()
        self.record.rounds.append(
            Round(
                rows=rows,
                passes=batch.passes - self._passes,
                model_seconds=batch.seconds - self._model_seconds,
                mask_seconds=masks.seconds - self._mask_seconds,
                seconds=now - self._began,
            )
        )
        self._began, self._passes = now, batch.passes
        self._model_seconds, self._mask_seconds = batch.seconds, masks.seconds

    def _candidate(
        self, token_id: int, logprobs: NDArray[np.float64], mask: NDArray[np.bool_]
    ) -> Candidate:
        token = self._vocabulary.tokens[token_id]
        return Candidate(token_id, token, float(logprobs[token_id]), bool(mask[token_id]))


def _best(logprobs: NDArray[np.float64], among: NDArray[np.intp]) -> list[int]:
    """Return the likeliest of some tokens, best first."""
    values = logprobs[among]
    if len(among) > _N_CANDIDATES:
        kept = np.argpartition(-values, _N_CANDIDATES)[:_N_CANDIDATES]
        among, values = among[kept], values[kept]
    return [int(at) for at in among[np.lexsort((among, -values))]]


def _spread(allowed: NDArray[np.intp]) -> list[int]:
    """Return some of the allowed tokens, evenly spread over their ids."""
    if len(allowed) <= _N_SAMPLE:
        return [int(at) for at in allowed]
    at = np.linspace(0, len(allowed) - 1, _N_SAMPLE).astype(np.intp)
    return [int(token_id) for token_id in allowed[at]]
