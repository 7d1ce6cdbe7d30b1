"""What decorators of holes are: functions that see a hole begin, grow and end.

    [@f X]      f(value) gives the hole another value when it has been filled
    @pre        f(name), before it is filled: a value that is not None fills it instead
    @stream     f(text), whenever it has grown: sees the text so far

An object with methods of these names (`pre`, `stream`, `post`) is all of them at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any

from lmql_like.runtime.program_state import Copier

__all__ = [
    "Hook",
    "Once",
    "Rewritten",
    "hook_of",
    "once",
    "post",
    "pre",
    "remembering",
    "stream",
]

MEMORY: ContextVar[dict[Any, Any] | None] = ContextVar("MEMORY", default=None)
"""What functions decorated with `once` returned in the run that goes on, if one does."""


@dataclass(frozen=True)
class Hook:
    """The functions of one decorator, None where it has none."""

    pre: Callable[[str], Any] | None = None
    stream: Callable[[str], Any] | None = None
    post: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Rewritten:
    """What a decorator returns to give a hole another value and another text in the prompt."""

    value: Any
    text: str


def pre(function: Callable[[str], Any]) -> Hook:
    """Make a decorator that is called with a hole's name before the hole is filled.

    Where it returns a value other than None, that value fills the hole.
    """
    return Hook(pre=function)


def stream(function: Callable[[str], Any]) -> Hook:
    """Make a decorator that is called with a hole's text so far whenever it has grown."""
    return Hook(stream=function)


def post(function: Callable[[Any], Any]) -> Hook:
    """Make a decorator that is called with a hole's value and returns the one it gets instead."""
    return Hook(post=function)


def hook_of(decorator: Any) -> Hook:
    """Return what a decorator does.

    Raises:
        TypeError: it is no function and has none of the three.
    """
    if isinstance(decorator, Hook):
        return decorator
    found = {name: getattr(decorator, name, None) for name in ("pre", "stream", "post")}
    if any(found.values()):
        return Hook(**found)
    if callable(decorator):
        return Hook(post=decorator)
    raise TypeError(f"a decorator of a hole is a function, not {type(decorator).__name__}")


class Once:
    """A function that is called once in a run for each list of arguments.

    All hypotheses and inputs share what it returned; each gets a copy. Arguments have to
    be hashable, or lists, dictionaries and sets of such values.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the function returned, or, the first time, call it."""
        memory = MEMORY.get()
        if memory is None:
            return self._function(*args, **kwargs)
        key = (self._identity(), _frozen(args), _frozen(kwargs))
        if inspect.iscoroutinefunction(self._function):
            return self._awaited(memory, key, args, kwargs)
        if key not in memory:
            memory[key] = (self._function(*args, **kwargs), self._function)
        return Copier().copy(memory[key][0])

    def __deepcopy__(self, memo: object) -> Once:
        """Return the function itself: hypotheses share it."""
        return self

    async def _awaited(self, memory: dict[Any, Any], key: Any, args: Any, kwargs: Any) -> Any:
        if key not in memory:
            memory[key] = (await self._function(*args, **kwargs), self._function)
        return Copier().copy(memory[key][0])

    def _identity(self) -> Any:
        """Return what the same function has in common wherever its definition was run."""
        code = getattr(self._function, "__code__", None)
        if code is None:
            return id(self._function)
        cells = getattr(self._function, "__closure__", None) or ()
        if not cells:
            return code
        return code, tuple(id(cell.cell_contents) for cell in cells)


@contextmanager
def remembering(memory: dict[Any, Any]) -> Iterator[None]:
    """Let functions decorated with `once` remember meanwhile what they return."""
    token = MEMORY.set(memory)
    try:
        yield
    finally:
        MEMORY.reset(token)


def once(function: Callable[..., Any]) -> Once:
    """Make a function run once for all hypotheses and inputs of a run, for the same arguments."""
    return Once(function)


def _frozen(value: Any) -> Any:
    """Return a value as one that can be hashed."""
    if isinstance(value, dict):
        return "dict", frozenset((_frozen(key), _frozen(item)) for key, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        frozen: Iterable[Any] = map(_frozen, value)
        is_set = isinstance(value, set | frozenset)
        return type(value).__name__, frozenset(frozen) if is_set else tuple(frozen)
    hash(value)
    return type(value), value
