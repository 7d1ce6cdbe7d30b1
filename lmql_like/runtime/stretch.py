"""One stretch of a program, instruction by instruction.

Rules: the author's code may raise anything, and the program's own `except` clauses see
it first; `KeyboardInterrupt` and `SystemExit` pass through; nothing that a model wrote
is ever evaluated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import singledispatchmethod
from typing import Any

from lmql_like.errors import GrammarError, LmqlLikeError, RunError
from lmql_like.grammars.formulas import Formula, all_of
from lmql_like.language import program as ir
from lmql_like.language.code import AWAITED, Code
from lmql_like.language.constraints import Binding, Constraint, OperandError
from lmql_like.language.lowering import CASE, ITEM
from lmql_like.language.program import HoleCall, Inset, Instruction, Program
from lmql_like.runtime.awaiter import Awaiter
from lmql_like.runtime.environment import Environment
from lmql_like.runtime.places import place_of
from lmql_like.runtime.program_state import Manager, ProgramState, begin_iteration
from lmql_like.runtime.steps import Done, Fill, Hole, Options, Step
from lmql_like.source import Span, is_unicode

__all__ = ["Stretch"]


class _Return(Exception):  # noqa: N818 - it ends a program, nothing is wrong
    """The program ended."""


class Stretch:
    """One stretch of a program, from a state to the next hole or the end.

    Args:
        program: what runs.
        state: where it begins; it is not changed, but its values are: give a copy.
        namespace: becomes the names of the program while it runs.
        awaiter: runs its coroutines.
        environment: its built-in names.
        max_instructions: how many may run, if limited.
    """

    def __init__(
        self,
        program: Program,
        state: ProgramState,
        namespace: dict[str, Any],
        awaiter: Awaiter,
        environment: Environment,
        max_instructions: int | None,
    ) -> None:
        self.program = program
        self.start = state
        self.names = namespace
        self.awaited = awaiter
        self.environment = environment
        self.max_instructions = max_instructions
        self.slots: dict[int, Any] = dict(state.slots)
        self.counter = state.counter
        self.text = ""
        self.value: Any = None

    def go(self) -> Step:
        """Run to the next hole or to the end."""
        self.names.clear()
        self.names.update(self.start.names)
        self.names["__builtins__"] = self.environment.builtins
        self.environment.written = lambda: self.text
        self.names["__name__"] = "__query__"
        self.names[AWAITED] = self.awaited
        instructions, count = self.program.instructions, 0
        while self.counter < len(instructions):
            step = instructions[self.counter]
            if isinstance(step, ir.Ask):
                return self._wait(step)
            count += 1
            self._check_count(count, step)
            self.counter += 1
            try:
                self._perform(step)
            except _Return:
                break
            except Exception as error:  # noqa: BLE001 - the author's code may raise anything
                self._handle(step, error)
        return Done(self._state(len(instructions), ()), self.text, self.value)

    def _state(self, counter: int, pending: tuple[Constraint, ...]) -> ProgramState:
        hidden = ("__builtins__", "__name__", AWAITED)
        return replace(
            self.start,
            prompt=self.start.prompt + self.text,
            names={name: value for name, value in self.names.items() if name not in hidden},
            slots=self.slots,
            counter=counter,
            pending=pending,
        )

    def _check_count(self, count: int, step: Instruction) -> None:
        limit = self.max_instructions
        if limit is not None and count > limit:
            raise RunError(
                "R104",
                f"the program ran {limit} instructions without reaching a hole",
                source=self.program.source,
                span=step.span,
                label="it was here",
                help="does a loop never end?",
            )

    def _handle(self, step: Instruction, error: Exception) -> None:
        """Go on where the program handles an exception, or raise a RunError."""
        if step.handler is not None:
            handler = self.program.handlers[step.handler]
            self.slots[handler.slot] = error
            self.counter = handler.target
            return
        if isinstance(error, LmqlLikeError):  # of another query that this one runs
            raise error
        message = str(error)
        raise RunError(
            "R101",
            f"{type(error).__name__}: {message}" if message else type(error).__name__,
            source=self.program.source,
            span=place_of(error, self.program.source, self.names) or step.span,
            label="raised here",
        ) from error

    # Holes

    def _wait(self, step: ir.Ask) -> Fill:
        """Bind the constraints of the hole that begins; let the others wait."""
        hole = step.hole
        pending = [c for c in self.start.pending if c not in hole.constraints]
        later: list[Constraint] = []
        bound: list[tuple[Formula, Span]] = []
        for constraint in (*hole.constraints, *pending):
            if constraint.holes and hole.name not in constraint.holes:
                later.append(constraint)
            elif self._is_ready(constraint, hole):
                bound.append((self._bind(constraint, hole), constraint.span))
            else:
                self._check_later(constraint, hole)
                later.append(constraint)
        options = self._options(hole)
        state = self._state(self.counter, tuple(later))
        formula = all_of([part for part, _ in bound])
        asked = Hole(hole.name, formula, hole.follow, hole.span, options, tuple(bound))
        return Fill(state, self.text, asked)

    def _is_ready(self, constraint: Constraint, hole: HoleCall) -> bool:
        """Tell whether a constraint can be bound now that a hole begins."""
        filled = all(name == hole.name or name in self.names for name in constraint.holes)
        return filled and constraint.can_begin(hole.name)

    def _check_later(self, constraint: Constraint, hole: HoleCall) -> None:
        """Raise where a constraint cannot wait for the hole that it reads."""
        subjects = {test.subject for test in constraint.tests()}
        unfilled = [name for name in constraint.holes - {hole.name} if name not in self.names]
        for name in sorted(set(unfilled) - subjects):
            raise RunError(
                "R105",
                f"a condition on '{hole.name}' reads '{name}', which is not filled",
                source=self.program.source,
                span=constraint.span,
                label=f"'{name}' has no value yet",
            )

    def _options(self, hole: HoleCall) -> Options | None:
        """Return the values that a distribution over the hole is asked for."""
        asked = hole.distribution
        if asked is None:
            return None
        try:
            values = asked.values.listed(self._operand(asked.values.operand))
        except OperandError as error:
            raise self._wrong_operand(error) from None
        return Options(tuple(values), asked.all_tokenizations)

    def _wrong_operand(self, error: OperandError) -> RunError:
        return RunError(
            "R102",
            error.message,
            source=self.program.source,
            span=error.span,
            label="wrong kind of value",
            help=error.hint,
        )

    def _bind(self, constraint: Constraint, hole: HoleCall) -> Formula:
        source = self.program.source
        binding = Binding(hole.name, self._operand, self._text_of)
        try:
            return constraint.bind(binding)
        except OperandError as error:
            raise self._wrong_operand(error) from None
        except GrammarError as error:
            line, column = source.position(constraint.span.start)
            error.help = (
                error.help or f"it comes from the condition at {source.name}:{line}:{column}"
            )
            raise error.located(source, constraint.span) from None

    def _operand(self, code: Code) -> Any:
        """Return the value of an operand; what it raises is the author's."""
        try:
            return self._evaluate(code)
        except Exception as error:
            raise RunError(
                "R101",
                f"{type(error).__name__}: {error}",
                source=self.program.source,
                span=code.span,
                label="raised here",
            ) from error

    def _text_of(self, name: str) -> str:
        value = self.names[name]
        return value if isinstance(value, str) else self.start.texts.get(name, str(value))

    # Python

    def _evaluate(self, code: Code) -> Any:
        """Run a piece of the author's Python; return its value."""
        value = eval(code.compiled, self.names)  # noqa: S307 - it is the author's program
        return self.awaited(value) if code.is_coroutine else value

    def _assign(self, code: Code, value: Any) -> None:
        """Assign a value as the author's target says."""
        self.names[ITEM] = value
        try:
            self._evaluate(code)
        finally:
            self.names.pop(ITEM, None)

    def _insert(self, part: str | Inset) -> str:
        """Return a piece of text, its value formatted as Python's f-strings do."""
        if isinstance(part, str):
            return part
        value = self._evaluate(part.code)
        convert: dict[str, Callable[[Any], Any]] = {"r": repr, "s": str, "a": ascii}
        if part.conversion:
            value = convert[part.conversion](value)
        return format(value, "".join(self._insert(inner) for inner in part.format))

    def _no_unicode(self, text: str, span: Span) -> RunError:
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

    def _perform(self, step: Instruction) -> None:
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
        self._evaluate(step.code)

    @_do.register
    def _(self, step: ir.Say) -> None:
        for part in step.parts:
            text = self._insert(part)
            if not text.isascii() and not is_unicode(text):
                span = step.span if isinstance(part, str) else part.code.span
                raise self._no_unicode(text, span)
            self.text += text

    @_do.register
    def _(self, step: ir.Goto) -> None:
        self.counter = step.target

    @_do.register
    def _(self, step: ir.Branch) -> None:
        if not self._evaluate(step.test):
            self.counter = step.target

    @_do.register
    def _(self, step: ir.Iterate) -> None:
        self.slots[step.slot] = begin_iteration(self._evaluate(step.iterable))

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
        manager = self._evaluate(step.manager)
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
        kind = self._evaluate(step.kind)
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
        self.slots[step.slot] = self._evaluate(step.code)

    @_do.register
    def _(self, step: ir.Select) -> None:
        self._evaluate(step.code)
        self.counter = step.targets[self.names.pop(CASE, -1)]

    @_do.register
    def _(self, step: ir.Return) -> None:
        self.value = None if step.slot is None else self.slots[step.slot]
        raise _Return
