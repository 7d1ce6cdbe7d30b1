"""The scripts run end to end and give a model that loads; the parts do what they promise."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from training.batches import ROW_LENGTH, BatchMaker, encode_document
from training.corpus import mixture
from training.corpus.document import Split
from training.generation import answer_greedily
from training.optimizer import learning_rate_factor, orthogonalize
from training.questions import Question, questions_of
from training.tokenizer import train_tokenizer
from training.train import DEFAULT_FOLDER, main

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(DEFAULT_FOLDER)


def test_quick_run_makes_a_model_that_loads(tmp_path):
    command = [sys.executable, "training/train.py", "--quick", "--threads", "1", "--out", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.is_fast
    logits = model(**tokenizer("17 + 12 =", return_tensors="pt")).logits
    assert logits.isfinite().all()


def test_quick_run_refuses_to_replace_the_shipped_model(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", "--quick"])
    with pytest.raises(SystemExit):
        main()
    assert "--out" in capsys.readouterr().err


def test_tokenizer_training_is_reproducible():
    first, second = (train_tokenizer(seed=4, documents=500) for _ in range(2))
    assert first.backend_tokenizer.to_str() == second.backend_tokenizer.to_str()


def test_pieces_of_a_document_have_the_tokens_of_the_whole(tokenizer):
    rng = random.Random(2)
    for _ in range(300):
        document = mixture.draw(rng, Split.TRAIN, 0.5)
        ids, weights = encode_document(tokenizer, document)
        whole = tokenizer(document.text, add_special_tokens=False).input_ids
        assert ids == [*whole, tokenizer.eos_token_id]
        assert len(weights) == len(ids)


def test_spaced_documents_split_the_space_off_and_keep_the_text(tokenizer):
    rng = random.Random(2)
    (space,) = tokenizer(" ", add_special_tokens=False).input_ids
    for _ in range(100):
        document = mixture.FAMILIES["lists"](rng, Split.TRAIN)
        ids, weights = encode_document(tokenizer, document, spaced=True)
        assert tokenizer.decode(ids[:-1]) == document.text
        assert ids.count(space) >= 2
        assert len(weights) == len(ids)


def test_batches_are_reproducible(tokenizer):
    first, second = (BatchMaker(tokenizer, 3, Split.TRAIN).next_batch(4, 0.5) for _ in range(2))
    assert first[0].shape == (4, ROW_LENGTH)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_left_padding_does_not_change_answers(tokenizer):
    model = AutoModelForCausalLM.from_pretrained(DEFAULT_FOLDER).eval()
    prompts = ["7 * 6 =", "Q: What is the capital of France?\nA:", "Date: March 5, 2021\nISO:"]
    alone = [answer_greedily(model, tokenizer, [prompt])[0] for prompt in prompts]
    assert answer_greedily(model, tokenizer, prompts) == alone


@pytest.mark.parametrize("shape", [(16, 16), (3, 24, 16), (16, 40)])
def test_orthogonalized_matrices_have_singular_values_near_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(shape), steps=10))
    assert values.min() > 0.5
    assert values.max() < 1.5


def test_learning_rate_rises_stays_and_falls_to_zero():
    factors = [learning_rate_factor(part / 100) for part in range(101)]
    assert factors[0] == 0.0
    assert max(factors) == 1.0
    assert factors[100] == 0.0


def test_held_out_questions_are_not_in_training_text():
    train, held_out = random.Random(1), random.Random(1)
    seen = {mixture.draw(train, Split.TRAIN).text for _ in range(3000)}
    for family in ("arithmetic", "reasoning", "records", "reviews", "dates"):
        for _ in range(100):
            document = mixture.FAMILIES[family](held_out, Split.HELD_OUT)
            assert document.text not in seen


def test_a_later_question_stands_after_the_earlier_answers():
    document = mixture.FAMILIES["dates"](random.Random(6), Split.HELD_OUT)
    questions = questions_of(document)
    assert questions[-1].prompt + questions[-1].expected == document.text


def test_a_question_wants_its_answer_to_the_letter():
    question = Question("date ISO", "Date: March 5, 2021\nISO:", " 2021-03-05\n")
    assert question.accepts(" 2021-03-05\n")
    assert not question.accepts(" 2021-03-05")
    assert question.spaced().prompt.endswith("ISO: ")
    assert question.spaced().accepts("2021-03-05\n")
