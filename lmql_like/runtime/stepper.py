"""Moves a hypothesis on to the next place where the model must be asked.

Between two questions to the model everything is decided: literal text is appended, a
hole whose text can only go on in one way is filled without asking, a hole that has
ended hands its text to the program, the program runs to its next hole. `Stepper` does
all this in one go, so that a search only ever sees hypotheses that need a choice, and
those that have finished.

Rules of a hole:

* It ends by itself where its constraint accepts and no byte can follow.
* Forced text is encoded as the tokenizer would write it, as far as that is certain: a
  token at its end that may be part of a longer one, and what that would change before
  it, is left to the model.
* Ending is one candidate among the tokens, possible where the constraint accepts. Its
  probability is that of the end-of-text tokens and, where literal text stands directly
  behind the hole, of the tokens that begin that text and cannot continue the hole.
* A stop phrase that does not belong to the hole's value is taken back: its tokens leave
  the prompt, and what a straddling token said before the phrase is encoded anew. Where
  the vocabulary cannot spell that alone, tokens before it are encoded anew with it;
  where it cannot spell the hole's text at all, the hole is a dead end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from lmql_like.errors import GrammarError, ModelError, RunError
from lmql_like.grammars.formulas import TRUE
from lmql_like.runtime.author_conditions import TokenFilter
from lmql_like.runtime.coverage import Coverage, CoverageTracker, goals_of
from lmql_like.runtime.distributions import Distribution
from lmql_like.runtime.healing import Healer
from lmql_like.runtime.hole_encoder import HoleEncoder
from lmql_like.runtime.hypotheses import Hypothesis, OpenHole, Segment, incomplete_tail
from lmql_like.runtime.interpreter import DeadEnd, Done, Fill, Hole, Interpreter
from lmql_like.runtime.masking import MaskRow, MaskTable, Recognizer, recognizer_for
from lmql_like.runtime.model import LanguageModel
from lmql_like.runtime.options import ScoredOptions, score_options
from lmql_like.runtime.program_state import ProgramState
from lmql_like.runtime.prompt_writer import PromptWriter
from lmql_like.runtime.scoring import Scorer
from lmql_like.runtime.steps import Edit, Options, edits_of, preceded
from lmql_like.runtime.token_index import TokenIndex, token_index
from lmql_like.source import Source

__all__ = ["Stepper"]

_MAX_IDLE = 20_000  # moves in a row, two for a hole, that add no token


class Stepper:
    """Applies choices to hypotheses and runs the program up to the next choice.

    Args:
        interpreter: the program.
        model: encodes text; it is never run here.
        masks: where mask rows come from.
        max_len: tokens of a whole prompt, after which a hypothesis is truncated.
        source: the query's text, for errors.
        healing: which boundaries between prompt and hole are healed (see `healing`).
    """

    def __init__(
        self,
        interpreter: Interpreter,
        model: LanguageModel,
        masks: MaskTable,
        *,
        max_len: int,
        source: Source | None = None,
        healing: str = "off",
    ) -> None:
        self._interpreter = interpreter
        self._model = model
        self._masks = masks
        self._limit = min(max_len, model.max_length or max_len)
        self._source = source
        self._index: TokenIndex | None = None
        self._starts: dict[str, list[int]] = {}
        self.scorer = Scorer(model)
        self._filter = TokenFilter(model.vocabulary)
        self._healer = Healer(model.vocabulary, healing)
        self._writer = PromptWriter(model)
        self._encoder = HoleEncoder(model)
        self._trackers: dict[Recognizer, CoverageTracker | None] = {}

    def start(
        self, arguments: Mapping[str, Any], is_ranked: bool, after: Hypothesis | None = None
    ) -> Hypothesis:
        """Return the hypothesis at the program's first choice.

        Args:
            arguments: the values of the program's parameters.
            is_ranked: the search will compare its log-probability with others'.
            after: a hypothesis that completed another program, to go on behind.
        """
        if after is None:
            with self._attended(None):
                step = self._interpreter.start(dict(arguments))
            return self._settle(Hypothesis(step, is_ranked=is_ranked))
        # What stood behind the last hole is encoded together with what follows, as if
        # both were one program.
        begun = self._without_end(after).but(is_ranked=is_ranked, note=None)
        ended = edits_of(begun.step)
        with self._attended(begun, ended):
            step = self._interpreter.start(dict(arguments), after.step.state)
        return self._settle(begun.but(step=preceded(step, ended)))

    def _without_end(self, complete: Hypothesis) -> Hypothesis:
        """Return a completed hypothesis as it was when its last hole had been filled."""
        if complete.step.edits:
            step = replace(complete.step, text="", edits=())
            return replace(complete, step=step, status=None, n_fed=0, lane=0, trace=None)
        text = complete.step.text
        if not complete.step.state.variables and complete.data == text.encode():
            return Hypothesis(complete.step)
        count = len(self._model.encode(text, at_start=False)) if text else 0
        kept = len(complete.ids) - count
        return replace(
            complete,
            ids=complete.ids[:kept],
            n_fed=0,
            unscored=(),
            segments=complete.segments[:-1] if text else complete.segments,
            status=None,
            lane=0,
            n_prompt=complete.n_prompt - count,
            trace=None,
        )

    def take_token(self, hypothesis: Hypothesis, token_id: int, logprob: float) -> Hypothesis:
        """Append a token that the model chose; its bit must be set in the mask."""
        taken = self._append_to_hole(hypothesis, [token_id], forced=False)
        return self._settle(taken.but(logprob=hypothesis.logprob + logprob))

    def take_end(self, hypothesis: Hypothesis, logprob: float) -> Hypothesis:
        """End the open hole as the model chose."""
        ended = hypothesis.but(
            logprob=hypothesis.logprob + logprob,
            n_ends=hypothesis.n_ends + bool(_hole_of(hypothesis).raw),
        )
        return self._settle(self._close(ended))

    def resume(self, hypothesis: Hypothesis) -> Hypothesis:
        """Go on with a closing hypothesis whose tokens have been scored."""
        hypothesis = hypothesis.but(is_closing=False)
        return self._settle(hypothesis if hypothesis.open_hole is None else self._close(hypothesis))

    def mask(self, hypothesis: Hypothesis) -> MaskRow:
        """Return the tokens that may come next in the open hole."""
        return self._row(_hole_of(hypothesis))

    def _row(self, hole: OpenHole) -> MaskRow:
        if hole.to_heal:
            return self._healer.row(hole.recognizer, hole.to_heal)
        row = self._masks.row(hole.recognizer, hole.state)
        followed = hole.hole.followed
        return self._filter.filtered(row, followed, hole.raw) if self._filters(hole) else row

    def _filters(self, hole: OpenHole) -> bool:
        return hole.hole.followed != TRUE and self._filter.applies(hole.hole.followed)

    def end_ids(self, hypothesis: Hypothesis) -> list[int]:
        """Return the ids whose probabilities sum up to that of ending the hole here."""
        hole = _hole_of(hypothesis)
        row = self._row(hole)
        if not row.is_accepting:
            return []
        ids = list(self._model.vocabulary.eos_token_ids)
        follow = hole.hole.follow
        if follow:
            starts = self._starts.get(follow)
            if starts is None:
                starts = self._starts[follow] = self._tokens.prefixes_of(follow.encode())
            ids += [token_id for token_id in starts if not row.allows(token_id)]
        return ids

    @property
    def _tokens(self) -> TokenIndex:
        if self._index is None:
            self._index = token_index(self._model.vocabulary)
        return self._index

    def _settle(self, hypothesis: Hypothesis) -> Hypothesis:
        length, n_idle = len(hypothesis.ids), 0
        while hypothesis.status is None and not hypothesis.is_closing:
            n_idle = n_idle + 1 if len(hypothesis.ids) == length else 0
            length = len(hypothesis.ids)
            if n_idle > _MAX_IDLE:
                raise self._endless(hypothesis)
            if hypothesis.open_hole is None:
                hypothesis = self._enter(hypothesis)
                continue
            moved = self._force(hypothesis)
            if moved is None:
                return hypothesis
            hypothesis = moved
        return hypothesis

    def _endless(self, hypothesis: Hypothesis) -> RunError:
        step = hypothesis.step
        return RunError(
            "R205",
            f"the program filled {_MAX_IDLE // 2} holes in a row without writing anything",
            source=self._source,
            span=step.hole.span if isinstance(step, Fill) else None,
            help="does a loop never end?",
        )

    def _enter(self, hypothesis: Hypothesis) -> Hypothesis:
        """Append the literal text in front of the next hole and open it, or complete."""
        step, edits = hypothesis.step, edits_of(hypothesis.step)
        if hypothesis.is_ranked and self._writer.loses_unscored(hypothesis, edits):
            return hypothesis.but(is_closing=True)
        hypothesis = self._writer.write(hypothesis, edits)
        if isinstance(step, Done):
            return hypothesis.but(status="complete")
        if isinstance(step, DeadEnd):
            return hypothesis.but(status="dead-end")
        hypothesis = self._writer.begin(hypothesis)
        if len(hypothesis.ids) > self._limit:
            return hypothesis.but(status="truncated")
        recognizer = self._recognizer(step.hole)
        state = recognizer.masker.start()
        if state is None:
            return hypothesis.but(status="dead-end")
        coverage = self._coverage(recognizer, step.hole)
        hole = OpenHole(step.hole, recognizer, state, len(hypothesis.ids), b"", coverage)
        hypothesis = hypothesis.but(open_hole=hole)
        if step.hole.options is not None:
            return self._take_best(hypothesis, hole, step.hole.options)
        return hypothesis if self._filters(hole) else self._heal(hypothesis, hole)

    def _heal(self, hypothesis: Hypothesis, hole: OpenHole) -> Hypothesis:
        """Take the prompt's last token back where the model is to write its text again."""
        token = self._healer.text_to_heal(hypothesis, hole.recognizer)
        if not token:
            return hypothesis
        kept = len(hypothesis.ids) - 1
        return hypothesis.but(
            ids=hypothesis.ids[:kept],
            n_fed=min(hypothesis.n_fed, kept),
            n_prompt=hypothesis.n_prompt - 1,
            open_hole=hole.but(first=kept, to_heal=token),
        )

    def _take_best(self, hypothesis: Hypothesis, hole: OpenHole, options: Options) -> Hypothesis:
        """Fill a hole with the likeliest of its values."""
        longest = max(len(self._encoder.encode(value.encode())) for value in options.values)
        if len(hypothesis.ids) + longest > self._limit:
            return hypothesis.but(status="truncated")
        scored = self._score(hypothesis.ids, options, hole.recognizer)
        if scored.best_logprob == -math.inf:
            return hypothesis.but(status="dead-end")
        ids = (*hypothesis.ids, *scored.best_ids)
        value = scored.distribution.best
        filled = hypothesis.but(
            ids=ids,
            logprob=hypothesis.logprob + scored.best_logprob,
            open_hole=None,
            segments=(*hypothesis.segments, Segment(value.encode(), hole.hole.name)),
            n_generated=hypothesis.n_generated + len(scored.best_ids),
            spans=(*hypothesis.spans, (hole.first, len(ids))),
        )
        with self._attended(filled):
            step = self._interpreter.fill(hypothesis.step.state, value, scored.distribution)
        return filled.but(step=step)

    def _score(
        self, ids: tuple[int, ...], options: Options, recognizer: Recognizer | None = None
    ) -> ScoredOptions:
        return score_options(
            ids,
            options,
            scorer=self.scorer,
            encode=self._encoder.encode,
            vocabulary=self._model.vocabulary,
            recognizer=recognizer,
        )

    @contextmanager
    def _attended(self, behind: Hypothesis | None, ended: Sequence[Edit] = ()) -> Iterator[None]:
        """Let the program that runs meanwhile ask about what follows a hypothesis."""
        self._interpreter.environment.host = _Host(self, behind or _NOTHING, tuple(ended))
        try:
            yield
        finally:
            self._interpreter.environment.host = None

    def score_behind(
        self, hypothesis: Hypothesis, edits: Sequence[Edit], options: Options
    ) -> Distribution:
        """Return how likely some values are behind a hypothesis and what follows it."""
        written = self._writer.begin(self._writer.write(hypothesis, edits))
        return self._score(written.ids, options).distribution

    def _recognizer(self, hole: Hole) -> Recognizer:
        try:
            return recognizer_for(hole.formula, self._model.vocabulary)
        except GrammarError as error:
            if self._source is None:
                raise
            raise error.located(self._source, hole.span) from None

    def _coverage(self, recognizer: Recognizer, hole: Hole) -> Coverage | None:
        """Return the coverage of a hole's phrases by no text; None if it has no phrases."""
        if recognizer not in self._trackers:
            goals = goals_of(hole.formula)
            tracker = CoverageTracker(goals, self._token_lengths) if goals else None
            self._trackers[recognizer] = tracker
        tracker = self._trackers[recognizer]
        return tracker.start() if tracker else None

    def _token_lengths(self, phrase: bytes) -> list[int]:
        """Return the lengths in bytes of the tokens that write a phrase."""
        try:
            ids = self._encoder.encode(phrase)
        except ModelError:  # only tokens that go on behind it can write it
            return [len(phrase)]
        return [len(self._model.vocabulary.tokens[token_id]) for token_id in ids]

    def _force(self, hypothesis: Hypothesis) -> Hypothesis | None:
        """Do what can be done without the model; None where it must be asked."""
        hole = _hole_of(hypothesis)
        room = self._limit - len(hypothesis.ids)
        if hole.to_heal and room > 0:
            row = self._row(hole)
            is_choice = row.count > 1
            return None if is_choice else self._append_to_hole(hypothesis, [row.only], forced=True)
        is_final, forced = self._masks.outlook(hole.recognizer, hole.state)
        if is_final:
            return self._close(hypothesis)
        if room <= 0:
            return hypothesis.but(status="truncated")
        # Inside a character the mask knows better than the tokenizer.
        filters = self._filters(hole)  # what the author's own conditions mask, only rows know
        if forced and not filters and not incomplete_tail(hole.raw):
            certain = self._masks.forced_ids(hole.recognizer, hole.state)
            run = self._encoder.forced_tokens(hole, forced, certain)[:room]
            if run:
                return self._append_to_hole(hypothesis, list(run), forced=True)
        is_slow = not filters and self._masks.is_slow(hole.recognizer, hole.state)
        if is_slow and self._has_choice(hole):
            return None  # the row is filled while the model computes
        row = self._row(hole)
        if row.count == 0:
            if row.is_accepting:
                return self._close(hypothesis)
            return hypothesis.but(status="dead-end")
        if row.count == 1 and not row.is_accepting:
            return self._append_to_hole(hypothesis, [row.only], forced=True)
        return None

    def _has_choice(self, hole: OpenHole) -> bool:
        """Tell, without the row, that at least two tokens may follow; False: not known."""
        masker, singles = hole.recognizer.masker, self._model.vocabulary.single_bytes
        found = 0
        for byte in masker.next_bytes(hole.state):
            if byte in singles and masker.advance_bytes(hole.state, bytes((byte,))):
                found += 1
                if found == 2:
                    return True
        return False

    def _append_to_hole(
        self, hypothesis: Hypothesis, new: list[int], *, forced: bool
    ) -> Hypothesis:
        hole = _hole_of(hypothesis)
        spelled = b"".join([self._model.vocabulary.tokens[token_id] for token_id in new])
        if hole.to_heal and len(spelled) <= len(hole.to_heal):
            left = hole.to_heal[len(spelled) :]
            opened = hole.but(first=hole.first + len(new), to_heal=left)
            hypothesis = hypothesis.but(n_prompt=hypothesis.n_prompt + len(new))
        else:
            opened = self._grown(hole, new, spelled)
        ids = (*hypothesis.ids, *new)
        if hole.hole.is_observed:
            hypothesis = self._observed(hypothesis, opened.raw)
        if not forced:
            return hypothesis.but(ids=ids, open_hole=opened, n_generated=hypothesis.n_generated + 1)
        return hypothesis.but(
            ids=ids,
            open_hole=opened,
            unscored=(*hypothesis.unscored, *range(len(hypothesis.ids), len(ids))),
            n_forced=hypothesis.n_forced + len(new),
        )

    def _grown(self, hole: OpenHole, new: list[int], spelled: bytes) -> OpenHole:
        """Return a hole with more tokens, the first of which may begin inside the prompt."""
        masker, state = hole.recognizer.masker, hole.state
        if hole.to_heal:
            lead, spelled = hole.to_heal, spelled[len(hole.to_heal) :]
            advanced = masker.advance_bytes(state, spelled)
            hole = hole.but(to_heal=b"", lead=lead)
        else:
            advanced = state
            for token_id in new:
                advanced = None if advanced is None else masker.advance(advanced, token_id)
        if advanced is None:
            raise ValueError(f"tokens {new} are not allowed here")
        coverage = None if hole.coverage is None else hole.coverage.behind(spelled)
        return hole.but(state=advanced, raw=hole.raw + spelled, coverage=coverage)

    def _observed(self, hypothesis: Hypothesis, raw: bytes) -> Hypothesis:
        """Let the decorators of the open hole see its text so far."""
        step = hypothesis.step
        if not isinstance(step, Fill):
            return hypothesis
        with self._attended(None):
            seen = self._interpreter.observe(step, raw.decode(errors="ignore"))
        return hypothesis.but(step=seen)

    def _close(self, hypothesis: Hypothesis) -> Hypothesis:
        """Hand the hole's text to the program; take back what does not belong to it."""
        hole = _hole_of(hypothesis)
        value = hole.recognizer.automaton.value(hole.raw)
        if value != hole.raw:
            cut = self._encoder.cut(hypothesis, hole, value)
            if cut is None:
                return hypothesis.but(status="dead-end")
            shared, spelled = cut
            if hypothesis.is_ranked and any(at >= shared for at in hypothesis.unscored):
                return hypothesis.but(is_closing=True)
            unscored = tuple(at for at in hypothesis.unscored if at < shared)
            hypothesis = hypothesis.but(
                ids=(*hypothesis.ids[:shared], *spelled),
                n_fed=min(hypothesis.n_fed, shared),
                unscored=unscored,
                n_lost=hypothesis.n_lost + len(hypothesis.unscored) - len(unscored),
            )
        segments = hypothesis.segments
        if value:
            segments = (*segments, Segment(value, hole.hole.name))
        state = hypothesis.step.state
        closed = hypothesis.but(
            open_hole=None,
            segments=segments,
            spans=(*hypothesis.spans, (hole.first, len(hypothesis.ids))),
            covered=hypothesis.coverage,
        )
        with self._attended(closed):
            step = self._interpreter.fill(state, value.decode())
        return closed.but(step=step)


_NOTHING = Hypothesis(Done(ProgramState(), "", None))


@dataclass(frozen=True)
class _Host:
    """What a program may ask while it runs behind a hypothesis."""

    stepper: Stepper
    behind: Hypothesis
    ended: tuple[Edit, ...]

    def score(self, written: Sequence[Edit], options: Options) -> Distribution:
        """Return how likely some values are behind the prompt and what was written since."""
        return self.stepper.score_behind(self.behind, (*self.ended, *written), options)


def _hole_of(hypothesis: Hypothesis) -> OpenHole:
    hole = hypothesis.open_hole
    if hole is None:
        raise ValueError("the hypothesis is not inside a hole")
    return hole
