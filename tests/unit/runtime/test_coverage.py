"""Coverage is counted on bytes: any tokens, merges at phrase edges, phrases in phrases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.phrase_coverage import count_behind_tokens, count_coverage
from reference.random_scripts import VOCABULARY

from lmql_like.grammars.formulas import contains, includes, matches
from lmql_like.runtime.coverage import CoverageTracker, goals_of
from lmql_like.runtime.search.banks import allocate
from lmql_like.runtime.token_index import token_index

phrases = st.text(alphabet="abc \u00e9", min_size=1, max_size=4)
goals = st.lists(st.lists(phrases, min_size=1, max_size=3, unique=True), min_size=1, max_size=4)


def spell(phrase):
    data = phrase.encode() if isinstance(phrase, str) else phrase
    return [len(VOCABULARY.tokens[i]) for i in token_index(VOCABULARY).encode_greedily(data)]


def tracker_of(found):
    return CoverageTracker([tuple(p.encode() for p in goal) for goal in found], spell)


@given(goals, st.lists(st.text(alphabet="abc \u00e9", max_size=6), max_size=4))
def test_the_automaton_counts_what_is_there(found, pieces):
    tracker = tracker_of(found)
    coverage, text = tracker.start(), b""
    for piece in pieces:
        coverage, text = coverage.behind(piece.encode()), text + piece.encode()
        assert coverage.count == count_coverage(text, found, spell)
    covered = coverage.goals.bit_count() == len(found)
    assert covered == all(any(p.encode() in text for p in goal) for goal in found)
    assert not covered or coverage.count == tracker.total


@given(goals, st.text(alphabet="abc \u00e9", max_size=5))
def test_every_token_is_in_the_class_of_what_it_covers(found, text):
    classes = tracker_of(found).start().behind(text.encode()).classes(VOCABULARY)
    ours = np.full(VOCABULARY.size, -1)
    bits = np.unpackbits(classes.bits.view(np.uint8), bitorder="little")[: VOCABULARY.size]
    ours[bits == 1] = classes.usual
    for count, ids in classes.others:
        assert (ours[ids] == -1).all()
        ours[ids] = count
    wanted = count_behind_tokens(VOCABULARY.tokens, text.encode(), found, spell)
    assert ours.tolist() == wanted


def test_goals_are_the_conjuncts_that_something_occurs():
    formula = includes(["new york", "boston"]) & contains("in") & matches("a.*")
    assert set(goals_of(formula)) == {(b"new york", b"boston"), (b"in",)}
    assert goals_of(includes(["a"]) | matches("b")) == ()
    assert goals_of(~includes(["a"])) == ()


@pytest.mark.parametrize(
    ("filled", "n", "places"),
    [
        ({0: 9, 1: 9, 2: 9}, 7, {0: 2, 1: 2, 2: 3}),
        ({0: 9, 1: 1, 2: 9}, 6, {0: 2, 1: 1, 2: 3}),
        ({0: 9, 1: 9, 2: 0}, 6, {0: 2, 1: 4, 2: 0}),
        ({0: 9, 5: 1}, 6, {0: 5, 5: 1}),
        ({0: 1, 1: 1}, 6, {0: 1, 1: 1}),
        ({3: 9}, 2, {3: 2}),
        ({}, 2, {}),
    ],
)
def test_a_beam_is_divided_among_banks(filled, n, places):
    assert allocate(filled, n) == places


@given(st.dictionaries(st.integers(0, 9), st.integers(0, 5)), st.integers(1, 12))
def test_no_place_is_lost_and_none_is_empty(filled, n):
    places = allocate(filled, n)
    assert all(places[bank] <= count for bank, count in filled.items())
    assert sum(places.values()) == min(n, sum(filled.values()))
