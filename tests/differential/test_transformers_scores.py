"""Scores of texts against transformers' own forward passes on the embedded model."""

from __future__ import annotations

import pytest
import torch

import lmql_like

VALUES = [" Paris", " Rome", " a city of the north", " P"]
PROMPT = "Q: What is the capital of France?\nA:"


@pytest.fixture(scope="module")
def model():
    return lmql_like.load_model()


def logprob(model, prompt, ids):
    """Sum the log-probabilities of some tokens behind others, in one plain pass."""
    network = model._model
    with torch.inference_mode():
        logits = network(torch.tensor([[*prompt, *ids]])).logits[0].float()
    table = torch.log_softmax(logits, dim=-1)
    return sum(float(table[len(prompt) - 1 + n, token]) for n, token in enumerate(ids))


@pytest.mark.parametrize("tokenizations", ["canonical", "all"])
def test_scores_are_those_of_plain_passes(model, tokenizations):
    values = VALUES[:2] + VALUES[3:] if tokenizations == "all" else VALUES
    found = lmql_like.score(PROMPT, values, model=model, tokenizations=tokenizations)
    prompt = model.encode(PROMPT, at_start=True)
    for value, score in zip(values, found.logprobs, strict=True):
        own = logprob(model, prompt, model.encode(value, at_start=False))
        if tokenizations == "canonical":
            assert score == pytest.approx(own, abs=1e-3)
        else:
            assert score >= own - 1e-4
    assert found.best == " Paris"


def test_a_distribution_between_holes_leaves_the_rest_as_it_is(model):
    asked = lmql_like.run(
        '"{prompt}[X]\\n" distribution X in values\n"Q: 2 + 3?\\nA:[N: int]"',
        model=model,
        prompt=PROMPT,
        values=VALUES[:2],
    )
    plain = lmql_like.run(
        'text = prompt + " Paris\\n"\n"{text}Q: 2 + 3?\\nA:[N: int]"', model=model, prompt=PROMPT
    )
    assert asked.text == plain.text
