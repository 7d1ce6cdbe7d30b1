"""Finite automata against sets of texts, and patterns against `re`."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from strategies import ALPHABET

from lmql_like.errors import GrammarError
from lmql_like.grammars.automata.finite import FiniteAutomaton
from lmql_like.grammars.regex.parser import parse_pattern

TEXTS = ["".join(t) for n in range(5) for t in itertools.product(ALPHABET, repeat=n)]
PATTERNS = [
    "",
    "a",
    "a*",
    "(a|b)*a(a|b)",
    "[^a]{2,3}",
    "(ab|é)+",
    "a?b?é?",
    "(a?){0,2}b",
    "(a{2})*",
]


def language(automaton):
    return {text for text in TEXTS if automaton.accepts(text)}


def of(pattern):
    return FiniteAutomaton.of_node(parse_pattern(pattern))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_means_what_re_says(pattern):
    expected = {text for text in TEXTS if re.fullmatch(pattern, text)}
    assert language(of(pattern)) == expected
    assert language(of(pattern).minimize()) == expected
    assert language(of(pattern).complement()) == set(TEXTS) - expected


@pytest.mark.parametrize(("left", "right"), list(itertools.product(PATTERNS, repeat=2)))
def test_operations_are_those_of_sets(left, right):
    a, b = of(left), of(right)
    assert language(a.intersect(b)) == language(a) & language(b)
    assert language(a.union(b)) == language(a) | language(b)
    assert language(a.difference(b)) == language(a) - language(b)
    assert FiniteAutomaton.overlap([a, b]) != a.intersect(b).is_empty()
    assert a.difference(b).is_empty() == (a.difference(b).minimize().accepting == (False,))


def test_minimal_automata_of_one_language_have_one_size():
    sizes = {len(of(p).minimize().table) for p in ("(a|b)*", "(a*b*)*", "(a|b|ab)*")}
    assert len(sizes) == 1


def test_finite_languages_are_listed():
    assert of("a|b[é-ë]").texts(10) == ["a", "bé", "bê", "bë"]
    assert of("a*").texts(10) is None
    assert of("[a-z]{2}").texts(10) is None
    chosen = ["ab", "", "é"]
    assert FiniteAutomaton.of_texts(chosen).texts(10) == sorted(chosen)


def test_an_automaton_that_grows_too_large_is_refused():
    with pytest.raises(GrammarError) as caught:
        of("(a|b)*a(a|b){20}")
    assert caught.value.code == "G201"
    with pytest.raises(GrammarError) as caught:
        of("(a{1000}){1000}")
    assert caught.value.code == "G202"


@given(...)
def test_unicode_classes_are_told_apart(text: str):
    assert of("[^é]*").accepts(text) == ("é" not in text)
