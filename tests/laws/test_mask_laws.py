"""Masks equal brute force: a token is allowed iff some sequence of tokens completes it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive_masks import (
    NOTHING,
    TEXT,
    accepts,
    all_of,
    allowed_tokens,
    any_of,
    byte_set,
    cat,
    completable,
    completable_within,
    derive_all,
    literal,
    negate,
    nullable,
    star,
)
from strategies import (
    ALPHABET,
    full_vocabularies,
    patterns,
    text_formulas,
    vocabularies,
)

from lmql_like.grammars import TokenMasker, Vocabulary, compile_formula, compile_regex, formulas

SAMPLES = st.text(ALPHABET + "\n", max_size=7)
ANY = star(byte_set(range(256)))


def allowed_by(masker, state):
    row = np.full(masker.vocabulary.n_words, 0x5A5A5A5A, np.int32)
    masker.fill_bitmask(state, row)
    bits = np.unpackbits(row.view(np.uint8), bitorder="little")
    return set(np.flatnonzero(bits).tolist())


def walk_and_compare(automaton, expr, tokens, choices):
    """Follow some tokens; at each step compare mask, advance and acceptance with brute force."""
    vocabulary = Vocabulary([*tokens, b"<end>"], eos_token_ids=[len(tokens)])
    masker = TokenMasker(automaton, vocabulary)
    state = masker.start()
    assert (state is not None) == completable(expr, [t for t in tokens if t])
    for choice in choices:
        if state is None:
            return
        expected = allowed_tokens(expr, tokens)
        if nullable(expr):
            expected.add(len(tokens))
        assert allowed_by(masker, state) == expected
        assert masker.is_accepting(state) == nullable(expr)
        assert masker.is_final(state) == (expected == {len(tokens)})
        for token in range(len(tokens) + 1):
            assert (masker.advance(state, token) is not None) == (token in expected)
        going_on = sorted(expected - {len(tokens)})
        if not going_on:
            return
        token = going_on[choice % len(going_on)]
        state, expr = masker.advance(state, token), derive_all(expr, tokens[token])


CHOICES = st.lists(st.integers(0, 50), min_size=1, max_size=5)


@given(patterns, SAMPLES)
def test_patterns_match_what_re_matches(pattern, text):
    assert compile_regex(pattern[0]).matches(text) == bool(re.fullmatch(pattern[0], text))


@given(patterns, SAMPLES)
def test_the_naive_twin_matches_what_re_matches(pattern, text):
    assert accepts(pattern[1], text.encode()) == bool(re.fullmatch(pattern[0], text))


@given(patterns, vocabularies, CHOICES)
def test_masks_of_patterns_are_brute_force(pattern, tokens, choices):
    walk_and_compare(compile_regex(pattern[0]), pattern[1], tokens, choices)


@given(text_formulas, vocabularies, CHOICES)
def test_masks_of_formulas_are_brute_force(formula, tokens, choices):
    walk_and_compare(compile_formula(formula[0]), formula[1], tokens, choices)


@given(text_formulas, SAMPLES)
def test_formulas_match_what_their_parts_say(formula, text):
    assert compile_formula(formula[0]).matches(text) == accepts(formula[1], text.encode())


def stopped(others, phrase):
    """The texts of STOPS_AT(phrase) and others: no proper prefix is in others and ends in it."""
    early = cat(all_of(others, cat(TEXT, literal(phrase.encode()))), byte_set(range(256)), ANY)
    return all_of(others, TEXT, negate(early))


PHRASES = st.text(ALPHABET, min_size=1, max_size=2)


@given(text_formulas, PHRASES, full_vocabularies, CHOICES)
def test_stops_at_ends_where_the_other_conjuncts_hold(others, phrase, tokens, choices):
    formula = others[0] & formulas.stops_at(phrase)
    walk_and_compare(compile_formula(formula), stopped(others[1], phrase), tokens, choices)


@given(text_formulas, text_formulas, PHRASES, full_vocabularies, CHOICES)
def test_stops_at_may_stand_under_or_and_not(left, right, phrase, tokens, choices):
    stop = formulas.stops_at(phrase)
    expr = all_of(any_of(stopped(left[1], phrase), right[1]), TEXT)
    walk_and_compare(compile_formula((left[0] & stop) | right[0]), expr, tokens, choices)
    expr = all_of(negate(stopped(TEXT, phrase)), right[1], TEXT)
    walk_and_compare(compile_formula(~stop & right[0]), expr, tokens, choices)


@given(text_formulas, text_formulas, PHRASES, PHRASES, full_vocabularies, CHOICES)
def test_a_stop_may_count_on_another_one(left, right, inner, outer, tokens, choices):
    """Both may end at the same byte; each sees the text as it was when the other fired."""
    formula = ((left[0] & formulas.stops_at(inner)) | right[0]) & formulas.stops_at(outer)
    expr = stopped(any_of(stopped(left[1], inner), right[1]), outer)
    walk_and_compare(compile_formula(formula), expr, tokens, choices)


@given(text_formulas, PHRASES, full_vocabularies, CHOICES)
def test_stops_before_reads_the_phrase_and_drops_it(others, phrase, tokens, choices):
    data = literal(phrase.encode())
    early = cat(others[1], data, byte_set(range(256)), ANY)
    raw = all_of(any_of(others[1], cat(others[1], data)), TEXT, negate(early))
    automaton = compile_formula(others[0] & formulas.stops_before(phrase))
    walk_and_compare(automaton, raw, tokens, choices)


@given(text_formulas, PHRASES, SAMPLES)
def test_the_value_of_stops_before_satisfies_the_other_conjuncts(others, phrase, text):
    automaton = compile_formula(others[0] & formulas.stops_before(phrase))
    assume(automaton.matches(text))
    value = automaton.value(text.encode())
    assert value in (text.encode(), text.encode()[: -len(phrase.encode())])
    assert accepts(others[1], value)


@given(text_formulas, vocabularies, st.integers(0, 3), st.integers(0, 2), CHOICES)
@settings(max_examples=60)
def test_token_counts_close_in_time(formula, tokens, low, more, choices):
    high = low + more
    written = [t for t in tokens if t]
    automaton = compile_formula(formula[0] & formulas.token_count(low, high))
    vocabulary = Vocabulary([*tokens, b"<end>"], eos_token_ids=[len(tokens)])
    masker = TokenMasker(automaton, vocabulary)
    state, expr = masker.start(), formula[1]
    assert (state is not None) == completable_within(expr, written, low, high)
    for count, choice in enumerate(choices):
        if state is None:
            return
        expected = {
            i
            for i, token in enumerate(tokens)
            if token
            and count < high
            and completable_within(
                derive_all(expr, token), written, max(0, low - count - 1), high - count - 1
            )
        }
        if nullable(expr) and low <= count <= high:
            expected.add(len(tokens))
        assert allowed_by(masker, state) == expected
        for token in range(len(tokens) + 1):
            assert (masker.advance(state, token) is not None) == (token in expected)
        going_on = sorted(expected - {len(tokens)})
        if not going_on:
            return
        token = going_on[choice % len(going_on)]
        state, expr = masker.advance(state, token), derive_all(expr, tokens[token])


@given(text_formulas, text_formulas, st.integers(0, 3), full_vocabularies, CHOICES)
@settings(max_examples=40)
def test_token_counts_under_or(left, right, high, tokens, choices):
    """Either the left one in few tokens, or the right one in any number of them."""
    formula = (left[0] & formulas.token_count(0, high)) | right[0]
    masker = TokenMasker(
        compile_formula(formula), Vocabulary([*tokens, b"<end>"], eos_token_ids=[len(tokens)])
    )
    state, few, many = masker.start(), left[1], right[1]
    written = [t for t in tokens if t]
    for count, choice in enumerate(choices):
        if state is None:
            return
        expected = set()
        for i, token in enumerate(tokens):
            if not token:
                continue
            short, long = derive_all(few, token), derive_all(many, token)
            if (
                count < high and completable_within(short, written, 0, high - count - 1)
            ) or completable(long, written):
                expected.add(i)
        if (nullable(few) and count <= high) or nullable(many):
            expected.add(len(tokens))
        assert allowed_by(masker, state) == expected
        going_on = sorted(expected - {len(tokens)})
        if not going_on:
            return
        token = going_on[choice % len(going_on)]
        state = masker.advance(state, token)
        few, many = derive_all(few, tokens[token]), derive_all(many, tokens[token])


@pytest.mark.parametrize("low", [1000, 10**6, 10**12])
def test_large_lower_bounds_are_answered_at_once(low):
    vocabulary = Vocabulary([b"a", b"b", b"ab", b""], eos_token_ids=[3])
    both = formulas.token_count(low, None)
    masker = TokenMasker(compile_formula(formulas.matches("(?:ab|b)*") & both), vocabulary)
    assert allowed_by(masker, masker.start()) == {0, 1, 2}
    closed = TokenMasker(compile_formula(formulas.char_count(0, 5) & both), vocabulary)
    assert closed.start() is None


@given(text_formulas)
def test_forced_bytes_are_the_only_way(formula):
    automaton = compile_formula(formula[0])
    vocabulary = Vocabulary([bytes([b]) for b in range(256)])
    masker = TokenMasker(automaton, vocabulary)
    state = masker.start()
    assume(state is not None)
    forced = masker.forced_bytes(state)
    expr = formula[1]
    singles = [bytes([b]) for b in sorted(set(ALPHABET.encode()) | {0, 0x0A, 0xC2, 0xF0, 0x90})]
    for i, byte in enumerate(forced):
        assert not nullable(expr)
        others = [s for s in singles if s[0] != byte]
        assert all(
            derive_all(expr, s) == NOTHING or not _alive(derive_all(expr, s)) for s in others
        )
        expr = derive_all(expr, forced[i : i + 1])


def _alive(expr):
    tokens = [bytes([b]) for b in [*range(0x20, 0x7F), 0x0A, *range(0x80, 0xF5)]]
    return completable(expr, tokens)


@pytest.mark.parametrize(
    ("pattern", "text", "forced"),
    [("aé|aè", b"a", ""), ("né!x", b"n", "é!x"), ("日本", b"", "日本"), ("ab?", b"", "a")],
)
def test_forced_bytes_are_whole_characters(pattern, text, forced):
    masker = TokenMasker(compile_regex(pattern), Vocabulary([bytes([b]) for b in range(256)]))
    state = masker.advance_bytes(masker.start(), text)
    assert masker.forced_bytes(state) == forced.encode()


def test_forced_bytes_inside_a_character_end_it():
    masker = TokenMasker(compile_regex("日本"), Vocabulary([bytes([b]) for b in range(256)]))
    state = masker.advance_bytes(masker.start(), "日".encode()[:1])
    assert masker.forced_bytes(state) == "日本".encode()[1:]


def test_a_token_split_inside_a_character_is_allowed_only_if_it_can_be_finished():
    vocabulary = Vocabulary([b"\xc3", b"\xa9", b"\xc3\xa9", b"a", b""], eos_token_ids=[4])
    masker = TokenMasker(compile_regex("é"), vocabulary)
    assert allowed_by(masker, masker.start()) == {0, 2}
    assert allowed_by(masker, masker.advance(masker.start(), 0)) == {1}
    without_tail = Vocabulary([b"\xc3", b"\xc3\xa9", b"a", b""], eos_token_ids=[3])
    masker = TokenMasker(compile_regex("é"), without_tail)
    assert allowed_by(masker, masker.start()) == {1}
