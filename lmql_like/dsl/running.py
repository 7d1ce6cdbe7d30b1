"""Every way to run a query: at once, awaited together with others, or piece by piece."""

from __future__ import annotations

import asyncio
import functools
import queue
import threading
import weakref
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

from lmql_like.errors import RunError
from lmql_like.files import read_text
from lmql_like.language.compiler import compile_query
from lmql_like.language.program import Program
from lmql_like.runtime.distributions import Distribution
from lmql_like.runtime.environment import read_options
from lmql_like.runtime.hooks import Hook
from lmql_like.runtime.hooks import stream as stream_hook
from lmql_like.runtime.meeting import Meeting
from lmql_like.runtime.model import LanguageModel
from lmql_like.runtime.nesting import Invocation, Nestable
from lmql_like.runtime.options import score_texts
from lmql_like.runtime.results import Result
from lmql_like.runtime.run import Run, start_run
from lmql_like.runtime.search.decoders import DecoderSpec
from lmql_like.runtime.streaming import TextEvent

__all__ = [
    "Call",
    "DecoderLike",
    "ModelLike",
    "Query",
    "Runnable",
    "Settings",
    "Stream",
    "arun",
    "default_model",
    "run",
    "run_file",
    "score",
    "stream",
]

ModelLike = LanguageModel | str | None
DecoderLike = DecoderSpec | str | None
Listener = Callable[[TextEvent], None]

MAX_TOGETHER = 32
"""How many awaited queries run at the same time over one model; more wait."""


@functools.lru_cache(maxsize=4)
def _load(name: str | None) -> LanguageModel:
    from lmql_like.runtime.transformers_model import load_model  # torch is slow to import

    return load_model(name)


_loading = threading.Lock()


def default_model(model: ModelLike = None, program: Program | None = None) -> LanguageModel:
    """Return the model to run with: the one given, the program's own, or the embedded one.

    Models given by name are loaded once and kept (the last four).

    Raises:
        ModelError: M1: the model cannot be loaded.
    """
    if model is not None and not isinstance(model, str):
        return model
    with _loading:
        return _load(model or (program.model if program else None))


@dataclass(frozen=True)
class Settings:
    """How a query is run; None where nothing is said about it.

    Attributes:
        model: a loaded model, or a name or folder; otherwise the query's own `from`
            clause, otherwise the embedded model.
        decoder: such as "beam(n=4)"; otherwise the query's own, otherwise "argmax".
        seed: makes random choices repeatable.
        healing: "space" (the default), "full" or "off": whether a hole's first token may
            begin inside the prompt's last one.
        trace: record every question to the model, for `Result.trace`.
    """

    model: ModelLike = None
    decoder: DecoderLike = None
    seed: int | None = None
    healing: str | None = None
    trace: bool | None = None

    def given(self) -> dict[str, Any]:
        """Return those that are not None."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in own.items() if value is not None}


@dataclass(frozen=True)
class Call:
    """A program with its arguments, ready to be run in any way.

    Attributes:
        program: what is run.
        arguments: the values of its parameters.
        settings: how.
        scope: values of the names that it reads from the scope it was written in.
        blaming: gives errors their place in the author's file, where the program has none.
    """

    program: Program
    arguments: Mapping[str, Any]
    settings: Settings = field(default_factory=Settings)
    scope: Mapping[str, Any] | None = None
    blaming: Callable[[], AbstractContextManager[Any]] = nullcontext

    def run(self, listener: Listener | None = None) -> Result:
        """Run to the end; return the best result, or the first sample.

        Args:
            listener: is called with each piece of text as soon as it is certain.
        """
        with self.blaming():
            return self._finish(self.start(), listener)

    def start(self, member: LanguageModel | None = None) -> Run:
        """Return the run, not begun.

        Args:
            member: the model, as a run of a meeting sees it.
        """
        settings = self.settings
        return start_run(
            self.program,
            self.arguments,
            model=member or default_model(settings.model, self.program),
            decoder=settings.decoder,
            seed=settings.seed,
            scope=self.scope,
            trace=bool(settings.trace),
            healing=settings.healing or "space",
        )

    @staticmethod
    def _finish(run: Run, listener: Listener | None) -> Result:
        for events in run.steps():
            for event in events if listener else ():
                listener(event)  # type: ignore[misc]
        return _best(run)

    async def arun(self, listener: Listener | None = None) -> Result:
        """Run to the end in a thread, in common batches with whatever else is awaited.

        Cancelling stops the decoding behind its next step.
        """
        model = await asyncio.to_thread(default_model, self.settings.model, self.program)
        together = _together_over(model)
        async with together.room:
            member = together.meeting.join()
            await asyncio.sleep(0)  # whatever is about to be awaited joins before any begins
            stopped = threading.Event()
            work = asyncio.get_running_loop().run_in_executor(
                together.threads, self._run_as, member, stopped, listener
            )
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                stopped.set()
                raise

    def _run_as(self, member: Any, stopped: threading.Event, listener: Listener | None) -> Result:
        """Run as a member of a meeting; give up where `stopped` is set."""
        try:
            with self.blaming():
                run = self.start(member)
                for events in run.steps():
                    if stopped.is_set():
                        raise asyncio.CancelledError
                    for event in events if listener else ():
                        listener(event)  # type: ignore[misc]
                return _best(run)
        finally:
            member.leave()


def _best(run: Run) -> Result:
    best, *others = run.results()
    return replace(best, others=tuple(others))


class _Together:
    """What the queries that one event loop awaits over one model have in common.

    Attributes:
        meeting: shares the batches.
        room: lets so many run at a time.
        threads: run them.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.meeting = Meeting(model)
        self.room = asyncio.Semaphore(MAX_TOGETHER)
        self.threads = ThreadPoolExecutor(MAX_TOGETHER, "lmql-like")


_together: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, _Together]]
_together = weakref.WeakKeyDictionary()


def _together_over(model: LanguageModel) -> _Together:
    """Return what the running loop has for a model."""
    here = _together.setdefault(asyncio.get_running_loop(), {})
    if id(model) not in here:
        here[id(model)] = _Together(model)
    return here[id(model)]


class Stream:
    """A query's text while it comes: iterate over its events, then ask for the result.

    Iterating runs the query; `async for` does so in a thread, in common batches with
    whatever else is awaited. Leaving the loop early stops the decoding.

    Args:
        call: what to run.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._result: Result | None = None

    def __iter__(self) -> Iterator[TextEvent]:
        with self._call.blaming():
            run = self._call.start()
            yield from run.events()
            self._result = _best(run)

    async def __aiter__(self) -> AsyncIterator[TextEvent]:
        events: queue.SimpleQueue[TextEvent] = queue.SimpleQueue()
        loop, came = asyncio.get_running_loop(), asyncio.Event()

        def listener(event: TextEvent) -> None:
            events.put(event)
            loop.call_soon_threadsafe(came.set)

        task = asyncio.ensure_future(self._call.arun(listener))
        task.add_done_callback(lambda _: came.set())
        try:
            while not task.done() or not events.empty():
                await came.wait()
                came.clear()
                while not events.empty():
                    yield events.get()
            self._result = task.result()
        finally:
            task.cancel()

    @property
    def result(self) -> Result:
        """The best result, once all events were taken.

        Raises:
            RunError: R209, the query has not run to its end.
        """
        if self._result is None:
            raise RunError(
                "R209",
                "the result of a stream is asked for before its end",
                help="iterate over the stream first: for event in stream: ...",
            )
        return self._result


class Runnable(Nestable):
    """A query in Python: arguments make it ready to run, by itself or inside another one."""

    @abstractmethod
    def call(self, *args: Any, **kwargs: Any) -> Call:
        """Return the query with its arguments.

        Raises:
            TypeError, QueryError: the arguments do not fit its parameters.
        """

    def invocation(self, *args: Any, **kwargs: Any) -> Invocation:
        """Return the query with its arguments, to run it inside another one."""
        call = self.call(*args, **kwargs)
        settings = call.settings.given()
        settings.pop("trace", None)
        return Invocation(call.program, call.arguments, call.scope or {}, settings=settings)


Query = str | Runnable


def run(
    query: Query,
    *,
    model: ModelLike = None,
    decoder: DecoderLike = None,
    seed: int | None = None,
    stream: Listener | None = None,
    healing: str | None = None,
    trace: bool | None = None,
    **arguments: Any,
) -> Result:
    """Run a query.

    Args:
        query: the text of a query in either syntax, a `@query` function, or a `prompt`.
        model: a loaded model, or a name or folder; otherwise the query's own `from`
            clause, otherwise the embedded model.
        decoder: such as "beam(n=4)"; otherwise the query's own, otherwise "argmax".
        seed: makes random choices repeatable.
        stream: is called with each piece of text as soon as it is certain.
        healing: "space" (the default), "full" or "off": whether a hole's first token may
            begin inside the prompt's last one.
        trace: record every question to the model, for `Result.trace`.
        **arguments: the values of the query's arguments.

    Returns:
        The best result, or the first sample; `others` has the rest.

    Raises:
        QueryError: the query is wrong, or its arguments are.
        RunError: its own code failed, or the decoder call is wrong.
        ModelError: the model cannot be loaded or used.
    """
    settings = Settings(model, decoder, seed, healing, trace)
    return _call(query, settings, arguments).run(stream)


async def arun(
    query: Query,
    *,
    model: ModelLike = None,
    decoder: DecoderLike = None,
    seed: int | None = None,
    stream: Listener | None = None,
    healing: str | None = None,
    trace: bool | None = None,
    **arguments: Any,
) -> Result:
    """Run a query as `run` does; queries that are awaited together share forward passes."""
    settings = Settings(model, decoder, seed, healing, trace)
    return await _call(query, settings, arguments).arun(stream)


@overload
def stream(query: Callable[[str], Any], /) -> Hook: ...


@overload
def stream(
    query: Query,
    /,
    *,
    model: ModelLike = None,
    decoder: DecoderLike = None,
    seed: int | None = None,
    healing: str | None = None,
    trace: bool | None = None,
    **arguments: Any,
) -> Stream: ...


def stream(query: Any, /, **options: Any) -> Any:
    """Return a query's text while it comes; options as of `run`.

        for event in lmql_like.stream(text, country="France"):
            print(event.text, end="")

    As a decorator of a function, `@lmql_like.stream`, it makes one that sees a hole's text
    so far whenever it has grown: `[@f X]`.

    Raises:
        QueryError: the query is wrong, or its arguments are. What else `run` raises is
            raised by the iteration.
    """
    if callable(query) and not isinstance(query, Runnable):
        return stream_hook(query)
    settings = Settings(**{name: options.pop(name, None) for name in _SETTINGS})
    return Stream(_call(query, settings, options))


_SETTINGS = ("model", "decoder", "seed", "healing", "trace")


def run_file(path: str | Path, **options: Any) -> Result:
    """Run a query file; options, result and errors as of `run`.

    Raises:
        QueryError: Q007 if the file cannot be read, and as `run`.
    """
    program = compile_query(read_text(path, "the query file"), name=str(path))
    listener = options.pop("stream", None)
    settings = Settings(**{name: options.pop(name, None) for name in _SETTINGS})
    return Call(program, options, settings).run(listener)


def score(
    prompt: str,
    values: Sequence[str],
    *,
    model: ModelLike = None,
    tokenizations: str = "canonical",
) -> Distribution:
    """Return how likely each of some texts is as the one that follows a prompt.

    Args:
        prompt: any text.
        values: different texts, none of them empty.
        model: as of `run`.
        tokenizations: "canonical", each text as the tokenizer spells it; "all", summed over
            every spelling.

    Raises:
        TypeError, ValueError: an argument is wrong.
        RunError: R206, a text has too many spellings.
        ModelError: the model cannot be loaded or used.
    """
    options = read_options(values, tokenizations)
    return score_texts(default_model(model), prompt, options)


def _call(query: Query, settings: Settings, arguments: Mapping[str, Any]) -> Call:
    """Return a query with its arguments; what is said here wins over what it says itself."""
    if isinstance(query, Runnable):
        call = query.call(**arguments)
        return replace(call, settings=replace(call.settings, **settings.given()))
    return Call(compile_query(query), arguments, settings)
