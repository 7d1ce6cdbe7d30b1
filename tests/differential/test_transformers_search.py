"""Without constraints, decoders do what transformers' own `generate` does."""

import copy

import numpy as np
import pytest
import torch
from reference.script import ask, end, run_script
from reference.tiny_models import tiny_model, tiny_tokenizer

from lmql_like.grammars.formulas import TRUE
from lmql_like.runtime.transformers_model import TransformersModel

KINDS = ["llama", "gpt2", "qwen3_moe", "mistral", "bloom"]
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
        renormalize_logits=False,
        prefix_allowed_tokens_fn=lambda *_: writable,
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )
    return output.sequences.tolist(), output.get("sequences_scores")


@pytest.mark.parametrize("prompt", PROMPTS)
def test_argmax_is_greedy_generation(pair, prompt):
    (wanted,), _ = generate(pair, prompt, do_sample=False)
    max_len = len(pair[1].encode(prompt, at_start=True)) + NEW
    (result,) = run_script(
        script, [{"prompt": prompt}], model=pair[1], decoder=f"argmax(max_len={max_len})"
    )
    ours = list(result.token_ids)
    if result.status == "complete":
        ours.append(0)
    assert ours == wanted


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize(
    ("n", "penalty", "early", "their_early"),
    [
        (2, 0.0, False, False),
        (5, 0.0, False, False),
        (3, 1.0, "heuristic", False),
        (3, 1.0, False, "never"),
        (3, 1.0, True, True),
        (3, -0.5, False, "never"),
    ],
)
def test_beam_is_beam_generation(pair, prompt, n, penalty, early, their_early):
    wanted, scores = generate(
        pair,
        prompt,
        do_sample=False,
        num_beams=n,
        num_return_sequences=n,
        length_penalty=penalty,
        early_stopping=their_early,
    )
    max_len = len(pair[1].encode(prompt, at_start=True)) + NEW
    results = run_script(
        script,
        [{"prompt": prompt}],
        model=pair[1],
        decoder=f"beam(n={n}, max_len={max_len}, length_penalty={penalty}, "
        f"early_stopping={early!r})",
    )
    n_prompt = max_len - NEW
    ours = {}
    for result in results:
        ids = result.token_ids + ((0,) if result.status == "complete" else ())
        ours[ids] = result.logprob / (len(ids) - n_prompt) ** penalty
    theirs = {}
    for ids, score in zip(wanted, scores.tolist(), strict=True):
        while ids[-1] in (0, 1) and ids[-2] in (0, 1) and len(ids) > 2:
            ids.pop()  # padding behind the end
        theirs[tuple(i for i in ids)] = score
    # We prefer any complete result to a truncated one; `generate` has no such preference.
    complete = {ids: score for ids, score in theirs.items() if ids[-1] == 0}
    assert set(complete) <= set(ours)
    if penalty <= 0 or len(complete) == n:
        assert set(ours) == set(theirs)
    for ids in set(ours) & set(theirs):
        assert ours[ids] == pytest.approx(theirs[ids], abs=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 1.3},
        {"temperature": 0.8, "top_k": 20},
        {"top_p": 0.8, "min_p": 0.01},
        {"typical_p": 0.7, "top_k": 60},
    ],
    ids=str,
)
def test_samples_are_those_of_generation_with_the_same_uniform_numbers(pair, options, monkeypatch):
    prompt, seed = PROMPTS[1], 5
    uniform = np.random.default_rng(np.random.SeedSequence([seed, 0, 0])).random

    def draw(weights, num_samples):
        assert num_samples == 1
        weights = np.roll(weights.double().numpy()[0], -1)  # the end, id 0, is the last candidate
        cumulative = np.cumsum(weights)
        at = np.searchsorted(cumulative, uniform() * cumulative[-1], "right")
        return torch.tensor([[(int(at) + 1) % len(weights)]])

    monkeypatch.setattr(torch, "multinomial", draw)
    plain = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
    (wanted,), _ = generate(pair, prompt, do_sample=True, **{**plain, **options})
    arguments = ", ".join(f"{name}={value}" for name, value in options.items())
    max_len = len(pair[1].encode(prompt, at_start=True)) + NEW
    (result,) = run_script(
        script,
        [{"prompt": prompt}],
        model=pair[1],
        decoder=f"sample(max_len={max_len}, seed={seed}, {arguments})",
    )
    assert list(result.token_ids) + [0] * (result.status == "complete") == wanted
