r"""Queries as Python: `@query` functions, and `run` for a text.

    @lmql_like.query
    def capital(country: str):
        '''
        "Q: What is the capital of {country}?\n"
        "A:[CAPITAL]" where STOPS_BEFORE(CAPITAL, "\n")
        '''

    capital("France").variables["CAPITAL"]

The docstring is the program. It reads its function's parameters, and the names around the
function: those of the scope it is defined in, and the module's.
"""

from __future__ import annotations

import ast
import asyncio
import functools
import inspect
import io
import re
import textwrap
import threading
import tokenize
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any, cast, overload

from lmql_like.errors import QueryError
from lmql_like.files import read_text
from lmql_like.language.compiler import compile_query
from lmql_like.language.parameters import MISSING, Parameter
from lmql_like.language.program import Program
from lmql_like.runtime.distributions import Distribution
from lmql_like.runtime.environment import read_options
from lmql_like.runtime.model import LanguageModel
from lmql_like.runtime.nesting import Invocation, Nestable
from lmql_like.runtime.options import score_texts
from lmql_like.runtime.results import Result
from lmql_like.runtime.run import run_program
from lmql_like.runtime.search.decoders import DecoderSpec
from lmql_like.runtime.streaming import TextEvent

__all__ = ["QueryFunction", "default_model", "query", "run", "run_file", "score"]

_WORD = re.compile(r"[^\W\d]\w*")

ModelLike = LanguageModel | str | None
DecoderLike = DecoderSpec | str | None


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


def run(
    text: str,
    *,
    model: ModelLike = None,
    decoder: DecoderLike = None,
    seed: int | None = None,
    stream: Callable[[TextEvent], None] | None = None,
    healing: str | None = None,
    **arguments: Any,
) -> Result:
    """Run the text of a query.

    Args:
        text: a query in either syntax.
        model: a loaded model, or a name or folder; otherwise the query's own `from`
            clause, otherwise the embedded model.
        decoder: such as "beam(n=4)"; otherwise the query's own, otherwise "argmax".
        seed: makes random choices repeatable.
        stream: is called with each piece of text as soon as it is certain.
        healing: "space" (the default), "full" or "off": whether a hole's first token may
            begin inside the prompt's last one.
        **arguments: the values of the query's arguments.

    Returns:
        The best result, or the first sample; `others` has the rest.

    Raises:
        QueryError: the query is wrong, or its arguments are.
        RunError: its own code failed, or the decoder call is wrong.
        ModelError: the model cannot be loaded or used.
    """
    return _run(compile_query(text), arguments, model, decoder, seed, stream, healing=healing)


def run_file(path: str | Path, **options: Any) -> Result:
    """Run a query file; options, result and errors as of `run`.

    Raises:
        QueryError: Q007 if the file cannot be read, and as `run`.
    """
    return _run_text(read_text(path, "the query file"), str(path), options)


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


def _run_text(text: str, name: str, options: dict[str, Any]) -> Result:
    names = ("model", "decoder", "seed", "stream", "healing")
    known = {key: options.pop(key, None) for key in names}
    return _run(compile_query(text, name=name), options, **known)


def _run(
    program: Program,
    arguments: Mapping[str, Any],
    model: ModelLike,
    decoder: DecoderLike,
    seed: int | None,
    stream: Callable[[TextEvent], None] | None,
    scope: Mapping[str, Any] | None = None,
    healing: str | None = None,
) -> Result:
    best, *others = run_program(
        program,
        arguments,
        model=default_model(model, program),
        decoder=decoder,
        seed=seed,
        stream=stream,
        scope=scope,
        healing=healing or "space",
    )
    return replace(best, others=tuple(others))


class QueryFunction(Nestable):
    """A function whose docstring is a query; call it like the function.

    Calling it returns the best `Result` (for an `async def`, something to await).
    `with_options` gives the same query another model or decoder.

    Args:
        function: its signature gives the arguments, its docstring the program.
        surroundings: the local names of the scope it was defined in.
        model: see `run`.
        decoder: see `run`.
        seed: see `run`.
        healing: see `run`.

    Raises:
        QueryError: Q405 without a docstring, and as `compile_query`.
    """

    def __init__(
        self,
        function: FunctionType,
        surroundings: Mapping[str, Any],
        *,
        model: ModelLike = None,
        decoder: DecoderLike = None,
        seed: int | None = None,
        healing: str | None = None,
    ) -> None:
        functools.update_wrapper(self, function)
        self.__name__ = function.__name__
        self._function = function
        self._surroundings = surroundings
        self._options: dict[str, Any] = {
            "model": model,
            "decoder": decoder,
            "seed": seed,
            "healing": healing,
        }
        self._signature = _signature_of(function)
        text, line = _program_text(function)
        around = {*function.__globals__, *surroundings, function.__name__}
        self.program = compile_query(
            text,
            name=function.__code__.co_filename,
            first_line=line,
            parameters=_parameters(self._signature),
            scope=around.intersection(_WORD.findall(text)),
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the query; returns a `Result`, or an awaitable of one for an `async def`."""
        if inspect.iscoroutinefunction(self._function):
            return asyncio.to_thread(self._run, *args, **kwargs)
        return self._run(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Bind like a method: `self` is the query's first argument."""
        return self if instance is None else _BoundQuery(self, instance)

    def __repr__(self) -> str:
        return f"<query {self._function.__qualname__}{self._signature}>"

    def with_options(self, **options: Any) -> QueryFunction:
        """Return the same query with other options: model, decoder, seed, healing."""
        return QueryFunction(self._function, self._surroundings, **{**self._options, **options})

    def invocation(self, *args: Any, **kwargs: Any) -> Invocation:
        """Return the query with its arguments, to run it inside another one."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        # Names of the module are read at the call, as in any function.
        around = {**self._function.__globals__, **self._surroundings, self.__name__: self}
        scope = {name: around[name] for name in self.program.captured if name in around}
        settings = {name: value for name, value in self._options.items() if value is not None}
        return Invocation(self.program, bound.arguments, scope, settings=settings)

    def _run(self, *args: Any, **kwargs: Any) -> Result:
        call = self.invocation(*args, **kwargs)
        return _run(self.program, call.arguments, stream=None, scope=call.scope, **self._options)


class _BoundQuery(Nestable):
    """A query that is a method, with the object it belongs to."""

    def __init__(self, function: QueryFunction, instance: object) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._instance = instance

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the query with the object as its first argument."""
        return self._function(self._instance, *args, **kwargs)

    def invocation(self, *args: Any, **kwargs: Any) -> Invocation:
        """Return the query with its arguments, the object as the first."""
        return self._function.invocation(self._instance, *args, **kwargs)


@overload
def query(function: Callable[..., Any], /) -> QueryFunction: ...


@overload
def query(
    *,
    model: ModelLike = None,
    decoder: DecoderLike = None,
    seed: int | None = None,
    healing: str | None = None,
) -> Callable[[Callable[..., Any]], QueryFunction]: ...


def query(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a query of a function with a program as its docstring.

    The docstring may read the names of the scope right around the function, as they are when
    it is decorated, and those of its module, as they are at the call.

    Use it bare, or with options: `@query(model="...", decoder="beam(n=4)", seed=1)`.
    The program is compiled here, so an error in it is raised where it is written.

    Raises:
        QueryError: the function has no docstring, or the program is wrong.
        TypeError: it is no function, or an option is unknown.
    """
    unknown = set(options) - {"model", "decoder", "seed", "healing"}
    if unknown:
        raise TypeError(f"query() got an unexpected option '{min(unknown)}'")
    surroundings = _locals_of(inspect.currentframe())

    def decorate(function: Any) -> QueryFunction:
        if not isinstance(function, FunctionType):
            raise TypeError(
                f"@query expects a function with a docstring, found {type(function).__name__}; "
                "put it below @staticmethod and @classmethod"
            )
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("@query expects a function without 'yield'")
        return QueryFunction(function, surroundings, **options)

    return decorate if function is None else decorate(function)


def _locals_of(frame: FrameType | None) -> Mapping[str, Any]:
    """Return the local names of a frame's caller; none where it is a module."""
    caller = frame.f_back if frame else None
    if caller is None or caller.f_locals is caller.f_globals:
        return {}
    return caller.f_locals


def _signature_of(function: FunctionType) -> inspect.Signature:
    """Return a function's signature with its annotations as types, where they can be read."""
    try:
        return inspect.signature(function, eval_str=True)
    except NameError:
        return inspect.signature(function)  # types that exist for type checkers only


def _parameters(signature: inspect.Signature) -> list[Parameter]:
    empty = inspect.Parameter.empty
    return [
        Parameter(
            name,
            None if parameter.annotation is empty else parameter.annotation,
            MISSING if parameter.default is empty else parameter.default,
        )
        for name, parameter in signature.parameters.items()
    ]


def _program_text(function: FunctionType) -> tuple[str, int]:
    r"""Return a function's docstring as it is written, and the number of its first line.

    The text is taken from the source file, so that a query's own `\n` needs no second
    backslash. Where there is no source, such as at a prompt, it is the docstring's value.
    """
    if not function.__doc__ or not function.__doc__.strip():
        raise QueryError(
            "Q405",
            f"the function '{function.__name__}' has no docstring",
            help="write the query as the function's docstring",
        )
    literal, first_line = _docstring_in_source(function)
    if literal is None:
        return textwrap.dedent(function.__doc__), function.__code__.co_firstlineno
    text = literal.lstrip("rRuU")
    quotes = 3 if text[:3] in ("'''", '"""') else 1
    return _without_indent(text[quotes:-quotes]), first_line


def _docstring_in_source(function: FunctionType) -> tuple[str | None, int]:
    """Return the docstring's literal as it is written, and the number of its line.

    None where there is no source, where it is not this function's, or where the
    docstring is put together of several literals.
    """
    try:
        lines, first_line = inspect.getsourcelines(function)
        source = textwrap.dedent("".join(lines))
        definition = ast.parse(source).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return None, 0
    if not isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None, 0
    value = ast.get_docstring(definition, clean=False) or ""
    if value.split() != (function.__doc__ or "").split():  # indents differ: the source lost its own
        return None, 0
    literal = cast("ast.Expr", definition.body[0]).value
    written = ast.get_source_segment(source, literal) or ""
    try:
        pieces = list(tokenize.generate_tokens(io.StringIO(written).readline))
    except (tokenize.TokenError, SyntaxError):
        return None, 0
    if sum(piece.type == tokenize.STRING for piece in pieces) != 1:
        return None, 0
    return written, first_line + literal.lineno - 1


def _without_indent(text: str) -> str:
    """Return a text without its lines' common indent, the first line's aside."""
    first, newline, rest = text.partition("\n")
    return first.lstrip() + newline + textwrap.dedent(rest)
