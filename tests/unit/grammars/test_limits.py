"""A runaway constraint ends in a coded error or a result within the limits, never in a hang."""

from __future__ import annotations

import random
import time

import pytest

from lmql_like.errors import GrammarError
from lmql_like.grammars import (
    Limits,
    compile_choice,
    compile_formula,
    compile_grammar,
    compile_regex,
    formulas,
)


def refused(code, build):
    with pytest.raises(GrammarError) as raised:
        build()
    assert raised.value.code == code
    return raised.value


def test_ten_thousand_nested_groups_are_refused_with_the_place():
    error = refused("G203", lambda: compile_regex("(" * 10_000 + "a" + ")" * 10_000))
    assert error.position == (1, 101)


def test_nesting_within_the_limit_works():
    assert compile_regex("(" * 90 + "a" + ")" * 90).matches("a")
    assert compile_regex("(a|b" * 90 + ")" * 90).matches("a")
    assert compile_regex("[((((]" * 300).matches("(" * 300)
    assert compile_regex(r"\((?:\()\[" * 100).matches("(([" * 100)


def test_a_raised_nesting_limit_reaches_patterns():
    deep = "(" * 120 + "a" + ")" * 120
    refused("G203", lambda: compile_regex(deep))
    assert compile_regex(deep, limits=Limits(max_nesting=150)).matches("a")


def test_repeats_of_repeats_are_refused_at_the_repeat():
    error = refused("G202", lambda: compile_regex("x(?:(?:(?:a{100}){100}){100}){9}"))
    assert error.position is not None
    assert "Limits.max_nfa_states" in error.help


def test_the_classic_of_backtracking_stays_within_the_limits():
    begin = time.monotonic()
    automaton = compile_regex("(a?){5000}a{5000}")
    assert not automaton.is_empty()
    assert automaton.matches("a" * 5000)
    assert not automaton.matches("a" * 4999)
    assert time.monotonic() - begin < 60


def test_an_exponential_automaton_is_built_only_where_it_is_entered():
    automaton = compile_regex("(?:a|b)*a(?:a|b){30}")
    assert automaton.matches("a" + "b" * 30)
    assert not automaton.matches("b" * 40)
    assert automaton.dfa().n_states < 200


def test_the_limit_on_states_names_itself():
    automaton = compile_regex("(?:a|b)*a(?:a|b){12}", limits=Limits(max_states=100))
    text = "".join(random.Random(3).choices("ab", k=1000))
    error = refused("G201", lambda: automaton.matches(text))
    assert "more than 100 automaton states" in error.message


def test_an_unsatisfiable_product_is_found_empty():
    even, odd = formulas.matches("(?:aa)*"), formulas.matches("a(?:aa)*")
    assert compile_formula(even & odd).is_empty()
    assert compile_formula(formulas.char_count(5, 9) & formulas.one_of(["abc"])).is_empty()
    assert compile_formula(formulas.word_count(3, 2)).is_empty()


def test_large_choices_are_tries():
    texts = [f"entity number {i}" for i in range(20_000)]
    automaton = compile_choice(texts)
    assert automaton.matches("entity number 19999")
    assert not automaton.matches("entity number 20000")
    assert automaton.dfa().n_states < 60


def test_more_terminals_than_masks_can_tell_apart_are_refused():
    words = " | ".join(f'"w{i}x"' for i in range(8200))
    with pytest.raises(GrammarError) as refusal:
        compile_grammar(f"start: {words}\n")
    assert refusal.value.code == "G202"
    assert "8200 terminals" in refusal.value.message
