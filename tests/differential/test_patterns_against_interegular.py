"""An independent oracle: interegular's automata of small ASCII patterns."""

from __future__ import annotations

from itertools import product

import interegular
import pytest

from lmql_like.grammars import compile_formula, compile_regex, formulas

PATTERNS = [
    "a*ab",
    "a?ab",
    "(a|b)*abb",
    ".*ab",
    "(ab|a)(bc|c)?",
    "[^a]b{1,2}",
    "(a{2}|b)+",
    "(a*b?)*c",
    "a{0,2}b{2,}",
    "(?:a|bc?)*",
    "[ab]{3}|c+",
    "((a|b)c)*a?",
]
TEXTS = ["".join(letters) for n in range(6) for letters in product("abc", repeat=n)]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_same_texts_match(pattern):
    oracle = interegular.parse_pattern(pattern).to_fsm()
    automaton = compile_regex(pattern)
    assert [automaton.matches(text) for text in TEXTS] == [oracle.accepts(text) for text in TEXTS]


@pytest.mark.parametrize("left", PATTERNS[:6])
@pytest.mark.parametrize("right", PATTERNS[6:])
def test_products_complements_and_emptiness_agree(left, right):
    a, b = (interegular.parse_pattern(p).to_fsm() for p in (left, right))
    f, g = formulas.matches(left), formulas.matches(right)
    for ours, oracle in ((f & g, a & b), (f & ~g, a - b), (f | g, a | b)):
        automaton = compile_formula(ours)
        assert automaton.is_empty() == oracle.empty()
        for text in TEXTS[:200]:
            assert automaton.matches(text) == oracle.accepts(text)
