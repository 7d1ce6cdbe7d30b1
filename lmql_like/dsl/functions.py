r"""Queries as Python functions: `@query`.

    @lmql_like.query
    def capital(country: str) -> None:
        '''
        "Q: What is the capital of {country}?\n"
        "A:[CAPITAL]" where STOPS_BEFORE(CAPITAL, "\n")
        '''

    capital("France").variables["CAPITAL"]

The docstring is the program. It reads its function's parameters, and the names around the
function: those of the scope it is defined in, and the module's.

To a type checker a query has its function's parameters and gives a `Result`; that of an
`async def` gives something to await.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from types import FrameType, FunctionType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from lmql_like.dsl.docstrings import program_text
from lmql_like.dsl.running import Call, DecoderLike, ModelLike, Runnable, Settings, Stream
from lmql_like.language.compiler import compile_query
from lmql_like.language.parameters import MISSING, Parameter
from lmql_like.runtime.results import Result

__all__ = ["BoundQuery", "QueryFunction", "query"]

_WORD = re.compile(r"[^\W\d]\w*")

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
_Async = Coroutine[Any, Any, Any]
_Awaitable = Coroutine[Any, Any, Result]


class QueryFunction(Runnable, Generic[P, R]):
    """A function whose docstring is a query; call it like the function.

    Calling it returns the best `Result` (for an `async def`, something to await).
    `with_options` gives the same query another model or decoder.

    Args:
        function: its signature gives the arguments, its docstring the program.
        surroundings: the local names of the scope it was defined in.
        settings: how it is run.

    Raises:
        QueryError: Q405 without a docstring, and as `compile_query`.
    """

    def __init__(
        self,
        function: FunctionType,
        surroundings: Mapping[str, Any],
        settings: Settings | None = None,
    ) -> None:
        functools.update_wrapper(self, function)
        self.__name__ = function.__name__
        self._function = function
        self._surroundings = surroundings
        self._settings = settings or Settings()
        self._signature = _signature_of(function)
        text, line = program_text(function)
        around = {**function.__globals__, **surroundings, function.__name__: self}
        self.program = compile_query(
            text,
            name=function.__code__.co_filename,
            first_line=line,
            parameters=_parameters(self._signature),
            scope={name: around[name] for name in _WORD.findall(text) if name in around},
        )

    @overload
    def __call__(
        self: QueryFunction[P, _Async], *args: P.args, **kwargs: P.kwargs
    ) -> _Awaitable: ...

    @overload
    def __call__(self: QueryFunction[P, Any], *args: P.args, **kwargs: P.kwargs) -> Result: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the query; returns a `Result`, or an awaitable of one for an `async def`."""
        call = self.call(*args, **kwargs)
        return call.arun() if inspect.iscoroutinefunction(self._function) else call.run()

    async def arun(self, *args: P.args, **kwargs: P.kwargs) -> Result:
        """Run the query together with others that are awaited: they share forward passes."""
        return await self.call(*args, **kwargs).arun()

    def stream(self, *args: P.args, **kwargs: P.kwargs) -> Stream:
        """Return the query's text while it comes."""
        return Stream(self.call(*args, **kwargs))

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> QueryFunction[P, R]: ...

    @overload
    def __get__(
        self: QueryFunction[Concatenate[S, Q], R], instance: S, owner: type | None = None
    ) -> BoundQuery[Q, R]: ...

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind like a method: `self` is the query's first argument."""
        return self if instance is None else BoundQuery(self, instance)

    def __repr__(self) -> str:
        return f"<query {self._function.__qualname__}{self._signature}>"

    def with_options(self, **options: Any) -> QueryFunction[P, R]:
        """Return the same query with other options: those of `query`."""
        settings = replace(self._settings, **options)
        return QueryFunction(self._function, self._surroundings, settings)

    def call(self, *args: Any, **kwargs: Any) -> Call:
        """Return the query with its arguments.

        Raises:
            TypeError: they do not fit the function's parameters.
        """
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        # Names of the module are read at the call, as in any function.
        around = {**self._function.__globals__, **self._surroundings, self.__name__: self}
        scope = {name: around[name] for name in self.program.captured if name in around}
        return Call(self.program, bound.arguments, self._settings, scope)


class BoundQuery(Runnable, Generic[Q, R]):
    """A query that is a method, with the object it belongs to."""

    def __init__(self, function: QueryFunction[Any, R], instance: object) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._instance = instance

    @overload
    def __call__(self: BoundQuery[Q, _Async], *args: Q.args, **kwargs: Q.kwargs) -> _Awaitable: ...

    @overload
    def __call__(self: BoundQuery[Q, Any], *args: Q.args, **kwargs: Q.kwargs) -> Result: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the query with the object as its first argument."""
        return self._function(self._instance, *args, **kwargs)

    async def arun(self, *args: Q.args, **kwargs: Q.kwargs) -> Result:
        """Run the query together with others that are awaited."""
        return await self.call(*args, **kwargs).arun()

    def stream(self, *args: Q.args, **kwargs: Q.kwargs) -> Stream:
        """Return the query's text while it comes."""
        return Stream(self.call(*args, **kwargs))

    def call(self, *args: Any, **kwargs: Any) -> Call:
        """Return the query with its arguments, the object as the first."""
        return self._function.call(self._instance, *args, **kwargs)


@overload
def query(function: Callable[P, R], /) -> QueryFunction[P, R]: ...


@overload
def query(
    *,
    model: ModelLike = None,
    decoder: DecoderLike = None,
    seed: int | None = None,
    healing: str | None = None,
    trace: bool | None = None,
) -> Callable[[Callable[P, R]], QueryFunction[P, R]]: ...


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
    unknown = set(options) - set(Settings.__dataclass_fields__)
    if unknown:
        raise TypeError(f"query() got an unexpected option '{min(unknown)}'")
    surroundings = _locals_of(inspect.currentframe())

    def decorate(function: Any) -> QueryFunction[Any, Any]:
        if not isinstance(function, FunctionType):
            raise TypeError(
                f"@query expects a function with a docstring, found {type(function).__name__}; "
                "put it below @staticmethod and @classmethod"
            )
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("@query expects a function without 'yield'")
        return QueryFunction(function, surroundings, Settings(**options))

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
