"""Asks a model every kind of question it never saw: `python training/evaluate.py [FOLDER]`.

Prints, for each kind of question, how many greedy answers are right to the last letter,
and the loss on held-out text.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training.batches import BatchMaker
from training.corpus.document import Split
from training.generation import answer_greedily
from training.questions import Question, sample_questions
from training.train import DEFAULT_FOLDER, weighted_loss

_LOSS_BATCHES = 8
_LOSS_ROWS = 8


@dataclass
class Score:
    """How many questions of one kind were asked and how many answers were right."""

    asked: int = 0
    right: int = 0

    @property
    def share(self) -> float:
        """The part of the answers that was right, 0 to 1."""
        return self.right / self.asked


@dataclass(frozen=True)
class Mistake:
    """A question and the wrong answer it got."""

    question: Question
    answer: str


def _chunks(questions: list[Question], size: int) -> Iterator[list[Question]]:
    """Group questions of about the same length that stop at the same place."""
    ordered = sorted(questions, key=lambda q: (q.to_the_end, len(q.prompt)))
    start = 0
    while start < len(ordered):
        chunk = [
            q for q in ordered[start : start + size] if q.to_the_end == ordered[start].to_the_end
        ]
        yield chunk
        start += len(chunk)


def score_questions(
    model: PreTrainedModel, tokenizer: Tokenizer, questions: list[Question], batch: int = 64
) -> tuple[dict[str, Score], list[Mistake]]:
    """Answer the questions greedily; return a score for each kind, and the mistakes."""
    scores = {question.kind: Score() for question in questions}
    mistakes = []
    for chunk in _chunks(questions, batch):
        prompts = [question.prompt for question in chunk]
        answers = answer_greedily(model, tokenizer, prompts, to_the_end=chunk[0].to_the_end)
        for question, answer in zip(chunk, answers, strict=True):
            scores[question.kind].asked += 1
            if question.accepts(answer):
                scores[question.kind].right += 1
            else:
                mistakes.append(Mistake(question, answer))
    return scores, mistakes


@torch.no_grad()
def held_out_losses(model: PreTrainedModel, tokenizer: Tokenizer, seed: int) -> tuple[float, float]:
    """Return the mean loss in nats of every held-out token, and of tokens of answers alone."""
    batches = BatchMaker(tokenizer, seed, Split.HELD_OUT)
    totals = [0.0, 0.0]
    weighings: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = (
        torch.ones_like,
        lambda weights: (weights == 1.0).float(),
    )
    for _ in range(_LOSS_BATCHES):
        ids, weights = batches.next_batch(_LOSS_ROWS, 1.0)
        logits = model(input_ids=ids, use_cache=False).logits
        for place, weigh in enumerate(weighings):
            totals[place] += weighted_loss(logits, ids, weigh(weights)).item() / _LOSS_BATCHES
    return totals[0], totals[1]


def _print_table(scores: dict[str, Score]) -> None:
    print("| kind of question | asked | right | share |\n|---|---|---|---|")
    for kind, score in scores.items():
        print(f"| {kind} | {score.asked} | {score.right} | {100 * score.share:.1f} % |")


def main() -> None:
    """Read the command line, evaluate and print."""
    parser = argparse.ArgumentParser(description="Evaluate a trained model folder.")
    parser.add_argument("folder", type=Path, nargs="?", default=DEFAULT_FOLDER)
    parser.add_argument("--questions", type=int, default=200, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mistakes", type=int, default=0, help="print this many of each kind")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--spaced", action="store_true", help="end every prompt in a space")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = AutoModelForCausalLM.from_pretrained(options.folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(options.folder)
    questions = sample_questions(random.Random(f"evaluate {options.seed}"), options.questions)
    if options.spaced:
        questions = [question.spaced() for question in questions]
    scores, mistakes = score_questions(model, tokenizer, questions)
    _print_table(scores)
    every, answers = held_out_losses(model, tokenizer, options.seed)
    print(f"\nheld-out loss: {every:.4f} nats a token, {answers:.4f} in answers")
    for kind in scores:
        for mistake in [m for m in mistakes if m.question.kind == kind][: options.mistakes]:
            expected = mistake.question.expected
            print(f"\n[{kind}]\n{mistake.question.prompt}{mistake.answer!r} not {expected!r}")


if __name__ == "__main__":
    main()
