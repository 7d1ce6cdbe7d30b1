"""Lexed grammars and-ed with conditions, token limits and stops, against enumeration.

With a length bound among the conditions, all texts can be listed, and masks must be equal to
what the list says. Without one, what is allowed must have a completion that the naive lexer
and parser take, and what is forbidden must begin no listed text.
"""

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_lexed import lex_and_parse, texts_of
from strategies_lexed import ALPHABET, compiled, grammars, shortest_completion

from lmql_like.grammars import TokenMasker, Vocabulary
from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.formulas import (
    TRUE,
    Derives,
    char_count,
    contains,
    ends_with,
    matches,
    stops_at,
    stops_before,
    token_count,
)

LONGEST = 5
PATTERNS = ["a.*", ".*b", "(ab|c)*", "a*", "[^b]*", "(..)*", ".*c.*c", "[ab]*c?", "(a|bc?)*"]
REGULAR = st.recursive(
    st.one_of(
        st.sampled_from(PATTERNS).map(matches),
        st.sampled_from([contains("ab"), ends_with("c"), contains("ca"), char_count(2, None)]),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: p[0] & p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] | p[1]),
        inner.map(lambda p: ~p),
    ),
    max_leaves=3,
)
LONGER = st.lists(st.text("abc", min_size=2, max_size=4), max_size=5)


def vocabulary_of(longer):
    tokens = [*(bytes([byte]) for byte in ALPHABET), *(token.encode() for token in longer)]
    return Vocabulary([*tokens, b""], eos_token_ids=[len(tokens)])


def allowed_by(masker, state):
    """The tokens of a state's mask, after a check that `advance` agrees; and the end's bit."""
    row = np.zeros(masker.vocabulary.n_words, np.int32)
    masker.fill_bitmask(state, row)
    n = masker.vocabulary.size - 1
    allowed = [i for i in range(n) if row[i >> 5] >> (i & 31) & 1]
    assert allowed == [i for i in range(n) if masker.advance(state, i) is not None]
    may_end = bool(row[n >> 5] >> (n & 31) & 1)
    assert may_end == masker.is_accepting(state)
    return allowed, may_end


def walks(masker, data, steps=5):
    """Yield (text, allowed tokens, may end) along a random way through the masks."""
    state, written = masker.start(), b""
    for _ in range(steps):
        allowed, may_end = allowed_by(masker, state)
        yield written, allowed, may_end
        if not allowed:
            return
        chosen = data.draw(st.sampled_from(allowed))
        state = masker.advance(state, chosen)
        written += masker.vocabulary.tokens[chosen]


def prefixes(texts):
    return {text[:k] for text in texts for k in range(len(text) + 1)}


@settings(max_examples=40)
@given(grammars(), REGULAR, st.integers(0, LONGEST), LONGER, st.data())
def test_masks_are_what_a_list_of_all_texts_says(text, regular, most, longer, data):
    grammar, _ = compiled(text)
    other = compile_formula(regular & char_count(0, most))
    texts = [t for t in texts_of(grammar, ALPHABET, most) if other.matches(t)]
    both = compile_formula(Derives(grammar) & regular & char_count(0, most))
    masker = TokenMasker(both, vocabulary_of(longer))
    if masker.start() is None:
        assert not texts
        return
    begun = prefixes(texts)
    for written, allowed, may_end in walks(masker, data):
        tokens = masker.vocabulary.tokens[:-1]
        assert allowed == [i for i, t in enumerate(tokens) if written + t in begun]
        assert may_end == (written in texts)


@settings(max_examples=40)
@given(grammars(), REGULAR, LONGER, st.data())
def test_what_is_allowed_has_a_completion_and_what_begins_a_text_is_allowed(
    text, regular, longer, data
):
    grammar, _ = compiled(text)
    other = compile_formula(regular & matches("[abc]*"))
    begun = prefixes(t for t in texts_of(grammar, ALPHABET, LONGEST) if other.matches(t))
    both = compile_formula(Derives(grammar) & regular)
    masker = TokenMasker(both, vocabulary_of(longer))
    if masker.start() is None:
        assert not begun
        return
    dfa = both.dfa(masker.vocabulary.alphabet)
    for written, allowed, may_end in walks(masker, data, 4):
        state = dfa.advance(dfa.start, written)
        assert may_end == (other.matches(written) and lex_and_parse(grammar, written))
        for i, token in enumerate(masker.vocabulary.tokens[:-1]):
            assert i in allowed or written + token not in begun
            if i in allowed:
                more = shortest_completion(dfa, dfa.advance(state, token))
                assert more is not None, f"dead end behind {written + token!r}"
                assert other.matches(written + token + more)
                assert lex_and_parse(grammar, written + token + more)


@settings(max_examples=40)
@given(
    grammars(),
    st.one_of(st.just(TRUE), REGULAR),
    st.integers(0, 4),
    st.integers(1, 6),
    LONGER,
    st.data(),
)
def test_bounds_of_the_token_count_close_every_text(text, regular, least, most, longer, data):
    grammar, _ = compiled(text)
    counted = Derives(grammar) & regular & token_count(least, max(least, most))
    masker = TokenMasker(compile_formula(counted), vocabulary_of(longer))
    most = max(least, most)
    other = compile_formula(regular & matches("[abc]*"))
    texts = [t for t in texts_of(grammar, ALPHABET, min(most, LONGEST)) if other.matches(t)]
    if masker.start() is None:
        assert not any(len(text) >= least for text in texts)  # each byte is a token
        return
    for count, (written, allowed, may_end) in enumerate(walks(masker, data, most + 1)):
        is_text = other.matches(written) and lex_and_parse(grammar, written)
        assert may_end == (is_text and least <= count <= most)
        assert allowed or may_end, "neither a token nor the end"
        assert count < most or not allowed
        for i, token in enumerate(masker.vocabulary.tokens[:-1]):
            begun = written + token
            lengths = [len(t) - len(begun) for t in texts if t.startswith(begun)]
            if any(least <= count + 1 + more <= most for more in lengths):
                assert i in allowed, "closed too early"


@settings(max_examples=40)
@given(grammars(), REGULAR, st.sampled_from(["b", "ab", "c|ca", "a+c"]), LONGER, st.data())
def test_a_text_ends_with_the_first_phrase_at_which_all_else_holds(
    text, regular, phrase, longer, data
):
    grammar, _ = compiled(text)
    other = compile_formula(regular & char_count(0, LONGEST))
    masker = TokenMasker(
        compile_formula(
            Derives(grammar) & regular & char_count(0, LONGEST) & stops_at(re.compile(phrase))
        ),
        vocabulary_of(longer),
    )
    ended = re.compile(f"[abc]*({phrase})".encode())
    whole = [t for t in texts_of(grammar, ALPHABET, LONGEST) if other.matches(t)]
    stops = [t for t in whole if ended.fullmatch(t)]
    texts = [t for t in whole if not any(t.startswith(s) and t != s for s in stops)]
    if masker.start() is None:
        assert not texts
        return
    begun = prefixes(texts)
    for written, allowed, may_end in walks(masker, data):
        tokens = masker.vocabulary.tokens[:-1]
        assert allowed == [i for i, t in enumerate(tokens) if written + t in begun]
        assert may_end == (written in texts)


@settings(max_examples=40)
@given(grammars(), REGULAR, st.sampled_from(["b", "ab", "ca"]), LONGER, st.data())
def test_a_text_ends_before_the_first_phrase_at_whose_beginning_all_else_holds(
    text, regular, phrase, longer, data
):
    grammar, _ = compiled(text)
    other = compile_formula(regular & char_count(0, 4))
    automaton = compile_formula(
        Derives(grammar) & regular & char_count(0, 4) & stops_before(phrase)
    )
    masker = TokenMasker(automaton, vocabulary_of(longer))
    whole = [t for t in texts_of(grammar, ALPHABET, 4) if other.matches(t)]
    raw = {t + phrase.encode() for t in whole} | set(whole)
    cut = {t + phrase.encode() for t in whole}
    texts = {t for t in raw if not any(t.startswith(c) and t != c for c in cut)}
    if masker.start() is None:
        assert not texts
        return
    begun = prefixes(texts)
    for written, allowed, may_end in walks(masker, data, 6):
        tokens = masker.vocabulary.tokens[:-1]
        assert allowed == [i for i, t in enumerate(tokens) if written + t in begun]
        assert may_end == (written in texts)
        if written in cut:
            assert automaton.value(written) in whole
            assert automaton.value(written) + phrase.encode() == written


@settings(max_examples=30)
@given(grammars(), st.sampled_from(PATTERNS), REGULAR, LONGER, st.data())
def test_patterns_may_be_alternatives(text, pattern, regular, longer, data):
    grammar, _ = compiled(text)
    other = compile_formula(regular & char_count(0, LONGEST))
    alternative = compile_formula(matches(pattern) & regular & char_count(0, LONGEST))
    formula = (Derives(grammar) | matches(pattern)) & regular & char_count(0, LONGEST)
    masker = TokenMasker(compile_formula(formula), vocabulary_of(longer))
    every = texts_of_alphabet(LONGEST)
    texts = {t for t in texts_of(grammar, ALPHABET, LONGEST) if other.matches(t)}
    texts |= {t for t in every if alternative.matches(t)}
    if masker.start() is None:
        assert not texts
        return
    begun = prefixes(texts)
    for written, allowed, may_end in walks(masker, data):
        tokens = masker.vocabulary.tokens[:-1]
        assert allowed == [i for i, t in enumerate(tokens) if written + t in begun]
        assert may_end == (written in texts)


def texts_of_alphabet(longest):
    texts, layer = [b""], [b""]
    for _ in range(longest):
        layer = [text + bytes([byte]) for text in layer for byte in ALPHABET]
        texts += layer
    return texts
