"""Conditions on the contents of strings -> automata, and their spellings in JSON.

Atoms say something about the characters; the two questions asked of a condition are whether
it holds for a known text, and what all its texts look like. Most conditions are one atom
and go to nodes directly; only conjunctions and complements are determinized.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, reduce

from lmql_like.errors import GrammarError
from lmql_like.grammars.automata.finite import FiniteAutomaton
from lmql_like.grammars.json_schema.conditions import (
    FALSE,
    TRUE,
    All,
    Condition,
    Inverse,
    Some,
    Truth,
    both,
    holds,
)
from lmql_like.grammars.json_schema.counting import (
    repeat_character,
    spell_automaton,
    spell_counted,
    spell_node,
)
from lmql_like.grammars.json_schema.formats import FORMATS
from lmql_like.grammars.json_schema.patterns import pattern_automaton, pattern_node
from lmql_like.grammars.json_schema.spelling import (
    ANY_STRING,
    spell_other_texts,
    spell_texts,
)
from lmql_like.grammars.regex.charsets import ALL_CHARACTERS
from lmql_like.grammars.regex.nodes import Alternation, CharSet, Concat, Node, Repeat

__all__ = [
    "Format",
    "LengthIn",
    "Pattern",
    "TextIn",
    "string_node",
    "text_holds",
    "texts_are_empty",
    "texts_in",
]

_ANY = CharSet(ALL_CHARACTERS)
_NOTHING = CharSet(())
_FEW_MINIMIZED = 3_000
_FEW_COUNTED = 500  # states; up to here a product is made and trimmed


@dataclass(frozen=True)
class TextIn:
    """The text is one of these."""

    values: frozenset[str]


@dataclass(frozen=True)
class LengthIn:
    """The text has `low` to `high` characters; None means no upper bound."""

    low: int
    high: int | None


@dataclass(frozen=True)
class Pattern:
    """The text contains a match of an ECMA-262 pattern."""

    pattern: str


@dataclass(frozen=True)
class Format:
    """The text is of a format in `FORMATS`."""

    name: str


def text_holds(condition: Condition, text: str) -> bool:
    """Tell whether a text satisfies a condition."""
    return holds(condition, lambda atom: _atom_holds(atom, text))


def _atom_holds(atom: Condition, text: str) -> bool:
    if isinstance(atom, TextIn):
        return text in atom.values
    if isinstance(atom, LengthIn):
        return atom.low <= len(text) and (atom.high is None or len(text) <= atom.high)
    return text_automaton(atom).accepts(text)


def texts_in(condition: Condition) -> frozenset[str] | None:
    """Return the texts of a condition that names them; None where it does not."""
    if condition == FALSE:
        return frozenset()
    if isinstance(condition, TextIn):
        return condition.values
    if isinstance(condition, Some):
        parts = [texts_in(part) for part in condition.parts]
        if any(part is None for part in parts):
            return None
        return frozenset(text for part in parts if part is not None for text in part)
    if isinstance(condition, All):
        for part in condition.parts:
            texts = texts_in(part)
            if texts is not None:
                return frozenset(text for text in texts if text_holds(condition, text))
    return None


@lru_cache(maxsize=4096)
def texts_are_empty(condition: Condition) -> bool:
    """Tell whether no text satisfies a condition; where that is too hard to say, no."""
    texts = texts_in(condition)
    if texts is not None:
        return not texts
    if isinstance(condition, Some):
        return all(map(texts_are_empty, condition.parts))
    if not isinstance(condition, All) or all(
        isinstance(part, Inverse) and isinstance(part.part, TextIn) for part in condition.parts
    ):
        return isinstance(condition, LengthIn) and (
            condition.high is not None and condition.high < condition.low
        )
    try:
        return not FiniteAutomaton.overlap([text_automaton(part) for part in condition.parts])
    except GrammarError:
        return False


@lru_cache(maxsize=2048)
def text_automaton(condition: Condition) -> FiniteAutomaton:
    """Return the automaton of the texts that satisfy a condition.

    Raises:
        GrammarError: G201, G202 over a limit.
        SchemaError: S201 to S203 for a pattern.
    """
    if isinstance(condition, Truth):
        return FiniteAutomaton.of_node(Repeat(_ANY, 0, None) if condition.value else _NOTHING)
    if isinstance(condition, TextIn):
        return FiniteAutomaton.of_texts(condition.values)
    if isinstance(condition, LengthIn):
        return FiniteAutomaton.of_node(Repeat(_ANY, condition.low, condition.high))
    if isinstance(condition, Pattern):
        return pattern_automaton(condition.pattern)
    if isinstance(condition, Format):
        return pattern_automaton(FORMATS[condition.name])
    if isinstance(condition, Inverse):
        return text_automaton(condition.part).complement()
    parts = sorted(map(text_automaton, condition.parts), key=lambda part: len(part.table))  # type: ignore[attr-defined]
    join = FiniteAutomaton.intersect if isinstance(condition, All) else FiniteAutomaton.union
    return reduce(join, parts)


@lru_cache(maxsize=1024)
def string_node(condition: Condition) -> Node:
    """Return the spellings, without quotes, of the texts that satisfy a condition.

    Raises:
        As `text_automaton`.
    """
    if condition == TRUE:
        return ANY_STRING
    texts = texts_in(condition)
    if texts is not None:
        return spell_texts(sorted(texts)) if texts else _NOTHING
    if isinstance(condition, LengthIn):
        return repeat_character(ALL_CHARACTERS, condition.low, condition.high)
    if isinstance(condition, (Pattern, Format)):
        pattern = condition.pattern if isinstance(condition, Pattern) else FORMATS[condition.name]
        node = pattern_node(pattern)
        return spell_automaton(pattern_automaton(pattern)) if node is None else spell_node(node)
    if isinstance(condition, Some):
        return Alternation(tuple(map(string_node, condition.parts)))
    if isinstance(condition, Inverse) and isinstance(condition.part, TextIn):
        return spell_other_texts(tuple(sorted(condition.part.values)))
    if isinstance(condition, All):
        simpler = _joined_lengths(condition)
        return _counted(condition) if simpler is None else simpler
    return spell_automaton(text_automaton(condition))


def _counted(condition: All) -> Node:
    """Return the node of a conjunction; lengths are counted beside what else it says."""
    lengths = [part for part in condition.parts if isinstance(part, LengthIn)]
    others = both(*(part for part in condition.parts if part not in lengths))
    automaton = text_automaton(others)
    low = max((part.low for part in lengths), default=0)
    high = min((part.high for part in lengths if part.high is not None), default=None)
    least, most = automaton.lengths()
    if least >= low:
        low = 0
    if high is None or (most is not None and most <= high):
        high = None
    if low == 0 and high is None:
        return spell_automaton(automaton)
    if high is None or high * len(automaton.table) <= _FEW_COUNTED:
        return spell_automaton(automaton.intersect(text_automaton(LengthIn(low, high))))
    return spell_counted(_least_automaton(others), low, high)


@lru_cache(maxsize=256)
def _least_automaton(condition: Condition) -> FiniteAutomaton:
    """Return the automaton of a condition with the fewest states, if that costs little."""
    automaton = text_automaton(condition)
    return automaton.minimize() if len(automaton.table) <= _FEW_MINIMIZED else automaton


def _joined_lengths(condition: All) -> Node | None:
    """Return the node of lengths and at most one pattern that repeats one set of characters."""
    low, high = 0, None
    item = _ANY
    for part in condition.parts:
        if isinstance(part, LengthIn):
            bounds = (part.low, part.high)
        elif isinstance(part, Pattern) and item is _ANY:
            node = pattern_node(part.pattern)
            while isinstance(node, Concat) and len(node.parts) == 1:
                node = node.parts[0]
            if not isinstance(node, Repeat) or not isinstance(node.item, CharSet):
                return None
            item, bounds = node.item, (node.low, node.high)
        else:
            return None
        low = max(low, bounds[0])
        high = bounds[1] if high is None else high if bounds[1] is None else min(high, bounds[1])
    if high is not None and high < low:
        return _NOTHING
    return repeat_character(item.ranges, low, high)


def but_not(condition: Condition, texts: frozenset[str]) -> Condition:
    """Return the texts of a condition but some."""
    return both(condition, Inverse(TextIn(texts))) if texts else condition
