"""Sums, differences and products, bare or asked.

Sums and differences reach 99 and are held out by the pair of numbers, so a right answer
is computed. Products to 144 are a table learned by heart; there, as with the facts, only
the lines before the question are held out.
"""

from __future__ import annotations

import random

from training.corpus.document import Document, Split, Turn, is_held_out

LARGEST = 99
_FACTORS = [(a, b) for a in range(13) for b in range(13)]
_PRODUCTS = sorted(
    {*_FACTORS, *((a, b) for a in range(1, 51) for b in range(1, 51) if a * b <= 100)}
)
_WORDS = {"+": ("plus",), "-": ("minus",), "*": ("times",)}
_KINDS = {"+": "sum", "-": "difference", "*": "product"}


def result(left: int, sign: str, right: int) -> int:
    """Return the value of `left sign right`."""
    return {"+": left + right, "-": left - right, "*": left * right}[sign]


def product_table() -> list[tuple[int, int]]:
    """Return every pair of factors that the corpus multiplies."""
    return list(_PRODUCTS)


def _number(rng: random.Random) -> int:
    return rng.randint(0, rng.choice((20, 20, LARGEST)))


def _operands(rng: random.Random, sign: str, split: Split) -> tuple[int, int]:
    """Draw operands; a pair of a sum or a difference is on the split's side of the hash."""
    if sign == "*":
        return rng.choice(_FACTORS if rng.random() < 0.4 else _PRODUCTS)
    while True:
        left, right = _number(rng), _number(rng)
        if sign == "-" and left < right:
            left, right = right, left
        if is_held_out(f"{left}{sign}{right}") == (split is not Split.TRAIN):
            return left, right


def ask(left: int, sign: str, right: int, style: str = "bare") -> Turn:
    """Return the problem as a line (`bare`), as a question (`asked`) or in words (`words`)."""
    value = result(left, sign, right)
    if style == "bare":
        return Turn(f"{left} {sign} {right} =", f" {value}\n")
    if style == "asked":
        return Turn(f"Q: What is {left} {sign} {right}?\nA:", f" {value}\n")
    return Turn(f"Q: What is {left} {_WORDS[sign][0]} {right}?\nA:", f" {value}\n")


def write(rng: random.Random, split: Split, sign: str, style: str) -> Document:
    """Return one to six problems in the given style; the last one has the given sign."""
    earlier = rng.choice((0, 1, 2, 4, 6)) if split is Split.TRAIN else rng.choice((0, 1, 2))
    signs = [rng.choice("++--*") for _ in range(earlier)] + [sign]
    problems = [(s, _operands(rng, s, split)) for s in signs]
    turns = tuple(ask(left, s, right, style) for s, (left, right) in problems)
    key = "arithmetic:" + "".join(turn.prompt for turn in turns)
    return Document(f"{_KINDS[sign]}, {style}", key, turns)


def draw(rng: random.Random, split: Split) -> Document:
    """Return problems of one style; which pairs it may use, the split decides."""
    style = rng.choice(("bare", "bare", "asked", "asked", "words"))
    return write(rng, split, rng.choice("++--*"), style)
