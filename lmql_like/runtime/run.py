"""Run a program: one call from arguments to results."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, cast

from lmql_like.errors import LmqlLikeError, RunError
from lmql_like.language.decoders import DecoderClause
from lmql_like.language.program import Program
from lmql_like.runtime.engine import Engine, Group
from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.interpreter import Done, Interpreter
from lmql_like.runtime.masking import MaskTable
from lmql_like.runtime.model import LanguageModel
from lmql_like.runtime.nesting import Invocation
from lmql_like.runtime.results import Result, ResultStatus, Usage
from lmql_like.runtime.roles import chat_template_of
from lmql_like.runtime.search.decoders import DecoderSpec, make_decoder, parse_decoder
from lmql_like.runtime.stepper import Stepper
from lmql_like.runtime.streaming import TextEvent, TextStream
from lmql_like.runtime.trace import Trace
from lmql_like.runtime.tracing import Recorder
from lmql_like.source import Source

__all__ = ["DEFAULT_MAX_ROWS", "Run", "run_program", "start_run"]

DEFAULT_MAX_ROWS = 32


def run_program(
    program: Program,
    arguments: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    *,
    model: LanguageModel,
    decoder: DecoderSpec | str | None = None,
    seed: int | None = None,
    stream: Callable[[TextEvent], None] | None = None,
    max_rows: int = DEFAULT_MAX_ROWS,
    max_tokens: int | None = None,
    first_index: int = 0,
    scope: Mapping[str, Any] | None = None,
    trace: bool = False,
    healing: str = "space",
) -> list[Result]:
    """Run a program on one input or on many, all of them in one batch.

    Args:
        program: what `compile_query` returned.
        arguments: the values of its parameters, or a list of such values.
        model: answers.
        decoder: a decoder call, as a value or as text; where it is not given, the
            program's own clause; where there is none, `argmax`.
        seed: makes random choices repeatable; a sample depends on it, on the number of
            its input and on its own number only.
        stream: is called with each piece of text as soon as it is certain.
        max_rows: the most rows the model is run with at a time; more inputs wait.
        max_tokens: the most tokens, over all rows, that the model reads in one pass; longer
            prompts take several. None for 16,384.
        first_index: number of the first input, for one of several shards.
        scope: values of the names that the program reads from the scope it was written in.
        trace: record what happens, for `Result.trace`.
        healing: "space", "full" or "off": which boundaries between prompt and hole are healed.

    Returns:
        The results of each input, best first (samples in order), inputs in order.

    Raises:
        RunError: the query's own code failed, and there is one input; with a list of
            inputs such a result has the status "error" instead. R201 to R204: the decoder
            call is wrong.
        GrammarError: a constraint cannot be compiled; with a list as above.
        ModelError: the model cannot go on.
    """
    run = start_run(
        program,
        arguments,
        model=model,
        decoder=decoder,
        seed=seed,
        max_rows=max_rows,
        max_tokens=max_tokens,
        first_index=first_index,
        scope=scope,
        trace=trace,
        healing=healing,
    )
    if stream is not None:
        for event in run.events():
            stream(event)
    return run.results()


def start_run(
    program: Program,
    arguments: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None,
    *,
    model: LanguageModel,
    decoder: DecoderSpec | str | None = None,
    seed: int | None = None,
    max_rows: int = DEFAULT_MAX_ROWS,
    max_tokens: int | None = None,
    first_index: int = 0,
    indices: Iterable[int] | None = None,
    scope: Mapping[str, Any] | None = None,
    trace: bool = False,
    after: Hypothesis | None = None,
    healing: str = "space",
) -> Run:
    """Return a run that has not begun: iterate over its `events`, then ask for `results`.

    Args and errors as `run_program`; `indices`, `trace` and `after` as `Run`. Arguments
    that are a generator are taken from it when there is room for them.
    """
    is_one = arguments is None or isinstance(arguments, Mapping)
    inputs = [arguments or {}] if is_one else arguments
    return Run(
        Interpreter(program, scope=scope),
        cast("Iterable[Mapping[str, Any]]", inputs),
        model=model,
        decoder=_chosen_decoder(program, decoder),
        seed=seed,
        max_rows=max_rows,
        max_tokens=max_tokens,
        indices=count(first_index) if indices is None else indices,
        raises=is_one,
        source=program.source,
        trace=trace,
        after=after,
        healing=healing,
    )


class Run:
    """A program on its inputs, in progress.

    Args:
        interpreter: the program.
        inputs: its arguments, a mapping for each input.
        model: answers.
        decoder: the decoder call.
        seed: of random choices; None draws one.
        max_rows: the most rows the model is run with at a time.
        max_tokens: the most tokens that it reads in one pass.
        indices: numbers of the inputs; a sample depends on its input's.
        raises: an error in the query's own code ends the run instead of one result.
        source: the query's text, for errors.
        trace: record what happens, for `Result.trace`.
        after: go on behind a hypothesis that completed another program: with its text,
            its tokens and the values of its names.
        healing: which boundaries between prompt and hole are healed.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        inputs: Iterable[Mapping[str, Any]],
        *,
        model: LanguageModel,
        decoder: DecoderSpec,
        seed: int | None = None,
        max_rows: int = DEFAULT_MAX_ROWS,
        max_tokens: int | None = None,
        indices: Iterable[int] | None = None,
        raises: bool = False,
        source: Source | None = None,
        trace: bool = False,
        after: Hypothesis | None = None,
        healing: str = "off",
    ) -> None:
        self._model = model
        self._decoder = decoder
        self._raises = raises
        self._masks = MaskTable(model.vocabulary)
        seed = secrets.randbits(63) if seed is None else seed
        stepper = Stepper(
            interpreter,
            model,
            self._masks,
            max_len=decoder.max_len,
            source=source,
            healing=healing,
        )
        self._scorer = stepper.scorer
        self._seed, self._healing = seed, healing
        interpreter.environment.fits = self._fits
        interpreter.environment.run_query = self._run_query
        interpreter.environment.chat = chat_template_of(model)
        self._waiting: deque[list[Group]] = deque()  # whose results were not asked for yet
        self._recorder = Recorder(model) if trace else None
        self._engine = Engine(
            model,
            stepper,
            self._masks,
            max_rows=max_rows,
            raises=raises,
            recorder=self._recorder,
            max_tokens=max_tokens,
        )

        def groups() -> Iterator[Group]:
            for index, values in zip(indices or count(), inputs, strict=False):
                searches = decoder.searches(index, seed=seed, max_rows=max_rows)
                own = [
                    Group(index, search, partial(stepper.start, values, search.ranks, after))
                    for search in searches
                ]
                self._waiting.append(own)
                yield from own

        self._progress = self._engine.run(groups())

    def events(self) -> Iterator[TextEvent]:
        """Run to the end; yield the text of each input's best result, or of each sample."""
        for events in self.steps():
            yield from events

    def steps(self) -> Iterator[list[TextEvent]]:
        """Run to the end step by step; yield the events of each, of many steps none.

        Between two steps the run can be given up.
        """
        streams: dict[tuple[int, int], TextStream] = {}
        for group in self._progress:
            found: list[TextEvent] = []
            for lane, hypotheses in _by_lane(group).items():
                key = (group.input_index, lane)
                found += streams.setdefault(key, TextStream(*key)).update(hypotheses)
            yield found

    def finished(self) -> list[Hypothesis]:
        """Run to the end; return the hypotheses behind the results, in their order."""
        for _ in self._progress:
            pass
        return [found for own in self._waiting for group in own for found in group.search.results()]

    def by_input(self) -> Iterator[list[Result]]:
        """Run to the end; yield the results of each input, in order, as soon as all are there.

        The next input takes the place of one that has ended. What is yielded is forgotten:
        `results` has the rest.
        """
        for _ in self._progress:
            yield from self._ended()
        yield from self._ended()

    def results(self) -> list[Result]:
        """Run to the end where that has not happened yet; return all results."""
        for _ in self._progress:
            pass
        return [result for own in self._waiting for result in self._results_of(own)]

    def _ended(self) -> Iterator[list[Result]]:
        """Yield the results of the first inputs, as far as they have ended."""
        while self._waiting and all(group.is_over for group in self._waiting[0]):
            yield self._results_of(self._waiting.popleft())

    def _results_of(self, groups: Sequence[Group]) -> list[Result]:
        """Return the results of one input."""
        results: list[Result] = []
        failed = False
        for group in groups:
            if group.error is None:
                found = group.search.results()
                results += [self._result(group.input_index, hypothesis) for hypothesis in found]
            elif not failed:
                failed = True
                results.append(self._failure(group.input_index, group.error))
        if not results:
            error = RunError(
                "R208",
                f"{self._decoder} returned no result",
                help="keep what `finish` is given, truncated hypotheses and dead ends too",
            )
            if self._raises:
                raise error
            results.append(self._failure(groups[0].input_index, error))
        return results

    def _fits(self, name: str, value: Any) -> bool:
        """Tell whether a nested query's own setting is that of the run."""
        if name == "model":
            return value is self._model or value == self._model.name
        if name in ("seed", "healing"):
            return bool(value == {"seed": self._seed, "healing": self._healing}[name])
        return _decoder_of(value) == self._decoder

    def _run_query(self, invocation: Invocation) -> Result:
        """Run a query that a program calls as a function."""
        settings = invocation.settings
        seed = settings.get("seed")
        best, *others = run_program(
            invocation.program,
            invocation.arguments,
            model=self._model,
            decoder=settings.get("decoder"),
            seed=self._seed if seed is None else seed,
            scope=invocation.scope,
            healing=settings.get("healing", self._healing),
        )
        return replace(best, others=tuple(others))

    def _result(self, input_index: int, hypothesis: Hypothesis) -> Result:
        step = hypothesis.step
        return Result(
            text=hypothesis.text,
            variables=dict(step.state.own_variables),
            value=step.value if isinstance(step, Done) else None,
            logprob=hypothesis.logprob,
            status=cast("ResultStatus", hypothesis.status),
            usage=self._usage(hypothesis),
            decoder=str(self._decoder),
            input_index=input_index,
            segments=hypothesis.all_segments,
            token_ids=hypothesis.ids,
            trace=Trace(self._recorder.record, hypothesis.trace) if self._recorder else None,
            distributions=dict(step.state.distributions),
        )

    def _failure(self, input_index: int, error: LmqlLikeError) -> Result:
        return Result(
            text="",
            variables={},
            value=None,
            logprob=float("nan"),
            status="error",
            usage=self._usage(None),
            decoder=str(self._decoder),
            input_index=input_index,
            error=error,
        )

    def _usage(self, hypothesis: Hypothesis | None) -> Usage:
        batch = self._engine.batch
        experts = getattr(self._model, "experts", None)
        return Usage(
            prompt_tokens=hypothesis.n_prompt if hypothesis else 0,
            generated_tokens=hypothesis.n_generated if hypothesis else 0,
            forced_tokens=hypothesis.n_forced if hypothesis else 0,
            unscored_tokens=len(hypothesis.unscored) + hypothesis.n_lost if hypothesis else 0,
            forward_passes=batch.passes + self._scorer.passes,
            rows=batch.rows_fed + self._scorer.rows,
            mask_seconds=self._masks.seconds,
            model_seconds=batch.seconds + self._scorer.seconds,
            note=getattr(self._model, "note", ""),
            experts=None if experts is None else experts.to_json(),
        )


def _chosen_decoder(program: Program, given: DecoderSpec | str | None) -> DecoderSpec:
    """Return the caller's decoder, else the program's, else `argmax`."""
    if isinstance(given, DecoderSpec):
        return given
    if given is not None:
        return parse_decoder(given)
    clause = program.decoder
    if clause is None:
        return make_decoder("argmax")
    try:
        return make_decoder(clause.name, **clause.arguments)
    except LmqlLikeError as error:
        raise error.located(program.source, clause.span) from None


def _decoder_of(value: DecoderSpec | DecoderClause | str) -> DecoderSpec:
    if isinstance(value, DecoderSpec):
        return value
    if isinstance(value, DecoderClause):
        return make_decoder(value.name, **value.arguments)
    return parse_decoder(value)


def _by_lane(group: Group) -> dict[int, list[Hypothesis]]:
    """Return, for each text that is streamed, the hypotheses that may become it."""
    lanes: dict[int, list[Hypothesis]] = {}
    for hypothesis in [*group.search.results(), *group.active]:
        lanes.setdefault(hypothesis.lane, []).append(hypothesis)
    if not group.active:
        return {lane: hypotheses[:1] for lane, hypotheses in lanes.items()}
    return lanes
