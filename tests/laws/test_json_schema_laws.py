"""Schemas mean what an independent validator says they mean; masks never lead astray."""

from __future__ import annotations

import json
import random
import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies_json import NUMBERS, SCHEMAS, TEXTS, VALUES, spelled

from lmql_like.errors import SchemaError
from lmql_like.grammars import TokenMasker, Vocabulary
from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.formulas import Derives, Matches
from lmql_like.grammars.json_schema import compile_json, compile_json_schema, counting
from lmql_like.grammars.json_schema.conditions import both, either, negate
from lmql_like.grammars.json_schema.numbers import (
    Above,
    MultipleOf,
    NumberIn,
    Whole,
    number_holds,
    number_node,
)
from lmql_like.grammars.json_schema.sharing import rules_of
from lmql_like.grammars.json_schema.spelling import spell_other_texts, spell_text, spell_texts

jsonschema = pytest.importorskip("jsonschema", reason="the validator is not installed")

TOKENS = [bytes([byte]) for byte in range(256)] + [
    b'{"', b'":', b'": ', b'", "', b'"}', b'"]', b"[]", b"{}", b"true", b"null", b"12", b', "a',
    b'"a"', b'"ab', b"\\u00", b"[1", b"1]", b"},", b"\xc3\xa9", b"",
]  # fmt: skip
VOCABULARY = Vocabulary(TOKENS, eos_token_ids=[len(TOKENS) - 1])


def compiled(schema, **options):
    try:
        return compile_json_schema(schema, **options)
    except SchemaError as error:
        assume(error.code not in ("S301", "S302", "S304"))  # refused, with its reason
        raise


def no_name_twice(pairs):
    value = dict(pairs)
    if len(value) < len(pairs):
        raise LookupError(pairs)
    return value


@settings(max_examples=150)
@given(SCHEMAS, st.lists(VALUES, min_size=8, max_size=12), st.randoms(use_true_random=False))
def test_exactly_the_valid_values_are_accepted_in_any_spelling(schema, values, rng):
    automaton = compiled(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for value in values:
        assert automaton.matches(spelled(value, rng)) == validator.is_valid(value), value


DRAFTS = {
    "http://json-schema.org/draft-06/schema#": jsonschema.Draft6Validator,
    "http://json-schema.org/draft-07/schema#": jsonschema.Draft7Validator,
    "https://json-schema.org/draft/2019-09/schema": jsonschema.Draft201909Validator,
}


@settings(max_examples=40)
@given(
    st.sampled_from(sorted(DRAFTS)), SCHEMAS, st.lists(VALUES, min_size=6, max_size=8), st.data()
)
def test_each_draft_has_its_own_keywords(dialect, schema, values, data):
    assume(isinstance(schema, dict))
    items = data.draw(st.lists(SCHEMAS, min_size=1, max_size=2))
    more = {"items": items, "additionalItems": data.draw(SCHEMAS), "dependencies": {"a": ["b"]}}
    schema = {"$schema": dialect, **schema, **data.draw(st.sampled_from([{}, more]))}
    automaton = compiled(schema)
    validator = DRAFTS[dialect](schema)
    for value in [*values, {"a": 1}, {"a": 1, "b": 2}, [1, "a", None]]:
        assert automaton.matches(json.dumps(value)) == validator.is_valid(value), value


@settings(max_examples=30)
@given(SCHEMAS, st.lists(VALUES, min_size=6, max_size=8))
def test_layouts_differ_in_white_space_alone(schema, values):
    validator = jsonschema.Draft202012Validator(schema)
    layouts = {
        "compact": {"separators": (",", ":")},
        "pretty": {"indent": 3},
        "flexible": {"indent": 0, "separators": (" ,", "\t: ")},
    }
    for name, style in layouts.items():
        automaton = compiled(schema, whitespace=name)
        for value in values:
            assert automaton.matches(json.dumps(value, **style)) == validator.is_valid(value)


@settings(max_examples=40)
@given(
    st.lists(st.one_of(st.integers(0, 3), TEXTS, st.none()), min_size=1, max_size=6),
    st.lists(st.lists(st.one_of(st.integers(0, 3), TEXTS, st.none()), max_size=5), min_size=8),
    st.randoms(use_true_random=False),
)
def test_unique_items_out_of_a_few_values(values, arrays, rng):
    schema = {"type": "array", "items": {"enum": values}, "uniqueItems": True}
    automaton = compile_json_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for array in [*arrays, values, [rng.choice(values) for _ in range(3)]]:
        assert automaton.matches(spelled(array, rng)) == validator.is_valid(array), array


WORDS = st.lists(st.sampled_from(["a", "bc", "é", "😀", "d1"]), max_size=40).map(" ".join)


@settings(max_examples=40)
@given(
    st.sampled_from([r"^(\S+ )*\S+$", r"^(\S+ ){0,19}\S+$", r"^[^b]*(b[^b]*){0,9}$", "c 😀"]),
    st.integers(0, 30),
    st.integers(30, 90),
    st.lists(WORDS, min_size=8, max_size=8),
    st.randoms(use_true_random=False),
)
def test_characters_are_counted_beside_a_pattern(pattern, low, high, texts, rng):
    schema = {"type": "string", "pattern": pattern, "minLength": low, "maxLength": high}
    automaton = compile_json_schema(schema)
    for text in texts:
        wanted = low <= len(text) <= high and re.search(pattern, text) is not None
        assert automaton.matches(spelled(text, rng)) == wanted, text


@settings(max_examples=40)
@given(st.integers(0, 30), st.none() | st.integers(0, 40), st.integers(2, 7))
def test_characters_are_counted_by_blocks(low, more, block):
    high = None if more is None else low + more
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_MOST_COPIES", 3)
        patch.setattr(counting, "_BLOCK", block)
        patch.setattr(counting, "_MOST_ITEMS", 3)
        counting._block.cache_clear()
        rules = rules_of(counting.repeat_character(((0x61, 0x7A),), low, high))
    counting._block.cache_clear()
    automaton = compile_formula(Derives(rules))
    for count in range(75):
        assert automaton.matches("a" * count) == (low <= count and (high is None or count <= high))


@settings(max_examples=80)
@given(SCHEMAS, st.randoms(use_true_random=False))
def test_random_walks_through_the_masks_end_in_valid_values(schema, rng):
    automaton = compiled(schema, whitespace="compact")
    masker = TokenMasker(automaton, VOCABULARY)
    row = np.zeros(VOCABULARY.n_words, np.int32)
    state, text = masker.start(), b""
    for _ in range(300):
        if state is None:
            assert automaton.is_empty()
            return
        masker.fill_bitmask(state, row)
        allowed = np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little"))
        assert allowed.size, "a mask is never a dead end"
        token = int(rng.choice(allowed.tolist()))
        if masker.is_accepting(state) or token == len(TOKENS) - 1:
            break
        closing = [t for t in allowed.tolist() if TOKENS[t] in (b'"', b"}", b"]")]
        token = rng.choice(closing) if closing and rng.random() < 0.5 else token
        state, text = masker.advance(state, token), text + TOKENS[token]
        assert state is not None, "what the mask allows, advance takes"
    else:
        return
    try:
        value = json.loads(text, object_pairs_hook=no_name_twice)
    except LookupError:
        return
    assert jsonschema.Draft202012Validator(schema).is_valid(value)


@given(SCHEMAS, st.data())
@settings(max_examples=60)
def test_instances_generated_from_the_schema_are_accepted(schema, data):
    generator = pytest.importorskip("hypothesis_jsonschema")
    automaton = compiled(schema)
    assume(not automaton.is_empty())
    try:
        value = data.draw(generator.from_schema(schema))
    except Exception:  # noqa: BLE001 - the generator gives up on some schemas
        assume(False)
    assume(jsonschema.Draft202012Validator(schema).is_valid(value))
    text = json.dumps(value)
    assume("e" not in "".join(c for c in text if c in "0123456789.e+-"))
    assert automaton.matches(text)


@given(VALUES, st.randoms(use_true_random=False))
def test_every_json_text_is_json(value, rng):
    assert compile_json().matches(spelled(value, rng))
    compact = json.dumps(value, separators=(",", ":"))
    assert compile_json(whitespace="compact").matches(compact)
    assert compile_json(whitespace="pretty").matches(json.dumps(value, indent=2))


# -- pieces ----------------------------------------------------------------------------------

BOUNDS = st.one_of(
    st.integers(-300, 300).map(Decimal),
    st.integers(-300, 300).map(lambda n: Decimal(n) / 8),
    st.sampled_from(["0", "0.05", "-0.001", "1000", "99.995"]).map(Decimal),
)
ABOVE = st.builds(Above, BOUNDS, st.booleans())
NUMBER_ATOMS = st.one_of(
    ABOVE,
    st.just(Whole()),
    st.sampled_from([(3, 0), (5, 1), (1, 2), (7, 0), (15, 1), (100, 0), (25, 3)]).map(
        lambda pair: MultipleOf(*pair)
    ),
    st.frozensets(BOUNDS, min_size=1, max_size=3).map(NumberIn),
)


def conditions(atoms):
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            inner.map(negate), st.builds(both, inner, inner), st.builds(either, inner, inner)
        ),
        max_leaves=4,
    )


PLAIN_NUMBERS = st.from_regex(r"\A-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,4})?\Z")
SCIENTIFIC = st.from_regex(r"\A-?[1-9](\.[0-9]{1,3})?[eE][+-]?0?[0-3]\Z")


@given(conditions(NUMBER_ATOMS), st.lists(PLAIN_NUMBERS, min_size=20, max_size=20))
def test_conditions_on_numbers_are_decided_by_value(condition, texts):
    automaton = compile_formula(Matches(number_node(condition)))
    for text in texts:
        assert automaton.matches(text) == number_holds(condition, Decimal(text)), text


@given(conditions(ABOVE), st.lists(SCIENTIFIC, min_size=20, max_size=20))
def test_bounds_are_decided_in_scientific_notation_too(condition, texts):
    automaton = compile_formula(Matches(number_node(condition)))
    for text in texts:
        assert automaton.matches(text) == number_holds(condition, Decimal(text)), text


@given(st.lists(TEXTS, min_size=1, max_size=4), TEXTS, st.randoms(use_true_random=False))
def test_texts_and_all_other_texts_in_every_spelling(texts, probe, rng):
    content = spelled(probe, rng)[1:-1]
    chosen = tuple(dict.fromkeys(texts))
    assert _accepts(spell_texts(chosen), content) == (probe in chosen)
    assert _accepts(spell_other_texts(chosen), content) == (probe not in chosen)
    assert _accepts(spell_text(probe), content)


def _accepts(node, text):
    return compile_formula(Derives(rules_of(node))).matches(text)


@given(st.one_of(NUMBERS, TEXTS), st.randoms(use_true_random=False))
def test_a_constant_is_accepted_in_every_spelling(value, rng):
    assert compile_json_schema({"const": value}).matches(spelled(value, rng))


def test_random_spellings_differ():
    rng = random.Random(0)
    assert len({spelled("é/", rng) for _ in range(50)}) > 4
