"""Phrases that must occur, beside all that may stand beside them: masks equal brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_masks import (
    TEXT,
    all_of,
    allowed_tokens,
    any_of,
    byte_set,
    cat,
    character,
    completable_within,
    derive_all,
    literal,
    negate,
    nullable,
    repeat,
    star,
)
from phrase_needs import behind_tokens, covers, fewest_tokens, is_whole, longest_ways
from strategies import full_vocabularies, patterns, vocabularies

from lmql_like.grammars import TokenMasker, Vocabulary, compile_formula, formulas
from lmql_like.grammars.automata.phrases import CoverageAutomaton, read_phrases
from lmql_like.grammars.limits import Limits
from lmql_like.grammars.phrase_conditions import Covers, join_phrases
from lmql_like.grammars.token_needs import TokenNeeds, token_moves
from lmql_like.kernels import phrases as kernels
from lmql_like.kernels import reach

PHRASES = st.text("abé", min_size=1, max_size=3)
GOALS = st.lists(st.lists(PHRASES, min_size=1, max_size=2), min_size=1, max_size=3)
FORBIDDEN = st.lists(PHRASES, max_size=2)
SAMPLES = st.lists(st.sampled_from([b"a", b"b", "é".encode(), b"\xc3", b"\xa9", b"."]), max_size=8)


def coded(goals):
    return [[phrase.encode() for phrase in goal] for goal in goals]


def follow(automaton, data):
    """Return the state behind some bytes, by the edges as they are written; None if dead."""
    state = 0
    columns = list(zip(*automaton.node.edges, strict=True))
    for byte in data:
        behind = [t for s, low, high, t in columns if s == state and low <= byte <= high]
        assert len(behind) <= 1
        if not behind:
            return None
        state = behind[0]
    return state


@given(GOALS, FORBIDDEN, SAMPLES.map(b"".join))
def test_the_automaton_accepts_what_covers_all_goals(goals, forbidden, data):
    automaton = CoverageAutomaton.of(read_phrases(goals, forbidden), 1 << 16)
    state = follow(automaton, data)
    never = [phrase.encode() for phrase in forbidden]
    expected = is_whole(data) and covers(data, coded(goals), never)
    assert (state is not None and state in automaton.node.accepting) == expected
    if state is not None:
        there = [any(phrase in data for phrase in goal) for goal in coded(goals)]
        assert automaton.goals[state] == sum(1 << g for g, is_there in enumerate(there) if is_there)


@given(GOALS, FORBIDDEN, SAMPLES.map(b"".join), vocabularies)
def test_fewest_tokens_are_those_of_a_search(goals, forbidden, data, tokens):
    reader = read_phrases(goals, forbidden)
    automaton = CoverageAutomaton.of(reader, 1 << 16)
    state = follow(automaton, data)
    if state is None:
        return
    needs = TokenNeeds(automaton, Vocabulary(tokens), Items(), 0, says_all=True)
    never = [phrase.encode() for phrase in forbidden]
    written = [token for token in tokens if token]
    expected = fewest_tokens(data, coded(goals), never, written, 12)
    found = needs.fewest(state)
    assert (found if found <= 12 else None) == expected
    way = needs.way(state)
    if expected is not None:
        assert len(way) == expected
        whole = data + b"".join(tokens[i] for i in way)
        assert is_whole(whole)
        assert covers(whole, coded(goals), never)
    elif found >= kernels.FAR:
        assert way == []


class Items:
    """A deterministic automaton in which a state is its one item."""

    def items(self, state):
        return np.array([state], np.int64)


@given(GOALS, FORBIDDEN, vocabularies)
@settings(max_examples=50)
def test_moves_of_tokens_are_those_of_their_bytes(goals, forbidden, tokens):
    reader, vocabulary = read_phrases(goals, forbidden), Vocabulary(tokens)
    moves = token_moves(reader, vocabulary)
    for node in range(len(reader.moves)):
        found = np.zeros((len(tokens), 3), np.int64)
        size = behind_tokens(tokens, reader.moves, reader.reached, node, -1, found)
        expected = {}
        for token, covered, target in found[:size].tolist():
            shortest = expected.get((covered, target), 99)
            expected[covered, target] = min(shortest, len(tokens[token]))
        part = slice(moves.first[node], moves.first[node + 1])
        listed = zip(moves.goals[part], moves.targets[part], moves.tokens[part], strict=True)
        assert {(g, t): len(tokens[token]) for g, t, token in listed} == expected
        for beside in (-1, 0):
            theirs, ours = found.copy(), found.copy()
            arguments = reader.moves, reader.reached, node, beside
            n = behind_tokens(tokens, *arguments, theirs)
            assert kernels.behind_tokens(vocabulary.trie, *arguments, ours) == n
            assert sorted(ours[:n].tolist()) == theirs[:n].tolist()


@given(st.data(), st.integers(1, 6))
def test_longest_ways_are_those_of_a_search(data, n):
    link = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1), st.integers(0, 1))
    links = data.draw(st.lists(link, max_size=8))
    columns = [list(column) for column in zip(*links, strict=True)] or [[], [], []]
    types = np.int32, np.int32, np.int8
    arrays = [np.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    found = reach.longest_ways(n, *arrays)
    assert found.tolist() == longest_ways(n, *columns, reach.UNBOUNDED)


ANY = star(byte_set(range(256)))


def occurs(goal):
    return cat(TEXT, any_of(*(literal(phrase.encode()) for phrase in goal)), TEXT)


def condition(goals, forbidden):
    """Return the formula and the naive expression of some phrases."""
    formula = formulas.all_of(
        [*map(formulas.includes, goals), *(~formulas.contains(phrase) for phrase in forbidden)]
    )
    never = [negate(occurs([phrase])) for phrase in forbidden]
    return formula, all_of(TEXT, *map(occurs, goals), *never)


def walk_and_compare(formula, expr, tokens, choices, low=0, high=None):
    """Follow some tokens; at each step compare mask and state with brute force."""
    vocabulary = Vocabulary([*tokens, b"<end>"], eos_token_ids=[len(tokens)])
    masker = TokenMasker(compile_formula(formula), vocabulary)
    written = [token for token in tokens if token]
    state, count = masker.start(), 0
    for choice in [*choices, 0]:
        if high is None:
            expected = allowed_tokens(expr, tokens)
        else:
            expected = {
                i
                for i, token in enumerate(tokens)
                if token
                and count < high
                and completable_within(
                    derive_all(expr, token), written, max(0, low - count - 1), high - count - 1
                )
            }
        if nullable(expr) and low <= count and (high is None or count <= high):
            expected.add(len(tokens))
        if state is None:
            assert expected == set()
            return
        row = np.zeros(vocabulary.n_words, np.int32)
        masker.fill_bitmask(state, row)
        bits = np.unpackbits(row.view(np.uint8), bitorder="little")
        assert set(np.flatnonzero(bits).tolist()) == expected
        going_on = sorted(expected - {len(tokens)})
        if not going_on:
            return
        token = going_on[choice % len(going_on)]
        state, count = masker.advance(state, token), count + 1
        expr = derive_all(expr, tokens[token])


CHOICES = st.lists(st.integers(0, 50), min_size=1, max_size=5)


@given(GOALS, FORBIDDEN, vocabularies, CHOICES)
@settings(max_examples=25)
def test_masks_of_phrases_are_brute_force(goals, forbidden, tokens, choices):
    formula, expr = condition(goals, forbidden)
    walk_and_compare(formula, expr, tokens, choices)


@given(GOALS, FORBIDDEN, st.integers(0, 6), vocabularies, CHOICES)
@settings(max_examples=25)
def test_phrases_fit_under_a_length(goals, forbidden, high, tokens, choices):
    formula, expr = condition(goals, forbidden)
    characters = repeat(character(), 0, high)
    both = formula & formulas.char_count(0, high)
    walk_and_compare(both, all_of(expr, characters), tokens, choices)
    some_bytes = repeat(byte_set(range(256)), 0, high + 1)
    three = both & formulas.byte_count(0, high + 1)
    walk_and_compare(three, all_of(expr, characters, some_bytes), tokens, choices)


@given(GOALS, FORBIDDEN, st.integers(0, 5), st.integers(0, 2), vocabularies, CHOICES)
@settings(max_examples=25)
def test_phrases_fit_under_a_token_count(goals, forbidden, low, more, tokens, choices):
    formula, expr = condition(goals, forbidden)
    counted = formula & formulas.token_count(low, low + more)
    walk_and_compare(counted, expr, tokens, choices, low, low + more)


@given(GOALS, st.integers(0, 5), patterns, vocabularies, CHOICES)
@settings(max_examples=25)
def test_phrases_and_patterns_fit_under_a_token_count(goals, high, pattern, tokens, choices):
    formula, expr = condition(goals, [])
    counted = formula & formulas.matches(pattern[0]) & formulas.token_count(0, high)
    walk_and_compare(counted, all_of(expr, pattern[1]), tokens, choices, 0, high)


@given(GOALS, PHRASES, st.integers(0, 5), full_vocabularies, CHOICES)
@settings(max_examples=12)
def test_stops_fit_beside_phrases(goals, stop, high, tokens, choices):
    formula, expr = condition(goals, [])
    early = cat(all_of(expr, cat(TEXT, literal(stop.encode()))), byte_set(range(256)), ANY)
    stopped = formula & formulas.stops_at(stop)
    expr = all_of(expr, negate(early))
    walk_and_compare(stopped, expr, tokens, choices)
    walk_and_compare(stopped & formulas.token_count(0, high), expr, tokens, choices, 0, high)


@pytest.mark.parametrize("count", [1, 6, 9, 12])
def test_many_phrases_fit_to_the_token(count):
    """Each needs its two tokens, and the budget has one to spare; the phrases share no ends."""
    letters = "abcdefghijklmnopqrst"[:count]
    tokens = [letter.encode() for letter in "abcdefghijklmnopqrst-"]
    phrases = [f"{letter}-" for letter in letters]
    exact = formulas.all_of(map(formulas.contains, phrases)) & formulas.token_count(
        2 * count, 2 * count
    )
    masker = TokenMasker(
        compile_formula(exact, limits=Limits(max_states=10**7)), Vocabulary(tokens)
    )
    state = masker.start()
    for letter in letters:
        state = masker.advance(state, tokens.index(letter.encode()))
        assert masker.advance(state, tokens.index(letter.encode())) is None  # one too many
        state = masker.advance(state, tokens.index(b"-"))
    assert masker.is_final(state)


def test_the_first_goals_are_joined_and_the_others_kept():
    wanted = [formulas.contains(f"phrase {number}") for number in range(20)]
    length = formulas.char_count(0, 400)
    joined = join_phrases(formulas.all_of([*wanted, length, ~formulas.contains("x")]))
    (covering,) = [part for part in joined.parts if isinstance(part, Covers)]
    kept = [part for part in joined.parts if part in wanted]
    assert covering.automaton.reader.n_goals + len(kept) == 20
    assert covering.automaton.node.n_states <= 1 << 18
    assert length in joined.parts
    assert join_phrases(length) == length


def test_a_long_list_of_alternatives_stays_a_trie():
    names = [f"name{number:05d}" for number in range(20_000)]
    automaton = compile_formula(formulas.includes(names) & formulas.contains("!"))
    assert automaton.matches("it is name00017!")
    assert not automaton.matches("it is name0001!")
