"""Queries inside queries: what fills a hole instead of the model.

A hole such as `[CITY: capital("France")]` evaluates to an `Invocation`. Anything that is
`Nestable` can stand there: queries that the program defines, functions that Python code
decorated with `@query`, queries of other files.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lmql_like.errors import RunError
from lmql_like.language.known_types import is_type_like
from lmql_like.language.parameters import bind_arguments
from lmql_like.language.program import Program

__all__ = ["MAX_DEPTH", "DefinedQuery", "FileQuery", "Invocation", "Nestable", "make_invocation"]

MAX_DEPTH = 100
"""How many queries may wait for each other."""


@dataclass(frozen=True)
class Invocation:
    """A query with its arguments, ready to run.

    Attributes:
        program: the query.
        arguments: the value of each of its parameters.
        scope: the values of the names it reads from the scope it was written in; None
            where that is a program of the same run, `owner`.
        owner: the program that defined it, where there is one.
        settings: decoder, model and seed that it was given, those that are None left out.
    """

    program: Program
    arguments: Mapping[str, Any]
    scope: Mapping[str, Any] | None = None
    owner: Program | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


class Nestable(ABC):
    """A query that may stand in a hole."""

    @abstractmethod
    def invocation(self, *args: Any, **kwargs: Any) -> Invocation:
        """Return the query with its arguments.

        Raises:
            TypeError: the arguments do not fit its parameters.
        """


@dataclass(frozen=True, eq=False, repr=False)
class DefinedQuery(Nestable):
    """A query that a program defines with `@query`.

    Attributes:
        name: as it was defined.
        program: what it does.
        owner: the program that defines it.
        signature: its parameters, with their defaults.
        settings: the options of `@query(...)`.
        run: runs it by itself; returns its result.
        home: the names of the file that defines it, where another file imports that.
    """

    name: str
    program: Program
    owner: Program
    signature: inspect.Signature
    settings: Mapping[str, Any]
    run: Callable[[Invocation], Any]
    home: Mapping[str, Any] | None = None

    def invocation(self, *args: Any, **kwargs: Any) -> Invocation:
        """Return the query with its arguments."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return Invocation(
            self.program, bound.arguments, self.home, owner=self.owner, settings=self.settings
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the query by itself, in a prompt of its own; return its result."""
        return self.run(self.invocation(*args, **kwargs))

    def __deepcopy__(self, memo: object) -> DefinedQuery:
        """Return the query itself: it never changes."""
        return self

    def __repr__(self) -> str:
        """Return how it would be called."""
        return f"<query {self.name}{self.signature}>"


class FileQuery(Nestable):
    """A query file that another one imports: a query, and those that it defines.

    Args:
        program: the file.
        load: runs what the file begins with; returns the values of its names.
        run: runs it by itself; returns its result.
    """

    def __init__(
        self,
        program: Program,
        load: Callable[[Program], Mapping[str, Any]],
        run: Callable[[Invocation], Any],
    ) -> None:
        self._program = program
        self._load = load
        self._run = run
        self._names: Mapping[str, Any] | None = None

    def invocation(self, *args: Any, **kwargs: Any) -> Invocation:
        """Return the file's own query; its arguments in the order of their declaration."""
        parameters = self._program.parameters
        if len(args) > len(parameters):
            raise TypeError(f"{len(args)} arguments given, the query takes {len(parameters)}")
        given = dict(zip((parameter.name for parameter in parameters), args, strict=False))
        twice = [name for name in given if name in kwargs]
        if twice:
            raise TypeError(f"the argument '{twice[0]}' is given twice")
        arguments = bind_arguments(parameters, {**given, **kwargs})
        return Invocation(self._program, arguments, {})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the query by itself, in a prompt of its own; return its result."""
        return self._run(self.invocation(*args, **kwargs))

    def __getattr__(self, name: str) -> Any:
        """Return what the file gives a name."""
        if name not in self._program.defined:
            raise AttributeError(
                f"the query file '{self._program.source.name}' defines no '{name}'"
            )
        if self._names is None:
            self._names = self._load(self._program)
        return self._names[name]

    def __deepcopy__(self, memo: object) -> FileQuery:
        """Return the query itself: it never changes."""
        return self

    def __repr__(self) -> str:
        """Return the file's name."""
        return f"<query file {self._program.source.name}>"


def make_invocation(query: Any, /, *args: Any, **kwargs: Any) -> Invocation | None:
    """Return a query with its arguments; None for a type, which stands by itself.

    Raises:
        RunError: R108, it is neither.
        TypeError: the arguments do not fit.
    """
    if isinstance(query, Nestable):
        return query.invocation(*args, **kwargs)
    if not args and not kwargs and is_type_like(query):
        return None
    name = getattr(query, "__name__", "")
    kind = f"a {type(query).__name__}" + (f" such as '{name}'" if name else "")
    raise RunError(
        "R108",
        f"a hole is filled by a query, not by {kind}",
        help="write @query above its definition",
    )
