"""Steps through a program: from one hole to the next.

    interpreter = Interpreter(program)
    step = interpreter.start({"country": "France"})
    while isinstance(step, Fill):
        step = interpreter.fill(step.state, " Paris")     # as often as one likes
    step.value, step.state.variables

`fill` does not change the state it goes on from, so a search may fill one hole in many
ways. The interpreter has one namespace for each depth of nested queries, which a
program's functions see as their globals; it holds the names of the state that runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lmql_like.errors import RunError
from lmql_like.language.parameters import bind_arguments
from lmql_like.language.program import Ask, Program
from lmql_like.runtime.awaiter import Awaiter
from lmql_like.runtime.distributions import Distribution
from lmql_like.runtime.environment import Environment
from lmql_like.runtime.hooks import remembering
from lmql_like.runtime.nesting import DefinedQuery
from lmql_like.runtime.program_state import Copier, ProgramState, objects_in
from lmql_like.runtime.steps import DeadEnd, Done, Fill, Hole, Step
from lmql_like.runtime.stretch import Stretch

__all__ = ["DeadEnd", "Done", "Fill", "Hole", "Interpreter", "Step"]


class Interpreter:
    """Runs one program; every run of it may have its own.

    Args:
        program: what to run.
        scope: the values of the names that the program reads from the scope it was
            written in; only those it was compiled to capture.
        max_instructions: how many instructions may run between two holes, if limited.
        namespace: becomes the names of the program while it runs; programs that go on
            behind each other share one, since their functions look names up there.

    Attributes:
        environment: its built-in names, and what it may ask of the run it is in.
    """

    def __init__(
        self,
        program: Program,
        *,
        scope: Mapping[str, Any] | None = None,
        max_instructions: int | None = None,
        namespace: dict[str, Any] | None = None,
    ) -> None:
        self.program = program
        self.max_instructions = max_instructions
        self._scope = scope or {}
        self._namespaces: list[dict[str, Any]] = [{} if namespace is None else namespace]
        self._awaiter = Awaiter()
        self.environment = Environment()
        self.environment.load = self._load_library

    def start(
        self, arguments: Mapping[str, Any] | None = None, after: ProgramState | None = None
    ) -> Step:
        """Run the program up to its first hole.

        The caller's containers are copied, so that the program cannot change them.

        Args:
            arguments: the values of its parameters.
            after: the state in which another program ended; this one goes on with its
                names, variables and prompt.

        Raises:
            QueryError: Q401, Q402 for arguments that are missing or unknown.
            RunError: where the author's code raises.
        """
        values = bind_arguments(self.program.parameters, arguments or {})
        outer = {name: self._scope[name] for name in self.program.captured if name in self._scope}
        given = tuple(objects_in([*outer.values(), *values.values()]))
        if after is None:
            names = Copier(given).copy(outer | values)
            return self._run(ProgramState(names=names, shared=given, program=self.program))
        shared = (*after.shared, *given)
        names = Copier(shared).copy({**after.names, **outer, **values})
        state = replace(after, names=names, shared=shared, counter=0, slots={}, pending=())
        return self._run(replace(state, program=self.program))

    def fill(self, state: ProgramState, raw: str, distribution: Distribution | None = None) -> Step:
        """Give the hole that a state waits for its text, and run to the next one.

        Args:
            state: the state of a `Fill`; it is unchanged and may be filled again.
            raw: the hole's text, without a phrase it stops before.
            distribution: what was found over the hole's values, if it was asked for.

        Raises:
            RunError: where the author's code raises, or the text has no value of the
                hole's type.
        """
        program = state.program or self.program
        instructions = program.instructions
        step = instructions[state.counter] if state.counter < len(instructions) else None
        if not isinstance(step, Ask):
            raise RunError("R106", "the program is done and waits for no hole")
        copied = state.copied(Copier(state.shared))
        noted = _noted(state.distributions, step.hole.name, distribution)
        with remembering(self.environment.memory):
            return self._stretch(replace(copied, distributions=noted)).fill(step, raw)

    def observe(self, step: Fill, text: str) -> Fill:
        """Let the hole's decorators see its text so far.

        Raises:
            RunError: where the author's code raises.
        """
        state = step.state.copied(Copier(step.state.shared))
        with remembering(self.environment.memory):
            return replace(step, state=self._stretch(state).observe(text))

    def _run(self, state: ProgramState) -> Step:
        with remembering(self.environment.memory):
            return self._stretch(state).go()

    def _stretch(self, state: ProgramState) -> Stretch:
        return Stretch(
            self.program,
            state,
            self._namespaces,
            self._awaiter,
            self.environment,
            self.max_instructions,
        )

    def _load_library(self, program: Program) -> Mapping[str, Any]:
        """Run what a query file begins with; return its names, which its functions see too."""
        prologue = replace(program, instructions=program.instructions[: program.prologue])
        namespaces: list[dict[str, Any]] = []
        state = ProgramState(program=prologue)
        with self.environment.kept():
            Stretch(
                prologue,
                state,
                namespaces,
                self._awaiter,
                self.environment,
                self.max_instructions,
            ).go()
        names = namespaces[0]
        for name, value in names.items():
            if isinstance(value, DefinedQuery) and value.owner is prologue:
                names[name] = replace(value, home=names)
        return names


def _noted(
    known: Mapping[str, Distribution], name: str, found: Distribution | None
) -> Mapping[str, Distribution]:
    return known if found is None else {**known, name: found}
