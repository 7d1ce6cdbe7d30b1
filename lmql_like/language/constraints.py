"""The constraint algebra: what a `where` clause demands.

    Constraint      bind(binding) -> Formula
    ├── All, Either, Negation        and, or, not
    ├── Given                        a condition that names no hole
    ├── Relation                     one test, readable from either of two holes
    └── Test                         one hole against a value: the classes of `operators`

A constraint is bound when a hole begins: operands are evaluated then, once. A test of
the hole that begins becomes a formula over its text; a test of a hole that was filled
before is decided at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.formulas import FALSE, TRUE, Formula, all_of, any_of
from lmql_like.language.code import Code
from lmql_like.source import Span, is_unicode

__all__ = [
    "All",
    "Binding",
    "Constraint",
    "Either",
    "Given",
    "Negation",
    "OperandError",
    "Relation",
    "Test",
]


class OperandError(Exception):
    """A value that an operator cannot take; says where the operand stands."""

    def __init__(self, message: str, span: Span, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.span = span
        self.hint = hint


@dataclass(frozen=True)
class Binding:
    """The moment at which a hole begins.

    Attributes:
        hole: the hole that begins.
        evaluate: gives the value of an operand.
        text_of: gives the text of a hole that was filled before.
        names: those that the program has.
    """

    hole: str
    evaluate: Callable[[Code], Any]
    text_of: Callable[[str], str]
    names: Mapping[str, Any] = field(default_factory=dict)


class Constraint(ABC):
    """Something that texts of holes may or may not satisfy."""

    span: Span

    @property
    def parts(self) -> tuple[Constraint, ...]:
        """The constraints that this one is made of."""
        return ()

    @property
    def holes(self) -> frozenset[str]:
        """The holes that have to be filled, or begin, before this can be bound."""
        return frozenset[str]().union(*(part.holes for part in self.parts))

    @property
    def subjects(self) -> frozenset[str]:
        """The holes that this can wait for."""
        return frozenset[str]().union(*(part.subjects for part in self.parts))

    def can_begin(self, hole: str) -> bool:
        """Tell whether this can be bound when a hole begins.

        It cannot where an operand reads the hole: then it waits for its own subject.
        """
        return all(part.can_begin(hole) for part in self.parts)

    @abstractmethod
    def bind(self, binding: Binding) -> Formula:
        """Return what this demands of the text of the hole that begins.

        Raises:
            OperandError: where an operand's value has the wrong type.
            GrammarError: where a pattern is wrong.
        """

    def tests(self) -> Iterator[Test]:
        """Yield every test in this constraint."""
        for part in self.parts:
            yield from part.tests()


@dataclass(frozen=True)
class All(Constraint):
    """`a and b`."""

    conjuncts: tuple[Constraint, ...]
    span: Span

    @property
    def parts(self) -> tuple[Constraint, ...]:
        """The conjuncts."""
        return self.conjuncts

    def bind(self, binding: Binding) -> Formula:
        """Return the conjunction of the parts' formulas."""
        return all_of([part.bind(binding) for part in self.parts])


@dataclass(frozen=True)
class Either(Constraint):
    """`a or b`."""

    disjuncts: tuple[Constraint, ...]
    span: Span

    @property
    def parts(self) -> tuple[Constraint, ...]:
        """The disjuncts."""
        return self.disjuncts

    def bind(self, binding: Binding) -> Formula:
        """Return the disjunction of the parts' formulas."""
        return any_of([part.bind(binding) for part in self.parts])


@dataclass(frozen=True)
class Negation(Constraint):
    """`not a`."""

    part: Constraint
    span: Span

    @property
    def parts(self) -> tuple[Constraint, ...]:
        """The one part."""
        return (self.part,)

    def bind(self, binding: Binding) -> Formula:
        """Return the complement of the part's formula."""
        return ~self.part.bind(binding)


@dataclass(frozen=True)
class Given(Constraint):
    """A condition of Python's that names no hole: true or false when the hole begins."""

    condition: Code
    span: Span

    def bind(self, binding: Binding) -> Formula:
        """Return TRUE or FALSE, as the condition's value says."""
        return TRUE if binding.evaluate(self.condition) else FALSE


@dataclass(frozen=True)
class Test(Constraint):
    """One hole's text against a value; `operand` may read other holes.

    `reads` names the holes that the operand reads.
    """

    subject: str
    operand: Code
    reads: frozenset[str]
    span: Span

    operator: ClassVar[str] = ""

    @property
    def holes(self) -> frozenset[str]:
        """The subject and the holes that the operand reads."""
        return self.reads | {self.subject}

    @property
    def subjects(self) -> frozenset[str]:
        """The subject alone."""
        return frozenset((self.subject,))

    def can_begin(self, hole: str) -> bool:
        """Tell whether no operand reads the hole."""
        return hole not in self.reads

    def tests(self) -> Iterator[Test]:
        """Yield this test."""
        yield self

    def bind(self, binding: Binding) -> Formula:
        """Return a formula if the subject begins, TRUE or FALSE if it was filled before."""
        demanded = self.demanded(binding)
        if self.subject == binding.hole:
            return demanded
        text = binding.text_of(self.subject)
        if not is_unicode(text):
            raise OperandError(f"the text of '{self.subject}' is not valid Unicode", self.span)
        return TRUE if compile_formula(demanded).matches(text) else FALSE

    def demanded(self, binding: Binding) -> Formula:
        """Return what the test demands of its subject when a hole begins."""
        return self.formula(binding.evaluate(self.operand))

    @abstractmethod
    def formula(self, value: Any) -> Formula:
        """Return what the test demands of its subject, given the operand's value."""

    def refuse(self, value: Any, expected: str, hint: str = "") -> OperandError:
        """Return the error for an operand of the wrong type."""
        shown = repr(value)
        shown = shown if len(shown) <= 40 else shown[:37] + "..."
        kind = type(value).__name__
        return OperandError(
            f"{self.operator} expects {expected}, not {shown} ({kind})", self.operand.span, hint
        )

    def text(self, value: Any) -> str:
        """Return an operand that has to be a string."""
        if not isinstance(value, str):
            raise self.refuse(value, "a string", "convert it with str(...)")
        return self._unicode(value)

    def texts(self, value: Any) -> list[str]:
        """Return an operand that may be one string or several, as a list."""
        if isinstance(value, str):
            return [self._unicode(value)]
        if not isinstance(value, Collection) or isinstance(value, bytes):
            raise self.refuse(value, "a string or a list of strings")
        for item in value:
            if not isinstance(item, str):
                raise self.refuse(item, "strings in the list", "convert them with str(...)")
            self._unicode(item)
        return sorted(value) if isinstance(value, set | frozenset) else list(value)

    def _unicode(self, text: str) -> str:
        """Return a text that has a UTF-8 form; half of a surrogate pair has none."""
        if not text.isascii() and not is_unicode(text):
            raise self.refuse(text, "valid Unicode")
        return text


@dataclass(frozen=True)
class Relation(Constraint):
    """A test over two holes, such as `X == Y`: one reading for each hole as its subject."""

    readings: tuple[Test, ...]
    span: Span

    @property
    def parts(self) -> tuple[Constraint, ...]:
        """The readings."""
        return self.readings

    def can_begin(self, hole: str) -> bool:
        """Tell whether a reading has the hole as its subject, or none reads it."""
        return hole not in self.holes or any(test.subject == hole for test in self.readings)

    def bind(self, binding: Binding) -> Formula:
        """Bind the reading whose subject begins; any of them if none does."""
        matching = [test for test in self.readings if test.subject == binding.hole]
        return (matching or self.readings)[0].bind(binding)
