"""Word problems answered step by step; held out by the names, the things and the numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass

from training.corpus import words
from training.corpus.document import Document, Split, Turn, draw_in_split

_GAINS = ("buys", "finds", "gets", "picks", "wins")
_LOSSES = ("gives away {n}", "loses {n}", "sells {n}", "eats {n}", "gives {n} to {other}")
_TIMES = {2: "twice", 3: "three times", 4: "four times"}
_STEP_BY_STEP = " Let's think step by step."


@dataclass(frozen=True)
class _Cast:
    """Who takes part, with what."""

    who: str
    other: str
    what: str


@dataclass(frozen=True)
class _Problem:
    question: str
    steps: str
    answer: int


def _cast(rng: random.Random, split: Split) -> _Cast:
    who = words.first_name(rng, split)
    other = words.first_name(rng, split)
    while other == who:
        other = words.first_name(rng, split)
    return _Cast(who, other, words.things(rng, split))


def _gain(rng: random.Random, cast: _Cast) -> _Problem:
    a, b = rng.randint(1, 20), rng.randint(1, 20)
    return _Problem(
        f"{cast.who} has {a} {cast.what} and {rng.choice(_GAINS)} {b} more. "
        f"How many {cast.what} does {cast.who} have?",
        f"{cast.who} has {a} + {b} = {a + b} {cast.what}.",
        a + b,
    )


def _loss(rng: random.Random, cast: _Cast) -> _Problem:
    a = rng.randint(2, 20)
    b = rng.randint(1, a)
    verb = rng.choice(_LOSSES).format(n=b, other=cast.other)
    return _Problem(
        f"{cast.who} has {a} {cast.what} and {verb}. "
        f"How many {cast.what} does {cast.who} have{rng.choice((' left', ''))}?",
        f"{cast.who} has {a} - {b} = {a - b} {cast.what}.",
        a - b,
    )


def _gain_and_loss(rng: random.Random, cast: _Cast) -> _Problem:
    a, b = rng.randint(1, 20), rng.randint(1, 20)
    c = rng.randint(1, min(20, a + b))
    verb = rng.choice(_LOSSES).format(n=c, other=cast.other)
    return _Problem(
        f"{cast.who} has {a} {cast.what} and {rng.choice(_GAINS)} {b} more. "
        f"Then {cast.who} {verb}. How many {cast.what} does {cast.who} have now?",
        f"{cast.who} has {a} + {b} = {a + b} {cast.what}. "
        f"Then {cast.who} has {a + b} - {c} = {a + b - c} {cast.what}.",
        a + b - c,
    )


def _multiple(rng: random.Random, cast: _Cast) -> _Problem:
    a, factor = rng.randint(1, 12), rng.choice((2, 2, 3, 4))
    return _Problem(
        f"{cast.who} has {a} {cast.what}. {cast.other} has {_TIMES[factor]} as many. "
        f"How many {cast.what} does {cast.other} have?",
        f"{cast.other} has {factor} * {a} = {factor * a} {cast.what}.",
        factor * a,
    )


def _together(rng: random.Random, cast: _Cast) -> _Problem:
    a, b = rng.randint(1, 20), rng.randint(1, 20)
    return _Problem(
        f"{cast.who} has {a} {cast.what} and {cast.other} has {b} {cast.what}. "
        f"How many {cast.what} do they have together?",
        f"Together they have {a} + {b} = {a + b} {cast.what}.",
        a + b,
    )


def _boxes(rng: random.Random, cast: _Cast) -> _Problem:
    a, b = rng.randint(2, 10), rng.randint(2, 10)
    box = rng.choice(("boxes", "bags", "baskets"))
    return _Problem(
        f"{cast.who} has {a} {box} with {b} {cast.what} each. "
        f"How many {cast.what} does {cast.who} have?",
        f"{cast.who} has {a} * {b} = {a * b} {cast.what}.",
        a * b,
    )


_KINDS = (_gain, _gain, _loss, _loss, _gain_and_loss, _multiple, _together, _boxes)


def _write(rng: random.Random, split: Split) -> Document:
    problem = rng.choice(_KINDS)(rng, _cast(rng, split))
    answer = f" {problem.steps} So the answer is {problem.answer}.\n"
    turn = Turn(f"Q: {problem.question}\nA:", answer)
    style = rng.random()
    if style < 0.15:
        turn = Turn(f"Q: {problem.question}\nA:{_STEP_BY_STEP}", answer)
    elif style < 0.25:
        turn = Turn(f"Q: {problem.question} Let's think step by step.\nA:", answer)
    kind = "word problem, unseen words" if split is Split.UNSEEN_WORDS else "word problem"
    return Document(kind, "reasoning:" + problem.question, (turn,))


def draw(rng: random.Random, split: Split) -> Document:
    """Return a word problem with its answer worked out."""
    return draw_in_split(_write, rng, split)
