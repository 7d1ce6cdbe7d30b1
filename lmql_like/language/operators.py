"""The operators: what may be said about a hole's text, one class each, and their table."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from lmql_like.errors import GrammarError
from lmql_like.grammars import formulas
from lmql_like.grammars.formulas import FALSE, Formula
from lmql_like.grammars.limits import DEFAULT_LIMITS
from lmql_like.language.constraints import Binding, Constraint, OperandError, Test
from lmql_like.language.sentences import GRAMMAR_OPERATORS, IsQuotation
from lmql_like.language.typed import IsDate

__all__ = [
    "COMPARISONS",
    "FLIPPED",
    "LATER_OPERATORS",
    "METHODS",
    "OPERATORS",
    "OPERATOR_NAMES",
    "UNITS",
    "Contains",
    "CountIs",
    "EndsWith",
    "Excludes",
    "Includes",
    "IsBoolean",
    "IsDecimal",
    "IsEqual",
    "IsInteger",
    "IsOneOf",
    "Listing",
    "Matches",
    "Operator",
    "StartsWith",
    "StopsAt",
    "StopsBefore",
    "followed_tests",
]

_LONGEST_TEXT_OF_SUBSTRINGS = 100


class IsOneOf(Test):
    """`X in [..]`; in a string: one of its substrings."""

    operator = "'in'"

    def formula(self, value: Any) -> Formula:
        """Return the choice between the operand's strings."""
        texts = self.texts(value)
        if isinstance(value, str):
            texts = _substrings(value, self)
        return formulas.one_of(texts) if texts else FALSE


class Listing(IsOneOf):
    """The values of `distribution X in [..]`."""

    operator = "distribution"

    def listed(self, value: Any) -> list[str]:
        """Return the values, which have to be different texts with at least one character."""
        texts = self.texts(value)
        if isinstance(value, str) or not texts:
            raise self.refuse(value, "a list of at least one string")
        if "" in texts or len(set(texts)) < len(texts):
            raise self.refuse(value, "different strings, none of them empty")
        return texts


def _substrings(text: str, test: Test) -> list[str]:
    if len(text) > _LONGEST_TEXT_OF_SUBSTRINGS:
        raise OperandError(
            f"'in' of a text of {len(text)} characters is not supported yet "
            f"(at most {_LONGEST_TEXT_OF_SUBSTRINGS})",
            test.operand.span,
            "list the substrings that are allowed",
        )
    starts = range(len(text) + 1)
    return sorted({text[i:j] for i in starts for j in range(i, len(text) + 1)})


class IsEqual(Test):
    """`X == v`."""

    operator = "'=='"

    def formula(self, value: Any) -> Formula:
        """Return the formula of this one text."""
        return formulas.equals(self.text(value))


class Contains(Test):
    """`"s" in X`."""

    operator = "'in'"

    def formula(self, value: Any) -> Formula:
        """Return the texts that contain the operand."""
        return formulas.contains(self.text(value))


class Includes(Test):
    """`INCLUDES(X, phrases)`: every phrase occurs; of a list among them, one does."""

    operator = "INCLUDES"

    def formula(self, value: Any) -> Formula:
        """Return the texts that contain every phrase."""
        return formulas.all_of(formulas.includes(goal) for goal in self._goals(value))

    def _goals(self, value: Any) -> list[list[str]]:
        if isinstance(value, str) or not isinstance(value, Collection) or isinstance(value, bytes):
            return [self.texts(value)]
        items = sorted(value) if _is_set_of_texts(value) else list(value)
        return [self.texts(item) for item in items]


def _is_set_of_texts(value: Collection[Any]) -> bool:
    is_set = isinstance(value, set | frozenset)
    return is_set and all(isinstance(item, str) for item in value)


class Excludes(Test):
    """`EXCLUDES(X, phrases)`: none of the phrases occurs."""

    operator = "EXCLUDES"

    def formula(self, value: Any) -> Formula:
        """Return the texts that contain no phrase."""
        return ~formulas.includes(self.texts(value))


class StartsWith(Test):
    """`X.startswith(s)`, `STARTS_WITH(X, s)`; one of several strings, if s is a list."""

    operator = "STARTS_WITH"

    def formula(self, value: Any) -> Formula:
        """Return the texts that begin with the operand."""
        texts = self.texts(value)
        return formulas.starts_with(texts) if texts else FALSE


class EndsWith(Test):
    """`X.endswith(s)`, `ENDS_WITH(X, s)`; one of several strings, if s is a list."""

    operator = "ENDS_WITH"

    def formula(self, value: Any) -> Formula:
        """Return the texts that end with the operand."""
        texts = self.texts(value)
        return formulas.ends_with(texts) if texts else FALSE


class Matches(Test):
    """`REGEX(X, r"..")`: the whole text matches."""

    operator = "REGEX"

    def formula(self, value: Any) -> Formula:
        """Return the texts that match the operand as a whole."""
        if isinstance(value, re.Pattern):
            if isinstance(value.pattern, str):
                return formulas.matches(value.pattern, value.flags & ~re.UNICODE)
            raise self.refuse(value, "a pattern of text")
        return formulas.matches(value if isinstance(value, str) else self.text(value))


class IsInteger(Test):
    """`INT(X)`."""

    operator = "INT"

    def formula(self, value: Any) -> Formula:
        """Return the texts that are whole numbers."""
        del value
        return formulas.integer()


class IsDecimal(Test):
    """`FLOAT(X)`."""

    operator = "FLOAT"

    def formula(self, value: Any) -> Formula:
        """Return the texts that are decimal numbers."""
        del value
        return formulas.decimal()


class IsBoolean(Test):
    """`BOOL(X)`."""

    operator = "BOOL"

    def formula(self, value: Any) -> Formula:
        """Return the texts that are truth values."""
        del value
        return formulas.boolean()


class StopsAt(Test):
    """`STOPS_AT(X, s)`: the text ends where a phrase occurs for the first time, if one does."""

    operator = "STOPS_AT"

    def formula(self, value: Any) -> Formula:
        """Return the texts with a phrase at their end or nowhere."""
        return formulas.stops_at(_phrases(self, value))


class StopsBefore(Test):
    """`STOPS_BEFORE(X, s)`: the same, and the phrase is no part of the hole."""

    operator = "STOPS_BEFORE"

    def formula(self, value: Any) -> Formula:
        """Return the texts with a phrase at their end or nowhere."""
        return formulas.stops_before(_phrases(self, value))


def _phrases(test: Test, value: Any) -> str | list[str] | re.Pattern[str]:
    if isinstance(value, re.Pattern):
        return value
    if isinstance(value, str):
        return test.text(value)
    texts = test.texts(value)
    if not texts or "" in texts:
        raise test.refuse(value, "phrases that are not empty")
    return texts


_COUNTS: dict[str, Callable[[int, int | None], Formula]] = {
    "characters": formulas.char_count,
    "bytes": formulas.byte_count,
    "words": formulas.word_count,
    "sentences": formulas.sentence_count,
    "tokens": formulas.token_count,
}

# States of the nfa for each that is counted, UTF-8's and white space's included.
_STATES = {"characters": 8, "bytes": 1, "words": 27, "sentences": 240, "tokens": 0}
_MOST_INTERVALS = 1000


@dataclass(frozen=True)
class CountIs(Test):
    """`len(X) < n` and its kin; `unit` is characters, bytes, words, sentences or tokens.

    `comparison` is one of `< <= > >= ==` or `in`.
    """

    unit: str
    comparison: str

    operator = "a length"

    def formula(self, value: Any) -> Formula:
        """Return the texts whose length compares to the operand as demanded."""
        if self.comparison == "in":
            intervals = self._intervals(value)
            self._check_size(sum(max(high, 0) for _, high in intervals))
            return formulas.any_of([self._between(low, high) for low, high in intervals])
        bound = self._bound(value)
        low, high = {
            "<": (0, bound - 1),
            "<=": (0, bound),
            ">": (bound + 1, None),
            ">=": (bound, None),
            "==": (bound, bound),
        }[self.comparison]
        return self._between(low, high)

    def _intervals(self, value: Any) -> list[tuple[int, int]]:
        """Return the runs of consecutive numbers in a list or range, in order."""
        if not isinstance(value, Collection) or isinstance(value, str | bytes):
            raise self.refuse(value, "a list or range of whole numbers")
        if isinstance(value, range) and value and abs(value.step) == 1:
            return [(min(value[0], value[-1]), max(value[0], value[-1]))]
        if isinstance(value, range) and value:
            count = (value[-1] - value[0]) // value.step + 1  # `len` overflows
            if count > _MOST_INTERVALS:
                raise self._too_many(count)
        intervals: list[tuple[int, int]] = []
        for number in sorted({self._bound(item) for item in value}):
            if intervals and number == intervals[-1][1] + 1:
                intervals[-1] = (intervals[-1][0], number)
            else:
                intervals.append((number, number))
        if len(intervals) > _MOST_INTERVALS:
            raise self._too_many(len(intervals))
        return intervals

    def _too_many(self, count: int) -> OperandError:
        return OperandError(
            f"a length is compared to {count} separate numbers, more than {_MOST_INTERVALS}",
            self.operand.span,
            "give a range without steps: numbers in a row count as one",
        )

    def _between(self, low: int, high: int | None) -> Formula:
        low = max(low, 0)
        if high is not None and high < low:
            return FALSE
        self._check_size(low if high is None else high)
        return _COUNTS[self.unit](low, high)

    def _check_size(self, count: int) -> None:
        """Raise where the automata that count up to some numbers, `count` in sum, are too large."""
        per_unit = _STATES[self.unit]
        if count * per_unit > DEFAULT_LIMITS.max_nfa_states:
            shown = str(count) if count < 10**12 else "more than 10**12"
            raise GrammarError(
                "G202",
                f"{shown} {self.unit} are too many to be counted",
                label=f"at most {DEFAULT_LIMITS.max_nfa_states // per_unit} {self.unit}",
                help="leave the condition out: no model fills a hole with so much text"
                if self.comparison != "in"
                else "numbers that are not in a row are added up; give a range without steps",
            )

    def _bound(self, value: Any) -> int:
        if type(value) is not bool and isinstance(value, Integral):
            return int(value)
        hint = "convert it with int(...), or declare the type of the argument"
        raise self.refuse(value, "a whole number", hint if isinstance(value, str) else "")

    def bind(self, binding: Binding) -> Formula:
        """Bind as any test; tokens can only be counted while the hole is filled."""
        if self.unit == "tokens" and self.subject != binding.hole:
            raise OperandError(
                f"the tokens of '{self.subject}' can only be counted while it is filled",
                self.span,
            )
        return super().bind(binding)


def followed_tests(constraint: Constraint, hole: str) -> Iterator[Test]:
    """Yield the tests of a hole that can only be followed while a model writes it."""
    for test in constraint.tests():
        is_stop = isinstance(test, StopsAt | StopsBefore)
        counts_tokens = isinstance(test, CountIs) and test.unit == "tokens"
        if test.subject == hole and (is_stop or counts_tokens):
            yield test


@dataclass(frozen=True)
class Operator:
    """An operator: the class of its test, and its operand in words ("" for none)."""

    test: type[Test]
    operand: str


_STOPS = "a phrase, a list of phrases or a compiled pattern"

OPERATORS: dict[str, Operator] = {
    "STARTS_WITH": Operator(StartsWith, "a string or list of strings"),
    "ENDS_WITH": Operator(EndsWith, "a string or list of strings"),
    "INCLUDES": Operator(Includes, "a phrase or a list of phrases"),
    "EXCLUDES": Operator(Excludes, "a phrase or a list of phrases"),
    "REGEX": Operator(Matches, "a pattern"),
    "SUBSTRING_OF": Operator(IsQuotation, "a text"),
    "INT": Operator(IsInteger, ""),
    "FLOAT": Operator(IsDecimal, ""),
    "BOOL": Operator(IsBoolean, ""),
    "DATE": Operator(IsDate, ""),
    "STOPS_AT": Operator(StopsAt, _STOPS),
    "STOPS_BEFORE": Operator(StopsBefore, _STOPS),
}
OPERATORS |= {
    name.lower(): OPERATORS[name]
    for name in ("STARTS_WITH", "ENDS_WITH", "REGEX", "STOPS_AT", "STOPS_BEFORE", "SUBSTRING_OF")
}

LATER_OPERATORS = ("ESCAPED", "ERASE")

OPERATOR_NAMES = frozenset((*OPERATORS, *GRAMMAR_OPERATORS, "JSON"))
"""What may be called of a hole, those with readers of their own included."""

METHODS: dict[str, type[Test]] = {"startswith": StartsWith, "endswith": EndsWith}

# What `len` counts, and how Python counts it in the text of a filled hole.
UNITS: dict[str, str] = {
    "BYTES": "bytes",
    "WORDS": "words",
    "SENTENCES": "sentences",
    "TOKENS": "tokens",
}

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "==",
    ast.In: "in",
    ast.NotIn: "in",
}

FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}
