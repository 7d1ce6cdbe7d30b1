"""Lexed grammars: masks, acceptance and dead ends against naive lexing and parsing."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_lexed import lex_and_parse
from strategies_lexed import ALPHABET, compiled, grammars, shortest_completion

from lmql_like.grammars import TokenMasker, Vocabulary, compile_grammar
from lmql_like.kernels.lexed_entries import enter_lexed_walk

TEXTS = [bytes(text) for length in range(5) for text in itertools.product(ALPHABET, repeat=length)]


@settings(max_examples=25)
@given(grammars())
def test_a_text_matches_where_the_naive_lexer_and_parser_take_it(text):
    grammar, automaton = compiled(text)
    for data in TEXTS:
        assert automaton.matches(data) == lex_and_parse(grammar, data), data


@settings(max_examples=12)
@given(grammars(), st.lists(st.text("abc", min_size=2, max_size=4), max_size=6), st.data())
def test_a_token_is_allowed_where_a_completion_exists(text, longer, data):
    grammar, automaton = compiled(text)
    tokens = [*(bytes([byte]) for byte in ALPHABET), *(token.encode() for token in longer)]
    masker = TokenMasker(automaton, Vocabulary([*tokens, b""], eos_token_ids=[len(tokens)]))
    dfa = automaton.dfa(masker.vocabulary.alphabet)
    state, written = masker.start(), b""
    prefixes = {t[:k] for t in TEXTS if lex_and_parse(grammar, t) for k in range(len(t) + 1)}
    if state is None:
        assert not prefixes
        return
    for _ in range(4):
        row = np.zeros(masker.vocabulary.n_words, np.int32)
        masker.fill_bitmask(state, row)
        allowed = []
        for token_id, token in enumerate(tokens):
            bit = bool(row[0] >> token_id & 1)
            following = masker.advance(state, token_id)
            assert bit == (following is not None), token
            if written + token in prefixes:
                assert bit, token
            if bit:
                more = shortest_completion(dfa, following)
                assert more is not None, f"dead end behind {written + token!r}"
                assert lex_and_parse(grammar, written + token + more)
                allowed.append(token_id)
        assert bool(row[0] >> len(tokens) & 1) == lex_and_parse(grammar, written)
        if not allowed:
            return
        chosen = data.draw(st.sampled_from(allowed))
        state, written = masker.advance(state, chosen), written + tokens[chosen]


# Enough tokens that their trie has large subtrees, whose walks are shared.
WIDE = [bytes(text) for length in range(1, 7) for text in itertools.product(b"abc", repeat=length)]


@settings(max_examples=15)
@given(grammars(), st.text("abc", max_size=5))
def test_masks_are_put_together_as_they_are_walked(text, written):
    _, automaton = compiled(text)
    dfa = automaton.dfa(ALPHABET)
    memo = dfa.new_memo(Vocabulary(WIDE), 1 << 24)
    states = [dfa.advance(dfa.start, written.encode()[:k]) if dfa.start else 0 for k in range(6)]
    for state in filter(None, dict.fromkeys(states)):
        composed, walked = np.zeros((2, memo.vocabulary.n_words), np.int32)
        dfa.mask(state, memo, composed)
        tokens, every = memo.vocabulary.sliced.handle, np.empty(0, np.uint8)
        dfa._run(enter_lexed_walk, tokens, memo, state, every, walked)
        live = [t for t, token in enumerate(WIDE) if dfa.advance(state, token)]
        bits = np.unpackbits(composed.view(np.uint8), bitorder="little")
        assert np.flatnonzero(bits).tolist() == live
        if dfa._proven:  # what is walked may lead to a dead end
            assert np.array_equal(composed, walked)


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ('start: "if" NAME | NAME\nNAME: /[a-z]+/\n%ignore " "', ["if x", "iffy"], ["if"]),
        ('start: (NAME | "if") NAME\nNAME: /[a-z]+/', [], ["ifx", "ab", "if"]),
        ("start: A A\nA: /a(?!a)/", [], ["aa"]),
    ],
)
def test_keywords_and_names(text, yes, no):
    automaton = compile_grammar(text)
    assert [t for t in [*yes, *no] if automaton.matches(t)] == yes
