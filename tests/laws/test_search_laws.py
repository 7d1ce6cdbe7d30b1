"""Searches find what plain loops over every token find, on random scripts."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.random_scripts import VOCABULARY, assert_same, models, scripts
from reference.script import ask, end, run_script, start_script, with_formulas
from reference.search import Reference

from lmql_like.grammars.formulas import matches, stops_at, stops_before, token_count
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.runtime.toy_model import ToyModel


@settings(max_examples=60, deadline=None)
@given(scripts(), models)
def test_a_wide_beam_finds_the_best_of_everything(script, model):
    paths = Reference(script, model).everything()
    if len(paths) > 400:
        return
    results = run_script(with_formulas(script), model=model, decoder="beam(n=400)")
    assert_same(results, paths)


@settings(max_examples=60, deadline=None)
@given(scripts(), models, st.integers(2, 4))
def test_a_narrow_beam_keeps_what_the_naive_one_keeps(script, model, n):
    paths = Reference(script, model).beam(n)
    near = [a.logprob - b.logprob for a, b in itertools.pairwise(paths)]
    if any(gap < 1e-4 for gap in near):
        return
    results = run_script(with_formulas(script), model=model, decoder=f"beam(n={n})")
    assert_same(results, paths)


@settings(max_examples=60, deadline=None)
@given(scripts(), models)
def test_argmax_takes_the_likeliest_choices(script, model):
    path = Reference(script, model).greedy()
    (result,) = run_script(with_formulas(script), model=model)
    assert result.status == path.status
    assert result.text == path.text.decode(errors="ignore")
    assert result.token_ids == path.ids
    assert result.usage.unscored_tokens == len(path.unscored)
    assert math.isclose(result.logprob, path.logprob, abs_tol=1e-3)


@settings(max_examples=30, deadline=None)
@given(scripts(), models, st.integers(1, 14), st.sampled_from([None, 1, 3]))
def test_a_length_limit_truncates(script, model, max_len, n):
    decoder = f"argmax(max_len={max_len})" if n is None else f"beam(n={n}, max_len={max_len})"
    results = run_script(with_formulas(script), model=model, decoder=decoder)
    reference = Reference(script, model, max_len=max_len)
    paths = [reference.greedy()] if n is None else reference.beam(n)
    assert [result.status for result in results] == [path.status for path in paths]
    if n is None:
        assert results[0].token_ids == paths[0].ids
    for result in results:
        spelled = b"".join(VOCABULARY.tokens[i] for i in result.token_ids)
        assert spelled.decode(errors="ignore") == result.text


DECODERS = ["argmax", "sample(n=3)", "sample(temperature=0.5, top_k=3)", "beam(n=3)"]


@pytest.mark.parametrize("decoder", DECODERS)
@settings(max_examples=25, deadline=None)
@given(scripts(), models, st.integers(1, 9))
def test_a_batch_is_its_single_runs(decoder, script, model, max_rows):
    inputs = [{"x": "a" * n + "bc"[n % 2]} for n in range(4)]
    script = with_formulas(script)
    batch = run_script(script, inputs, model=model, decoder=decoder, max_rows=max_rows)
    singles = [
        result
        for n, arguments in enumerate(inputs)
        for result in run_script(script, [arguments], model=model, decoder=decoder, first_index=n)
    ]
    assert [(r.input_index, r.text, r.status, r.token_ids, round(r.logprob, 4)) for r in batch] == [
        (r.input_index, r.text, r.status, r.token_ids, round(r.logprob, 4)) for r in singles
    ]


@pytest.mark.parametrize("decoder", DECODERS)
@settings(max_examples=25, deadline=None)
@given(scripts(), models)
def test_tokens_spell_the_text_and_the_text_keeps_its_constraints(decoder, script, model):
    for result in run_script(with_formulas(script), model=model, decoder=decoder):
        assert result.status == "complete"
        spelled = b"".join(VOCABULARY.tokens[i] for i in result.token_ids)
        assert spelled.decode() == result.text
        assert "".join(piece.data.decode() for piece in result.segments) == result.text
        values = ()
        while True:
            step = script(values, {})
            if step[0] == "end":
                break
            assert result.variables[step[2]] in step[3]
            values += ((step[2], result.variables[step[2]]),)
        assert step[2] == result.value


STRADDLING = Vocabulary(
    [b"a", b"b", b".", b"!", b"a.", b".b", b"..", b"!a", b"b!.", b".!a", b"aba", b""],
    eos_token_ids=[11],
)


@pytest.mark.parametrize("decoder", DECODERS)
@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([".", "!", ".!", "b!", "..", "aba"]), min_size=1, max_size=2),
    st.booleans(),
    st.integers(0, 500),
)
def test_what_a_stop_phrase_takes_back_leaves_no_trace(decoder, phrases, is_kept, seed):
    stop = stops_at(phrases) if is_kept else stops_before(phrases)

    def script(values, _arguments):
        if len(values) < 2:
            return ask("a", "XY"[len(values)], matches("[ab.!]*") & stop & token_count(0, 8))
        return end("b")

    model = ToyModel(STRADDLING, seed=seed)
    run = start_script(script, model=model, decoder=decoder)
    events = list(run.events())
    for result in run.results():
        assert result.status == "complete"
        assert result.text == "a" + result.variables["X"] + "a" + result.variables["Y"] + "b"
        assert b"".join(STRADDLING.tokens[i] for i in result.token_ids).decode() == result.text
        for value in result.variables.values():
            found = [value.find(phrase) for phrase in phrases if phrase in value]
            assert not found or (is_kept and value.endswith(tuple(phrases)))
    first = run.results()[0]
    assert "".join(event.text for event in events if event.lane == 0) == first.text
