"""Hypothesis strategies shared by the tests: patterns, formulas, vocabularies."""

from __future__ import annotations

import re

from hypothesis import strategies as st
from naive_masks import (
    ANYTHING,
    NOTHING,
    TEXT,
    all_of,
    any_of,
    byte_set,
    cat,
    character,
    literal,
    negate,
    repeat,
    star,
)

from lmql_like.grammars import formulas

ALPHABET = "abé"
CHARACTERS = st.sampled_from(ALPHABET)


def _one(char):
    return re.escape(char), literal(char.encode())


def _repeated(item, bounds):
    low, high = bounds
    (pattern, expr) = item
    suffix = f"{{{low},{'' if high is None else high}}}"
    return f"(?:{pattern}){suffix}", repeat(expr, low, high)


_ATOMS = st.one_of(
    CHARACTERS.map(_one),
    st.just((".", all_of(character(), negate(literal(b"\n"))))),
    st.just(("[^a]", all_of(character(), negate(literal(b"a"))))),
    st.just(("[ab]", byte_set(b"ab"))),
    st.just(("", literal(b""))),
)
_BOUNDS = st.sampled_from([(0, None), (1, None), (0, 1), (2, 2), (0, 3), (1, 2), (3, None)])


def _extend(inner):
    return st.one_of(
        st.tuples(inner, inner).map(lambda p: (p[0][0] + p[1][0], cat(p[0][1], p[1][1]))),
        st.tuples(inner, inner).map(
            lambda p: (f"(?:{p[0][0]}|{p[1][0]})", any_of(p[0][1], p[1][1]))
        ),
        st.tuples(inner, _BOUNDS).map(lambda p: _repeated(*p)),
    )


# (pattern text, naive expression) of the same language
patterns = st.recursive(_ATOMS, _extend, max_leaves=6)

_TEXTS = st.text(ALPHABET, min_size=1, max_size=3)


def _phrase_free(phrase):
    anything = star(byte_set(range(256)))
    return negate(cat(anything, literal(phrase.encode()), byte_set(range(256)), anything))


_TESTS = st.one_of(
    patterns.map(lambda p: (formulas.matches(p[0]), p[1])),
    _TEXTS.map(lambda t: (formulas.contains(t), cat(TEXT, literal(t.encode()), TEXT))),
    _TEXTS.map(lambda t: (formulas.starts_with(t), cat(literal(t.encode()), TEXT))),
    _TEXTS.map(lambda t: (formulas.ends_with(t), cat(TEXT, literal(t.encode())))),
    st.lists(_TEXTS, max_size=3).map(
        lambda ts: (formulas.one_of(ts), any_of(*(literal(t.encode()) for t in ts)))
    ),
    st.tuples(st.integers(0, 2), st.integers(0, 3)).map(
        lambda b: (formulas.char_count(b[0], b[0] + b[1]), repeat(character(), b[0], b[0] + b[1]))
    ),
    st.integers(0, 3).map(
        lambda n: (
            formulas.byte_count(0, n),
            all_of(TEXT, repeat(byte_set(range(256)), 0, n)),
        )
    ),
    st.just((formulas.TRUE, ANYTHING)),
    st.just((formulas.FALSE, NOTHING)),
)


def _combine(inner):
    return st.one_of(
        st.tuples(inner, inner).map(lambda p: (p[0][0] & p[1][0], all_of(p[0][1], p[1][1]))),
        st.tuples(inner, inner).map(lambda p: (p[0][0] | p[1][0], any_of(p[0][1], p[1][1]))),
        inner.map(lambda p: (~p[0], negate(p[1]))),
    )


# (formula, naive expression of the texts that satisfy it)
text_formulas = st.recursive(_TESTS, _combine, max_leaves=4).map(
    lambda p: (p[0], all_of(p[1], TEXT))
)

# Vocabularies over the alphabet's bytes, some of them half characters, some missing.
_BYTES = sorted({bytes([b]) for b in ALPHABET.encode()})
vocabularies = st.tuples(
    st.sets(st.sampled_from(_BYTES), min_size=1),
    st.sets(st.lists(st.sampled_from(_BYTES), min_size=2, max_size=4).map(b"".join), max_size=5),
).map(lambda sets: [b"", *sorted(sets[0] | sets[1])])
full_vocabularies = st.sets(
    st.lists(st.sampled_from(_BYTES), min_size=2, max_size=4).map(b"".join), max_size=5
).map(lambda tokens: [b"", *sorted(set(_BYTES) | tokens)])
