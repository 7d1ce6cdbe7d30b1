"""Which families a corpus holds, and in which shares, as training goes on.

Copying is a circuit rather than a fact: it appears early or not at all, so copying tasks
are a third of the documents at first and one in twelve at the end.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from training.corpus import (
    arithmetic,
    copying,
    dates,
    facts,
    lists,
    reasoning,
    records,
    reviews,
    stories,
)
from training.corpus.document import Document, Split

Draw = Callable[[random.Random, Split], Document]

FAMILIES: dict[str, Draw] = {
    "facts": facts.draw,
    "arithmetic": arithmetic.draw,
    "reasoning": reasoning.draw,
    "records": records.draw,
    "reviews": reviews.draw,
    "dates": dates.draw,
    "lists": lists.draw,
    "stories": stories.draw,
    "copying": copying.draw,
}
# Documents, not tokens: a sum is a tenth of a record's length.
_SHARES = {
    "facts": 0.21,
    "arithmetic": 0.23,
    "reasoning": 0.11,
    "records": 0.12,
    "reviews": 0.16,
    "dates": 0.05,
    "lists": 0.08,
    "stories": 0.04,
}
# In the last stage; the rest is drawn by the shares above.
_HARD_SHARES = (
    (records.draw_hard, 0.2),
    (copying.draw_hard, 0.2),
    (lists.draw_hard, 0.1),
    (reviews.draw_hard, 0.08),
    (dates.draw_hard, 0.03),
)
_MIXED = 0.2
"""Share of documents that are several documents in a row, as in a few-shot prompt."""


def copying_share(progress: float) -> float:
    """Return the share of copying tasks when this part (0 to 1) of training is done."""
    if progress < 0.35:
        return 0.35
    return 0.15 if progress < 0.75 else 0.08


def _draw_one(rng: random.Random, split: Split, progress: float) -> Document:
    if rng.random() < copying_share(progress):
        return copying.draw(rng, split)
    (family,) = rng.choices(list(_SHARES), weights=list(_SHARES.values()))
    return FAMILIES[family](rng, split)


def draw_polish(rng: random.Random, split: Split, _: float = 1.0) -> Document:
    """Return a document of the last stage: most of it what was learned worst before."""
    parts = [_draw_one_polish(rng, split)]
    if rng.random() < _MIXED:
        parts += [_draw_one_polish(rng, split) for _ in range(rng.choice((1, 1, 2)))]
    turns = tuple(turn for part in parts for turn in part.turns)
    return Document(parts[-1].kind, parts[-1].key, turns)


def _draw_one_polish(rng: random.Random, split: Split) -> Document:
    style = rng.random()
    for draw_hard, share in _HARD_SHARES:
        style -= share
        if style < 0:
            return draw_hard(rng, split)
    return _draw_one(rng, split, 1.0)


def draw(rng: random.Random, split: Split, progress: float = 1.0) -> Document:
    """Return a document of the mixture as it is at `progress`."""
    if rng.random() >= _MIXED:
        return _draw_one(rng, split, progress)
    first = _draw_one(rng, split, progress)
    family = FAMILIES[first.key.split(":")[0]]
    parts = [first]
    for _ in range(rng.choice((1, 1, 2, 3))):
        same = rng.random() < 0.5
        parts.append(family(rng, split) if same else _draw_one(rng, split, progress))
    turns = tuple(turn for part in parts for turn in part.turns)
    return Document(parts[-1].kind, parts[-1].key, turns)
