"""Grammars of every shape: membership and masks equal brute force and Earley's algorithm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lark import Lark
from lark.exceptions import LarkError
from naive_earley import is_sentence, is_viable, productive

from lmql_like.errors import GrammarError
from lmql_like.grammars import TokenMasker, Vocabulary, compile_formula
from lmql_like.grammars.cfg.rules import RuleSet
from lmql_like.grammars.formulas import Derives
from lmql_like.grammars.regex.nodes import Alternation, Choice, Concat, Reference, Repeat
from lmql_like.source import Source

NAMES = ("s", "t", "u")
SYMBOLS = st.sampled_from([b"a", b"b", *NAMES])
OPTIONS = st.lists(st.lists(SYMBOLS, max_size=3).map(tuple), min_size=1, max_size=3)
grammars = st.fixed_dictionaries(dict.fromkeys(NAMES, OPTIONS))
TEXTS = st.lists(st.sampled_from([b"a", b"b"]), max_size=6).map(b"".join)
TOKENS = st.sets(
    st.lists(st.sampled_from([b"a", b"b"]), min_size=2, max_size=3).map(b"".join), max_size=4
)


def compiled(grammar, start="s"):
    def node(symbol):
        return Reference(symbol) if isinstance(symbol, str) else Choice((symbol.decode(),))

    rules = {
        name: Alternation(tuple(Concat(tuple(map(node, option))) for option in options))
        for name, options in grammar.items()
    }
    return compile_formula(Derives(RuleSet(rules, start, Source(""))))


@given(grammars, TEXTS)
@settings(max_examples=400)
def test_membership_is_earleys(grammar, text):
    assert compiled(grammar).matches(text) == is_sentence(grammar, "s", text)


@given(grammars)
def test_a_grammar_is_empty_iff_its_start_is_unproductive(grammar):
    assert compiled(grammar).is_empty() == ("s" not in productive(grammar))


@given(grammars, TEXTS)
@settings(max_examples=60)
def test_the_naive_twin_agrees_with_lark(grammar, text):
    good = productive(grammar)
    if "s" not in good:
        return
    lines = []
    for name, options in good.items():
        shown = [
            " ".join(f'"{s.decode()}"' if isinstance(s, bytes) else s for s in o) for o in options
        ]
        lines.append(f"{name}: " + " | ".join(dict.fromkeys(shown)))
    try:
        parser = Lark("\n".join(lines), start="s", parser="earley", ambiguity="forest")
        parser.parse(text.decode())
        expected = True
    except LarkError:
        expected = False
    assert is_sentence(grammar, "s", text) == expected


@given(grammars, TOKENS, st.lists(st.integers(0, 30), min_size=1, max_size=5))
@settings(max_examples=200)
def test_masks_are_brute_force(grammar, longer, choices):
    tokens = [b"a", b"b", *sorted(longer)]
    vocabulary = Vocabulary([*tokens, b""], eos_token_ids=[len(tokens)])
    masker = TokenMasker(compiled(grammar), vocabulary)
    state, text = masker.start(), b""
    assert (state is not None) == ("s" in productive(grammar))
    for choice in choices:
        if state is None:
            return
        expected = {i for i, t in enumerate(tokens) if is_viable(grammar, "s", text + t)}
        if is_sentence(grammar, "s", text):
            expected.add(len(tokens))
        row = np.zeros(vocabulary.n_words, np.int32)
        masker.fill_bitmask(state, row)
        allowed = {i for i in range(len(tokens) + 1) if row[0] >> i & 1}
        assert allowed == expected
        assert masker.is_accepting(state) == is_sentence(grammar, "s", text)
        for token in range(len(tokens) + 1):
            assert (masker.advance(state, token) is not None) == (token in expected)
        going_on = sorted(expected - {len(tokens)})
        if not going_on:
            return
        token = going_on[choice % len(going_on)]
        state, text = masker.advance(state, token), text + tokens[token]


def test_right_recursion_runs_in_one_frame():
    automaton = compiled({"s": [(b"a", "s"), (b"b",)], "t": [], "u": []})
    assert automaton.matches(b"a" * 20_000 + b"b")
    assert automaton.dfa().n_states < 10


def test_left_recursion_needs_no_stack():
    automaton = compiled({"s": [("s", b"a"), (b"b",)], "t": [], "u": []})
    assert automaton.matches(b"b" + b"a" * 20_000)
    assert automaton.dfa().n_states < 10


def test_deep_nesting_is_counted_by_frames():
    automaton = compiled({"s": [(b"a", "s", b"b"), ()], "t": [], "u": []})
    assert automaton.matches(b"a" * 3000 + b"b" * 3000)
    assert not automaton.matches(b"a" * 3000 + b"b" * 2999)


def test_copies_of_a_repeat_call_too():
    rules = {
        "s": Repeat(Concat((Choice(("(",)), Reference("s"), Choice((")",)))), 0, 3),
    }
    automaton = compile_formula(Derives(RuleSet(rules, "s", Source(""))))
    for text, expected in [("", 1), ("()()()", 1), ("()()()()", 0), ("((()())())", 1), ("(", 0)]:
        assert automaton.matches(text) == bool(expected)


@pytest.mark.parametrize("name", ["s", "t"])
def test_the_start_rule_is_chosen(name):
    grammar = {"s": [(b"a",)], "t": [(b"b",)], "u": []}
    assert compiled(grammar, name).matches(b"a") == (name == "s")


def test_vocabularies_that_cannot_write_every_byte_are_refused():
    automaton = compiled({"s": [(b"a", "s", b"b"), ()], "t": [], "u": []})
    with pytest.raises(GrammarError) as raised:
        TokenMasker(automaton, Vocabulary([b"a", b"ab", b""], eos_token_ids=[2]))
    assert raised.value.code == "G304"
