"""A grammar and-ed with regular conditions: no mask leads to a dead end, none forbids too much."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmql_like.errors import GrammarError
from lmql_like.grammars import TokenMasker, Vocabulary
from lmql_like.grammars.cfg.reader import read_grammar
from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.formulas import (
    Derives,
    char_count,
    contains,
    ends_with,
    matches,
    stops_at,
    stops_before,
    token_count,
)

ALPHABET = b"ab()"
TEXTS = [bytes(t) for length in range(6) for t in itertools.product(ALPHABET, repeat=length)]
GRAMMARS = {
    "nested": 'root ::= "(" root ")" | "a"\n',
    "lists": 'root ::= item root | item\nitem ::= "a" | "(" root ")"\n',
    "left": 'root ::= root "a" item | item\nitem ::= "b" | "(" root ")"\n',
    "ambiguous": 'root ::= root root | "a" | "b" root "b" | "(" root? ")"\n',
    "balanced": 'root ::= ("a" root "b")?\n',
    "cyclic": 'root ::= root | other\nother ::= root | "a" other? ")"\n',
}
LEXED = Derives(read_grammar('start: "a" start? "b"'))
LENGTHS = st.tuples(st.integers(0, 2), st.integers(1, 4)).map(lambda b: char_count(*b))
PATTERNS = st.sampled_from(
    ["a.*", ".*b", "(ab|[()])*", ".{0,5}", "a*", "[^b]*", "(..)*", "\\(.*", ".*\\)\\)", ".*a.*a.*"]
).map(matches)
REGULAR = st.recursive(
    st.one_of(LENGTHS, PATTERNS, st.sampled_from([contains("ab"), ends_with(")"), contains("()")])),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: p[0] & p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] | p[1]),
        inner.map(lambda p: ~p),
    ),
    max_leaves=3,
)


def grammar(name):
    return Derives(read_grammar(GRAMMARS[name], syntax="gbnf"))


def completion(dfa, state, limit=4000):
    seen, layer = {state}, [(state, b"")]
    while layer and len(seen) < limit:
        following = []
        for current, text in layer:
            if dfa.accepting(current):
                return text
            for byte in ALPHABET:
                target = dfa.advance(current, bytes([byte]))
                if target and target not in seen:
                    seen.add(target)
                    following.append((target, text + bytes([byte])))
        layer = following
    return None


@settings(max_examples=30)
@given(st.sampled_from(sorted(GRAMMARS)), REGULAR, st.data())
def test_masks_are_the_intersection(name, regular, data):
    both = compile_formula(grammar(name) & regular)
    one, other = compile_formula(grammar(name)), compile_formula(regular & matches(".*"))
    tokens = [*(bytes([b]) for b in ALPHABET), b"(a", b"))", b"ab", b"a)", b"aab)"]
    masker = TokenMasker(both, Vocabulary([*tokens, b""], eos_token_ids=[len(tokens)]))
    dfa = both.dfa(masker.vocabulary.alphabet)
    texts = [t for t in TEXTS if one.matches(t) and other.matches(t)]
    assert all(both.matches(t) for t in texts)
    prefixes = {t[:k] for t in texts for k in range(len(t) + 1)}
    state, written = masker.start(), b""
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
            assert bit or written + token not in prefixes, token
            if bit:
                more = completion(dfa, following)
                assert more is not None, f"dead end behind {written + token!r}"
                whole = written + token + more
                assert one.matches(whole)
                assert other.matches(whole)
                allowed.append(token_id)
        ends = one.matches(written) and other.matches(written)
        assert bool(row[0] >> len(tokens) & 1) == ends
        if not allowed:
            return
        chosen = data.draw(st.sampled_from(allowed))
        state, written = masker.advance(state, chosen), written + tokens[chosen]


@settings(max_examples=40)
@given(st.sampled_from(sorted(GRAMMARS)), st.integers(1, 6), st.data())
def test_an_upper_bound_of_tokens_closes_every_text(name, most, data):
    automaton = compile_formula(grammar(name) & token_count(0, most))
    alone = compile_formula(grammar(name))
    tokens = [*(bytes([b]) for b in ALPHABET), b"(a", b"((", b"))", b"a)"]
    masker = TokenMasker(automaton, Vocabulary([*tokens, b""], eos_token_ids=[len(tokens)]))
    state, written, count = masker.start(), b"", 0
    if state is None:
        return
    while True:
        row = np.zeros(masker.vocabulary.n_words, np.int32)
        masker.fill_bitmask(state, row)
        allowed = [i for i in range(len(tokens)) if row[0] >> i & 1]
        for i in range(len(tokens)):
            assert (i in allowed) == (masker.advance(state, i) is not None)
        may_end = bool(row[0] >> len(tokens) & 1)
        assert may_end == alone.matches(written)
        assert allowed or may_end, "neither a token nor the end"
        if not allowed:
            break
        chosen = data.draw(st.sampled_from(allowed))
        state, written, count = masker.advance(state, chosen), written + tokens[chosen], count + 1
        assert count <= most


@settings(max_examples=40)
@given(st.sampled_from(sorted(GRAMMARS)), REGULAR, st.integers(0, 5), st.integers(0, 7), st.data())
def test_bounds_of_tokens_beside_conditions_close_every_text(name, regular, least, more, data):
    most = least + more
    automaton = compile_formula(grammar(name) & regular & token_count(least, most))
    one, other = compile_formula(grammar(name)), compile_formula(regular & matches(".*"))
    tokens = [*(bytes([b]) for b in ALPHABET), b"(a", b"((", b"))", b"a)"]
    masker = TokenMasker(automaton, Vocabulary([*tokens, b""], eos_token_ids=[len(tokens)]))
    texts = [t for t in TEXTS if one.matches(t) and other.matches(t)]
    state, written, count = masker.start(), b"", 0
    if state is None:
        assert not any(least <= len(t) <= most for t in texts)
        return
    while True:
        row = np.zeros(masker.vocabulary.n_words, np.int32)
        masker.fill_bitmask(state, row)
        allowed = [i for i in range(len(tokens)) if row[0] >> i & 1]
        for i, token in enumerate(tokens):
            assert (i in allowed) == (masker.advance(state, i) is not None)
            begun = [len(t) - len(written + token) for t in texts if t.startswith(written + token)]
            if any(least <= count + 1 + left <= most for left in begun):
                assert i in allowed, "closed too early"
        may_end = bool(row[0] >> len(tokens) & 1)
        assert may_end == (one.matches(written) and other.matches(written) and least <= count)
        assert allowed or may_end, "neither a token nor the end"
        if not allowed:
            break
        chosen = data.draw(st.sampled_from(allowed))
        state, written, count = masker.advance(state, chosen), written + tokens[chosen], count + 1
        assert count <= most


@settings(max_examples=40)
@given(
    st.sampled_from(sorted(GRAMMARS)),
    REGULAR,
    st.sampled_from(["a", ")", "ab", "))"]),
    st.booleans(),
    st.data(),
)
def test_stops_end_texts_where_all_else_holds(name, regular, phrase, is_cut, data):
    regular = regular & char_count(0, 5)
    stop = stops_before(phrase) if is_cut else stops_at(phrase)
    automaton = compile_formula(grammar(name) & regular & stop)
    one, other = compile_formula(grammar(name)), compile_formula(regular)
    whole = [t for t in TEXTS if one.matches(t) and other.matches(t)]
    ended = [t for t in whole if t.endswith(phrase.encode())]
    if is_cut:
        ended = [t + phrase.encode() for t in whole]
    texts = {*whole, *ended}
    texts -= {t for t in texts for end in ended if t.startswith(end) and t != end}
    tokens = [*(bytes([b]) for b in ALPHABET), b"(a", b"))", b"ab", b"a)", b"aab)"]
    masker = TokenMasker(automaton, Vocabulary([*tokens, b""], eos_token_ids=[len(tokens)]))
    begun = {t[:k] for t in texts for k in range(len(t) + 1)}
    state, written = masker.start(), b""
    if state is None:
        assert not begun
        return
    while True:
        row = np.zeros(masker.vocabulary.n_words, np.int32)
        masker.fill_bitmask(state, row)
        allowed = [i for i in range(len(tokens)) if row[0] >> i & 1]
        assert allowed == [i for i, token in enumerate(tokens) if written + token in begun]
        assert allowed == [i for i in range(len(tokens)) if masker.advance(state, i) is not None]
        assert bool(row[0] >> len(tokens) & 1) == (written in texts)
        assert masker.is_final(state) == (written in texts and not allowed)
        if is_cut and written in ended:
            assert automaton.value(written) + phrase.encode() == written
        if not allowed:
            return
        chosen = data.draw(st.sampled_from(allowed))
        state, written = masker.advance(state, chosen), written + tokens[chosen]


@pytest.mark.parametrize(
    ("formula", "word"),
    [
        (grammar("nested") & grammar("lists"), "second grammar"),
        (~grammar("nested"), "'not'"),
        ((grammar("nested") & contains("a")) | matches("b"), "'or'"),
        (grammar("nested") & (stops_at("a") | matches("b")), "stop phrase under"),
        (grammar("nested") & (token_count(2, 9) | contains("b")), "token count under"),
        (LEXED | grammar("nested"), "two grammars"),
    ],
)
def test_what_cannot_be_exact_is_refused(formula, word):
    with pytest.raises(GrammarError) as refusal:
        compile_formula(formula)
    assert refusal.value.code == "G105"
    assert word in refusal.value.message


def test_a_grammar_that_is_a_pattern_combines_with_everything():
    words = Derives(read_grammar('root ::= "a" [b-d]* "e"', syntax="gbnf"))
    automaton = compile_formula(~(words & contains("c")) & (words | matches("x+")))
    texts = ("abe", "ace", "xx", "ae", "y")
    assert [text for text in texts if automaton.matches(text)] == ["abe", "xx", "ae"]
