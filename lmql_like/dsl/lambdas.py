r"""A prompt string and a condition as a function: `F("Q: {q}\\nA:[A]", where=...)`."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from lmql_like.dsl.conditions import Condition, refuse
from lmql_like.dsl.places import Place, here, pointing_at
from lmql_like.dsl.prompts import TAKEN
from lmql_like.dsl.running import Call, Runnable, Settings
from lmql_like.dsl.writing import Names, Writer, conjuncts, quoted
from lmql_like.errors import RunError
from lmql_like.language.compiler import compile_query
from lmql_like.language.parameters import bind_arguments
from lmql_like.language.parser import parse_query
from lmql_like.language.scopes import prompts_of
from lmql_like.runtime.results import Result
from lmql_like.source import Source, Span

__all__ = ["F", "Lambda"]

_WORD = re.compile(r"[^\W\d]\w*")


class Lambda(Runnable):
    """A function of a prompt string's arguments; it returns the value of its hole.

    Where the prompt string has several holes, it returns a dictionary of their values.

    Args:
        source: the query.
        scope: values of names in it that are no arguments.
        settings: how it is run.
        blaming: gives errors the place of the author's expression.
    """

    def __init__(
        self,
        source: Source,
        scope: Mapping[str, Any],
        settings: Settings,
        blaming: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self._scope = scope
        self._settings = settings
        self._blaming = blaming
        with blaming():
            self.program = compile_query(source.text, name=source.name, scope=scope)

    def call(self, *args: Any, **kwargs: Any) -> Call:
        """Return the query with its arguments, in the order in which the text names them."""
        parameters = self.program.parameters
        given = dict(zip((p.name for p in parameters), args, strict=False))
        arguments = bind_arguments(parameters, {**given, **kwargs})
        return Call(self.program, arguments, self._settings, self._scope, self._blaming)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the query; return the value of its hole, or of its holes by their names.

        Raises:
            RunError: R210, a hole could not be filled as its condition demands.
        """
        return self._value(self.call(*args, **kwargs).run())

    async def arun(self, *args: Any, **kwargs: Any) -> Any:
        """Run the query together with others that are awaited: they share forward passes."""
        return self._value(await self.call(*args, **kwargs).arun())

    def _value(self, result: Result) -> Any:
        if result.status != "complete":
            raise RunError(
                "R210",
                f"the run ended as {result.status}, behind {result.text[-40:]!r}",
                help="use `run` for results that are not complete",
            )
        values = dict(result.variables)
        return next(iter(values.values())) if len(values) == 1 else values

    def __repr__(self) -> str:
        return f"<F {self.program.source.text}>"


def F(  # noqa: N802 - LMQL's name for it
    text: str,
    where: str | Condition | Mapping[str, Condition] | None = None,
    **settings: Any,
) -> Lambda:
    r"""Return a function that runs one prompt string.

        shout = F("Q: What is the capital of {country}?\nA:[CITY]", where=StopsBefore("\n"))
        shout(country="France")

    Args:
        text: a prompt string: `{expressions}` are read in it, and `[HOLES]` filled; free
            names are the function's arguments.
        where: a condition as a text, as an object (about the only hole), or one for each
            hole by its name.
        settings: model, decoder, seed, healing, trace: as of `run`.

    Raises:
        QueryError: the text or the condition is wrong; Q702, a condition as an object does
            not say which hole it is about.
    """
    place = here()
    literal = _literal(text)
    names = Names({*TAKEN, *_WORD.findall(text)})
    writer = Writer(names)
    writer.put(literal)
    if isinstance(where, str):
        writer.put(f" where {where}")
    elif where is not None:
        parts = [
            part
            for name, condition in _by_hole(literal, where, place).items()
            for part in conjuncts(condition.node(name, names))
        ]
        writer.put(" where ")
        writer.put_code(parts[0] if len(parts) == 1 else ast.BoolOp(ast.And(), parts))
    source = Source(writer.text, "<F>")
    places = [*writer.places, (Span(0, writer.at), place)]
    return Lambda(source, names.values, Settings(**settings), partial(pointing_at, source, places))


def _literal(text: str) -> str:
    """Return a prompt string as a literal, in which its code stands as it is written."""
    for quotes in ('"""', "'''"):
        if quotes not in text and not text.endswith((quotes[0], "\\")) and "\r" not in text:
            return f"r{quotes}{text}{quotes}"
    return quoted(text)


def _by_hole(
    literal: str, where: Condition | Mapping[str, Condition], place: Place
) -> Mapping[str, Condition]:
    """Return which hole each condition is about."""
    if not isinstance(where, Condition):
        return where
    (statement,) = parse_query(Source(literal, "<F>")).statements
    names = {found.name for prompt in prompts_of([statement]) for found in prompt.holes}
    if len(names) != 1:
        refuse(
            "Q702",
            f"a condition on one of the holes {', '.join(sorted(names)) or '(there is none)'}",
            place,
            hint=f"give a dictionary: where={{'{min(names, default='X')}': ...}}",
        )
    return {names.pop(): where}
