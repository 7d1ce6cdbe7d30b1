"""Trains the embedded model from nothing: `python training/train.py`.

Everything is drawn from the seed. With `--steps` (the default) two runs on the same
processor, library versions and thread count give the same weights bit by bit; with
`--minutes` the learning rate follows the clock and they do not.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training.batches import BatchMaker
from training.checkpoint import save_checkpoint
from training.corpus.document import Split
from training.model import build_model
from training.optimizer import build_optimizers, learning_rate_factor
from training.tokenizer import train_tokenizer

DEFAULT_FOLDER = Path(__file__).resolve().parents[1] / "lmql_like" / "default_model"
STEPS = 6000
ROWS = 12
_BALANCE_WEIGHT = 0.003
_QUICK_STEPS = 3


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


def train(seed: int, progress: Progress, folder: Path, rows: int = ROWS) -> None:
    """Train a tokenizer and a model and write both to `folder`."""
    torch.manual_seed(seed)
    random.seed(seed)
    tokenizer = train_tokenizer(seed)
    model = build_model(tokenizer.eos_token_id).train()
    optimizers = build_optimizers(model)
    rates = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    batches = BatchMaker(tokenizer, seed, Split.TRAIN)
    step = 0
    while (done := progress.at(step)) < 1.0:
        ids, weights = batches.next_batch(rows, done)
        output = model(input_ids=ids, use_cache=False, output_router_logits=True)
        loss = weighted_loss(output.logits, ids, weights)
        (loss + _BALANCE_WEIGHT * output.aux_loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate * learning_rate_factor(done)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        step += 1
        if step % 50 == 0:
            tokens = step * ids.numel()
            print(
                f"step {step}  {100 * done:.1f} %  loss {loss.item():.4f}"
                f"  balance {output.aux_loss.item():.2f}  {tokens / progress.seconds:.0f} tokens/s",
                flush=True,
            )
    save_checkpoint(model.eval(), tokenizer, folder)
    print(f"{step} steps, {step * rows * ids.shape[1]} tokens, {progress.seconds:.0f} s: {folder}")


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description="Train the embedded model of lmql_like.")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--minutes", type=float, help="train by the clock, not by steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="default: the package's own model folder")
    parser.add_argument("--quick", action="store_true", help="a few small steps: a smoke test")
    options = parser.parse_args()
    if options.quick and options.out is None:
        parser.error("--quick needs --out, or it would replace the package's model")
    torch.set_num_threads(options.threads)
    steps = _QUICK_STEPS if options.quick else options.steps
    rows = 2 if options.quick else ROWS
    train(options.seed, Progress(steps, options.minutes), options.out or DEFAULT_FOLDER, rows)


if __name__ == "__main__":
    main()
