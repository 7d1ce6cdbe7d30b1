"""Rows that take a while are filled in threads while the model computes; nothing else changes."""

import threading

import pytest
from hypothesis import given, settings
from reference.random_scripts import models, scripts
from reference.script import run_script, with_formulas

from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.runtime import masking
from lmql_like.runtime.run import run_program
from lmql_like.runtime.toy_model import ToyModel

LETTERS = Vocabulary(
    [bytes([byte]) for byte in b"abcdefghijklmnopqrstuvwxyz "] + [b"th", b"in", b"er", b""],
    eos_token_ids=[30],
)


@pytest.fixture
def every_row_is_slow(monkeypatch):
    monkeypatch.setattr(masking, "_SLOW", -1.0)


@pytest.mark.usefixtures("every_row_is_slow")
@pytest.mark.parametrize("decoder", ["argmax", "beam(n=3)", "sample(n=2)"])
@settings(max_examples=25, deadline=None)
@given(scripts(), models)
def test_results_are_the_same(decoder, script, model):
    def run():
        return [
            (r.text, r.token_ids, r.status, round(r.logprob, 5), r.usage.forced_tokens)
            for r in run_script(with_formulas(script), model=model, decoder=decoder)
        ]

    deferred = run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masking, "_SLOW", 1e9)
        assert run() == deferred


@pytest.mark.usefixtures("every_row_is_slow")
def test_rows_are_filled_by_threads_while_the_model_computes(monkeypatch):
    fillers = set()
    fill = masking.MaskTable._fill

    def noted(self, masker, state):
        fillers.add(threading.current_thread().name)
        return fill(self, masker, state)

    monkeypatch.setattr(masking.MaskTable, "_fill", noted)
    program = compile_query('"a[X]" where REGEX(X, r"([a-z]{2,5} ){2,9}") and len(X) < 30')
    model = ToyModel(LETTERS)
    (result,) = run_program(program, model=model)
    assert result.status == "complete"
    assert any(name.startswith("lmql-like-masks") for name in fillers)
    assert result.usage.mask_seconds > 0
