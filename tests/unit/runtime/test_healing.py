"""Token healing, against plain loops over all spellings on a toy model."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import lmql_like
from lmql_like.errors import RunError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.run import run_program, start_run
from lmql_like.runtime.toy_model import ToyModel

TOKENS = [b"A", b":", b" ", b"a", b"b", b" a", b" ab", b": a", b"ab", b"b!", b"!", b"  ", b"c"]
VOCABULARY = Vocabulary([*TOKENS, b""], eos_token_ids=[len(TOKENS)])
MODEL = ToyModel(VOCABULARY, context=None)


def run(text, decoder=None, healing="space", **arguments):
    program = compile_query(text)
    return run_program(program, arguments, model=MODEL, decoder=decoder, seed=1, healing=healing)


def naive_logprob(prompt, ids):
    total, read = 0.0, list(prompt)
    for token in ids:
        logits = MODEL.logits_after(read).astype(np.float64)
        total += logits[token] - np.logaddexp.reduce(logits)
        read.append(token)
    return total


def spellings(data):
    if not data:
        return [()]
    return [
        (token_id, *rest)
        for token_id, token in enumerate(TOKENS)
        if data.startswith(token)
        for rest in spellings(data[len(token) :])
    ]


def spelled(ids):
    return b"".join(VOCABULARY.tokens[token_id] for token_id in ids)


OPTIONS = ["a", "ab", "b"]


@pytest.mark.parametrize(("healing", "kept"), [("space", "A:"), ("full", "A:"), ("off", "A: ")])
def test_a_beam_finds_every_spelling_behind_what_is_left_of_the_prompt(healing, kept):
    results = run('"A: [X]!" where X in options', "beam(n=60)", healing, options=OPTIONS)
    prompt = MODEL.encode(kept, at_start=True)
    end = tuple(MODEL.encode("!", at_start=False))
    found = {result.token_ids[len(prompt) :]: result for result in results}
    expected = {
        (*ids, *end)
        for option in OPTIONS
        for ids in spellings(b"A: "[len(kept) :] + option.encode())
    }
    assert set(found) == expected
    for ids, result in found.items():
        assert spelled(ids).decode() == "A: "[len(kept) :] + result.variables["X"] + "!"
        assert result.text == "A: " + result.variables["X"] + "!"
    if healing == "off":
        assert len(expected) < len(spellings(b" ab")) + len(spellings(b" a")) + 2


def test_the_log_probability_is_that_of_the_tokens_that_were_written():
    for result in run('"A: [X]" where X in ["ab"]', "beam(n=9)"):
        prompt = MODEL.encode("A:", at_start=True)
        expected = naive_logprob(prompt, result.token_ids[len(prompt) :])
        assert result.logprob == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("decoder", ["argmax", "sample(n=6)", "beam(n=3)"])
@pytest.mark.parametrize("healing", ["space", "full", "off"])
def test_whatever_is_healed_the_text_is_the_prompt_and_a_value(decoder, healing):
    text = '"A: [X] A:[Y] [Z]" where X in ["a", "ab"] and Y in [" a", "b"] and len(Z) < 3'
    for result in run(text, decoder, healing):
        values = result.variables
        assert result.text == f"A: {values['X']} A:{values['Y']} {values['Z']}"
        assert values["X"] in ("a", "ab")
        assert values["Y"] in (" a", "b")
        assert len(values["Z"]) < 3
        assert spelled(result.token_ids).decode() == result.text


def test_a_stop_phrase_is_taken_back_from_a_token_that_began_in_the_prompt():
    text = '"A: [X]c" where STOPS_BEFORE(X, "b") and REGEX(X, "a?")'
    for decoder, healing in itertools.product(["beam(n=20)", "sample(n=20)"], ["space", "full"]):
        for result in run(text, decoder, healing):
            if result.status == "complete":
                assert result.text == f"A: {result.variables['X']}c"
                assert spelled(result.token_ids).decode() == result.text


def test_a_prompt_that_ends_in_no_space_is_left_alone_and_so_is_a_filled_hole():
    for text in ('"A:[X]" where X in options', '"A[X][Y]" where X in ["b "] and Y in options'):
        off = run(text, "beam(n=4)", "off", options=OPTIONS)
        for one, other in zip(run(text, "beam(n=4)", options=OPTIONS), off, strict=True):
            assert one.token_ids == other.token_ids


def test_token_limits_count_the_token_that_begins_in_the_prompt_once():
    for result in run('"A: [X]!" where X in ["ab"] and len(TOKENS(X)) == 1', "beam(n=20)"):
        assert result.variables == {"X": "ab"}
    texts = {
        r.token_ids[3:]
        for r in run('"A: [X]!" where X in ["ab"] and len(TOKENS(X)) == 1', "beam(n=20)")
    }
    assert texts == {(6, 10), (2, 8, 10)}


def test_streams_agree():
    program = compile_query('"A: [X]!" where X in ["a", "ab"]')
    running = start_run(program, model=MODEL, decoder="argmax", healing="full")
    assert "".join(event.text for event in running.events()) == running.results()[0].text


def test_from_python_and_refused():
    result = lmql_like.run('"A: [X]" where X in ["ab"]', model=MODEL, healing="off")
    assert 2 in result.token_ids
    with pytest.raises(RunError) as raised:
        lmql_like.run('"A: [X]"', model=MODEL, healing="none")
    assert raised.value.code == "R114"
