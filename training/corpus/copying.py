"""Tasks that only copying solves: they make a small model learn to copy words it never saw."""

from __future__ import annotations

import json
import random

from training.corpus import words
from training.corpus.document import Document, Split, Turn, draw_in_split


def _word(rng: random.Random, split: Split) -> str:
    """Return a word of any case, invented more often than not, or a number."""
    if split is Split.TRAIN and rng.random() < 0.3:
        word = rng.choice((*words.FIRST_NAMES, *words.CITIES, *words.JOBS, *words.THINGS)).lower()
    else:
        word = words.invent_word(rng, reserved=split is Split.UNSEEN_WORDS)
    style = rng.random()
    if style < 0.08:
        return str(rng.randint(0, 99))
    return word.capitalize() if style < 0.5 else word


def _distinct(rng: random.Random, split: Split, count: int) -> list[str]:
    chosen: list[str] = []
    while len(chosen) < count:
        word = _word(rng, split)
        if word not in chosen:
            chosen.append(word)
    return chosen


def _repeat(rng: random.Random, split: Split) -> Turn:
    text = rng.choice((" ", ", ")).join(_distinct(rng, split, rng.randint(2, 8)))
    return Turn(f"Copy: {text}\nAgain:", f" {text}\n")


def _say(rng: random.Random, split: Split) -> Turn:
    text = " ".join(_distinct(rng, split, rng.randint(1, 5)))
    quote = rng.choice("'\"")
    return Turn(f"Say {quote}{text}{quote}:", f" {text}\n")


def _to_json(rng: random.Random, split: Split) -> Turn:
    chosen = _distinct(rng, split, rng.randint(1, 6))
    return Turn(f"Words: {', '.join(chosen)}\nJSON:", f" {json.dumps(chosen)}\n")


def _from_json(rng: random.Random, split: Split) -> Turn:
    chosen = _distinct(rng, split, rng.randint(1, 6))
    return Turn(f"JSON: {json.dumps(chosen)}\nWords:", f" {', '.join(chosen)}\n")


def _look_up(rng: random.Random, split: Split) -> Turn:
    chosen = _distinct(rng, split, 2 * rng.randint(2, 4))
    table = dict(zip(chosen[::2], chosen[1::2], strict=True))
    wanted = rng.choice(list(table))
    return Turn(f"JSON: {json.dumps(table)}\nQ: What is {wanted}?\nA:", f" {table[wanted]}\n")


def _greet(rng: random.Random, split: Split) -> Turn:
    name = words.first_name(rng, split)
    return Turn(f"Greet {name}:", f" Hello, {name}!\n")


_TASKS = (_repeat, _repeat, _say, _to_json, _to_json, _from_json, _look_up, _look_up, _greet)


def _write(rng: random.Random, split: Split) -> Document:
    turn = rng.choice(_TASKS)(rng, split)
    kind = "copy, unseen words" if split is Split.UNSEEN_WORDS else "copy"
    return Document(kind, "copying:" + turn.prompt, (turn,))


def draw(rng: random.Random, split: Split) -> Document:
    """Return one copying task."""
    return draw_in_split(_write, rng, split)


def _strings(rng: random.Random, split: Split) -> Turn:
    """Write lower-case words from after a space to after a quotation mark, or back."""
    chosen = [words.unheard_word(rng) for _ in range(rng.randint(2, 8))]
    if split is not Split.TRAIN or rng.random() < 0.3:
        chosen = _distinct(rng, split, len(chosen))
    style = rng.random()
    if style < 0.5:
        return Turn(f"Words: {', '.join(chosen)}\nJSON:", f" {json.dumps(chosen)}\n")
    if style < 0.65:
        return Turn(f"JSON: {json.dumps(chosen)}\nWords:", f" {', '.join(chosen)}\n")
    if style < 0.75:
        quote = rng.choice("'\"")
        text = " ".join(chosen)
        return Turn(f"Say {quote}{text}{quote}:", f" {text}\n")
    if style < 0.85:
        text = " ".join(chosen)
        return Turn(f"Copy: {text}\nAgain:", f" {text}\n")
    return _look_up(rng, split)


def _write_hard(rng: random.Random, split: Split) -> Document:
    turn = _strings(rng, split)
    kind = "copy, unseen words" if split is Split.UNSEEN_WORDS else "copy"
    return Document(kind, "copying:" + turn.prompt, (turn,))


def draw_hard(rng: random.Random, split: Split) -> Document:
    """Return a task of copying lower-case words that nobody has heard."""
    return draw_in_split(_write_hard, rng, split)
