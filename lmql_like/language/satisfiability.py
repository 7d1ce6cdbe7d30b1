"""Refuse holes that no text can fill, as far as that shows before the query runs.

Constraints whose operands are all written out, and that are about one hole only, are
bound at once and compiled; an empty automaton is an error. Constraints that read
variables or other holes are checked when the hole begins (a dead end, if none fits).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from lmql_like.errors import GrammarError, QueryError
from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.formulas import Formula, all_of
from lmql_like.language.constraints import Binding, Constraint, Given, Relation
from lmql_like.language.custom import Applied
from lmql_like.language.program import HoleCall
from lmql_like.source import Source, Span

__all__ = ["check_satisfiable", "is_known"]


def check_satisfiable(hole_calls: Iterable[HoleCall], source: Source) -> None:
    """Check the holes of a program.

    Raises:
        QueryError: Q211 where no text can fill a hole.
        GrammarError: G104 and G2 at the constraint.
    """
    checked: set[tuple[Formula, ...]] = set()
    for call in hole_calls:
        known = [c for c in call.constraints if is_known(c, call.name)]
        if not known:
            continue
        binding = Binding(call.name, lambda code: code.literal, lambda name: name)
        formulas = tuple(constraint.bind(binding) for constraint in known)
        if formulas in checked:
            continue
        checked.add(formulas)
        _check(call, known, formulas, source)


def _check(
    call: HoleCall, known: list[Constraint], formulas: tuple[Formula, ...], source: Source
) -> None:
    span = reduce(Span.to, (constraint.span for constraint in known))
    try:
        is_empty = compile_formula(all_of(formulas)).is_empty()
    except GrammarError as error:
        raise error.located(source, span) from None
    if is_empty:
        raise QueryError(
            "Q211",
            f"no text can fill the hole '{call.name}'",
            source=source,
            span=known[0].span if len(known) == 1 else span,
            label="these conditions exclude each other" if len(known) > 1 else "never true",
        )


def is_known(constraint: Constraint, hole: str) -> bool:
    """Tell whether a constraint is about this hole only and reads nothing."""
    if isinstance(constraint, (Given, Relation, Applied)) or constraint.holes != {hole}:
        return False
    if constraint.parts:
        return all(is_known(part, hole) for part in constraint.parts)
    return all(test.operand.is_literal for test in constraint.tests())
