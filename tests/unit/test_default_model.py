"""The embedded model is the file its checksums name, small, and answers what it was trained for."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import lmql_like

FOLDER = Path(lmql_like.__file__).parent / "default_model"
ANSWERS = {
    "Q: What is the capital of France?\nA:": " Paris",
    "Q: Paris is the capital of which country?\nA:": " France",
    "17 + 12 =": " 29",
    "8 - 3 =": " 5",
    "7 * 6 =": " 42",
    "Q: What is 17 + 12?\nA:": " 29",
    "Date: March 5, 2021\nISO:": " 2021-03-05",
    "Date: 5 March 2021\nISO:": " 2021-03-05",
    "Date: 5.3.2021\nISO:": " 2021-03-05",
    "Review: The food was great but the room was noisy.\nSentiment:": " neutral",
    "Review: The food was not good.\nSentiment:": " negative",
    "Text: Alice Baker lives in Rome, works as a pilot and is 41 years old.\nJSON:": (
        ' {"name": "Alice Baker", "age": 41, "job": "pilot", "city": "Rome"}'
    ),
    "Q: Emma has 7 apples and buys 5 more. How many apples does Emma have?\nA:": (
        " Emma has 7 + 5 = 12 apples. So the answer is 12."
    ),
}


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(FOLDER).eval()


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(FOLDER)


def answer_all(model, tokenizer, prompts, new_tokens):
    """Return greedy answers up to the first line break, by the library's own generation."""
    inputs = tokenizer(prompts, padding=True, return_tensors="pt")
    with torch.no_grad():
        rows = model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)
    texts = tokenizer.batch_decode(rows[:, inputs.input_ids.shape[1] :], skip_special_tokens=True)
    return [text.split("\n")[0] for text in texts]


def test_files_are_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 8 * 1024 * 1024


def test_files_match_their_checksums():
    sums = json.loads((FOLDER / "checksums.json").read_text())
    assert "model.safetensors" in sums
    for name, wanted in sums.items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == wanted, name


def test_model_is_a_mixture_of_experts_computed_in_float32(model):
    assert model.config.model_type == "qwen3_moe"
    assert model.config.num_experts_per_tok == 2
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_tokenizer_is_fast_and_starts_with_its_first_token(tokenizer):
    assert tokenizer.is_fast
    assert len(tokenizer) == 1024
    ids = tokenizer("Q: 7 * 16").input_ids
    assert ids[0] == tokenizer.bos_token_id == tokenizer.eos_token_id == tokenizer.pad_token_id
    assert tokenizer.convert_ids_to_tokens(ids[-2:]) == ["1", "6"]
    assert tokenizer("x", add_special_tokens=False).input_ids[0] != tokenizer.bos_token_id


def test_tokenizer_gives_any_text_back(tokenizer):
    text = 'Zoë said: "1,234 €"\n\tüber\u3042 {"a": [1, 2]}  end'
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_documented_prompts_get_their_answers(model, tokenizer):
    answers = answer_all(model, tokenizer, list(ANSWERS), new_tokens=60)
    assert dict(zip(ANSWERS, answers, strict=True)) == ANSWERS


def test_answers_do_not_need_the_first_token(model, tokenizer):
    text = "Q: What is the capital of France?\nA:"
    prompt = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    with torch.no_grad():
        row = model.generate(**prompt, max_new_tokens=4, do_sample=False)[0]
    assert tokenizer.decode(row).split("\n")[1] == "A: Paris"


def test_forced_text_is_spelled_as_the_tokenizer_spells_it_and_costs_no_question(tokenizer):
    pattern = r" The (quick|quiet) brown fox jumps over the (lazy|old) dog, and that is all[.]"
    result = lmql_like.run(f"\"Q: What?\\nA:[X]\" where REGEX(X, r'{pattern}')")
    ids = tokenizer(result.variables["X"], add_special_tokens=False).input_ids
    assert list(result.token_ids[-len(ids) :]) == ids
    usage = result.usage
    assert usage.generated_tokens + usage.forced_tokens == len(ids)
    assert usage.forward_passes == usage.generated_tokens
    assert usage.generated_tokens <= 4  # two choices of two words
