"""Trains the embedded model from nothing: `python training/train.py`.

Everything is drawn from the seed. By default two runs on the same
processor, library versions and thread count give the same weights bit by bit; with
`--minutes` the learning rate follows the clock and they do not.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training.batches import ROW_LENGTH, BatchMaker
from training.checkpoint import save_checkpoint
from training.corpus import mixture
from training.corpus.document import Document, Split
from training.model import build_model
from training.optimizer import (
    build_optimizers,
    learning_rate_factor,
    polishing_rate_factor,
    set_learning_rates,
)
from training.tokenizer import train_tokenizer

DEFAULT_FOLDER = Path(__file__).resolve().parents[1] / "lmql_like" / "default_model"
ROWS = 12
_BALANCE_WEIGHT = 0.003
_QUICK_STEPS = 3
_QUICK_ROWS = 2


@dataclass(frozen=True)
class Stage:
    """A part of the training, with fresh optimizers and a mixture of its own."""

    name: str
    steps: int
    share_of_time: float
    draw: Callable[[random.Random, Split, float], Document]
    rate_factor: Callable[[float], float]


LEARN = Stage("learn", 5000, 0.75, mixture.draw, learning_rate_factor)
POLISH = Stage("polish", 1700, 0.25, mixture.draw_polish, polishing_rate_factor)


def weighted_loss(logits: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy in nats of each next token, weighted by `weights`."""
    losses = functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
    )
    wanted = weights[:, 1:].flatten()
    return (losses * wanted).sum() / wanted.sum()


class Progress:
    """The part of training that is done, by steps or, where minutes are given, by the clock."""

    def __init__(self, steps: int, minutes: float | None) -> None:
        self._steps = steps
        self._seconds = minutes * 60 if minutes else None
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """The seconds since training began."""
        return time.monotonic() - self._start

    def at(self, step: int) -> float:
        """Return 0 to 1; training ends at 1."""
        if self._seconds is not None:
            return min(1.0, self.seconds / self._seconds)
        return min(1.0, step / self._steps)


def take_step(
    model: PreTrainedModel,
    optimizers: list[torch.optim.Optimizer],
    ids: torch.Tensor,
    weights: torch.Tensor,
) -> tuple[float, float]:
    """Update the model by one batch; return its loss and how unevenly experts were used.

    The second is 2 where every expert gets as many tokens as every other.
    """
    output = model(input_ids=ids, use_cache=False, output_router_logits=True)
    loss = weighted_loss(output.logits, ids, weights)
    (loss + _BALANCE_WEIGHT * output.aux_loss).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return loss.item(), output.aux_loss.item()


def run_stage(stage: Stage, seed: int, progress: Progress, folder: Path, rows: int) -> None:
    """Train the model in `folder`, or a new one in the first stage, and write it back."""
    torch.manual_seed(seed)
    if stage is LEARN:
        tokenizer = train_tokenizer(seed)
        model = build_model(tokenizer.eos_token_id)
    else:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder)
    model.train()
    optimizers = build_optimizers(model)
    batches = BatchMaker(tokenizer, seed, Split.TRAIN, stage.draw)
    step = 0
    while (done := progress.at(step)) < 1.0:
        set_learning_rates(optimizers, stage.rate_factor(done))
        loss, imbalance = take_step(model, optimizers, *batches.next_batch(rows, done))
        step += 1
        if step % 50 == 0:
            speed = step * rows * ROW_LENGTH / progress.seconds
            print(
                f"{stage.name} {step}  {100 * done:.1f} %  loss {loss:.4f}"
                f"  imbalance {imbalance:.2f}  {speed:.0f} tokens/s",
                flush=True,
            )
    save_checkpoint(model.eval(), tokenizer, folder)
    tokens = step * rows * ROW_LENGTH
    print(f"{stage.name}: {step} steps, {tokens} tokens, {progress.seconds:.0f} s: {folder}")


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description="Train the embedded model of lmql_like.")
    parser.add_argument("--minutes", type=float, help="train by the clock, not by steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="default: the package's own model folder")
    parser.add_argument("--polish-only", action="store_true", help="polish the model in --out")
    parser.add_argument("--quick", action="store_true", help="a few small steps: a smoke test")
    options = parser.parse_args()
    if options.quick and options.out is None:
        parser.error("--quick needs --out, or it would replace the package's model")
    torch.set_num_threads(options.threads)
    rows = _QUICK_ROWS if options.quick else ROWS
    for stage in (POLISH,) if options.polish_only else (LEARN, POLISH):
        steps = _QUICK_STEPS if options.quick else stage.steps
        minutes = options.minutes and options.minutes * stage.share_of_time
        progress = Progress(steps, minutes)
        run_stage(stage, options.seed, progress, options.out or DEFAULT_FOLDER, rows)


if __name__ == "__main__":
    main()
