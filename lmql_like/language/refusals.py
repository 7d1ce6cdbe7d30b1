"""What a `where` clause cannot demand, and how that is said."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn

from lmql_like.errors import GrammarError, QueryError, did_you_mean
from lmql_like.language.code import Code
from lmql_like.language.constraints import Constraint, OperandError
from lmql_like.language.embedded import span_of
from lmql_like.language.known_types import import_hint
from lmql_like.language.names import reads
from lmql_like.language.nodes import Hole
from lmql_like.language.operators import OPERATORS
from lmql_like.source import Source, Span

__all__ = ["Refusal", "check_literals", "not_followed"]


class Refusal:
    """Raises the errors of conditions, one method a kind.

    Args:
        source: the program.
        holes: its holes, each with its occurrences.
        known: every other name that has a meaning in it.
    """

    def __init__(
        self, source: Source, holes: Mapping[str, Sequence[Hole]], known: Collection[str]
    ) -> None:
        self.source = source
        self.holes = holes
        self.known = known

    def name(self, name: ast.Name) -> NoReturn:
        """Raise for a name that was meant to be a hole."""
        hint = did_you_mean(name.id, self.holes)
        if hint:
            nearest = hint.split("'")[1]
            line = self.source.position(self.holes[nearest][0].span.start)[0]
            hint += f" It is filled on line {line}."
        raise QueryError(
            "Q104",
            f"where-clause names an unknown hole '{name.id}'",
            source=self.source,
            span=span_of(self.source, name),
            label="no hole of this name is in scope",
            help=hint,
        )

    def type(self, name: ast.Name) -> NoReturn:
        """Raise for a name in a type that has no value."""
        raise QueryError(
            "Q102",
            f"the name '{name.id}' has no value",
            source=self.source,
            span=span_of(self.source, name),
            label="no type of this name is in scope",
            help=import_hint(name.id) or did_you_mean(name.id, self.known),
        )

    def tokens(self, place: ast.AST | Span) -> NoReturn:
        """Raise for tokens that would have to be counted once their hole is filled."""
        raise QueryError(
            "Q210",
            "tokens are counted in a condition over several holes",
            source=self.source,
            span=place if isinstance(place, Span) else span_of(self.source, place),
            label="they are unknown once the hole is filled",
            help="join it to the rest of the where-clause with 'and', or count characters with len",
        )

    def anything(self, tree: ast.expr, hint: str = "") -> NoReturn:
        """Raise for a condition that no operator is about."""
        holes = sorted(name.id for name in reads(tree) if name.id in self.holes)
        raise QueryError(
            "Q201",
            "this condition cannot be enforced while a hole is filled",
            source=self.source,
            span=span_of(self.source, tree),
            label=f"no operator says this about '{holes[0]}'" if holes else "",
            help=hint or "write a function that checks it when the hole is filled: where f(X)",
        )

    def function(self, tree: ast.Call, function: ast.Name) -> NoReturn:
        """Raise for a function of a hole, which may be a misspelt operator."""
        hint = did_you_mean(function.id.upper(), OPERATORS)
        if hint and function.id not in self.known and not hasattr(builtins, function.id):
            raise QueryError(
                "Q202",
                f"there is no operator '{function.id}'",
                source=self.source,
                span=span_of(self.source, function),
                label="unknown operator",
                help=hint,
            )
        self.anything(tree)

    def grammar(self, place: Span, problem: str) -> NoReturn:
        """Raise for grammars that cannot be followed together, or not at all."""
        raise QueryError(
            "Q213",
            problem,
            source=self.source,
            span=place,
            label="whether any text is left cannot be decided",
            help="write one grammar of what is allowed",
        )

    def operator(self, name: str, expected: str, place: ast.AST, hint: str = "") -> NoReturn:
        """Raise for an operator with the wrong arguments."""
        raise QueryError(
            "Q203",
            f"{name} is not used as an operator is",
            source=self.source,
            span=span_of(self.source, place),
            label=f"{name} expects {expected}",
            help=hint,
        )

    def later(self, name: str, place: ast.AST) -> NoReturn:
        """Raise for an operator that is not supported yet."""
        raise QueryError(
            "Q205",
            f"the operator '{name}' is not supported yet",
            source=self.source,
            span=span_of(self.source, place),
            help="let a function in front of the hole's name return lmql_like.Rewritten",
        )

    def distribution(self, place: ast.AST | Span, problem: str, hint: str = "") -> NoReturn:
        """Raise for a `distribution` clause that asks for what is not there."""
        raise QueryError(
            "Q056",
            problem,
            source=self.source,
            span=place if isinstance(place, Span) else span_of(self.source, place),
            help=hint,
        )

    def stop(self, place: ast.AST) -> NoReturn:
        """Raise for STOPS_BEFORE where it may or may not hold."""
        raise QueryError(
            "Q204",
            "STOPS_BEFORE below 'or' or 'not'",
            source=self.source,
            span=span_of(self.source, place),
            label="whether to cut the phrase off would be open",
            help="join it to the rest of the where-clause with 'and', or use STOPS_AT",
        )


def not_followed(source: Source, place: Span, hole: str) -> QueryError:
    """Return the error of a condition on a text that is there before it can be followed."""
    return QueryError(
        "Q212",
        f"this condition follows '{hole}' while a model writes it",
        source=source,
        span=place,
        label=f"the text of '{hole}' comes as a whole",
        help="put it on a hole of the query that gives the text",
    )


def check_literals(
    source: Source, constraint: Constraint, read: Callable[[Any, Any], Any] | None = None
) -> None:
    """Bind the tests whose operand is written out; raise for those it does not fit.

    Args:
        source: the program.
        constraint: holds the tests.
        read: what to do with a test and its operand's value instead of binding it.

    Raises:
        QueryError: Q208 where an operand has the wrong type.
        GrammarError: where a pattern is wrong.
    """
    for test in constraint.tests():
        if not test.operand.is_literal:
            continue
        try:
            (read or type(test).formula)(test, test.operand.literal)
        except OperandError as error:
            raise QueryError(
                "Q208",
                error.message,
                source=source,
                span=error.span,
                label="wrong kind of value",
                help=error.hint,
            ) from None
        except GrammarError as error:
            if error.source is not None and getattr(test, "file", "") == error.source.name:
                raise
            raise _at_operand(source, test.operand, error) from None


def _at_operand(source: Source, operand: Code, error: GrammarError) -> GrammarError:
    """Return the error of a written-out pattern, at its place in the query."""
    span, written = operand.span, source.slice(operand.span)
    pattern = error.source.text if error.source else ""
    if pattern and error.span and written.count(pattern) == 1:
        start = span.start + written.index(pattern)
        span = Span(start + error.span.start, start + max(error.span.end, error.span.start + 1))
    return GrammarError(
        error.code, error.message, source=source, span=span, label=error.label, help=error.help
    )
