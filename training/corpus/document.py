"""What a corpus is made of: turns, documents and the split that keeps some of them unseen.

A turn is a prompt and the answer a model should give after it; the text of a document
is its turns, one after another. A family's `draw(rng, split)` makes one document. What
is held out is decided by a hash of what the document asks (its key), never by a random
draw, so training and evaluation cannot meet by accident whatever the seeds are.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

END_OF_TEXT = "<|endoftext|>"

_HELD_OUT_PERCENT = 5


class Split(Enum):
    """Which documents a draw may return."""

    TRAIN = "train"
    HELD_OUT = "held out"
    """Instances never trained on, in words that were."""
    UNSEEN_WORDS = "held out, unseen words"
    """Instances never trained on, in words that were never trained on either."""


@dataclass(frozen=True)
class Turn:
    """A prompt and its answer; the answer ends in a line break.

    `graded` is False for a turn that has many good answers, such as a story.
    """

    prompt: str
    answer: str
    graded: bool = True

    @property
    def text(self) -> str:
        """The prompt and the answer."""
        return self.prompt + self.answer


@dataclass(frozen=True)
class Document:
    """Turns about one subject; `kind` names the row of the evaluation table."""

    kind: str
    key: str
    turns: tuple[Turn, ...]

    @property
    def text(self) -> str:
        """The turns, one after another."""
        return "".join(turn.text for turn in self.turns)


def bucket(key: str, buckets: int) -> int:
    """Return a number below `buckets` that depends on the key alone, on every machine."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % buckets


def is_held_out(key: str) -> bool:
    """True for the five keys in a hundred that training never sees."""
    return bucket(key, 100) < _HELD_OUT_PERCENT


def draw_in_split(
    write: Callable[[random.Random, Split], Document], rng: random.Random, split: Split
) -> Document:
    """Draw from `write` until the document's key is on the wanted side of the split."""
    while True:
        document = write(rng, split)
        if is_held_out(document.key) == (split is not Split.TRAIN):
            return document
