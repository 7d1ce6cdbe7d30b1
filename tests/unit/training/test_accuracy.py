"""The shipped model answers held-out questions of every family: a floor, not the measurement.

`python training/evaluate.py` measures with many more questions; see training/README.md.
"""

import random

from transformers import AutoModelForCausalLM, AutoTokenizer

from training.evaluate import score_questions
from training.questions import sample_questions
from training.train import DEFAULT_FOLDER

FLOOR = 0.9
# Kinds with so few questions here that a single wrong answer is more than a tenth.
LOWER_FLOORS = {
    "list, line": 0.8,
    "list, open bullets": 0.8,
    "list, asked": 0.8,
    "list, bullets": 0.8,
}


def test_share_of_right_answers_of_every_kind():
    rng = random.Random("fixed sample")
    drawn = enumerate(sample_questions(rng, 10))
    questions = [q for n, q in drawn if "(table)" not in q.kind or n % 4 == 0]
    model = AutoModelForCausalLM.from_pretrained(DEFAULT_FOLDER).eval()
    tokenizer = AutoTokenizer.from_pretrained(DEFAULT_FOLDER)
    scores, _ = score_questions(model, tokenizer, questions)
    assert len(scores) > 25
    below = {
        kind: score.share
        for kind, score in scores.items()
        if score.share < LOWER_FLOORS.get(kind, FLOOR)
    }
    assert not below
