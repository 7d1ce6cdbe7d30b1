"""A model state is its rows: after any extend, gather and rewind, each row is as if fresh."""

import copy

import numpy as np
import pytest
import torch
from reference.state_walk import random_walk
from reference.tiny_models import CACHED, RECOMPUTED, tiny_model, tiny_tokenizer

from lmql_like.runtime import transformers_model
from lmql_like.runtime.transformers_model import TransformersModel


def make_model(kind, dtype=torch.float32):
    return TransformersModel(tiny_model(kind, dtype=dtype), tiny_tokenizer(), name=kind)


def fresh_logits(model, ids):
    with torch.inference_mode():
        rows = torch.tensor([ids], device=model._model.device)
        logits = model._model(rows, use_cache=False).logits
    return logits[0].float().cpu().numpy()


@pytest.mark.parametrize("kind", ["llama", "mamba2"])
def test_rows_can_begin_anew(kind):
    model = make_model(kind)
    state = model.new_state(2)
    state.extend([[3, 4, 5], [6]], [0, 0])
    state.rewind([3, 1])
    state.gather([1, 0, 0])
    blocks = state.extend([[7], [8, 9], []], [1, 1, 0])
    assert np.allclose(blocks[1][0], fresh_logits(model, [8, 9])[-1], atol=1e-4)
    state.gather([])
    assert state.n_rows == 0
    assert state.extend([], []) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", ["llama", "gpt2", "mistral", "qwen3_moe", "mamba2"])
def test_rows_are_as_if_fresh_on_a_gpu(kind):
    hf = copy.deepcopy(tiny_model(kind)).to("cuda")
    model = TransformersModel(hf, tiny_tokenizer(), name=kind)
    assert_rows_are_as_if_fresh(model, n_steps=20, tolerance=1e-3)


def test_what_is_taken_for_verified_is_compared_here():
    assert set(CACHED) == transformers_model._VERIFIED


@pytest.mark.parametrize("way", ["_is_spread", "_takes_positions", "logits_to_keep"])
def test_rows_are_as_if_fresh_however_logits_are_kept(way, monkeypatch):
    model = make_model("llama")
    if way == "_is_spread":
        monkeypatch.setattr(model, "_is_spread", True)
    else:
        monkeypatch.setattr(model, "_takes_positions", False)
    if way == "logits_to_keep":  # an older model, which returns all logits
        monkeypatch.setattr(model, "_accepted", model._accepted - {"logits_to_keep"})
    assert_rows_are_as_if_fresh(model, n_steps=20)


@pytest.mark.parametrize("kind", [*CACHED, *RECOMPUTED])
def test_rows_are_as_if_fresh(kind):
    model = make_model(kind)
    assert model.cache_mode == ("cache" if kind in CACHED else "recompute")
    assert (model.note == "") == (kind in CACHED)
    assert_rows_are_as_if_fresh(model, n_steps=30 if kind in CACHED else 12)


def assert_rows_are_as_if_fresh(model, n_steps, tolerance=1e-4):
    compared = 0
    for seed in range(3):
        for rows, keep, logits in random_walk(model, seed, n_steps):
            for row, kept, block in zip(rows, keep, logits, strict=True):
                assert len(block) == kept
                if kept:
                    compared += 1
                    wanted = fresh_logits(model, row)[-kept:]
                    scale = max(1.0, float(np.abs(wanted).max()))
                    assert np.abs(block - wanted).max() < tolerance * scale
    assert compared > 20
