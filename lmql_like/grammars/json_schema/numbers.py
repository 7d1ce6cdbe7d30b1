"""Conditions on numbers -> automata over the ways to write them.

A condition speaks of values; a JSON number has many spellings: `5`, `5.0`, `-0`. One machine
reads a spelling digit by digit, with one small tracker for each atom, and asks the
condition at the end; nothing is complemented or multiplied out.

Exponents: where nothing but bounds is asked, numbers in scientific notation with one digit
before the point (`1.5e-3`) are decided exactly and other exponents refused; without any
condition every spelling is taken; a plain integer may have an exponent of at most two digits
behind a whole number (`1e6`). Elsewhere exponents are refused: whether `0.00...1e4711` is
whole is no regular question.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from lmql_like.grammars.json_schema.conditions import (
    FALSE,
    TRUE,
    All,
    Condition,
    holds,
)
from lmql_like.grammars.json_schema.number_atoms import (
    Above,
    MultipleOf,
    NumberIn,
    Whole,
    canonical,
)
from lmql_like.grammars.json_schema.number_machine import explore_numbers
from lmql_like.grammars.regex.nodes import Alternation, Choice, Concat, Node, Repeat
from lmql_like.grammars.regex.parser import parse_pattern

__all__ = [
    "ANY_NUMBER",
    "INTEGER",
    "PLAIN_INTEGER",
    "Above",
    "MultipleOf",
    "NumberIn",
    "Whole",
    "number_holds",
    "number_node",
    "numbers_are_empty",
]

ANY_NUMBER: Node = parse_pattern(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+\-]?[0-9]+)?")
INTEGER: Node = parse_pattern(r"-?(0|[1-9][0-9]*)(\.0+)?([eE]\+?[0-9]{1,2})?")
PLAIN_INTEGER: Node = parse_pattern(r"-?(0|[1-9][0-9]*)")
_ZEROS = parse_pattern(r"0*")
_ZERO_FRACTION = Repeat(parse_pattern(r"\.0+"), 0, 1)


def number_holds(condition: Condition, value: Decimal) -> bool:
    """Tell whether a number satisfies a condition."""
    return holds(condition, lambda atom: atom.test(value))  # type: ignore[attr-defined]


def numbers_are_empty(condition: Condition) -> bool:
    """Tell whether no number satisfies a condition."""
    if condition == TRUE or isinstance(condition, (Whole, Above, MultipleOf)):
        return False
    if condition == FALSE:
        return True
    if isinstance(condition, NumberIn):
        return not condition.values
    return not explore_numbers(condition).accepting


def number_node(condition: Condition) -> Node:
    """Return what the numbers that satisfy a condition look like."""
    if condition == TRUE:
        return ANY_NUMBER
    if isinstance(condition, Whole):
        return PLAIN_INTEGER if condition.plain else INTEGER
    if isinstance(condition, NumberIn):
        return _spelled(condition.values)
    if isinstance(condition, All):
        for part in condition.parts:
            if isinstance(part, NumberIn):
                plain = any(isinstance(other, Whole) and other.plain for other in condition.parts)
                chosen = frozenset(v for v in part.values if number_holds(condition, v))
                return Choice(tuple(map(canonical, chosen))) if plain else _spelled(chosen)
    return explore_numbers(condition)


def _spelled(values: Iterable[Decimal]) -> Node:
    """Return the spellings of finitely many numbers: zeros may follow a fraction."""
    texts = [canonical(value) for value in values]
    texts += ["-0"] if "0" in texts else []
    whole = tuple(text for text in texts if "." not in text)
    parts = tuple(text for text in texts if "." in text)
    options: list[Node] = []
    if whole:
        options.append(Concat((Choice(whole), _ZERO_FRACTION)))
    if parts:
        options.append(Concat((Choice(parts), _ZEROS)))
    return Alternation(tuple(options))
