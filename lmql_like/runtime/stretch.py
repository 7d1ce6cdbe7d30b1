"""One stretch of a program, instruction by instruction, through the queries it nests.

Rules: the author's code may raise anything, and the program's own `except` clauses see
it first, those around a nested query included. A nested query that returns a value
leaves no text but the value's; one that does not leaves all it wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from lmql_like.errors import LmqlLikeError, QueryError, RunError
from lmql_like.grammars.formulas import TRUE, all_of, split_sentences
from lmql_like.language import program as ir
from lmql_like.language.code import AWAITED, NESTED, QUERY_MODULE, SENTENCES, Code
from lmql_like.language.operators import followed_tests
from lmql_like.language.program import HoleCall, Instruction, Program, RoleTag
from lmql_like.language.refusals import not_followed
from lmql_like.runtime.author_conditions import holds, split_followed
from lmql_like.runtime.awaiter import Awaiter
from lmql_like.runtime.environment import Environment
from lmql_like.runtime.hole_binder import HoleBinder
from lmql_like.runtime.hooks import Rewritten
from lmql_like.runtime.machine import ReturnSignal
from lmql_like.runtime.nesting import MAX_DEPTH, Invocation, make_invocation
from lmql_like.runtime.places import place_of
from lmql_like.runtime.program_state import Begun, Copier, Frame, ProgramState, objects_in
from lmql_like.runtime.readings import read_hole
from lmql_like.runtime.steps import Begin, DeadEnd, Done, Edit, End, Fill, Hole, Step, Write
from lmql_like.source import is_unicode

__all__ = ["Stretch"]

_HOOKS = -1
"""The slot that keeps the decorators of the hole that waits."""
_FOLLOWED = -2
"""The slot that keeps what the author's own conditions demand of the hole that waits."""
_READING = -3
"""The slot that keeps how the text of the hole that waits becomes its value."""
_HIDDEN = ("__builtins__", "__name__", AWAITED, NESTED, SENTENCES)


class Stretch(HoleBinder):
    """One stretch of a program, from a state to the next hole or the end.

    Args:
        program: what runs where nothing is nested.
        state: where it begins; it is not changed, but its values are: give a copy.
        namespaces: become the names of the programs while they run, the outermost's first.
        awaiter: runs their coroutines.
        environment: their built-in names.
        max_instructions: how many may run, if limited.
    """

    def __init__(
        self,
        program: Program,
        state: ProgramState,
        namespaces: list[dict[str, Any]],
        awaiter: Awaiter,
        environment: Environment,
        max_instructions: int | None,
    ) -> None:
        self.program = state.program or program
        self.start = state
        self.awaited = awaiter
        self.environment = environment
        self.max_instructions = max_instructions
        self.callers = list(state.callers)
        self.variables = state.variables
        self.texts = state.texts
        self.pending = state.pending
        self.slots = dict(state.slots)
        self.counter = state.counter
        self.prompt = state.prompt
        self.shared = state.shared
        self.messages = state.messages
        self.edits: list[Edit] = []
        self.value: Any = None
        self._namespaces = namespaces
        values = [*(frame.names for frame in state.callers), state.names]
        for depth, names in enumerate(values):
            self.names = self._open_names(depth, names)
        environment.written = lambda: self.edits
        environment.names_of = self._home_of

    def go(self) -> Step:
        """Run to the next hole or to the end."""
        count = 0
        while True:
            instructions = self.program.instructions
            if self.counter >= len(instructions):
                step = self._end()
            elif isinstance(asked := instructions[self.counter], ir.Ask):
                step = self._ask(asked)
            else:
                count += 1
                self._check_count(count, asked)
                step = self._step(asked)
            if step is not None:
                return step

    def fill(self, asked: ir.Ask, text: str) -> Step:
        """Give the hole that the state waits for its text, and run to the next one."""
        self.prompt += text
        try:
            reading = self.slots.pop(_READING, None)
            value = read_hole(asked.hole, reading, text, self.program.source)
        except ValueError:  # the type's own code refuses the text
            return DeadEnd(self._state(), self._text, tuple(self.edits))
        except LmqlLikeError:
            raise
        except Exception as error:  # noqa: BLE001 - a type's own code may raise anything
            self._handle(asked, error)
            return self.go()
        self._name(asked.hole, value, text)
        return self._finish(asked, value, text) or self.go()

    def observe(self, text: str) -> ProgramState:
        """Let the decorators of the hole that waits see its text so far."""
        asked = self.program.instructions[self.counter]
        for hook in self.slots.get(_HOOKS, ()):
            if hook.stream is not None:
                try:
                    self.awaited(hook.stream(text))
                except Exception as error:
                    raise self._unhandled(asked, error) from error
        return self._state()

    def say(self, text: str) -> None:
        """Append text to the prompt."""
        if not text:
            return
        self.prompt += text
        last = self.edits[-1] if self.edits else None
        if isinstance(last, Write) and last.hole is None:
            self.edits[-1] = Write(last.text + text)
        else:
            self.edits.append(Write(text))

    def begin_message(self, tag: RoleTag) -> None:
        """Append what the model's chat template writes in front of a message."""
        starts = [*(message.start for message in self.messages[1:]), len(self.prompt)]
        written = [
            (message.role, self.prompt[message.content : end])
            for message, end in zip(self.messages, starts, strict=False)
        ]
        start = len(self.prompt)
        try:
            self.say(self.environment.head_of_message(written, tag.role, self.prompt))
        except LmqlLikeError as error:
            raise error.located(self.program.source, tag.span) from None
        self.messages = (*self.messages, Begun(tag.role, start, len(self.prompt)))

    def _step(self, instruction: Instruction) -> Step | None:
        self.counter += 1
        try:
            self.perform(instruction)
        except ReturnSignal:
            return self._end()
        except Exception as error:  # noqa: BLE001 - the author's code may raise anything
            self._handle(instruction, error)
        return None

    # Names and states

    def _open_names(self, depth: int, values: Any) -> dict[str, Any]:
        """Return the namespace of a depth, with these values."""
        while len(self._namespaces) <= depth:
            self._namespaces.append({})
        names = self._namespaces[depth]
        values = dict(values)
        names.clear()
        names.update(values)
        names["__builtins__"] = self.environment.builtins
        names["__name__"] = QUERY_MODULE
        names[AWAITED] = self.awaited
        names[NESTED] = make_invocation
        names[SENTENCES] = split_sentences
        return names

    def _state(self) -> ProgramState:
        visible = [
            {name: value for name, value in names.items() if name not in _HIDDEN}
            for names in self._namespaces[: len(self.callers) + 1]
        ]
        callers = zip(self.callers, visible[:-1], strict=True)
        return replace(
            self.start,
            program=self.program,
            variables=self.variables,
            texts=self.texts,
            prompt=self.prompt,
            names=visible[-1],
            slots=self.slots,
            counter=self.counter,
            pending=self.pending,
            callers=tuple(replace(frame, names=names) for frame, names in callers),
            shared=self.shared,
            messages=self.messages,
        )

    @property
    def _text(self) -> str:
        return "".join(edit.text for edit in self.edits if isinstance(edit, Write))

    @property
    def _nested_edits(self) -> tuple[Edit, ...]:
        """What was done, where it is more than one literal text."""
        plain = len(self.edits) == 1 and self.edits[0] == Write(self._text)
        return () if plain else tuple(self.edits)

    # Ways out of a stretch

    def _ask(self, asked: ir.Ask) -> Step | None:
        """Wait for a hole, or begin the query that fills it."""
        hole = self._resolved(asked.hole)
        asked = replace(asked, hole=hole)
        hooks = [self.hook(code) for code in hole.decorators]
        before = (hook.pre for hook in hooks if hook.pre is not None)
        try:
            values = (self.awaited(function(hole.name)) for function in before)
            given = next((value for value in values if value is not None), None)
        except Exception as error:  # noqa: BLE001 - the author's code may raise anything
            self._handle(asked, error)
            return None
        if given is not None:
            return self._put(asked, given)
        is_marked = any(hook.post is not None for hook in hooks)
        if hooks:
            self.slots[_HOOKS] = tuple(hooks)
        if hole.call is not None:
            self._begin(hole, is_marked=is_marked)
            return None
        if is_marked:
            self.edits.append(Begin())
        reading = self.reading(hole)
        if reading is not None:
            self.slots[_READING] = reading
        bound, options = tuple(self.bind(hole)), self.options(hole)
        formula, followed = split_followed(part for part, _ in bound)
        if followed != TRUE:
            self.slots[_FOLLOWED] = followed
        waiting = Hole(
            hole.name,
            formula,
            hole.follow,
            hole.span,
            options,
            bound,
            any(hook.stream is not None for hook in hooks),
            followed,
        )
        return Fill(self._state(), self._text, waiting, self._nested_edits)

    def _put(self, asked: ir.Ask, value: Any) -> Step | None:
        """Fill a hole with a value that no model wrote."""
        text = self._written(value, asked.hole)
        self.prompt += text
        if text:
            self.edits.append(Write(text, asked.hole.name))
        self._name(asked.hole, value, text)
        return self._pass(asked.hole, text)

    def _name(self, hole: HoleCall, value: Any, text: str) -> None:
        """Give a hole's name its value."""
        others = {name: v for name, v in self.variables.items() if name != hole.name}
        self.variables = {**others, hole.name: value}
        self.texts = {**self.texts, hole.name: text}
        self.names[hole.name] = value

    def _pass(self, hole: HoleCall, text: str) -> Step | None:
        """Go on behind a hole, if the text that it got satisfies its conditions."""
        value = self.names.pop(hole.name)
        formula = all_of([part for part, _ in self.bind(hole)])
        self.names[hole.name] = value
        self.counter += 1
        if not holds(formula, text, self._check):
            return DeadEnd(self._state(), self._text, tuple(self.edits))
        return None

    def _finish(self, asked: ir.Ask, value: Any, text: str) -> Step | None:
        """Let the decorators of a hole that a model filled give it another value."""
        hooks = self.slots.pop(_HOOKS, ())
        functions = [hook.post for hook in reversed(hooks) if hook.post is not None]
        followed = self.slots.pop(_FOLLOWED, TRUE)
        if not holds(followed, text, self._check):
            return DeadEnd(self._state(), self._text, tuple(self.edits))
        try:
            value, changed = self._posted(functions, value, text)
        except Exception as error:  # noqa: BLE001 - the author's code may raise anything
            self.edits.append(End(removes_text=False))
            self._handle(asked, error)
            return None
        if functions:
            self.edits.append(End(removes_text=changed != text))
            if changed != text:
                self.prompt = self.prompt[: len(self.prompt) - len(text)] + changed
                self.edits.append(Write(changed, asked.hole.name))
            self._name(asked.hole, value, changed)
        self.counter += 1
        return None

    def _check(self, call: Code) -> bool:
        """Tell whether a function of the author's agrees with the hole's value."""
        return bool(self.operand(call))

    def _posted(
        self, functions: Iterable[Callable[[Any], Any]], value: Any, text: str
    ) -> tuple[Any, str]:
        """Return a value and its text after some decorators, the innermost first."""
        for function in functions:
            value = self.awaited(function(value))
            if isinstance(value, Rewritten):
                value, text = value.value, value.text
        return value, text

    def _end(self) -> Step | None:
        """End the program that runs: a nested one gives its value to its hole."""
        value, self.value = self.value, None
        if self.callers:
            return self._return(value)
        self.counter, self.pending = len(self.program.instructions), ()
        return Done(self._state(), self._text, value, self._nested_edits)

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
        """Go on where a program handles an exception, or raise a RunError."""
        unhandled = self._unhandled(step, error)
        while step.handler is None:
            if not self.callers:
                raise unhandled from (None if unhandled is error else error)
            self._leave(removes_text=True)
            step = self.program.instructions[self.counter]
        handler = self.program.handlers[step.handler]
        self.slots[handler.slot] = error
        self.counter = handler.target

    def _unhandled(self, step: Instruction, error: Exception) -> LmqlLikeError:
        """Return what is raised where no program handles an exception."""
        if isinstance(error, LmqlLikeError):  # of another query that this one runs
            return error
        message = str(error)
        return RunError(
            "R101",
            f"{type(error).__name__}: {message}" if message else type(error).__name__,
            source=self.program.source,
            span=place_of(error, self.program.source, self.names) or step.span,
            label="raised here",
        )

    # Nested queries

    def _resolved(self, hole: HoleCall) -> HoleCall:
        """Return a hole, now that it is known whether its annotation is a type or a query."""
        if hole.call is None or hole.typed is None:
            return hole
        if self.operand(hole.call) is None:
            return replace(hole, call=None, constraints=(hole.typed, *hole.constraints))
        source = self.program.source
        for constraint in hole.constraints:
            for test in followed_tests(constraint, hole.name):
                raise not_followed(source, test.span, hole.name)
        if hole.distribution is not None:
            problem = f"a query fills the hole '{hole.name}'"
            raise QueryError("Q056", problem, source=source, span=hole.distribution.span)
        return replace(hole, typed=None)

    def _begin(self, hole: HoleCall, *, is_marked: bool) -> None:
        """Begin the query that fills a hole."""
        if hole.call is None:
            raise TypeError(hole)
        source = self.program.source
        call: Invocation = self.operand(hole.call)
        try:
            self.environment.check_settings(call)
        except LmqlLikeError as error:
            raise error.located(source, hole.call.span) from None
        if len(self.callers) >= MAX_DEPTH:
            raise RunError(
                "R109",
                f"more than {MAX_DEPTH} queries wait for each other",
                source=source,
                span=hole.call.span,
                help="does the recursion never end?",
            )
        names = {**self._captured(call), **call.arguments}
        is_marked = is_marked or call.program.returns_value
        self.callers.append(
            Frame(
                self.program,
                self.variables,
                {},
                self.texts,
                self.counter,
                self.slots,
                self.pending,
                len(self.prompt),
                is_marked,
            )
        )
        if is_marked:
            self.edits.append(Begin())
        self.program, self.counter = call.program, 0
        self.variables, self.texts, self.slots, self.pending = {}, {}, {}, ()
        self.names = self._open_names(len(self.callers), names)

    def _captured(self, call: Invocation) -> dict[str, Any]:
        """Return the names that a query reads from the scope it was written in."""
        captured = call.program.captured
        if call.scope is None:
            home = self._home_of(call.owner)
            return {name: home[name] for name in captured if name in home}
        outer = {name: call.scope[name] for name in captured if name in call.scope}
        self.shared = (*self.shared, *objects_in(list(outer.values())))
        return Copier(self.shared).copy(outer)  # type: ignore[no-any-return]

    def _home_of(self, program: Program | None) -> Mapping[str, Any]:
        """Return the names of a program that runs or waits; the innermost, if it does twice."""
        programs = [*(frame.program for frame in self.callers), self.program]
        depths = [depth for depth, other in enumerate(programs) if other is program]
        return self._namespaces[depths[-1]] if depths else {}

    def _leave(self, *, removes_text: bool) -> int:
        """Go back to the caller; return where the nested query's text began."""
        frame = self.callers.pop()
        self.program, self.counter = frame.program, frame.counter
        self.variables, self.texts = frame.variables, frame.texts
        self.slots, self.pending = dict(frame.slots), frame.pending
        self.names = self._namespaces[len(self.callers)]
        if frame.is_marked:
            self.edits.append(End(removes_text))
        if removes_text:
            self.prompt = self.prompt[: frame.start]
            self.messages = tuple(m for m in self.messages if m.content <= frame.start)
        return frame.start

    def _return(self, value: Any) -> Step | None:
        """Give a nested query's value to its hole, or, if it has none, its text."""
        frame = self.callers[-1]
        written = self.prompt[frame.start :]
        asked = frame.program.instructions[frame.counter]
        if not isinstance(asked, ir.Ask):
            raise TypeError(asked)
        has_value = value is not None
        text = self._written(value, asked.hole) if has_value else written
        hooks = frame.slots.get(_HOOKS, ())
        functions = [hook.post for hook in reversed(hooks) if hook.post is not None]
        if not functions:
            self._leave(removes_text=has_value)
            return self._give(asked, value if has_value else written, text, has_value)
        try:
            value, changed = self._posted(functions, value if has_value else written, text)
        except Exception as error:  # noqa: BLE001 - the author's code may raise anything
            self._leave(removes_text=True)
            self._handle(asked, error)
            return None
        is_new = has_value or changed != text
        self._leave(removes_text=is_new)
        return self._give(asked, value, changed, is_new)

    def _give(self, asked: ir.Ask, value: Any, text: str, is_new: bool) -> Step | None:
        """Fill a hole with a nested query's value; write its text where it is not there."""
        self.slots.pop(_HOOKS, None)
        if is_new:
            self.prompt += text
            if text:
                self.edits.append(Write(text, asked.hole.name))
        self._name(asked.hole, value, text)
        return self._pass(asked.hole, text)

    def _written(self, value: Any, hole: HoleCall) -> str:
        """Return a value as the prompt gets it."""
        text = str(value)
        if not is_unicode(text):
            raise self.no_unicode(text, hole.span)
        return text
