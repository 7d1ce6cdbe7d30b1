"""Distributions over values and `score`, against sums that a plain loop makes on a toy model."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lmql_like
from lmql_like.errors import GrammarError, QueryError, RunError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.distributions import Distribution
from lmql_like.runtime.run import run_program
from lmql_like.runtime.scoring import Scorer, spellings
from lmql_like.runtime.token_index import token_index
from lmql_like.runtime.toy_model import ToyModel

SINGLES = [bytes([byte]) for byte in range(256)]
PAIRS = [b"ab", b"abc", b"bc", b" a", b" b", b" ab", b"yes", b" yes", b"ye"]
VOCABULARY = Vocabulary([*SINGLES, *PAIRS, b""], eos_token_ids=[256 + len(PAIRS)])
MODEL = ToyModel(VOCABULARY, context=None)


def run(text, decoder=None, model=MODEL, **arguments):
    return run_program(compile_query(text), arguments, model=model, decoder=decoder, seed=1)


def naive_logprob(prompt, sequence):
    """Sum the log-probabilities of some tokens behind others, one forward pass a token."""
    ids, total = list(prompt), 0.0
    for token in sequence:
        logits = MODEL.logits_after(ids).astype(np.float64)
        total += logits[token] - np.logaddexp.reduce(logits)
        ids.append(token)
    return total


def naive_spellings(data):
    """Spell some bytes in every way, by recursion."""
    if not data:
        return [()]
    return [
        (token_id, *rest)
        for token_id, token in enumerate(VOCABULARY.tokens)
        if token and data.startswith(token)
        for rest in naive_spellings(data[len(token) :])
    ]


def prompt_ids(text):
    return MODEL.encode(text, at_start=True)


VALUES = [" ab", " yes", "b", "abcabc"]


def test_a_distribution_is_that_of_a_plain_loop():
    (result,) = run('"Say:[X]" distribution X in values', values=VALUES)
    found = result.distributions["X"]
    expected = [naive_logprob(prompt_ids("Say:"), MODEL.encode(v, at_start=False)) for v in VALUES]
    assert found.logprobs == pytest.approx(expected, abs=1e-5)
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found.mass == pytest.approx(sum(map(math.exp, expected)))
    best = VALUES[int(np.argmax(expected))]
    assert result.variables == {"X": best}
    assert result.text == "Say:" + best
    assert result.logprob == pytest.approx(max(expected), abs=1e-5)
    assert json.loads(json.dumps(result.to_json()))["distributions"]["X"]["mass"] == found.mass


def test_over_all_tokenizations_each_spelling_counts():
    (result,) = run('"Say:[X]" distribution TOKENIZATIONS(X) in values', values=VALUES)
    prompt = prompt_ids("Say:")
    expected = [
        np.logaddexp.reduce([naive_logprob(prompt, ids) for ids in naive_spellings(v.encode())])
        for v in VALUES
    ]
    assert result.distributions["X"].logprobs == pytest.approx(expected, abs=1e-5)


@given(st.text("aby es", min_size=1, max_size=6))
def test_spellings_are_all_and_each_once(text):
    found = spellings(text.encode(), token_index(VOCABULARY))
    assert sorted(found) == sorted(naive_spellings(text.encode()))


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 40), min_size=1, max_size=5),
            st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=4), min_size=1, max_size=5),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_scorer_that_is_used_again_says_what_a_fresh_loop_says(questions):
    scorer = Scorer(MODEL)
    for prompt, sequences in questions:
        wanted = {tuple(sequence) for sequence in sequences}
        found = scorer.logprobs(tuple(prompt), wanted)
        assert set(found) == wanted
        for sequence, logprob in found.items():
            assert logprob == pytest.approx(naive_logprob(prompt, sequence), abs=1e-4)


def test_values_of_one_token_cost_one_pass():
    (result,) = run('"Say:[X]" distribution X in [" yes", " ab"]')
    assert result.usage.forward_passes == 1


def test_a_distribution_in_the_middle_and_several_of_them():
    (result,) = run(
        '"A[X]" distribution X in ["a", "b"]\n'
        'if X == "a":\n    "left[Y]" distribution Y in ["c", "d"]\n'
        'else:\n    "right[Y]" distribution Y in ["e", "f"]\n'
        '"!"'
    )
    assert set(result.distributions) == {"X", "Y"}
    side = "left" if result.variables["X"] == "a" else "right"
    assert result.text == f"A{result.variables['X']}{side}{result.variables['Y']}!"
    again = prompt_ids("A")
    again += MODEL.encode(result.variables["X"], at_start=False)
    again += MODEL.encode(side, at_start=False)
    for value, logprob in zip(
        result.distributions["Y"].values, result.distributions["Y"].logprobs, strict=True
    ):
        expected = naive_logprob(again, MODEL.encode(value, at_start=False))
        assert logprob == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("decoder", ["argmax", "beam(n=3)", "sample(n=3)"])
def test_every_decoder_measures_each_hypothesis_behind_its_own_text(decoder):
    text = '"A[X]"where X in ["a", "b", "c"]\n"B[Y]" distribution Y in ["x", "yy"]\n'
    for result in run(text, decoder):
        prompt = result.token_ids[: -result.distributions["Y"].n_tokens[0]]
        values = result.distributions["Y"].values
        chosen = values.index(result.variables["Y"])
        n = result.distributions["Y"].n_tokens[chosen]
        prompt = result.token_ids[:-n]
        for value, logprob in zip(values, result.distributions["Y"].logprobs, strict=True):
            expected = naive_logprob(prompt, MODEL.encode(value, at_start=False))
            assert logprob == pytest.approx(expected, abs=1e-5)


def test_conditions_on_the_hole_leave_values_out():
    (result,) = run('"A[X]" where len(X) < 2 distribution X in ["a", "ab", "abc"]')
    assert result.distributions["X"].probabilities == {"a": 1.0, "ab": 0.0, "abc": 0.0}
    assert result.variables == {"X": "a"}
    (dead,) = run('"A[X]" where len(X) < 1 distribution X in ["a", "ab"]')
    assert dead.status == "dead-end"


def test_only_spellings_that_the_conditions_allow_are_summed():
    (result,) = run('"A[X]" where len(TOKENS(X)) == 2 distribution TOKENIZATIONS(X) in ["abc"]')
    prompt = prompt_ids("A")
    two = [ids for ids in naive_spellings(b"abc") if len(ids) == 2]
    expected = np.logaddexp.reduce([naive_logprob(prompt, ids) for ids in two])
    assert result.distributions["X"].logprobs == pytest.approx([expected], abs=1e-5)
    assert len(result.token_ids) == len(prompt) + 2


def test_a_typed_hole_gets_the_value_of_its_best_text():
    (result,) = run('"2+2=[N: int]." distribution N in [" 3", " 4"]')
    assert result.variables["N"] in (3, 4)


def test_below_the_program_it_holds_wherever_the_hole_is():
    (result,) = run('for i in range(2):\n    "{i}[X]"\nDISTRIBUTION X IN ["a", "b"]')
    assert result.text in {f"0{x}1{y}" for x in "ab" for y in "ab"}


def test_score_measures_at_its_place_and_changes_nothing():
    (result,) = run('"Is it"\nd = score(values)\n" late?"\nreturn d', values=VALUES)
    expected = [naive_logprob(prompt_ids("Is it"), MODEL.encode(v, at_start=False)) for v in VALUES]
    assert result.value.logprobs == pytest.approx(expected, abs=1e-5)
    assert result.text == "Is it late?"


def test_score_in_a_function_and_behind_a_hole():
    text = (
        'def ask():\n    return score(["a", "b"], tokenizations="all").best\n'
        '"A[X]" where X in ["a", "b"]\n"B"\nreturn [ask(), [score([v]).mass for v in ["a", "b"]]]'
    )
    (result,) = run(text)
    best, (a, b) = result.value
    assert best == ("a" if a > b else "b")


def test_score_is_a_name_like_any_other_where_it_is_not_called():
    (result,) = run('"Score: {score}."', score=3)
    assert result.text == "Score: 3."
    (result,) = run('def score(x):\n    return x\n"{score(1)}"')
    assert result.text == "1"


def test_an_impossible_text_of_a_prompt_is_truncated():
    (result,) = run('argmax(max_len=6)\n    "Say it:[X]" distribution X in ["abcabc", "b"]')
    assert result.status == "truncated"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('"[X]" distribution X', "Q056"),
        ('"[X]" distribution Z in ["a"]', "Q056"),
        ('"[X]" distribution X in [X]', "Q056"),
        ('"[X]" distribution X in ["a"] distribution X in ["b"]', "Q056"),
        ('"[X]" distribution X in ["a"]\ndistribution X in ["b"]', "Q056"),
        ('"[X]" distribution X in ["a", "a"]', "Q208"),
        ('"[X]" distribution X in "ab"', "Q208"),
        ('"[X]" distribution X in []', "Q208"),
        ('"[X]" distribution', "Q018"),
        ('"[X]"\nscoring X', "Q051"),
        ('"[X]" distribution X in values', "R102"),
        ('"a"\nscore("ab")', "R101"),
        ('"a"\nscore([])', "R101"),
        ('"a"\nscore(["a"], tokenizations="some")', "R101"),
        ('"[X]" distribution TOKENIZATIONS(X) in ["a" * 99 + "b" * 99]', None),
        ('"[X]" distribution TOKENIZATIONS(X) in ["abc" * 9]', "R206"),
    ],
)
def test_refused(text, code):
    if code is None:
        assert run(text)[0].status == "complete"
        return
    with pytest.raises((QueryError, RunError, GrammarError)) as raised:
        run(text, **({"values": [1]} if "values" in text else {}))
    assert raised.value.code == code


def test_score_outside_a_run_is_refused():
    program = compile_query('def ask():\n    return score(["a"])\n"x"\nreturn ask')
    (result,) = run_program(program, model=MODEL)
    with pytest.raises(RunError) as raised:
        result.value()
    assert raised.value.code == "R207"


def test_a_distribution_without_mass():
    nothing = Distribution(("a", "b"), (-math.inf, -math.inf), (1, 1))
    assert nothing.probabilities == {"a": 0.0, "b": 0.0}
    assert nothing.to_json()["logprobs"] == {"a": None, "b": None}


def test_score_from_python_is_score_in_a_program():
    found = lmql_like.score("Say:", VALUES, model=MODEL, tokenizations="all")
    (result,) = run('"Say:"\nreturn score(values, tokenizations="all")', values=VALUES)
    assert found == result.value
    with pytest.raises(TypeError):
        lmql_like.score("Say:", "ab", model=MODEL)
