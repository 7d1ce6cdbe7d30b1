"""Rows are fed in pieces where logits would need too much memory, and come out the same."""

import math

import pytest
from hypothesis import given, settings
from reference.random_scripts import assert_same, models, scripts
from reference.script import ask, end, run_script, with_formulas
from reference.search import Reference

from lmql_like.grammars.formulas import matches, one_of, stops_before
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.runtime import batch
from lmql_like.runtime.run import run_program
from lmql_like.runtime.toy_model import ToyModel

LETTERS = Vocabulary([bytes([byte]) for byte in range(128)] + [b""], eos_token_ids=[128])


@pytest.fixture(params=["a logit at a time", "near tokens only", "three tokens in a pass"])
def small_steps(request, monkeypatch):
    if request.param == "near tokens only":
        monkeypatch.setattr(batch, "_MAX_GAP", 0)
    elif request.param == "a logit at a time":
        monkeypatch.setattr(batch, "_MAX_LOGIT_BYTES", 1)
    else:
        monkeypatch.setattr(batch, "_MAX_TOKENS", 3)
    monkeypatch.setattr(batch, "_MIN_SHARED", 1)


@pytest.mark.usefixtures("small_steps")
class TestSmallSteps:
    @settings(max_examples=30, deadline=None)
    @given(scripts(), models)
    def test_beams_keep_their_scores(self, script, model):
        paths = Reference(script, model).everything()
        if len(paths) > 100:
            return
        results = run_script(with_formulas(script), model=model, decoder="beam(n=100)")
        assert_same(results, paths)

    @settings(max_examples=30, deadline=None)
    @given(scripts(), models)
    def test_argmax_keeps_its_scores(self, script, model):
        path = Reference(script, model).greedy()
        (result,) = run_script(with_formulas(script), model=model)
        assert result.token_ids == path.ids
        assert math.isclose(result.logprob, path.logprob, abs_tol=1e-3)


def forced_script(values, _arguments):
    if not values:
        return ask("ab:", "X", one_of(["forced text of some length"]))
    if len(values) == 1:
        return ask(" literal " * 20, "Y", one_of(["p", "q"]))
    return end()


@pytest.mark.parametrize("decoder", ["argmax", "beam(n=2)"])
def test_far_forced_tokens_are_scored_in_a_pass_of_their_own(decoder):
    model = ToyModel(LETTERS)
    fed = []
    original = batch.Batch._run

    def run(self, feeds):
        fed.extend(plan for plan in feeds if plan)
        return original(self, feeds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch.Batch, "_run", run)
        results = run_script(forced_script, model=model, decoder=decoder)
    assert max(plan.keep for plan in fed) == len("forced text of some length")
    assert model.forward_passes == 2
    result = results[0]
    begin = len("ab:") + 1
    at = [*range(begin, begin + 26), len(result.token_ids) - 1]
    wanted = sum(logprob(model, result.token_ids, i) for i in at)
    assert result.logprob == pytest.approx(wanted, abs=1e-4)


def logprob(model, ids, at):
    logits = model.logits_after(ids[:at]).astype(float)
    return float(logits[ids[at]]) - math.log(sum(math.exp(x) for x in logits))


def test_forced_tokens_of_a_stop_phrase_are_scored_before_they_go():
    model = ToyModel(LETTERS)

    def script(values, _arguments):
        if not values:
            return ask("ab:", "X", matches("pp|qq") & stops_before("!?"))
        return end(".")

    results = run_script(script, model=model, decoder="beam(n=9)")
    assert [result.variables["X"] for result in results].count("pp") == 2
    assert len(results) == 4
    wanted = []
    for text in ("pp", "qq"):
        ids = model.encode(f"ab:{text}!?", at_start=True)
        ended = [*ids[:-2], *LETTERS.eos_token_ids]
        wanted += [sum(logprob(model, way, i) for i in range(4, len(way))) for way in (ids, ended)]
    found = [result.logprob for result in results]
    assert found == pytest.approx(sorted(wanted, reverse=True), abs=1e-4)
    for result in results:
        assert result.text == "ab:" + result.variables["X"] + "."
        assert result.usage.unscored_tokens == 0


@pytest.mark.parametrize("decoder", ["argmax", "beam(n=3)"])
def test_a_pass_reads_no_more_than_it_may(decoder):
    program = compile_query('"{text}[X]." where X in ["forced and long", "free"]')
    texts = ["one " * 9, "two " * 5, "three " * 8]

    class Watched(ToyModel):
        def new_state(self, n_rows):
            state = super().new_state(n_rows)
            extend = state.extend

            def counting(new_ids, keep):
                counts.append(sum(map(len, new_ids)))
                return extend(new_ids, keep)

            state.extend = counting
            return state

    found = []
    for most in (None, 7, 1):
        counts = []
        inputs = [{"text": text} for text in texts]
        options = {"model": Watched(LETTERS), "decoder": decoder, "max_tokens": most}
        found.append([r.token_ids for r in run_program(program, inputs, **options)])
        assert max(counts) <= (most or 16_384)
    assert found[0] == found[1] == found[2]
