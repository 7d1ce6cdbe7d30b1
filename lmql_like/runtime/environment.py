"""What a program finds beside Python's own built-in names: `score`.

Functions that the author defines keep the namespace they were defined in, so the names
are put among the built-in ones once, and reach the stretch that runs through here.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

from lmql_like.errors import RunError
from lmql_like.language.code import QUERY_MODULE
from lmql_like.language.custom import constraint
from lmql_like.language.decoders import DecoderClause
from lmql_like.language.program import Program
from lmql_like.runtime.distributions import Distribution
from lmql_like.runtime.hooks import once, post, pre, stream
from lmql_like.runtime.nesting import FileQuery, Invocation
from lmql_like.runtime.roles import ChatTemplate, Message
from lmql_like.runtime.steps import Edit, Host, Options

__all__ = ["Environment", "read_options"]

# Classes of a program are in the module of this name; `dataclasses` looks modules up by name.
sys.modules.setdefault(QUERY_MODULE, ModuleType(QUERY_MODULE))


class Environment:
    """The surroundings of the programs of one run.

    Attributes:
        host: answers what only the model knows; None outside a run.
        written: gives what the running stretch has written so far.
        run_query: runs a query by itself; None outside a run.
        fits: tells whether a setting (decoder, model or seed) is that of the run.
        load: runs what a query file begins with; returns the values of its names.
        chat: the chat template of the run's model, if it has one.
        names_of: gives the names of a program that runs now.
        memory: what functions decorated with `once` returned.
        builtins: the built-in names of its programs.
    """

    def __init__(self) -> None:
        self.host: Host | None = None
        self.written: Callable[[], Sequence[Edit]] = tuple
        self.run_query: Callable[[Invocation], Any] | None = None
        self.fits: Callable[[str, Any], bool] = _fits_nothing
        self.load: Callable[[Program], Mapping[str, Any]] = _load_nothing
        self.names_of: Callable[[Program | None], Mapping[str, Any]] = _load_nothing
        self.chat: ChatTemplate | None = None
        self._libraries: dict[int, FileQuery] = {}
        self.memory: dict[Any, Any] = {}
        self.builtins: dict[str, Any] = {
            **vars(builtins),
            "score": self.score,
            "once": once,
            "pre": pre,
            "post": post,
            "stream": stream,
            "constraint": constraint,
        }

    def score(self, values: Sequence[str], tokenizations: str = "canonical") -> Distribution:
        """Return how likely each of some texts is as the next one, at this place of the program.

        Args:
            values: different texts, none of them empty.
            tokenizations: "canonical", as the tokenizer spells them; "all", summed over
                every spelling.
        """
        options = read_options(values, tokenizations)
        if self.host is None:
            raise RunError("R207", "'score' is called outside a run: there is no model to ask")
        return self.host.score(self.written(), options)

    def run(self, invocation: Invocation) -> Any:
        """Run a query by itself, with the model of the run; return its best result."""
        if self.run_query is None:
            raise RunError("R207", "a query is called outside a run: there is no model to ask")
        if invocation.scope is None:
            names = self.names_of(invocation.owner)
            invocation = replace(invocation, scope=names)
        return self.run_query(invocation)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Let another stretch run meanwhile, and this one go on behind it."""
        written, names_of = self.written, self.names_of
        try:
            yield
        finally:
            self.written, self.names_of = written, names_of

    def library(self, program: Program) -> FileQuery:
        """Return an imported query file; the same one wherever it is imported."""
        known = self._libraries.get(id(program))
        if known is None:
            known = self._libraries[id(program)] = FileQuery(program, self.load, self.run)
        return known

    def head_of_message(self, messages: Sequence[Message], role: str, written: str) -> str:
        """Return what the chat template writes in front of a message.

        Raises:
            RunError: R112, the model has no chat template; R113, it refuses.
        """
        if self.chat is None:
            raise RunError(
                "R112",
                "the model has no chat template",
                help="write the markers of its chat format as prompt text",
            )
        return self.chat.head(messages, role, written)

    def check_settings(self, invocation: Invocation) -> None:
        """Raise where a nested query asks for another decoder, model or seed than the run has.

        Raises:
            RunError: R110.
        """
        program = invocation.program
        wanted = dict(invocation.settings)
        if program.decoder is not None:
            wanted.setdefault("decoder", program.decoder)
        if program.model is not None:
            wanted.setdefault("model", program.model)
        for name, value in wanted.items():
            if not self.fits(name, value):
                raise RunError(
                    "R110",
                    f"the nested query asks for its own {name}, {_shown(value)}",
                    help="leave it out: one decoder and one model act on the whole program; "
                    "or call the query as a function, which runs it by itself",
                )


def read_options(values: Sequence[str], tokenizations: str) -> Options:
    """Return checked arguments of `score`.

    Raises:
        TypeError, ValueError: what is wrong with them.
    """
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise TypeError("score expects a list of strings")
    listed = tuple(values)
    if not listed or "" in listed or len(set(listed)) < len(listed):
        raise ValueError("score expects different strings, at least one and none of them empty")
    if tokenizations not in ("canonical", "all"):
        raise ValueError(f"tokenizations={tokenizations!r} is neither 'canonical' nor 'all'")
    return Options(listed, tokenizations == "all")


def _load_nothing(program: Program | None) -> Mapping[str, Any]:
    del program
    return {}


def _fits_nothing(name: str, value: Any) -> bool:
    del name, value
    return False


def _shown(value: Any) -> str:
    if isinstance(value, DecoderClause):
        given = ", ".join(f"{key}={v!r}" for key, v in value.arguments.items())
        return f"{value.name}({given})"
    return str(getattr(value, "name", value))
