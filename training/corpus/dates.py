"""Dates in many notations, each with its ISO 8601 form; held out by the day."""

from __future__ import annotations

import calendar
import random

from training.corpus.document import Document, Split, Turn, draw_in_split

MONTHS = tuple(calendar.month_name)[1:]


def _notations(year: int, month: int, day: int) -> list[str]:
    name = MONTHS[month - 1]
    return [
        f"{name} {day}, {year}",
        f"{name} {day}, {year}",
        f"{day} {name} {year}",
        f"{day}.{month}.{year}",
        f"{day:02}.{month:02}.{year}",
        f"{name[:3]} {day}, {year}",
        f"{day} {name[:3]} {year}",
        f"{year}/{month}/{day}",
        f"{name} {day}{_ordinal(day)}, {year}",
    ]


def _ordinal(day: int) -> str:
    if 10 < day < 14:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def _day(rng: random.Random) -> tuple[int, int, int]:
    year = rng.randint(1900, 2049) if rng.random() < 0.7 else rng.randint(1000, 2199)
    month = rng.randint(1, 12)
    return year, month, rng.randint(1, calendar.monthrange(year, month)[1])


def _write(rng: random.Random, _: Split, hard: bool = False) -> Document:
    year, month, day = _day(rng)
    if hard and rng.random() < 0.5:  # the months that look like one another as numbers
        month, day = rng.choice((1, 10, 11, 12)), min(day, 30)
    iso = f"{year}-{month:02}-{day:02}"
    turns = [Turn(f"Date: {rng.choice(_notations(year, month, day))}\nISO:", f" {iso}\n")]
    if hard or rng.random() < 0.25:
        name = MONTHS[month - 1]
        turns += rng.sample(
            [
                Turn("Q: Which year is it?\nA:", f" {year}\n"),
                Turn("Q: Which month is it?\nA:", f" {name}\n"),
                Turn("Q: Which day of the month is it?\nA:", f" {day}\n"),
            ],
            rng.randint(1, 3),
        )
    return Document("date", f"dates:{iso}", tuple(turns))


def draw(rng: random.Random, split: Split) -> Document:
    """Return one to three dates, every one of them on the split's side."""
    parts = [draw_in_split(_write, rng, split) for _ in range(rng.choice((1, 1, 2, 3)))]
    turns = tuple(turn for part in parts for turn in part.turns)
    return Document("date", parts[-1].key, turns)


def draw_hard(rng: random.Random, split: Split) -> Document:
    """Return a date with questions after it."""
    return draw_in_split(lambda rng, split: _write(rng, split, hard=True), rng, split)
