"""Documents to tensors: whole documents packed into rows, answers weighted above prompts."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import torch
from transformers import PreTrainedTokenizerFast

from training.corpus import mixture
from training.corpus.document import Document, Split

ROW_LENGTH = 256
# A prompt is mostly a random draw that no model can foresee; its loss is worth little.
_PROMPT_WEIGHT = 0.15
_UNGRADED_WEIGHT = 0.4
# Where the holes of a query begin that is written with a space before the hole.
_AFTER_SPACE = re.compile(r"(?<=^ )|(?<=- )|(?<=, )")
_SPACED_SHARE = 0.2


def encode_document(
    tokenizer: PreTrainedTokenizerFast, document: Document, spaced: bool = False
) -> tuple[list[int], list[float]]:
    """Return the token ids of a document, closed by end-of-text, and the weight of each.

    With `spaced`, the space before an answer or an item is a token of its own, as it is
    when a prompt ends in a space.
    """
    pieces, weights = [], []
    for turn in document.turns:
        answer = _AFTER_SPACE.split(turn.answer) if spaced else [turn.answer]
        pieces += [turn.prompt, *answer]
        weights += [_PROMPT_WEIGHT, *[1.0 if turn.graded else _UNGRADED_WEIGHT] * len(answer)]
    encoded = tokenizer(pieces, add_special_tokens=False).input_ids
    ids = [token for piece in encoded for token in piece]
    spread = [w for piece, w in zip(encoded, weights, strict=True) for _ in piece]
    return [*ids, tokenizer.eos_token_id], [*spread, 1.0]


class BatchMaker:
    """Makes batches of packed rows, the same ones for the same seed.

    A row starts at the start of a document; every second row drops the end-of-text token
    before it, so that the model can be started with or without one.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        seed: int,
        split: Split,
        draw: Callable[[random.Random, Split, float], Document] = mixture.draw,
    ) -> None:
        self._draw = draw
        self._tokenizer = tokenizer
        self._rng = random.Random(f"batches {seed} {split.value}")
        self._split = split

    def _row(self, progress: float) -> tuple[list[int], list[float]]:
        ids, weights = [], []
        if self._rng.random() < 0.5:
            ids, weights = [self._tokenizer.eos_token_id], [0.0]
        while len(ids) < ROW_LENGTH:
            spaced = self._rng.random() < _SPACED_SHARE
            document = self._draw(self._rng, self._split, progress)
            more_ids, more_weights = encode_document(self._tokenizer, document, spaced)
            ids += more_ids
            weights += more_weights
        return ids[:ROW_LENGTH], weights[:ROW_LENGTH]

    def next_batch(self, rows: int, progress: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return token ids int64[rows, 256] and weights float32[rows, 256]."""
        made = [self._row(progress) for _ in range(rows)]
        return torch.tensor([ids for ids, _ in made]), torch.tensor([w for _, w in made])
