"""Truncation and penalties do what transformers' processors do to the same logits."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.search.penalties import Penalties
from lmql_like.runtime.search.strategy import Offer
from lmql_like.runtime.search.truncation import Truncation


@pytest.mark.parametrize("temperature", [1e-320, 1e-308, 1e-30])
def test_a_tiny_temperature_leaves_the_likeliest(temperature):
    logprobs = np.array([-3.0, -1.0, -np.inf, -2.0])
    kept, weights = Truncation(temperature).apply(logprobs)
    assert kept[weights > 0].tolist() == [1]


@given(
    st.integers(0, 1000),
    st.sampled_from([0.3, 1.0, 2.5]),
    st.sampled_from([None, 1, 7, 100]),
    st.sampled_from([1.0, 0.9, 0.2]),
    st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    st.sampled_from([1.0, 0.9, 0.3]),
)
def test_truncation_is_that_of_generation(seed, temperature, top_k, top_p, min_p, typical_p):
    logits = np.random.default_rng(seed).normal(size=50) * 3
    logits[7] = -np.inf
    kept, weights = Truncation(temperature, top_k, top_p, min_p, typical_p).apply(logits)
    ours = np.zeros(50)
    ours[kept] = weights / weights.sum()

    scores = torch.tensor(logits)[None]
    warpers = [TemperatureLogitsWarper(temperature)]
    warpers += [TopKLogitsWarper(top_k)] if top_k else []
    warpers += [TopPLogitsWarper(top_p)] if top_p < 1 else []
    warpers += [MinPLogitsWarper(min_p)] if min_p else []
    warpers += [TypicalLogitsWarper(typical_p)] if typical_p < 1 else []
    for warper in warpers:
        scores = warper(None, scores)
    assert np.allclose(ours, torch.softmax(scores[0], -1).numpy(), atol=1e-9)


def offer_of(logits, ids, spans):
    normalizer = float(np.log(np.exp(logits).sum()))
    hypothesis = Hypothesis(step=None, ids=ids, spans=spans)
    logprobs = (logits - normalizer).astype(np.float32)
    return Offer(hypothesis, np.arange(len(logits), dtype=np.int32), logprobs, -1.0, normalizer)


@pytest.mark.parametrize("penalty", [0.5, 1.3])
def test_the_repetition_penalty_is_that_of_generation(penalty):
    logits = np.random.default_rng(1).normal(size=30) * 2
    ids = (3, 3, 7, 29, 11)
    offer = offer_of(logits, ids, ())
    ours = Penalties(repetition=penalty).logprobs(offer) + offer.normalizer
    processor = RepetitionPenaltyLogitsProcessor(penalty)
    theirs = processor(torch.tensor([ids]), torch.tensor(logits)[None])[0].numpy()
    assert np.allclose(ours, theirs, atol=1e-5)


def test_frequency_and_presence_count_the_tokens_of_holes():
    logits = np.random.default_rng(2).normal(size=12)
    offer = offer_of(logits, (5, 5, 5, 2, 4, 5), ((1, 3), (4, 5)))
    ours = Penalties(frequency=0.25, presence=1.0).logprobs(offer) + offer.normalizer
    wanted = logits.copy()
    wanted[5] -= 2 * 0.25 + 1.0
    wanted[4] -= 0.25 + 1.0
    assert np.allclose(ours, wanted, atol=1e-5)
