"""Candidates that are selected on the model's device are those that the kernels select.

Without a GPU the same torch operations run on CPU tensors.
"""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.tiny_models import tiny_model, tiny_tokenizer

from lmql_like.errors import ModelError
from lmql_like.kernels.selection import row_logsumexp, select_top_k
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.run import run_program
from lmql_like.runtime.transformers_model import TransformersModel
from lmql_like.runtime.transformers_selection import LogitsOnDevice, best_allowed

HAS_GPU = torch.cuda.is_available()
ON_GPU = pytest.param(
    "cuda",
    marks=[pytest.mark.gpu, pytest.mark.skipif(not HAS_GPU, reason="needs a CUDA device")],
)
DEVICES = ["cpu", ON_GPU]
VALUES = st.sampled_from([-np.inf, -3.5, -0.0, 0.0, 1.25, 1.25000012, 7.0, 80.0])


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=60)
@given(st.data(), st.integers(1, 70), st.integers(1, 3), st.integers(1, 9))
def test_the_best_are_those_of_the_kernel(device, data, size, n, width):
    rows = st.lists(VALUES, min_size=size, max_size=size)
    logits = np.array(data.draw(st.lists(rows, min_size=n, max_size=n)), np.float32)
    logits[:, 0] = 0.5  # a row without any finite logit is refused
    seed = data.draw(st.integers(0, 2**32 - 1))
    n_words = (size + 31) // 32
    bits = np.random.default_rng(seed).integers(-(2**31), 2**31, (n, n_words)).astype(np.int32)
    ids, logprobs = np.empty((n, width), np.int32), np.empty((n, width), np.float32)
    normalizers = np.empty(n)
    select_top_k(logits, bits, ids, logprobs, normalizers)
    found = best_allowed(
        torch.tensor(logits, device=device), torch.tensor(bits, device=device), width
    )
    assert np.array_equal(found[0].cpu().numpy(), ids)
    assert np.allclose(found[1].cpu().numpy(), logprobs, atol=1e-5)
    assert np.allclose(found[2].cpu().numpy(), normalizers, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_single_rows_go_together_and_ends_are_summed_up(device):
    block = np.random.default_rng(1).normal(size=(3, 2, 40)).astype(np.float32)
    logits = LogitsOnDevice(torch.tensor(block, device=device))
    assert logits.shape == block.shape
    rows = [logits[2, :2][-1], logits[0, :1][-1]]
    assert np.array_equal(rows[0].host(), block[2, 1])
    bits = np.full((2, 2), -1, np.int32)
    found = rows[0].select(rows, bits, 4, [[3, 5, 7], []])
    normalizers = np.empty(2)
    row_logsumexp(np.stack([block[2, 1], block[0, 0]]), normalizers)
    assert np.allclose(found.normalizers, normalizers, atol=1e-5)
    assert found.ids[0].tolist() == np.argsort(-block[2, 1], kind="stable")[:4].tolist()
    expected = np.logaddexp.reduce(block[2, 1, [3, 5, 7]].astype(np.float64)) - normalizers[0]
    assert found.listed[0] == pytest.approx(expected, abs=1e-5)
    assert found.listed[1] == -np.inf
    logprobs, totals = logits[2].logprobs([1, 1], [4, 9])
    assert np.allclose(totals, normalizers[0], atol=1e-5)
    assert np.allclose(logprobs, block[2, 1, [4, 9]] - normalizers[0], atol=1e-5)


def models(kind, device):
    """Return a model that selects here, and one that selects on its device."""
    there = copy.deepcopy(tiny_model(kind)).to(device)
    pair = (
        TransformersModel(tiny_model(kind), tiny_tokenizer()),
        TransformersModel(there, tiny_tokenizer()),
    )
    assert pair[1].selects_on_device == (device == "cuda")
    pair[1].selects_on_device = True
    return pair


QUERY = (
    r'"ab[X] and the [Y]." where REGEX(X, r"[a-z]{2,5}( [a-z]+)?")'
    ' and len(TOKENS(Y)) < 6 and INCLUDES(Y, "e")'
)
DECODERS = [
    "argmax",
    "sample(n=2)",
    "beam(n=4)",
    "beam(n=4, groups=2, diversity_penalty=0.5, length_penalty=1.0)",
    "beam_sample(n=3)",
    "best_k",
    "var",
    "beam_var(n=2)",
    "grid(n=3)",
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["llama", "mamba2", "qwen3_moe"])
@pytest.mark.parametrize("decoder", DECODERS)
def test_decoders_find_the_same_either_way(device, kind, decoder):
    program = compile_query(QUERY)
    here, there = (
        run_program(program, model=model, decoder=decoder, seed=3) for model in models(kind, device)
    )
    assert [result.token_ids for result in here] == [result.token_ids for result in there]
    for one, other in zip(here, there, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-3)


@pytest.mark.parametrize("decoder", ["argmax", "beam(n=3)"])
def test_logits_that_are_no_numbers_are_refused_on_the_device_too(decoder):
    _, model = models("llama", "cpu")
    with torch.no_grad():
        model._model.get_output_embeddings().weight.fill_(float("nan"))
    with pytest.raises(ModelError) as caught:
        run_program(compile_query('"a[X]" where len(X) < 9'), model=model, decoder=decoder)
    assert caught.value.code == "M201"


def test_only_candidates_leave_the_device(monkeypatch):
    _, model = models("llama", "cpu")

    def host(self):  # noqa: ARG001
        raise AssertionError("all logits were fetched")

    monkeypatch.setattr(LogitsOnDevice, "host", host)
    (result, *_) = run_program(compile_query(QUERY), model=model, decoder="beam(n=4)")
    assert result.status == "complete"
