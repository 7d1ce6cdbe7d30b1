"""What phrases a condition asks for as a whole, taken together: one component for all.

Each phrase by itself would be a component, and whether all of them still fit, beside a
length, a search through their product. Together they have exact distances.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate

from lmql_like.grammars.automata.phrases import CoverageAutomaton, read_phrases
from lmql_like.grammars.formulas import And, Formula, Matches, Not, Occurs, all_of

__all__ = ["Covers", "join_phrases"]

_MOST_STATES = 1 << 18
_MOST_GOALS = 13  # any subset of them may be covered
_MOST_BYTES = 4096


@dataclass(frozen=True)
class Covers(Matches):
    """The text covers all goals of an automaton and has none of its forbidden phrases."""

    automaton: CoverageAutomaton | None = field(default=None, compare=False)


def join_phrases(formula: Formula) -> Formula:
    """Return an equal formula in which one part stands for the phrases of its conjuncts.

    Where all would be too many, the last ones stay as they are.
    """
    parts = formula.parts if isinstance(formula, And) else (formula,)
    wanted = _few([part for part in parts if isinstance(part, Occurs)])[:_MOST_GOALS]
    negated = [part.part for part in parts if isinstance(part, Not)]
    never = _few([part for part in negated if isinstance(part, Occurs)])
    while wanted:
        phrases = [text for part in never for text in part.phrases]
        reader = read_phrases([part.phrases for part in wanted], phrases)
        automaton = CoverageAutomaton.of(reader, _MOST_STATES)
        if automaton is not None:
            joined = {*wanted, *(Not(part) for part in never)}
            rest = [part for part in parts if part not in joined]
            return all_of([Covers(automaton.node, automaton=automaton), *rest])
        if never:
            never = []
        else:
            wanted.pop()
    return formula


def _few(parts: list[Occurs]) -> list[Occurs]:
    """Return as many of the first parts as have not too long phrases."""
    sizes = accumulate(sum(map(len, part.phrases)) for part in parts)
    return [part for part, size in zip(parts, sizes, strict=True) if size <= _MOST_BYTES]
