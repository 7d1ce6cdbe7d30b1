"""Carries out the instructions of one program: its Python, its branches, its handlers.

Rules: nothing that a model wrote is ever evaluated; `KeyboardInterrupt` and `SystemExit`
pass through.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import singledispatchmethod
from typing import Any

from lmql_like.errors import RunError
from lmql_like.language import program as ir
from lmql_like.language.code import Code
from lmql_like.language.lowering import CASE, ITEM
from lmql_like.language.program import Inset, Instruction, Program, RoleTag
from lmql_like.runtime.awaiter import Awaiter
from lmql_like.runtime.environment import Environment
from lmql_like.runtime.nesting import DefinedQuery
from lmql_like.runtime.program_state import Manager, begin_iteration
from lmql_like.source import Span, is_unicode

__all__ = ["Machine", "ReturnSignal"]


class ReturnSignal(Exception):  # noqa: N818 - it ends a program, nothing is wrong
    """The program ended."""


class Machine(ABC):
    """What a program can change while it runs.

    Attributes:
        program: what runs.
        counter: index of the next instruction.
        names: the values of its names; the globals of its functions.
        slots: what its instructions keep for each other.
        value: what it returned.
        awaited: runs its coroutines.
        environment: its built-in names.
    """

    program: Program
    counter: int
    names: dict[str, Any]
    slots: dict[int, Any]
    value: Any
    awaited: Awaiter
    environment: Environment

    @abstractmethod
    def say(self, text: str) -> None:
        """Append text to the prompt."""

    @abstractmethod
    def begin_message(self, tag: RoleTag) -> None:
        """Append what the model's chat template writes in front of a message."""

    # Python

    def evaluate(self, code: Code) -> Any:
        """Run a piece of the author's Python; return its value."""
        value = eval(code.compiled, self.names)  # noqa: S307 - it is the author's program
        return self.awaited(value) if code.is_coroutine else value

    def _assign(self, code: Code, value: Any) -> None:
        """Assign a value as the author's target says."""
        self.names[ITEM] = value
        try:
            self.evaluate(code)
        finally:
            self.names.pop(ITEM, None)

    def _insert(self, part: str | Inset) -> str:
        """Return a piece of text, its value formatted as Python's f-strings do."""
        if isinstance(part, str):
            return part
        value = self.evaluate(part.code)
        convert: dict[str, Callable[[Any], Any]] = {"r": repr, "s": str, "a": ascii}
        if part.conversion:
            value = convert[part.conversion](value)
        return format(value, "".join(self._insert(inner) for inner in part.format))

    def no_unicode(self, text: str, span: Span) -> RunError:
        """Return the error for a text that has no UTF-8 form."""
        half = next(char for char in text if not is_unicode(char))
        return RunError(
            "R107",
            f"text of the prompt is not valid Unicode: it holds {half!r}",
            source=self.program.source,
            span=span,
            label="half of a surrogate pair",
            help='replace it, as in text.encode(errors="replace").decode()',
        )

    # Instructions

    def perform(self, step: Instruction) -> None:
        """Carry out an instruction, inside the handling of an exception if it is there.

        A bare `raise` and `sys.exc_info()` of the author's then see that exception.
        """
        if step.handling is None:
            self._do(step)
            return
        error = self.slots[step.handling]
        trace = error.__traceback__
        try:
            raise error
        except type(error):
            error.__traceback__ = trace
            self._do(step)

    @singledispatchmethod
    def _do(self, step: Any) -> None:
        raise TypeError(step)

    @_do.register
    def _(self, step: ir.Run) -> None:
        self.evaluate(step.code)

    @_do.register
    def _(self, step: ir.Say) -> None:
        for part in step.parts:
            if isinstance(part, RoleTag):
                self.begin_message(part)
                continue
            text = self._insert(part)
            if not text.isascii() and not is_unicode(text):
                span = step.span if isinstance(part, str) else part.code.span
                raise self.no_unicode(text, span)
            self.say(text)

    @_do.register
    def _(self, step: ir.Goto) -> None:
        self.counter = step.target

    @_do.register
    def _(self, step: ir.Branch) -> None:
        if not self.evaluate(step.test):
            self.counter = step.target

    @_do.register
    def _(self, step: ir.Iterate) -> None:
        self.slots[step.slot] = begin_iteration(self.evaluate(step.iterable))

    @_do.register
    def _(self, step: ir.Advance) -> None:
        found, item = self.slots[step.slot].take()
        if found:
            self._assign(step.assign, item)
        else:
            del self.slots[step.slot]
            self.counter = step.target

    @_do.register
    def _(self, step: ir.Enter) -> None:
        manager = self.evaluate(step.manager)
        leave = type(manager).__exit__
        self.slots[step.value_slot] = type(manager).__enter__(manager)
        self.slots[step.slot] = Manager(manager, leave)

    @_do.register
    def _(self, step: ir.Assign) -> None:
        self._assign(step.code, self.slots.pop(step.slot))

    @_do.register
    def _(self, step: ir.Leave) -> None:
        self.slots[step.slot].leave(None)

    @_do.register
    def _(self, step: ir.LeaveFailed) -> None:
        error = self.slots[step.error_slot]
        if not self.slots[step.slot].leave(error):
            raise error

    @_do.register
    def _(self, step: ir.Catch) -> None:
        if step.kind is None:
            return
        kind = self.evaluate(step.kind)
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not all(isinstance(k, type) and issubclass(k, BaseException) for k in kinds):
            raise TypeError(
                "catching classes that do not inherit from BaseException is not allowed"
            )
        if not isinstance(self.slots[step.slot], kinds):
            self.counter = step.target

    @_do.register
    def _(self, step: ir.NameException) -> None:
        self.names[step.name] = self.slots[step.slot]

    @_do.register
    def _(self, step: ir.Unname) -> None:
        self.names.pop(step.name, None)

    @_do.register
    def _(self, step: ir.Reraise) -> None:
        raise self.slots[step.slot]

    @_do.register
    def _(self, step: ir.Keep) -> None:
        self.slots[step.slot] = self.evaluate(step.code)

    @_do.register
    def _(self, step: ir.Select) -> None:
        self.evaluate(step.code)
        self.counter = step.targets[self.names.pop(CASE, -1)]

    @_do.register
    def _(self, step: ir.Return) -> None:
        self.value = None if step.slot is None else self.slots[step.slot]
        raise ReturnSignal

    @_do.register
    def _(self, step: ir.Define) -> None:
        self.evaluate(step.signature)
        self.names[step.name] = DefinedQuery(
            name=step.name,
            program=step.program,
            owner=self.program,
            signature=inspect.signature(self.names[step.name]),
            settings=step.options,
            run=self.environment.run,
        )

    @_do.register
    def _(self, step: ir.ImportQueries) -> None:
        library = self.environment.library(step.program)
        for name, own_name in step.names:
            self.names[own_name] = library if name is None else getattr(library, name)
