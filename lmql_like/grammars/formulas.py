"""What a hole's text must satisfy: tests on the text, combined with `& | ~`.

    And, Or, Not        boolean combinations at any depth
    Constant            TRUE, FALSE
    Matches             the whole text matches a pattern (every operator but the next four)
    Derives             the whole text is a sentence of a grammar
    TokenCount          the number of tokens lies in a range
    StopsAt             the hole ends behind the first phrase that counts
    StopsBefore         the same, and the phrase is no part of the hole

A formula is a value; `compiler.compile_formula` makes one automaton of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lmql_like.errors import GrammarError
from lmql_like.grammars.cfg.rules import LexedGrammar, RuleSet
from lmql_like.grammars.regex.charsets import ALL_CHARACTERS
from lmql_like.grammars.regex.nodes import (
    ANY_TEXT,
    AnyByte,
    CharSet,
    Choice,
    Concat,
    Node,
    Repeat,
    is_nullable,
)
from lmql_like.grammars.regex.parser import parse_pattern

__all__ = [
    "FALSE",
    "TRUE",
    "And",
    "Constant",
    "Derives",
    "Formula",
    "Matches",
    "Not",
    "Occurs",
    "Or",
    "Phrases",
    "StopsAt",
    "StopsBefore",
    "TokenCount",
    "all_of",
    "any_of",
    "boolean",
    "byte_count",
    "char_count",
    "contains",
    "decimal",
    "ends_with",
    "equals",
    "includes",
    "integer",
    "matches",
    "one_of",
    "sentence_count",
    "split_sentences",
    "starts_with",
    "stops_at",
    "stops_before",
    "token_count",
    "word_count",
]

Phrases: TypeAlias = "str | Sequence[str] | re.Pattern[str]"


class Formula:
    """A condition on a text. `a & b`, `a | b` and `~a` combine; values compare and hash."""

    def __and__(self, other: Formula) -> Formula:
        return all_of((self, other))

    def __or__(self, other: Formula) -> Formula:
        return any_of((self, other))

    def __invert__(self) -> Formula:
        if isinstance(self, Constant):
            return FALSE if self.value else TRUE
        return self.part if isinstance(self, Not) else Not(self)


@dataclass(frozen=True)
class Constant(Formula):
    """Always true or always false."""

    value: bool


@dataclass(frozen=True)
class Matches(Formula):
    """The whole text matches a node; `pattern` is how it was written, for messages."""

    node: Node
    pattern: str = ""


@dataclass(frozen=True)
class Occurs(Matches):
    """One of some phrases occurs in the text: a match that grid search keeps count of."""

    phrases: tuple[str, ...] = ()


@dataclass(frozen=True)
class TokenCount(Formula):
    """The text was written in `low` to `high` tokens; None means no upper bound."""

    low: int
    high: int | None


@dataclass(frozen=True, eq=False)
class Derives(Formula):
    """The whole text is a sentence of a context-free grammar; see `grammar_conditions`."""

    grammar: RuleSet | LexedGrammar


@dataclass(frozen=True)
class StopsAt(Formula):
    """The text ends behind the first phrase at which the other conjuncts hold."""

    phrase: Node


@dataclass(frozen=True)
class StopsBefore(Formula):
    """The text ends in front of the first phrase at whose beginning the other conjuncts hold."""

    phrase: Node
    finder: re.Pattern[str]


@dataclass(frozen=True)
class Not(Formula):
    """Negation."""

    part: Formula


@dataclass(frozen=True)
class And(Formula):
    """Conjunction of two or more parts, none of them a conjunction."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True)
class Or(Formula):
    """Disjunction of two or more parts, none of them a disjunction."""

    parts: tuple[Formula, ...]


TRUE = Constant(True)
FALSE = Constant(False)

# Nodes without a place: no pattern that an error could show was written for them.
_SPACE = parse_pattern(r"\s")
_SPACES = Repeat(_SPACE, 0, None)
_WORD = Repeat(parse_pattern(r"\S"), 1, None)
_NEXT_WORD = Concat((Repeat(_SPACE, 1, None), _WORD))
# The last character of a sentence, and what may close behind it.
_CLOSERS = "\"'\u201d\u2019\u00bb)\\]}"
_ENDS_SENTENCE = rf"\S*[.!?][{_CLOSERS}]*"
_END_WORD = parse_pattern(_ENDS_SENTENCE)
_OTHER_WORD = parse_pattern(rf"\S*[^\s.!?{_CLOSERS}][{_CLOSERS}]*|[{_CLOSERS}]+")
_MIDDLE_WORD = Concat((_OTHER_WORD, Repeat(_SPACE, 1, None)))
_INTEGER = r" ?-?(0|[1-9][0-9]*)"


def matches(pattern: str, flags: int = 0) -> Formula:
    """Return "the whole text matches a regular expression", as `re.fullmatch` reads it.

    Raises:
        GrammarError: G101, G102, G203.
    """
    return Matches(parse_pattern(pattern, flags=flags), pattern)


def equals(text: str) -> Formula:
    """Return "the text is this one"."""
    return one_of((text,))


def one_of(texts: Iterable[str]) -> Formula:
    """Return "the text is one of these"; many thousands of texts are fine."""
    chosen = tuple(dict.fromkeys(texts))
    return Matches(Choice(chosen)) if chosen else FALSE


def contains(text: str) -> Formula:
    """Return "this text occurs"."""
    return includes((text,))


def includes(phrases: Iterable[str]) -> Formula:
    """Return "one of these phrases occurs"."""
    chosen = tuple(dict.fromkeys(phrases))
    if not all(chosen):
        return Matches(ANY_TEXT)
    node = Concat((ANY_TEXT, Choice(chosen), ANY_TEXT))
    return Occurs(node, phrases=chosen) if chosen else FALSE


def starts_with(texts: str | Iterable[str]) -> Formula:
    """Return "the text begins with this one, or with one of these"."""
    return Matches(Concat((_choice(texts), ANY_TEXT)))


def ends_with(texts: str | Iterable[str]) -> Formula:
    """Return "the text ends with this one, or with one of these"."""
    return Matches(Concat((ANY_TEXT, _choice(texts))))


def char_count(low: int, high: int | None) -> Formula:
    """Return "the text has low to high characters (code points)"; None: no upper bound."""
    return _counted(CharSet(ALL_CHARACTERS), low, high)


def byte_count(low: int, high: int | None) -> Formula:
    """Return "the text's UTF-8 form has low to high bytes"; None: no upper bound."""
    return _counted(AnyByte(), low, high) & Matches(ANY_TEXT)


def word_count(low: int, high: int | None) -> Formula:
    """Return "`text.split()` has low to high items"; None: no upper bound."""
    low = max(low, 0)
    if high is not None and high < low:
        return FALSE
    none = Matches(_SPACES)
    if high == 0:
        return none
    more = Repeat(_NEXT_WORD, max(low, 1) - 1, None if high is None else high - 1)
    some = Matches(Concat((_SPACES, _WORD, more, _SPACES)))
    return none | some if low == 0 else some


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a text.

    A sentence ends with a word whose last character is `.`, `!` or `?`, closing quotes and
    brackets behind it left aside; what stands behind the last such word is a sentence too.
    """
    sentences: list[str] = []
    start: int | None = None
    word = None
    for word in re.finditer(r"\S+", text):
        start = word.start() if start is None else start
        if re.fullmatch(_ENDS_SENTENCE, word[0]):
            sentences.append(text[start : word.end()])
            start = None
    if word is not None and start is not None:
        sentences.append(text[start : word.end()])
    return sentences


def sentence_count(low: int, high: int | None) -> Formula:
    """Return "the text has low to high sentences", see `split_sentences`."""
    low = max(low, 0)
    if high is not None and high < low:
        return FALSE
    none = Matches(_SPACES)
    if high == 0:
        return none
    ended = Concat((Repeat(_MIDDLE_WORD, 0, None), _END_WORD, Repeat(_SPACE, 1, None)))
    before = Repeat(ended, max(low, 1) - 1, None if high is None else high - 1)
    last = Concat((Repeat(_MIDDLE_WORD, 0, None), _WORD))
    some = Matches(Concat((_SPACES, before, last, _SPACES)))
    return none | some if low == 0 else some


def token_count(low: int, high: int | None) -> Formula:
    """Return "the hole was filled with low to high tokens"; None: no upper bound.

    The end-of-text token does not count.
    """
    low = max(low, 0)
    if high is not None and high < low:
        return FALSE
    return TRUE if low == 0 and high is None else TokenCount(low, high)


def integer() -> Formula:
    """Return "the text is an integer": no leading zeros; a sign and one space may come first."""
    return matches(_INTEGER)


def decimal() -> Formula:
    """Return "the text is a number": an integer, a fraction or none, an exponent or none."""
    return matches(_INTEGER + r"(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def boolean() -> Formula:
    """Return "the text is true or false", as Python or JSON write it, perhaps one space first."""
    return matches(r" ?(True|False|true|false)")


def stops_at(phrases: Phrases) -> Formula:
    """Return "the hole ends behind the first of these phrases" (a text, texts or a pattern).

    Raises:
        GrammarError: G103 where a phrase is empty.
    """
    return StopsAt(_phrase(phrases)[0])


def stops_before(phrases: Phrases) -> Formula:
    """Return "the hole ends in front of the first of these phrases".

    Raises:
        GrammarError: G103 where a phrase is empty.
    """
    return StopsBefore(*_phrase(phrases))


def all_of(formulas: Iterable[Formula]) -> Formula:
    """Return the conjunction of any number of formulas, in one pass over their parts."""
    parts = [p for f in formulas for p in (f.parts if isinstance(f, And) else (f,))]
    if FALSE in parts:
        return FALSE
    kept = tuple(dict.fromkeys(part for part in parts if part != TRUE))
    return And(kept) if len(kept) > 1 else kept[0] if kept else TRUE


def any_of(formulas: Iterable[Formula]) -> Formula:
    """Return the disjunction of any number of formulas, in one pass over their parts."""
    parts = [p for f in formulas for p in (f.parts if isinstance(f, Or) else (f,))]
    if TRUE in parts:
        return TRUE
    kept = tuple(dict.fromkeys(part for part in parts if part != FALSE))
    return Or(kept) if len(kept) > 1 else kept[0] if kept else FALSE


def _choice(texts: str | Iterable[str]) -> Node:
    return Choice((texts,) if isinstance(texts, str) else tuple(dict.fromkeys(texts)))


def _counted(unit: Node, low: int, high: int | None) -> Formula:
    low = max(low, 0)
    if high is not None and high < low:
        return FALSE
    return Matches(Repeat(unit, low, high))


def _phrase(phrases: Phrases) -> tuple[Node, re.Pattern[str]]:
    if isinstance(phrases, re.Pattern):
        node, finder = parse_pattern(phrases.pattern, flags=phrases.flags & ~re.UNICODE), phrases
    else:
        node = _choice(phrases)
        texts = (phrases,) if isinstance(phrases, str) else phrases
        finder = re.compile("|".join(re.escape(text) for text in texts))
    if is_nullable(node):
        raise GrammarError(
            "G103",
            "a stop phrase is empty: the hole would end where it begins",
            help="give at least one character to stop at",
        )
    return node, finder
