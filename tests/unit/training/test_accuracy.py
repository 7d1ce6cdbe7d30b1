"""The shipped model answers held-out questions of every family: a floor, not the measurement.

`python training/evaluate.py` measures with many more questions; see training/README.md.
"""

# ruff: noqa: S311 - the corpus is drawn with a fixed seed, nothing is kept secret

import random
from collections import defaultdict

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from training.evaluate import score_questions
from training.questions import sample_questions
from training.train import DEFAULT_FOLDER

FLOOR = 0.9


@pytest.fixture(scope="module")
def shares():
    """Return, by the first word of its kind, how many of a sample's answers are right."""
    rng = random.Random("fixed sample")
    questions = [q for q in sample_questions(rng, 12) if "table" not in q.kind]
    model = AutoModelForCausalLM.from_pretrained(DEFAULT_FOLDER).eval()
    tokenizer = AutoTokenizer.from_pretrained(DEFAULT_FOLDER)
    asked, right = defaultdict(int), defaultdict(int)
    for kind, score in score_questions(model, tokenizer, questions)[0].items():
        first = kind.replace(",", "").split()[0]
        asked[first] += score.asked
        right[first] += score.right
    return {first: right[first] / asked[first] for first in asked}


@pytest.mark.parametrize(
    "kind",
    ["fact", "sum", "difference", "product", "word", "record", "review", "date", "list", "copy"],
)
def test_share_of_right_answers(shares, kind):
    assert shares[kind] >= FLOOR
