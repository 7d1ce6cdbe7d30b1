"""On real attention caches, a batch of inputs gives what each input gives alone."""

import pytest
from reference.script import ask, end, run_script
from reference.tiny_models import tiny_model, tiny_tokenizer

from lmql_like.grammars.formulas import matches, one_of, token_count
from lmql_like.runtime.transformers_forward import StateMaker
from lmql_like.runtime.transformers_model import TransformersModel

INPUTS = [{"x": "a"}, {"x": "hello hello"}, {"x": ""}, {"x": "abcd, " * 9}, {"x": "the end"}]
DECODERS = ["argmax", "sample(n=2)", "beam(n=3)", "best_k(k=2, budget=6)", "var(n=2)"]


def script(values, arguments):
    if not values:
        formula = matches("[a-e]{1,6}|hello world") & token_count(1, 6)
        return ask(f"Say {arguments['x']}:", "X", formula, ".")
    if len(values) == 1 and "h" in values[0][1]:
        return ask(". Which hello?", "Y", one_of(["the first hello", "the second hello", "no"]))
    if len(values) == 1:
        return ask(" - ", "Z", matches("(ab|cd){2}"))
    return end("!")


KINDS = ["llama", "gpt2", "mistral", "qwen3_moe", "mamba2", "qwen3_next", "recurrent_gemma"]


@pytest.fixture(scope="module", params=[*KINDS, "llama, all shared"])
def model(request):
    kind, _, shares = request.param.partition(",")
    model = TransformersModel(tiny_model(kind), tiny_tokenizer())
    if shares:
        model._states = StateMaker(model._model, min_shared=2)
    return model


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("max_rows", [4, 32])
def test_a_batch_is_its_single_runs(model, decoder, max_rows):
    batch = run_script(script, INPUTS, model=model, decoder=decoder, max_rows=max_rows)
    singles = [
        result
        for n, arguments in enumerate(INPUTS)
        for result in run_script(script, [arguments], model=model, decoder=decoder, first_index=n)
    ]
    assert len(batch) == len(singles) >= 5
    for ours, alone in zip(batch, singles, strict=True):
        assert (ours.text, ours.token_ids) == (alone.text, alone.token_ids)
        assert ours.status == alone.status == "complete"
        assert ours.logprob == pytest.approx(alone.logprob, abs=1e-3)
        spelled = b"".join(model.vocabulary.tokens[i] for i in ours.token_ids)
        assert spelled.decode() == ours.text
