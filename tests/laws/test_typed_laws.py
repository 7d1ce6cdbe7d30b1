"""Types: what a mask lets pass is a value, and every value is let pass."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from typing import Annotated

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter
from strategies_types import TYPES, UNIONS

from lmql_like.errors import SchemaError
from lmql_like.grammars import TokenMasker, Vocabulary
from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.formulas import sentence_count, split_sentences
from lmql_like.grammars.json_schema.strings import Pattern, text_automaton
from lmql_like.grammars.python_types import read_type
from lmql_like.grammars.python_types.rust_patterns import to_ecma

TOKENS = [bytes([byte]) for byte in range(256)] + [
    b'{"', b'":', b'": ', b'", "', b'"}', b'"]', b"[]", b"{}", b"true", b"None", b"12", b', "a',
    b'"a"', b"-0", b"0.", b"e-", b"[1", b"1]", b"},", b"\xc3\xa9", b"2024-0", b" ", b"",
]  # fmt: skip
VOCABULARY = Vocabulary(TOKENS, eos_token_ids=[len(TOKENS) - 1])
ENDING = [TOKENS.index(end) for end in (b'"', b"}", b"]", b'"}', b'"]', b"[]", b"{}")]


def walk(formula, rng):
    """Return a text along the masks of a formula; None where it goes on for too long."""
    masker = TokenMasker(compile_formula(formula), VOCABULARY)
    row = np.zeros(VOCABULARY.n_words, np.int32)
    state, text = masker.start(), b""
    for _ in range(400):
        assert state is not None
        masker.fill_bitmask(state, row)
        allowed = np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little")).tolist()
        assert allowed, "a mask is never a dead end"
        if masker.is_accepting(state) and (len(allowed) == 1 or rng.random() < 0.4):
            return text.decode()
        closing = [token for token in allowed if token in ENDING]
        token = rng.choice(closing if closing and rng.random() < 0.5 else allowed)
        if token == len(TOKENS) - 1:
            return text.decode()
        state, text = masker.advance(state, token), text + TOKENS[token]
    return None


@settings(max_examples=120)
@given(TYPES, st.randoms(use_true_random=False))
def test_what_the_masks_let_pass_is_a_value(pair, rng):
    typed = read_type(pair[0])
    assert not typed.checks
    text = walk(typed.formula, rng)
    assume(text is not None)
    value = typed.read(text)
    if typed.bare is None:
        assert same(value, TypeAdapter(pair[0]).validate_json(text))


@settings(max_examples=60)
@given(UNIONS, st.randoms(use_true_random=False))
def test_what_the_masks_of_unions_let_pass_is_a_value(kind, rng):
    text = walk(read_type(kind).formula, rng)
    assume(text is not None)
    read_type(kind).read(text)


@settings(max_examples=200)
@given(TYPES, st.data())
def test_every_value_is_let_pass_and_read_back(pair, data):
    kind, values = pair
    value = data.draw(values)
    typed = read_type(kind)
    written = TypeAdapter(kind).dump_json(value, by_alias=True).decode()
    text = written
    if typed.bare is not None and (typed.bare.is_free or written.startswith('"')):
        text = json.loads(written)
    automaton = compile_formula(typed.formula)
    for spelled in {text, " " + text} if not (typed.bare and typed.bare.is_free) else {text}:
        assert automaton.matches(spelled), (kind, spelled)
        assert same(typed.read(spelled), value), (kind, spelled)


def same(left, right):
    """Tell whether values are equal, not-a-number and time zones of the same offset included."""
    if isinstance(left, float) and isinstance(right, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    if isinstance(left, dt.datetime):
        return left == right and left.utcoffset() == right.utcoffset()
    return left == right


PIECES = st.sampled_from(
    ["a", "1", ".", r"\d", r"\w", r"\s", r"\S", r"\W", r"\D", "[a-c]", r"[^\d]", r"[\w-]", "é",
     r"\.", r"[\s,]", "(a|1)", "(?:ab)", r"\x41", r"\-", "[^a]", "[.]", r"[\]x]"],
)  # fmt: skip
QUANTIFIED = st.tuples(PIECES, st.sampled_from(["", "", "*", "+?", "{2}", "{1,2}"])).map("".join)
PATTERNS = st.tuples(
    st.sampled_from(["", "^"]), st.lists(QUANTIFIED, max_size=3).map("".join),
    st.sampled_from(["", "$"]),
).map("".join)  # fmt: skip
SUBJECTS = st.text("a1é .-_,]\nx\u0663\x85\ufeff\u200d\u24b6A\x1c\u2028", max_size=4)


@given(PATTERNS, st.lists(SUBJECTS, min_size=10, max_size=10))
def test_patterns_of_types_are_those_that_pydantic_matches(pattern, subjects):
    for python in (False, True):
        kind = _matching(re.compile(pattern) if python else pattern)
        automaton = text_automaton(Pattern(to_ecma(pattern, python=python)))
        for subject in subjects:
            assert automaton.accepts(subject) == _accepts(kind, subject), (python, subject)


def _matching(pattern):
    return TypeAdapter(Annotated[str, Field(pattern=pattern)])


def _accepts(adapter, text):
    try:
        adapter.validate_python(text)
    except ValueError:
        return False
    return True


@given(st.text('aB.!?)" \n', max_size=12), st.integers(0, 3), st.integers(0, 3))
def test_sentences_are_counted_as_they_are_split(text, low, more):
    count = len(split_sentences(text))
    counted = compile_formula(sentence_count(low, low + more))
    assert counted.matches(text) == (low <= count <= low + more)
    assert compile_formula(sentence_count(low, None)).matches(text) == (low <= count)


@given(st.text('aB.!?)" \n', max_size=12))
def test_sentences_are_the_whole_text(text):
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


def test_some_types_are_refused():
    for kind, code in ((range, "S403"), (complex, "S401"), ("list[Nowhere]", "S403")):
        with pytest.raises(SchemaError) as raised:
            read_type(kind)
        assert raised.value.code == code
