"""Values that are written as a prompt has them, without quotes.

A type is bare if its values are numbers, truth values, None, texts from a list, dates and
their like, or alternatives of these; a single `str` is any text. Where a text could be read
in two ways, as `3` in `Literal["3", 3]`, the type is JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from lmql_like.grammars.automata.finite import FiniteAutomaton
from lmql_like.grammars.automaton import Automaton
from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.formulas import TRUE, Formula, Matches
from lmql_like.grammars.json_schema import conditions
from lmql_like.grammars.json_schema.conditions import Condition
from lmql_like.grammars.json_schema.documents import Documents
from lmql_like.grammars.json_schema.domains import Domain
from lmql_like.grammars.json_schema.evaluation import Evaluator
from lmql_like.grammars.json_schema.numbers import number_node
from lmql_like.grammars.json_schema.patterns import pattern_node
from lmql_like.grammars.json_schema.strings import LengthIn, Pattern, text_automaton, texts_in
from lmql_like.grammars.python_types.core_reader import PLAIN, Schema
from lmql_like.grammars.python_types.scalars import BARE
from lmql_like.grammars.regex.nodes import (
    ANY_TEXT,
    Alternation,
    CharSet,
    Choice,
    Concat,
    Diagram,
    Node,
    Repeat,
)

__all__ = ["OPTIONAL_SPACE", "Bare", "bare_form"]

OPTIONAL_SPACE: Node = Choice(("", " "))
_ATOMS = {"null": ("None", "null"), "true": ("True", "true"), "false": ("False", "false")}
_SAME = {word: atom for atom, words in _ATOMS.items() for word in words}


@dataclass(frozen=True, eq=False)
class Bare:
    """How the values of a type are written without quotes.

    Attributes:
        values: the texts that are JSON but for the spelling of True, False and None.
        texts: the texts that stand for strings.
        is_free: whether the type is `str`, whose texts are taken as they are.
    """

    values: Node | None
    texts: Node | None
    is_free: bool = False

    @property
    def formula(self) -> Formula:
        """Return the texts: those of either kind, perhaps one space first."""
        if self.is_free:
            return TRUE if self.texts == ANY_TEXT else Matches(self.texts or ANY_TEXT)
        kinds = tuple(node for node in (self.values, self.texts) if node is not None)
        return Matches(Concat((OPTIONAL_SPACE, Alternation(kinds) if kinds else CharSet(()))))

    def as_json(self, text: str) -> str:
        """Return a text as JSON; one that is not of the type as it is."""
        if self.is_free:
            return json.dumps(text)
        for candidate in (text, text.removeprefix(" ")):
            if self._values is not None and self._values.matches(candidate):
                return _SAME.get(candidate, candidate)
            if self._texts is not None and self._texts.matches(candidate):
                return json.dumps(candidate)
        return text

    @cached_property
    def _values(self) -> Automaton | None:
        return None if self.values is None else compile_formula(Matches(self.values))

    @cached_property
    def _texts(self) -> Automaton | None:
        return None if self.texts is None else compile_formula(Matches(self.texts))

    def is_ambiguous(self) -> bool:
        """Tell whether a text could be of both kinds."""
        if self.values is None or self.texts is None:
            return False
        both = Matches(self.values) & Matches(self.texts)
        return not compile_formula(both).is_empty()


def bare_form(schema: Schema, text: str) -> Bare | None:
    """Return how the values of a type are written without quotes; None where they are JSON.

    Args:
        schema: the type's.
        text: the same, as JSON.
    """
    is_free = schema.get("type") == "string" and "$comment" not in schema
    if not is_free and not _is_bare(schema):
        return None
    domain = _domain(text)
    words = tuple(word for atom in sorted(domain.atoms) for word in _ATOMS[atom])
    values = [Choice(words)] if words else []
    if domain.numbers != conditions.FALSE:
        values.append(number_node(domain.numbers))  # type: ignore[arg-type]
    texts = None if domain.strings == conditions.FALSE else _text_node(domain.strings)
    bare = Bare(Alternation(tuple(values)) if values else None, texts, is_free)
    return None if bare.is_ambiguous() else bare


def _is_bare(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    if schema.get("type") in ("number", "boolean", "null") or schema.get("$ref") == PLAIN:
        return True
    if "$comment" in schema:
        return bool(schema["$comment"] == BARE)
    if "anyOf" in schema:
        return all(map(_is_bare, schema["anyOf"]))
    return "allOf" in schema and _is_bare(schema["allOf"][0])


def _domain(text: str) -> Domain:
    """Return the values of a schema, type by type."""
    documents = Documents(json.loads(text, parse_float=Decimal))
    evaluator = Evaluator(documents, assert_formats=True, warn=False)
    return evaluator.domain(evaluator.at(documents.start()))


def _text_node(condition: Condition) -> Node:
    """Return the texts of a condition on strings, unquoted."""
    if condition == conditions.TRUE:
        return ANY_TEXT
    texts = texts_in(condition)
    if texts is not None:
        return Choice(tuple(sorted(texts)))
    if isinstance(condition, LengthIn):
        return Repeat(ANY_TEXT.item, condition.low, condition.high)  # type: ignore[union-attr]
    if isinstance(condition, conditions.Some):
        return Alternation(tuple(map(_text_node, condition.parts)))
    node = pattern_node(condition.pattern) if isinstance(condition, Pattern) else None
    return _diagram(text_automaton(condition)) if node is None else node


def _diagram(automaton: FiniteAutomaton) -> Node:
    moves = tuple((source, CharSet(ranges), target) for source, target, ranges in automaton.moves())
    ends = tuple(state for state, accepts in enumerate(automaton.accepting) if accepts)
    return Diagram(len(automaton.table), moves, ends)
