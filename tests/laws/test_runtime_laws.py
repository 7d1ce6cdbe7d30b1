"""A model state is its rows: after any extend, gather and rewind, each row is as if fresh."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from reference.state_walk import drawn_walk, operations, random_walk
from reference.tiny_models import (
    DECODER_START,
    KINDS,
    SOURCE_END,
    SOURCE_KINDS,
    tiny_model,
    tiny_source_model,
    tiny_tokenizer,
)
from transformers.modeling_outputs import MoEModelOutputWithPastAndCrossAttentions

from lmql_like.runtime.transformers_doctor import choose_mode
from lmql_like.runtime.transformers_forward import StateMaker
from lmql_like.runtime.transformers_model import TransformersModel
from lmql_like.runtime.transformers_modes import KNOWN_MODES, MODES, PADDED

FEW = settings(max_examples=max(6, settings.default.max_examples // 16))


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
@pytest.mark.parametrize("kind", ["llama", "gpt_oss", "mistral", "qwen3_next", "mamba2", "jamba"])
def test_rows_are_as_if_fresh_on_a_gpu(kind):
    hf = copy.deepcopy(tiny_model(kind)).to("cuda")
    model = TransformersModel(hf, tiny_tokenizer(), name=kind)
    share_all(model)
    assert_rows_are_as_if_fresh(model, n_steps=20, tolerance=1e-3)


def test_what_is_taken_for_known_is_compared_here():
    assert {*KINDS, *SOURCE_KINDS} == set(KNOWN_MODES)


@pytest.mark.parametrize("way", ["_is_spread", "_takes_positions", "logits_to_keep"])
def test_rows_are_as_if_fresh_however_logits_are_kept(way, monkeypatch):
    model = make_model("llama")
    forward = model._states.forward
    if way == "_is_spread":
        monkeypatch.setattr(forward, "_is_spread", True)
    else:
        monkeypatch.setattr(forward, "_takes_positions", False)
    if way == "logits_to_keep":  # an older model, which returns all logits
        monkeypatch.setattr(forward, "_accepted", forward._accepted - {"logits_to_keep"})
    assert_rows_are_as_if_fresh(model, n_steps=20)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_as_if_fresh(kind):
    model = make_model(kind)
    assert model.cache_mode == KNOWN_MODES[kind]
    assert (model.note == "") == (model.cache_mode in PADDED)
    share_all(model)
    assert_rows_are_as_if_fresh(
        model, n_steps=16, n_walks=max(2, settings.default.max_examples // 50)
    )


@pytest.mark.parametrize("kind", ["llama", "recurrent_gemma"])
def test_rows_are_as_if_fresh_when_recomputed(kind):
    model = TransformersModel(tiny_model(kind), tiny_tokenizer(), cache_mode="recompute")
    assert_rows_are_as_if_fresh(model, n_steps=14)


ANY_OPERATIONS = [
    "llama",
    "mistral",
    "gemma2",
    "gpt_oss",
    "qwen3_next",
    "mamba2",
    "recurrent_gemma",
]


@pytest.mark.parametrize("kind", ANY_OPERATIONS)
@FEW
@given(operations)
def test_rows_are_as_if_fresh_after_any_operations(kind, drawn):
    model = make_model(kind)
    share_all(model)
    walk = drawn_walk(model.new_state(2), drawn, [[], []])
    assert_as_if_fresh(walk, lambda row: fresh_logits(model, row))


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode.startswith("rows")])
@FEW
@given(operations)
def test_every_way_of_keeping_rows_agrees(mode, drawn):
    model = make_model("qwen3_next")
    state = StateMaker(model._model).make(mode, 2)
    assert_as_if_fresh(drawn_walk(state, drawn, [[], []]), lambda row: fresh_logits(model, row))


@pytest.mark.parametrize("kind", SOURCE_KINDS)
@FEW
@given(operations)
def test_an_encoder_decoder_is_as_if_fresh(kind, drawn):
    """Rows of different sources, two of equal length; Switch drops tokens of its sources."""
    hf = tiny_source_model(kind)
    assert choose_mode(hf)[0] == "rows-by-length"
    state = StateMaker(hf, source_end=SOURCE_END).make("rows-by-length", 3)
    rows = [
        [*source, SOURCE_END, DECODER_START[kind]]
        for source in ([5, 6, 7, 7, 7, 7], [9, 8, 7, 7, 5, 4], [11] * 9)
    ]
    state.extend([row[:3] for row in rows], [0, 0, 0])
    state.extend([row[3:] for row in rows], [1, 0, 1])
    assert_as_if_fresh(drawn_walk(state, drawn, rows), lambda row: generated_logits(hf, row))


def share_all(model):
    """Share the keys of every row that is forked, however short."""
    model._states = StateMaker(model._model, min_shared=1)


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_rows_are_as_if_fresh_in_a_cache_of_their_own(kind):
    model = TransformersModel(tiny_model(kind), tiny_tokenizer(), cache_mode="cache")
    assert_rows_are_as_if_fresh(model, n_steps=20)


@pytest.mark.parametrize("min_shared", [1, 30])
def test_rows_are_as_if_fresh_in_passes_of_several_widths(min_shared):
    """Rows that read much and rows that read little go through the model apart."""
    model = make_model("mistral")
    model._states = StateMaker(model._model, min_shared=min_shared)
    compared = 0
    for seed in range(2):
        walk = random_walk(model, seed, 8, longest=100)
        compared += assert_as_if_fresh(walk, lambda row: fresh_logits(model, row))
    assert compared > 10


def test_what_rows_share_is_stored_once():
    """A template, two prompts that begin with it, four hypotheses of each."""
    model = make_model("llama")
    model._states = StateMaker(model._model, min_shared=64)
    rng = np.random.default_rng(0)
    template, left, right = (list(map(int, rng.integers(3, 128, n))) for n in (90, 70, 80))
    state = model.new_state(1)
    state.extend([template], [0])
    of_template = state.stored_bytes
    state.gather([0, 0])
    assert state.stored_bytes == of_template
    state.extend([left, right], [0, 0])
    state.gather([0] * 4 + [1] * 4)
    assert state.stored_bytes == of_template // 90 * (90 + 70 + 80)
    new = [[int(token)] for token in rng.integers(3, 128, 8)]
    blocks = state.extend(new, [1] * 8)
    assert state.stored_bytes == of_template // 90 * (90 + 70 + 80 + 8)
    for number, block in enumerate(blocks):
        row = template + (left if number < 4 else right) + new[number]
        assert np.allclose(block[0], fresh_logits(model, row)[-1], atol=1e-4)
    state.rewind([1] * 4 + [81 + 5] * 4)  # the last four back into the template
    blocks = state.extend([[5]] * 8, [1] * 8)
    for number, block in enumerate(blocks):
        row = [*template, *left, 5] if number < 4 else [*template[:85], 5]
        assert np.allclose(block[0], fresh_logits(model, row)[-1], atol=1e-4)


def generated_logits(hf, row):
    """Return what the model itself computes token by token, alone."""
    end = row.index(SOURCE_END) + 1
    with torch.inference_mode():
        states = hf.get_encoder()(input_ids=torch.tensor([row[:end]])).last_hidden_state
        source = MoEModelOutputWithPastAndCrossAttentions(last_hidden_state=states)
        cache, logits = None, []
        for token_id in row[end:]:
            output = hf(
                encoder_outputs=source,
                decoder_input_ids=torch.tensor([[token_id]]),
                past_key_values=cache,
                use_cache=True,
            )
            cache = output.past_key_values
            logits.append(output.logits[0, 0].numpy())
    return np.stack(logits)


def assert_rows_are_as_if_fresh(model, n_steps, n_walks=3, tolerance=1e-4):
    compared = 0
    for seed in range(n_walks):
        walk = random_walk(model, seed, n_steps)
        compared += assert_as_if_fresh(walk, lambda row: fresh_logits(model, row), tolerance)
    assert compared > 10


def assert_as_if_fresh(walk, fresh, tolerance=1e-4):
    compared = 0
    for rows, keep, logits in walk:
        for row, kept, block in zip(rows, keep, logits, strict=True):
            assert len(block) == kept
            if kept:
                compared += 1
                wanted = fresh(row)[-kept:]
                scale = max(1.0, float(np.abs(wanted).max()))
                assert np.abs(block - wanted).max() < tolerance * scale
    return compared
