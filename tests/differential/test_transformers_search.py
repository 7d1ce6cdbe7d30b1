"""Without constraints, decoders do what transformers' own `generate` does."""

import copy

import pytest
import torch
from reference.script import ask, end, run_script
from reference.tiny_models import tiny_model, tiny_tokenizer

from lmql_like.grammars.formulas import TRUE
from lmql_like.runtime.transformers_model import TransformersModel

KINDS = ["llama", "gpt2", "qwen3_moe"]
PROMPTS = ["hello", "ab", "The cat and the dog, abcd"]
NEW = 12


def script(values, arguments):
    return end() if values else ask(arguments["prompt"], "X", TRUE)


@pytest.fixture(scope="module", params=KINDS)
def pair(request):
    torch.set_num_threads(1)
    model = copy.deepcopy(tiny_model(request.param))
    with torch.no_grad():  # make the end of the text likely now and then
        model.get_output_embeddings().weight[0] *= 4.0
    return model, TransformersModel(model, tiny_tokenizer())


def generate(pair, prompt, **options):
    """Return ([ids], scores) by `generate`, which may only write what a hole may hold."""
    hf, model = pair
    ids = torch.tensor([model.encode(prompt, at_start=True)])
    writable = [
        i
        for i, data in enumerate(model.vocabulary.tokens)
        if data or i in model.vocabulary.eos_token_ids
    ]
    output = hf.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=NEW,
        do_sample=False,
        renormalize_logits=False,
        prefix_allowed_tokens_fn=lambda *_: writable,
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )
    return output.sequences.tolist(), output.get("sequences_scores")


@pytest.mark.parametrize("prompt", PROMPTS)
def test_argmax_is_greedy_generation(pair, prompt):
    (wanted,), _ = generate(pair, prompt)
    max_len = len(pair[1].encode(prompt, at_start=True)) + NEW
    (result,) = run_script(
        script, [{"prompt": prompt}], model=pair[1], decoder=f"argmax(max_len={max_len})"
    )
    ours = list(result.token_ids)
    if result.status == "complete":
        ours.append(0)
    assert ours == wanted


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("n", [2, 3, 5])
def test_beam_is_beam_generation(pair, prompt, n):
    wanted, scores = generate(
        pair, prompt, num_beams=n, num_return_sequences=n, length_penalty=0.0, early_stopping=False
    )
    max_len = len(pair[1].encode(prompt, at_start=True)) + NEW
    results = run_script(
        script, [{"prompt": prompt}], model=pair[1], decoder=f"beam(n={n}, max_len={max_len})"
    )
    ours = {
        result.token_ids + ((0,) if result.status == "complete" else ()): result.logprob
        for result in results
    }
    theirs = {}
    for ids, score in zip(wanted, scores.tolist(), strict=True):
        while ids[-1] in (0, 1) and ids[-2] in (0, 1) and len(ids) > 2:
            ids.pop()  # padding behind the end
        theirs[tuple(i for i in ids)] = score
    assert set(ours) == set(theirs)
    for ids, score in theirs.items():
        assert ours[ids] == pytest.approx(score, abs=1e-3)
