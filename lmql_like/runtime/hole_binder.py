"""Holes that begin: their conditions bound to values, those that must wait kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmql_like.errors import GrammarError, LmqlLikeError, RunError
from lmql_like.grammars.formulas import Formula
from lmql_like.language.code import Code
from lmql_like.language.constraints import Binding, Constraint, OperandError
from lmql_like.language.program import HoleCall
from lmql_like.language.typed import Reading
from lmql_like.runtime.hooks import Hook, hook_of
from lmql_like.runtime.machine import Machine
from lmql_like.runtime.steps import Options
from lmql_like.source import Span

__all__ = ["HoleBinder"]


class HoleBinder(Machine):
    """A machine that knows what its holes have to satisfy.

    Attributes:
        texts: the texts of the holes that were filled.
        pending: constraints that wait for a hole that was not filled yet.
    """

    texts: Mapping[str, str]
    pending: tuple[Constraint, ...]

    def reading(self, hole: HoleCall) -> Reading | None:
        """Return how the text of a hole becomes its value, where it has a type of its own."""
        if hole.typed is None:
            return None
        value = self.operand(hole.typed.operand)
        try:
            return hole.typed.reading(value, self.names)
        except OperandError as error:
            raise self._wrong_operand(error) from None
        except GrammarError as error:
            raise error.located(self.program.source, hole.typed.operand.span) from None

    def bind(self, hole: HoleCall) -> list[tuple[Formula, Span]]:
        """Bind the constraints of the hole that begins, each with its place; keep the others."""
        earlier = [c for c in self.pending if c not in hole.constraints]
        later: list[Constraint] = []
        bound: list[tuple[Formula, Span]] = []
        for constraint in (*hole.constraints, *earlier):
            if constraint.holes and hole.name not in constraint.holes:
                later.append(constraint)
            elif self._is_ready(constraint, hole):
                bound.append((self._bind(constraint, hole), constraint.span))
            else:
                self._check_later(constraint, hole)
                later.append(constraint)
        self.pending = tuple(later)
        return bound

    def _is_ready(self, constraint: Constraint, hole: HoleCall) -> bool:
        """Tell whether a constraint can be bound now that a hole begins."""
        filled = all(name == hole.name or name in self.names for name in constraint.holes)
        return filled and constraint.can_begin(hole.name)

    def _check_later(self, constraint: Constraint, hole: HoleCall) -> None:
        """Raise where a constraint cannot wait for the hole that it reads."""
        subjects = constraint.subjects
        unfilled = [name for name in constraint.holes - {hole.name} if name not in self.names]
        for name in sorted(set(unfilled) - subjects):
            raise RunError(
                "R105",
                f"a condition on '{hole.name}' reads '{name}', which is not filled",
                source=self.program.source,
                span=constraint.span,
                label=f"'{name}' has no value yet",
            )

    def hook(self, code: Code) -> Hook:
        """Return what a decorator of a hole does."""
        decorator = self.operand(code)
        try:
            return hook_of(decorator)
        except TypeError as error:
            raise RunError("R111", str(error), source=self.program.source, span=code.span) from None

    def options(self, hole: HoleCall) -> Options | None:
        """Return the values that a distribution over the hole is asked for."""
        asked = hole.distribution
        if asked is None:
            return None
        try:
            values = asked.values.listed(self.operand(asked.values.operand))
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
        binding = Binding(hole.name, self.operand, self._text_of, self.names)
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

    def operand(self, code: Code) -> Any:
        """Return the value of an operand; what it raises is the author's."""
        try:
            return self.evaluate(code)
        except LmqlLikeError as error:
            raise error.located(self.program.source, code.span) from None
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
        return value if isinstance(value, str) else self.texts.get(name, str(value))
