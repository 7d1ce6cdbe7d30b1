"""Every way a model cannot be loaded has its code."""

import json
from copy import deepcopy

import pytest
import torch
from reference.script import ask, end, run_script
from reference.tiny_models import (
    DECODER_START,
    SOURCE_END,
    tiny_model,
    tiny_source_model,
    tiny_tokenizer,
)
from tokenizers.processors import TemplateProcessing

from lmql_like.errors import ModelError
from lmql_like.grammars.formulas import TRUE, one_of
from lmql_like.runtime import transformers_doctor, transformers_forward, transformers_loading
from lmql_like.runtime.transformers_model import TransformersModel, load_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    tiny_model("llama").save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    return path


@pytest.fixture
def copy(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def code_of(*args, **options):
    with pytest.raises(ModelError) as caught:
        load_model(*map(str, args), **options)
    assert caught.value.render().startswith(f"error[{caught.value.code}]")
    return caught.value.code


def test_a_saved_model_loads(folder):
    model = load_model(str(folder))
    assert (model.cache_mode, model.note, model.max_length) == ("shared", "", 256)
    assert model.vocabulary.eos_token_ids == (0,)
    assert model.vocabulary.size == 128
    assert model.encode("", at_start=True) == [0]
    assert model.encode("hello", at_start=True) == [0, *model.encode("hello", at_start=False)]


def test_half_precision_is_widened_on_a_cpu(copy):
    tiny_model("llama").half().save_pretrained(copy)
    tiny_model("llama").float()
    weights = load_model(str(copy), device="cpu")._model.parameters()
    assert {weight.dtype for weight in weights} == {torch.float32}
    weights = load_model(str(copy), device="cpu", dtype="bfloat16")._model.parameters()
    assert {weight.dtype for weight in weights} == {torch.bfloat16}


def test_several_ends_of_text_are_read(copy):
    path = copy / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": [3, 5]}))
    assert load_model(str(copy)).vocabulary.eos_token_ids == (3, 5, 0)


def test_folders_that_are_no_models(copy, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    assert code_of(empty / "missing") == "M101"
    assert code_of(copy / "config.json") == "M101"
    assert code_of("./missing") == "M101"
    assert code_of(empty) == "M102"
    (empty / "config.json").write_text("[]")
    (empty / "model.safetensors").write_bytes(b"")
    assert code_of(empty) == "M102"


def test_weights_must_be_there_and_safe(copy):
    (copy / "model.safetensors").unlink()
    assert code_of(copy) == "M103"
    torch.save({}, copy / "pytorch_model.bin")
    assert code_of(copy) == "M104"


def test_weights_must_be_whole(copy):
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert code_of(copy) == "M114"


def test_weights_must_be_all_there(copy):
    edit_config(copy, num_hidden_layers=3)
    with pytest.raises(ModelError, match="lack") as caught:
        load_model(str(copy))
    assert caught.value.code == "M114"


def test_a_tokenizer_must_be_there(copy):
    (copy / "tokenizer.json").unlink()
    assert code_of(copy) == "M105"


def test_only_causal_models(copy):
    edit_config(copy, model_type="marian", is_encoder_decoder=True)
    assert code_of(copy) == "M106"
    edit_config(
        copy, model_type="bert", architectures=["BertForMaskedLM"], is_encoder_decoder=False
    )
    assert code_of(copy) == "M113"
    edit_config(copy, model_type="vit", architectures=["ViTModel"])
    assert code_of(copy) == "M113"


def source_tokenizer():
    """Return the tiny tokenizer without a start token, as those of encoders have none."""
    tokenizer = deepcopy(tiny_tokenizer())
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A")
    return tokenizer


@pytest.mark.parametrize("kind", ["t5", "switch_transformers", "bart"])
def test_an_encoder_reads_the_text_in_front_of_the_first_hole(kind, tmp_path):
    hf = tiny_source_model(kind)
    hf.save_pretrained(tmp_path)
    source_tokenizer().save_pretrained(tmp_path)
    model = load_model(str(tmp_path))
    assert model.cache_mode == "rows-by-length"
    prompt = model.encode("hello you", at_start=True)
    assert prompt[-2:] == [SOURCE_END, DECODER_START[kind]]

    def script(values, _arguments):
        return end() if values else ask("hello you", "X", TRUE)

    (result,) = run_script(script, model=model, decoder=f"argmax(max_len={len(prompt) + 9})")
    writable = [i for i, data in enumerate(model.vocabulary.tokens) if data or i == SOURCE_END]
    wanted = hf.generate(
        input_ids=torch.tensor([prompt[:-1]]),
        max_new_tokens=9,
        do_sample=False,
        num_beams=1,
        prefix_allowed_tokens_fn=lambda *_: writable,
    )[0].tolist()
    ended = [SOURCE_END] if result.status == "complete" else []
    assert [*result.token_ids[len(prompt) - 1 :], *ended] == wanted


def test_a_source_does_not_contain_its_end():
    model = TransformersModel(tiny_source_model("t5"), source_tokenizer())
    with pytest.raises(ModelError) as caught:
        model.encode("a" + tiny_tokenizer().eos_token, at_start=True)
    assert caught.value.code == "M204"


def test_unknown_architectures(copy):
    edit_config(copy, model_type="not_invented_yet")
    assert code_of(copy) == "M113"


def test_code_of_a_models_own_is_not_run(copy):
    edit_config(copy, auto_map={"AutoModelForCausalLM": "modeling_own.Own"})
    (copy / "modeling_own.py").write_text("raise SystemExit('this code was run')\n")
    assert code_of(copy) == "M107"


def test_an_unreachable_hub(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert code_of("nobody/no-such-model-here") == "M108"


def test_devices_and_types():
    assert code_of(dtype="float12") == "M109"
    assert code_of(device="nowhere") == "M110"
    if not torch.cuda.is_available():
        assert code_of(device="cuda") == "M110"


def test_memory_may_run_out(folder, monkeypatch):
    def allocate(*_args, **_options):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(transformers_loading.AutoModelForCausalLM, "from_pretrained", allocate)
    assert code_of(folder) == "M111"


def test_without_the_embedded_model(monkeypatch, tmp_path):
    monkeypatch.setattr(transformers_loading, "DEFAULT_MODEL_FOLDER", tmp_path)
    assert code_of() == "M112"


def test_a_model_of_unknown_kind_is_examined(monkeypatch):
    monkeypatch.setattr(transformers_doctor, "KNOWN_MODES", {})
    assert TransformersModel(tiny_model("mistral"), tiny_tokenizer()).cache_mode == "shared"
    monkeypatch.setattr(transformers_forward.CachedState, "gather", lambda *_: None)
    model = TransformersModel(tiny_model("mistral"), tiny_tokenizer())
    assert model.cache_mode == "rows"
    assert model.note == "mistral: rows with equally many new tokens together"


def test_a_model_without_a_clone_is_recomputed(monkeypatch):
    monkeypatch.setattr(transformers_doctor, "KNOWN_MODES", {})
    monkeypatch.setattr(transformers_doctor, "_MAX_WEIGHTS", 10)
    model = TransformersModel(tiny_model("mistral"), tiny_tokenizer())
    assert model.cache_mode == "recompute"
    assert model.note == "mistral could not be examined: it has too many weights"


def test_a_model_that_nothing_is_exact_for_is_refused(monkeypatch):
    monkeypatch.setattr(transformers_doctor, "KNOWN_MODES", {})
    monkeypatch.setattr(transformers_doctor, "worst_difference", lambda *_: 0.5)
    with pytest.raises(ModelError, match="'mistral'") as caught:
        TransformersModel(tiny_model("mistral"), tiny_tokenizer())
    assert caught.value.code == "M115"


@pytest.mark.parametrize("kind", ["mamba2", "recurrent_gemma"])
def test_models_without_a_padded_cache_say_so(kind):
    model = TransformersModel(tiny_model(kind), tiny_tokenizer())

    def script(values, _arguments):
        return end() if values else ask("hello", "X", one_of("ab"))

    (result,) = run_script(script, model=model)
    assert result.usage.note == model.note != ""


def test_position_embeddings_that_depend_on_length_are_recomputed():
    config = deepcopy(tiny_model("llama").config)
    config.rope_parameters = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    model = type(tiny_model("llama"))(config)
    assert TransformersModel(model, tiny_tokenizer()).cache_mode == "recompute"
