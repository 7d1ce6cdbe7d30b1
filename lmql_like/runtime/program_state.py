"""What a program knows at one moment, as a value.

A `ProgramState` is never changed once it was handed out. To go on from it, the
interpreter copies it: containers and instances of the author's classes are copied, with
one memory of what was copied, so that two names of one list still name one list.

Shared, not copied: modules, functions, classes, exceptions, open files, generators,
whatever cannot be copied, and the objects (not the containers) that the caller gave.
"""

from __future__ import annotations

import copy
import types
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lmql_like.language.constraints import Constraint
from lmql_like.language.program import Program
from lmql_like.runtime.distributions import Distribution

__all__ = [
    "Begun",
    "Copier",
    "Frame",
    "Manager",
    "Position",
    "ProgramState",
    "begin_iteration",
    "objects_in",
]

_ATOMS = (
    str,
    bytes,
    int,
    float,
    complex,
    bool,
    type(None),
    type(Ellipsis),
    range,
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.ModuleType,
    types.GeneratorType,
    types.CoroutineType,
    BaseException,
)

# Containers of nothing but these are copied in one go.
_PLAIN = frozenset((str, bytes, int, float, bool, type(None)))


@dataclass(frozen=True)
class Frame:
    """A program that waits for a query which it nested.

    Attributes:
        program: what runs.
        variables, names, texts, counter, slots, pending: as of `ProgramState`; the
            counter is that of the hole which the query fills.
        start: length of the prompt's text where the query began.
        is_marked: whether a `Begin` stands there in the prompt.
    """

    program: Program
    variables: Mapping[str, Any]
    names: Mapping[str, Any]
    texts: Mapping[str, str]
    counter: int
    slots: Mapping[int, Any]
    pending: tuple[Constraint, ...]
    start: int
    is_marked: bool


@dataclass(frozen=True)
class Begun:
    """A message of a role: where its tag's text begins in the prompt, and its content."""

    role: str
    start: int
    content: int


@dataclass(frozen=True)
class ProgramState:
    """A program between two instructions: it waits for a hole, or it is done.

    Where queries are nested, all but `prompt`, `shared`, `distributions` and `callers`
    is that of the innermost one.

    Attributes:
        variables: the values of the holes, in the order they were filled.
        prompt: the prompt's text so far.
        names: the values of all names, holes included.
        texts: the texts of the holes.
        counter: index of the instruction that comes next.
        slots: what instructions keep for each other.
        pending: constraints that wait for a hole that was not filled yet.
        shared: objects that are not copied, since the caller gave them.
        distributions: what was found over the values of holes.
        program: what runs; None where nothing is nested.
        callers: the programs that wait for a nested query, the outermost first.
        messages: the messages with a role that the prompt has so far.
    """

    variables: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = ""
    names: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    counter: int = 0
    slots: Mapping[int, Any] = field(default_factory=dict)
    pending: tuple[Constraint, ...] = ()
    shared: tuple[Any, ...] = ()
    distributions: Mapping[str, Distribution] = field(default_factory=dict)
    program: Program | None = None
    callers: tuple[Frame, ...] = ()
    messages: tuple[Begun, ...] = ()

    @property
    def own_variables(self) -> Mapping[str, Any]:
        """The values of the outermost program's holes."""
        return self.callers[0].variables if self.callers else self.variables

    def copied(self, copier: Copier) -> ProgramState:
        """Return the same with values that can be changed."""
        callers = tuple(
            replace(f, names=copier.copy(dict(f.names)), slots=copier.copy(dict(f.slots)))
            for f in self.callers
        )
        return replace(
            self,
            names=copier.copy(dict(self.names)),
            slots=copier.copy(dict(self.slots)),
            callers=callers,
        )


class Copier:
    """Copies values that belong together; what was one object stays one object.

    Args:
        shared: objects that are not copied, wherever they stand.
    """

    def __init__(self, shared: Iterable[Any] = ()) -> None:
        self._memo: dict[int, Any] = {}
        self._alive: list[Any] = []
        for value in shared:
            self._remember(value, value)

    def copy(self, value: Any) -> Any:
        """Return a copy of a value, or the value itself where it is shared."""
        if isinstance(value, _ATOMS):
            return value
        if id(value) in self._memo:
            return self._memo[id(value)]
        containers: dict[type, Callable[[Any], Any]] = {
            list: self._copy_list,
            dict: self._copy_dict,
            tuple: self._copy_tuple,
            set: self._copy_set,
            deque: self._copy_deque,
        }
        if type(value) in containers:
            return containers[type(value)](value)
        if isinstance(value, Forkable):
            return self._remember(value, value.forked(self))
        return self._copy_object(value)

    def _remember(self, value: Any, copied: Any) -> Any:
        self._memo[id(value)] = copied
        self._alive.append(value)
        return copied

    def _copy_list(self, value: list[Any]) -> list[Any]:
        if _PLAIN.issuperset(map(type, value)):
            return self._remember(value, value.copy())  # type: ignore[no-any-return]
        copied: list[Any] = self._remember(value, [])
        copied.extend(self.copy(item) for item in value)
        return copied

    def _copy_dict(self, value: dict[Any, Any]) -> dict[Any, Any]:
        if _PLAIN.issuperset(map(type, value)) and _PLAIN.issuperset(map(type, value.values())):
            return self._remember(value, value.copy())  # type: ignore[no-any-return]
        copied: dict[Any, Any] = self._remember(value, {})
        copied.update({self.copy(key): self.copy(item) for key, item in value.items()})
        return copied

    def _copy_set(self, value: set[Any]) -> set[Any]:
        if _PLAIN.issuperset(map(type, value)):
            return self._remember(value, value.copy())  # type: ignore[no-any-return]
        copied: set[Any] = self._remember(value, set())
        copied.update(self.copy(item) for item in value)
        return copied

    def _copy_deque(self, value: deque[Any]) -> deque[Any]:
        copied: deque[Any] = self._remember(value, deque(maxlen=value.maxlen))
        copied.extend(self.copy(item) for item in value)
        return copied

    def _copy_tuple(self, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if _PLAIN.issuperset(map(type, value)):
            return value
        items = tuple(self.copy(item) for item in value)
        if id(value) in self._memo:  # the tuple is inside one of its own items
            known: tuple[Any, ...] = self._memo[id(value)]
            return known
        same = all(a is b for a, b in zip(items, value, strict=True))
        copied: tuple[Any, ...] = self._remember(value, value if same else items)
        return copied

    def _copy_object(self, value: Any) -> Any:
        """Copy by the object's own rules; what fails leaves no trace in the memory."""
        trial = _Trial(self._memo)
        try:
            copied = copy.deepcopy(value, trial)
        except Exception:  # noqa: BLE001 - an object's own copying may raise anything
            return self._remember(value, value)
        # `deepcopy` keeps a list under the id of its memory; that id must stay taken.
        self._alive.append(trial)
        self._memo.update(trial)
        return self._remember(value, copied)


def objects_in(values: list[Any]) -> Iterator[Any]:
    """Yield the objects that are no containers, among values and inside containers."""
    seen: set[int] = set()
    todo = list(values)
    while todo:
        value = todo.pop()
        if id(value) in seen or isinstance(value, str | int | float | bytes | None):
            continue
        seen.add(id(value))
        if type(value) in (list, tuple, set):
            todo += value
        elif type(value) is dict:
            todo += [*value.keys(), *value.values()]
        else:
            yield value


class _Trial(dict[int, Any]):
    """A memory for `deepcopy` that reads through to another one and writes to itself."""

    def __init__(self, base: dict[int, Any]) -> None:
        super().__init__()
        self._base = base

    def get(self, key: int, default: Any = None) -> Any:
        """Return what was copied for an object's id, here or before."""
        return super().get(key, self._base.get(key, default))

    def __missing__(self, key: int) -> Any:
        return self._base[key]


class Forkable(ABC):
    """Something of the interpreter's own that knows how it is copied."""

    @abstractmethod
    def forked(self, copier: Copier) -> Forkable:
        """Return the same for another state, independent of this one."""


@dataclass(frozen=True)
class Manager(Forkable):
    """A context manager that was entered; a copied state leaves its own copy of it."""

    manager: Any
    exit: Callable[..., Any]

    def leave(self, error: BaseException | None) -> Any:
        """Leave the block, with the exception that ended it if one did."""
        if error is None:
            return self.exit(self.manager, None, None, None)
        return self.exit(self.manager, type(error), error, error.__traceback__)

    def forked(self, copier: Copier) -> Manager:
        """Return it with a copy of the manager."""
        return Manager(copier.copy(self.manager), self.exit)


class Position(Forkable):
    """Where a `for` loop stands in what it iterates over."""

    @abstractmethod
    def take(self) -> tuple[bool, Any]:
        """Return (True, the next item) and move on, or (False, None) at the end."""


class _InSequence(Position):
    """In a list or another sequence, by index: what is appended is still seen."""

    def __init__(self, sequence: Sequence[Any], index: int = 0) -> None:
        self.sequence = sequence
        self.index = index

    def take(self) -> tuple[bool, Any]:
        if self.index >= len(self.sequence):
            self.sequence = ()  # an exhausted iterator stays exhausted
            return False, None
        self.index += 1
        return True, self.sequence[self.index - 1]

    def forked(self, copier: Copier) -> Position:
        return _InSequence(copier.copy(self.sequence), self.index)


class _InIterator(Position):
    """In an iterator that can be copied, such as that of `enumerate`."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self.iterator = iterator

    def take(self) -> tuple[bool, Any]:
        for item in self.iterator:
            return True, item
        return False, None

    def forked(self, copier: Copier) -> Position:
        return _InIterator(copier.copy(self.iterator))


@dataclass
class _Buffer:
    """The items that an iterator has given, for all positions in it."""

    iterator: Iterator[Any]
    items: list[Any] = field(default_factory=list)


class _InBuffer(Position):
    """In an iterator that cannot be copied, such as a generator.

    All forks read it through one buffer. The first to reach an item gets the item, the
    others a copy of what it was then.
    """

    def __init__(self, buffer: _Buffer, index: int = 0) -> None:
        self.buffer = buffer
        self.index = index

    def take(self) -> tuple[bool, Any]:
        items = self.buffer.items
        if self.index < len(items):
            self.index += 1
            return True, Copier().copy(items[self.index - 1])
        for item in self.buffer.iterator:
            items.append(Copier().copy(item))
            self.index += 1
            return True, item
        return False, None

    def forked(self, copier: Copier) -> Position:
        del copier  # the buffer is what the forks share
        return _InBuffer(self.buffer, self.index)


_COPYABLE_ITERATORS: tuple[type, ...] = (
    enumerate,
    zip,
    map,
    filter,
    reversed,
    type(iter([])),
    type(iter(())),
    type(iter("")),
    type(iter(range(0))),
    type(iter({})),
    type(iter({}.values())),
    type(iter({}.items())),
    type(iter(set())),
    type(reversed([])),
)


def begin_iteration(iterable: Any) -> Position:
    """Return the position before the first item of an iterable."""
    if type(iterable) in (list, tuple, str, range):
        return _InSequence(iterable)
    iterator: Iterator[Any] = iter(iterable)
    if type(iterator) in _COPYABLE_ITERATORS:
        try:
            copy.deepcopy(iterator)
        except Exception:  # noqa: BLE001 - what it iterates over may raise anything
            return _InBuffer(_Buffer(iterator))
        return _InIterator(iterator)
    return _InBuffer(_Buffer(iterator))
