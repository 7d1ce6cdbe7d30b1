"""Conditions of the author's own: checked functions, and operators that mask.

    f(X)            any function: called when the hole has been filled
    @constraint     a class; `Name(X, a, b)` is `Name(a, b)` about the text of X:
      forward(text)           whether a text satisfies it
      final(text, value)      "fin" where no longer text has another value, else "var"
      follow(text, token)     the value of text + token; `forward` of it, if not given
    or a byte recognizer, which becomes part of the hole's automaton:
      start(), step(state, byte), is_accepting(state)

Forward, follow and final are those of Beurer-Kellner et al., "Prompting Is Programming"
(PLDI 2023), section 5: a token is masked where the value behind it is false and final.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from lmql_like.errors import GrammarError
from lmql_like.grammars.formulas import FALSE, TRUE, And, Formula, Matches, Not, Or
from lmql_like.grammars.regex.nodes import ANY_TEXT, Finite
from lmql_like.language.code import Code
from lmql_like.language.constraints import Binding, Constraint, OperandError
from lmql_like.source import Span

__all__ = ["Applied", "Checked", "Watched", "constraint", "is_followed"]

_MARK = "__lmql_like_constraint__"
_MOST_STATES = 5_000

Class = TypeVar("Class", bound=type)


def constraint(operator: Class) -> Class:
    """Make a class an operator of conditions.

    Raises:
        TypeError: it has neither `forward` nor `start`, `step` and `is_accepting`.
    """
    recognizer = all(hasattr(operator, name) for name in ("start", "step", "is_accepting"))
    if not isinstance(operator, type) or not (recognizer or hasattr(operator, "forward")):
        raise TypeError("@constraint expects a class with forward, or with start, step, accepting")
    setattr(operator, _MARK, "recognizer" if recognizer else "operator")
    return operator


@dataclass(frozen=True, eq=False)
class Checked(Formula):
    """What a piece of Python says about a hole's value once it is there."""

    call: Code

    def __deepcopy__(self, memo: object) -> Checked:
        """Return the condition itself: hypotheses share it."""
        return self


@dataclass(frozen=True, eq=False)
class Watched(Formula):
    """What an operator of the author's says about a text and all that begins with it."""

    operator: Any

    def __deepcopy__(self, memo: object) -> Watched:
        """Return the condition itself: hypotheses share it."""
        return self

    def value(self, text: str) -> bool:
        """Return whether a text satisfies it."""
        return bool(self.operator.forward(text))

    def behind(self, text: str, token: str) -> tuple[bool, bool]:
        """Return its value behind one more token, and whether that is final."""
        follow = getattr(self.operator, "follow", None)
        longer = text + token
        value = self.operator.forward(longer) if follow is None else follow(text, token)
        final = getattr(self.operator, "final", None)
        return bool(value), final is not None and final(longer, value) in ("fin", True)


@dataclass(frozen=True)
class Applied(Constraint):
    """`f(X, a)`: a function or an operator of the author's, about one hole or several.

    Attributes:
        function: what is called; None for a method of the hole's value.
        subject: the hole that is the first argument by itself, if one is.
        operands: the arguments behind it.
        call: the whole call.
        reads: the holes that it reads.
    """

    function: Code | None
    subject: str | None
    operands: tuple[Code, ...]
    call: Code
    reads: frozenset[str]
    span: Span

    @property
    def holes(self) -> frozenset[str]:
        """The holes that the call reads."""
        return self.reads

    @property
    def subjects(self) -> frozenset[str]:
        """The same: the last of them to be filled is what it is about."""
        return self.reads

    def bind(self, binding: Binding) -> Formula:
        """Return a formula of the hole that begins, TRUE or FALSE if all were filled before."""
        function = None if self.function is None else binding.evaluate(self.function)
        kind = getattr(function, _MARK, None)
        if binding.hole not in self.reads:
            if kind is None:
                return TRUE if binding.evaluate(self.call) else FALSE
            formula = self._operator(function, kind, binding)
            return TRUE if _holds(formula, binding.text_of(self.subject or "")) else FALSE
        if kind is None:
            return Checked(self.call)
        if self.subject != binding.hole:
            raise OperandError(
                "an operator's first argument is the hole that is filled last",
                self.span,
                f"write it about '{binding.hole}'",
            )
        return self._operator(function, kind, binding)

    def _operator(self, function: Any, kind: str, binding: Binding) -> Formula:
        if self.subject is None:
            raise OperandError("an operator's first argument is a hole", self.span)
        operator = function(*[binding.evaluate(operand) for operand in self.operands])
        return Watched(operator) if kind == "operator" else _recognized(operator)


def _holds(formula: Formula, text: str) -> bool:
    if isinstance(formula, Watched):
        return formula.value(text)
    from lmql_like.grammars.compiler import compile_formula  # numba is slow to import

    return bool(compile_formula(formula).matches(text))


def is_followed(formula: Formula) -> bool:
    """Tell whether anything in a formula is the author's own, no part of an automaton."""
    if isinstance(formula, Checked | Watched):
        return True
    if isinstance(formula, Not):
        return is_followed(formula.part)
    return isinstance(formula, And | Or) and any(map(is_followed, formula.parts))


def _recognized(operator: Any) -> Formula:
    """Return the texts that a byte recognizer accepts."""
    node = _automaton(operator.start(), operator.step, operator.is_accepting)
    return Matches(node) & Matches(ANY_TEXT)


def _automaton(
    start: Any,
    step: Callable[[Any, int], Any],
    is_accepting: Callable[[Any], bool],
) -> Finite:
    """Return the finite automaton of a recognizer: every state that can be reached."""
    numbers: dict[Any, int] = {start: 0}
    order = [start]
    columns: tuple[list[int], list[int], list[int], list[int]] = ([], [], [], [])
    for number, state in enumerate(order):  # grows while it is walked
        ranges: list[list[int]] = []
        for byte in range(256):
            following = step(state, byte)
            if following is None:
                continue
            target = numbers.get(following)
            if target is None:
                target = numbers[following] = len(order)
                order.append(following)
            if ranges and ranges[-1][1:] == [byte - 1, target]:
                ranges[-1][1] = byte
            else:
                ranges.append([byte, byte, target])
        for low, high, target in ranges:
            for column, value in zip(columns, (number, low, high, target), strict=True):
                column.append(value)
        if len(order) > _MOST_STATES:
            raise GrammarError(
                "G202",
                f"the recognizer has more than {_MOST_STATES} states",
                label="it may have endlessly many",
                help="write a class with forward and final, which need not be finite",
            )
    accepting = tuple(number for number, state in enumerate(order) if is_accepting(state))
    return Finite(len(order), columns, accepting)
