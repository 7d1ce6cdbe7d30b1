"""Forced tokens: every allowed text has them, whatever comes behind; batches equal single rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from lmql_like.grammars import TokenMasker, Vocabulary, compile_grammar, compile_regex
from lmql_like.grammars.token_encoding import ExactEncoder

LETTERS = "abc"
TEXTS = ["".join(letters) for n in range(9) for letters in itertools.product(LETTERS, repeat=n)]
PIECES = st.tuples(
    st.text(LETTERS, min_size=1, max_size=4), st.sampled_from(["", "", "", "?", "*", "|"])
)
GRAMMARS = [
    'root ::= "ab" root "c" | "abca"',
    'root ::= "a" (root | "cab") "ab"',
    'root ::= "abc" t "abc"\nt ::= t "b" | "b"',
]


class Merges:
    """A `ExactEncoder`'s tokenizer, with nothing but merges."""

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer

    def encode(self, text, *, add_special_tokens):
        return self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids


@st.composite
def vocabularies(draw):
    """Byte-pair encodings of random merges over three letters; or no tokenizer at all."""
    known, merges = list(LETTERS), []
    for _ in range(draw(st.integers(0, 7))):
        pair = draw(st.tuples(st.sampled_from(known), st.sampled_from(known)))
        if "".join(pair) not in known and len("".join(pair)) < 6:
            known.append("".join(pair))
            merges.append(pair)
    tokens = [token.encode() for token in known]
    model = models.BPE(vocab={token: i for i, token in enumerate(known)}, merges=merges)
    encoder = ExactEncoder(Merges(Tokenizer(model)), tokens) if draw(st.booleans()) else None
    return Vocabulary([*tokens, b""], [len(tokens)], encoder=encoder)


@st.composite
def constraints(draw):
    """A pattern of texts that are often forced, or a grammar that calls rules."""
    if draw(st.integers(0, 3)) == 0:
        return compile_grammar(draw(st.sampled_from(GRAMMARS)), syntax="gbnf")
    pieces = draw(st.lists(PIECES, min_size=1, max_size=3))
    pattern = "".join(
        f"(?:{text}|{text[::-1]}b)" if sign == "|" else f"(?:{text}){sign}" for text, sign in pieces
    )
    return compile_regex(pattern)


@given(constraints(), vocabularies(), st.data())
@settings(max_examples=150)
def test_every_allowed_text_has_the_forced_tokens(automaton, vocabulary, data):
    texts = [text for text in TEXTS if automaton.matches(text)]
    masker = TokenMasker(automaton, vocabulary)
    text = data.draw(st.sampled_from(texts)) if texts else ""
    before = text[: data.draw(st.integers(0, len(text)))]
    state = masker.start()
    for letter in before.encode():
        state = masker.advance(state, LETTERS.index(chr(letter)))
    forced = masker.forced_token_ids(state)
    behind = [text[len(before) :] for text in texts if text.startswith(before)]
    encodings = [vocabulary.encode(rest.encode()) for rest in behind]
    assert all(ids[: len(forced)] == forced for ids in encodings)
    row = np.zeros(vocabulary.n_words, np.int32)
    for token_id in forced:
        masker.fill_bitmask(state, row)
        assert row[token_id >> 5] >> (token_id & 31) & 1
        state = masker.advance(state, token_id)
    assert state is not None


@given(st.text(LETTERS, min_size=1, max_size=12), vocabularies())
@settings(max_examples=60)
def test_a_text_that_is_the_only_one_is_forced_to_its_end(text, vocabulary):
    masker = TokenMasker(compile_regex(text), vocabulary)
    assert masker.forced_token_ids(masker.start()) == vocabulary.encode(text.encode())
    assert masker.forced_token_ids(masker.END) == []


def test_tokens_that_a_continuation_merges_are_not_certain():
    merges = [("b", "c"), ("a", "b"), ("bc", "d")]
    known = ["a", "b", "c", "d", "bc", "ab", "bcd"]
    model = models.BPE(vocab={token: i for i, token in enumerate(known)}, merges=merges)
    tokens = [token.encode() for token in known]
    encoder = ExactEncoder(Merges(Tokenizer(model)), tokens)
    vocabulary = Vocabulary([*tokens, b""], [7], encoder=encoder)
    masker = TokenMasker(compile_regex("aab(?:d|cd)"), vocabulary)
    assert masker.forced_bytes(masker.start()) == b"aab"
    assert vocabulary.encode(b"aab") == [0, 5]  # but "aabcd" is a, a, bcd
    assert masker.forced_token_ids(masker.start()) == [0]


@given(constraints(), vocabularies(), st.data())
@settings(max_examples=40)
def test_a_batch_of_rows_equals_its_rows(automaton, vocabulary, data):
    masker = TokenMasker(automaton, vocabulary)
    states = [None, masker.END]
    if masker.start() is not None:
        states.append(masker.start())
        states += [masker.advance(masker.start(), i) for i in range(vocabulary.size)]
    chosen = data.draw(st.lists(st.sampled_from(states), max_size=8))
    out = np.full((len(chosen), vocabulary.n_words), -1, np.int32)
    TokenMasker(automaton, vocabulary).fill_bitmasks(chosen, out)
    for state, row in zip(chosen, out, strict=True):
        single = np.zeros(vocabulary.n_words, np.int32)
        if state is not None:
            masker.fill_bitmask(state, single)
        assert np.array_equal(row, single)


def test_a_batch_needs_a_row_for_each_state():
    vocabulary = Vocabulary([b"a", b""], [1])
    masker = TokenMasker(compile_regex("a"), vocabulary)
    with pytest.raises(ValueError, match="zip"):
        masker.fill_bitmasks([None, None], np.zeros((1, 1), np.int32))
