"""Facts in question and answer form: capitals both ways, countries, colours, legs, opposites.

The facts are closed tables that training shows in full, a question by itself included;
what is held out is the company a question keeps: other questions before it.
"""

from __future__ import annotations

import random

from training.corpus.countries import COUNTRIES, Country
from training.corpus.document import Document, Split, Turn, draw_in_split
from training.corpus.words import word_tuple


def _table(rows: str) -> dict[str, str]:
    """Read `thing: value; thing: value` into a mapping."""
    pairs = (row.split(":") for row in rows.split(";"))
    return {" ".join(thing.split()): value.strip() for thing, value in pairs}


_COLOURS = _table(
    """the sky: blue; grass: green; snow: white; blood: red; coal: black; the sea: blue;
    milk: white; the sun: yellow; a lemon: yellow; a tomato: red; a banana: yellow;
    a frog: green; salt: white; chocolate: brown; an orange: orange; an elephant: grey;
    a carrot: orange; a cherry: red; a crow: black; a swan: white; a cucumber: green;
    a plum: purple; a strawberry: red; a pig: pink; a flamingo: pink; a leaf: green;
    the night: black; a polar bear: white"""
)
_LEGS = _table(
    """dog: 4; cat: 4; horse: 4; cow: 4; spider: 8; bird: 2; hen: 2; bee: 6; ant: 6; fly: 6;
    snake: 0; fish: 0; frog: 4; pig: 4; sheep: 4; duck: 2; beetle: 6; human: 2; table: 4;
    chair: 4; worm: 0; crab: 10; lion: 4; tiger: 4; eagle: 2; mouse: 4"""
)
_OPPOSITES = _table(
    """hot: cold; big: small; old: young; fast: slow; happy: sad; up: down; good: bad; light:
    dark; rich: poor; hard: soft; wet: dry; long: short; open: closed; full: empty; strong:
    weak; early: late; loud: quiet; left: right; high: low; clean: dirty; near: far; thick:
    thin; easy: difficult; first: last; day: night; black: white; begin: end; win: lose; buy:
    sell; love: hate"""
)
_SOUNDS = _table(
    """dog: barks; cat: meows; cow: moos; duck: quacks; lion: roars; sheep: bleats; bee:
    buzzes; horse: neighs; frog: croaks; pig: oinks; snake: hisses; wolf: howls"""
)
_YOUNG = _table(
    """dog: puppy; cat: kitten; cow: calf; horse: foal; sheep: lamb; hen: chick; duck:
    duckling; pig: piglet; lion: cub; goat: kid; frog: tadpole; swan: cygnet"""
)
_DAYS = word_tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
_MONTHS = word_tuple(
    "January February March April May June July August September October November December"
)


def _ask(question: str, answer: str) -> Turn:
    return Turn(f"Q: {question}\nA:", f" {answer}\n")


def _next_in(cycle: tuple[str, ...], noun: str) -> list[Turn]:
    return [
        _ask(f"Which {noun} comes after {name}?", cycle[(place + 1) % len(cycle)])
        for place, name in enumerate(cycle)
    ]


def common_facts() -> list[Turn]:
    """Return every fact that is not about a country, each in its main phrasing."""
    facts = [_ask(f"What color is {thing}?", colour) for thing, colour in _COLOURS.items()]
    facts += [_ask(f"How many legs does a {animal} have?", n) for animal, n in _LEGS.items()]
    for word, opposite in _OPPOSITES.items():
        facts += [_ask(f"What is the opposite of {word}?", opposite)]
        facts += [_ask(f"What is the opposite of {opposite}?", word)]
    facts += [
        _ask(f"What sound does a {animal} make?", f"It {s}.") for animal, s in _SOUNDS.items()
    ]
    facts += [_ask(f"What is a young {animal} called?", young) for animal, young in _YOUNG.items()]
    return facts + _next_in(_DAYS, "day") + _next_in(_MONTHS, "month")


def ask_capital(country: Country) -> Turn:
    """Return the question for a country's capital, in its main phrasing."""
    return _ask(f"What is the capital of {country.name}?", country.capital)


def ask_country(country: Country) -> Turn:
    """Return the question for the country of a capital, in its main phrasing."""
    return _ask(f"{country.capital} is the capital of which country?", country.name)


def ask_details(country: Country) -> list[Turn]:
    """Return the questions for a country's continent, currency and language."""
    return [
        _ask(f"On which continent is {country.name}?", country.continent),
        _ask(f"What is the currency of {country.name}?", country.currency),
        _ask(f"Which language is spoken in {country.name}?", country.language),
    ]


def _capital_turn(rng: random.Random, country: Country) -> Turn:
    style = rng.random()
    if style < 0.7:
        return ask_capital(country)
    if style < 0.8:
        return Turn(f"The capital of {country.name} is", f" {country.capital}.\n")
    question = rng.choice(("Which city is the capital of {}?", "What's the capital of {}?"))
    return _ask(question.format(country.name), country.capital)


def _country_turn(rng: random.Random, country: Country) -> Turn:
    style = rng.random()
    if style < 0.75:
        return ask_country(country)
    if style < 0.85:
        return Turn(f"{country.capital} is the capital of", f" {country.name}.\n")
    return _ask(f"In which country is {country.capital}?", country.name)


def _turns_about(rng: random.Random, country: Country) -> list[tuple[str, Turn]]:
    """Return every question about a country with its kind, in random order."""
    turns = [("capital", _capital_turn(rng, country)), ("country", _country_turn(rng, country))]
    turns += [("country detail", turn) for turn in ask_details(country)]
    rng.shuffle(turns)
    return turns


def _write(rng: random.Random, _: Split) -> Document:
    """Several questions in a row, of one country or of many; the last gives the kind."""
    count = rng.choice((2, 3, 4))
    if rng.random() < 0.4:
        turns = _turns_about(rng, rng.choice(COUNTRIES))[:count]
    else:
        turns = [_single(rng) for _ in range(count)]
    kind = turns[-1][0]
    asked = tuple(turn for _, turn in turns)
    return Document(kind, "facts:" + "".join(turn.prompt for turn in asked), asked)


_COMMON = common_facts()


def _single(rng: random.Random) -> tuple[str, Turn]:
    style = rng.random()
    if style < 0.3:
        return "capital", _capital_turn(rng, rng.choice(COUNTRIES))
    if style < 0.55:
        return "country", _country_turn(rng, rng.choice(COUNTRIES))
    if style < 0.75:
        return "country detail", rng.choice(ask_details(rng.choice(COUNTRIES)))
    return "common fact", rng.choice(_COMMON)


def draw(rng: random.Random, split: Split) -> Document:
    """Return questions about facts; held-out ones stand after other questions."""
    if split is Split.TRAIN and rng.random() < 0.5:
        kind, turn = _single(rng)
        return Document(kind, "facts:" + turn.prompt, (turn,))
    return draw_in_split(_write, rng, split)
