"""A grammar and-ed with other conditions: taken apart, or refused with the reason.

The texts of a grammar that satisfy a regular condition are again those of a grammar
(Bar-Hillel, Perles and Shamir, 1961), so `and` with anything regular is exact. Two
grammars at once are not: whether they have a text in common is undecidable, so no mask
could promise a completion. Nor could it for the texts that a grammar does *not* have.
"""

from __future__ import annotations

from dataclasses import dataclass

from lmql_like.errors import GrammarError
from lmql_like.grammars.formulas import (
    And,
    Derives,
    Formula,
    Matches,
    Not,
    Or,
    StopsAt,
    StopsBefore,
    TokenCount,
    all_of,
)

__all__ = ["GrammarCondition", "grammars_in", "split_grammar"]


@dataclass(frozen=True)
class GrammarCondition:
    """A condition with one grammar that calls rules.

    Attributes:
        union: the grammar, or alternatives of grammars and patterns.
        counts: bounds of the number of tokens.
        regular: what else must hold of the text; TRUE if nothing.
        stops_at: stops behind a phrase.
        stops_before: stops in front of one.
    """

    union: tuple[Formula, ...]
    counts: tuple[TokenCount, ...]
    regular: Formula
    stops_at: tuple[StopsAt, ...]
    stops_before: tuple[StopsBefore, ...]


def grammars_in(formula: Formula) -> list[Derives]:
    """Return the grammars anywhere in a formula."""
    if isinstance(formula, Not):
        return grammars_in(formula.part)
    if isinstance(formula, (And, Or)):
        return [found for part in formula.parts for found in grammars_in(part)]
    return [formula] if isinstance(formula, Derives) else []


def split_grammar(formula: Formula) -> GrammarCondition:
    """Take a formula with a grammar apart.

    Raises:
        GrammarError: G105 where it cannot be enforced exactly.
    """
    parts = formula.parts if isinstance(formula, And) else (formula,)
    with_grammar = [part for part in parts if grammars_in(part)]
    if len(with_grammar) > 1:
        raise _refused(
            "a second grammar: whether two have a text in common cannot be decided",
            "write both into one grammar, or one of them as a pattern",
        )
    union = with_grammar[0].parts if isinstance(with_grammar[0], Or) else (with_grammar[0],)
    if not all(isinstance(part, (Derives, Matches)) for part in union):
        negated = any(isinstance(part, Not) for part in union)
        raise _refused(
            "a grammar under 'not'" if negated else "a grammar and other conditions under 'or'",
            "and-it to the whole condition; alternatives of grammars and patterns may be or-ed",
        )
    others = [part for part in parts if part is not with_grammar[0]]
    counts = tuple(part for part in others if isinstance(part, TokenCount))
    stops_at = tuple(part for part in others if isinstance(part, StopsAt))
    stops_before = tuple(part for part in others if isinstance(part, StopsBefore))
    beside = (TokenCount, StopsAt, StopsBefore)
    regular = all_of(part for part in others if not isinstance(part, beside))
    _check(regular)
    return GrammarCondition(union, counts, regular, stops_at, stops_before)


def _check(regular: Formula) -> None:
    if _has(regular, (StopsAt, StopsBefore)):
        raise _refused(
            "a stop phrase under 'or' or 'not' beside a grammar",
            "and-it to the whole condition, or write where the text ends into the grammar",
        )
    if _has(regular, (TokenCount,)):
        raise _refused(
            "a token count under 'or' or 'not' beside a grammar",
            "and-it to the whole condition, or bound len(X) or len(WORDS(X)) instead",
        )


def _has(formula: Formula, kinds: tuple[type[Formula], ...]) -> bool:
    if isinstance(formula, Not):
        return _has(formula.part, kinds)
    if isinstance(formula, (And, Or)):
        return any(_has(part, kinds) for part in formula.parts)
    return isinstance(formula, kinds)


def _refused(what: str, way_out: str) -> GrammarError:
    return GrammarError("G105", what, help=way_out)
