"""Persons: a sentence, its JSON object, its fields and questions; held out by the person."""

from __future__ import annotations

import json
import random

from training.corpus import words
from training.corpus.document import Document, Split, Turn, draw_in_split

_SENTENCES = (
    "{name} lives in {city}, works as {a} {job} and is {age} years old.",
    "{name} lives in {city}, is {age} years old and works as {a} {job}.",
    "{name} is {age} years old, works as {a} {job} and lives in {city}.",
    "{name} is {age} years old, lives in {city} and works as {a} {job}.",
    "{name} works as {a} {job}, is {age} years old and lives in {city}.",
    "{name} works as {a} {job} in {city} and is {age} years old.",
    "{name} is {an} {age} year old {job} from {city}.",
    "{name}, {a} {job} from {city}, is {age} years old.",
    "{name} is {age} and lives in {city}. {first} works as {a} {job}.",
    "{name} is {a} {job}. {first} is {age} years old and lives in {city}.",
    "At {age}, {name} works as {a} {job} in {city}.",
    "In {city} lives {name}, {a} {job} who is {age} years old.",
)


def _person(rng: random.Random, split: Split) -> dict[str, str | int]:
    """Return the fields of somebody, in the order of the JSON object."""
    first = words.first_name(rng, split)
    name = first if rng.random() < 0.12 else f"{first} {words.surname(rng, split)}"
    return {
        "name": name,
        "age": rng.randint(18, 89),
        "job": words.job(rng, split),
        "city": words.city(rng, split),
    }


def _sentence(rng: random.Random, person: dict[str, str | int]) -> str:
    first = str(person["name"]).split()[0]
    return rng.choice(_SENTENCES).format(
        **person,
        first=first,
        a=words.article(str(person["job"])),
        an="an" if person["age"] in (18, *range(80, 90)) else "a",
    )


def _questions(person: dict[str, str | int]) -> list[Turn]:
    """Return the four questions about a person."""
    name = person["name"]
    asked = (
        (f"How old is {name}?", person["age"]),
        (f"Where does {name} live?", person["city"]),
        (f"What is the job of {name}?", person["job"]),
        (f"Who lives in {person['city']}?", name),
    )
    return [Turn(f"Q: {question}\nA:", f" {answer}\n") for question, answer in asked]


def _json_turn(person: dict[str, str | int]) -> Turn:
    """Return the turn that wants the JSON object."""
    return Turn("JSON:", f" {json.dumps(person)}\n")


def _follow_ups(rng: random.Random, person: dict[str, str | int]) -> list[Turn]:
    """Return what follows the sentence: mostly its JSON object, or fields, or questions."""
    as_json = _json_turn(person)
    fields = [Turn(f"{key.capitalize()}:", f" {value}\n") for key, value in person.items()]
    style = rng.random()
    if style < 0.6:
        return [as_json]
    if style < 0.75:
        return [as_json, *rng.sample(_questions(person), rng.randint(1, 3))]
    if style < 0.87:
        return rng.sample(_questions(person), rng.randint(1, 3))
    if rng.random() < 0.4:
        rng.shuffle(fields)
    return fields[: rng.randint(1, 4)]


def _document(
    rng: random.Random, split: Split, person: dict[str, str | int], follow_ups: list[Turn]
) -> Document:
    """Return a sentence about the person and what follows it."""
    first, *rest = follow_ups
    turns = (Turn(f"Text: {_sentence(rng, person)}\n{first.prompt}", first.answer), *rest)
    kind = "record, unseen words" if split is Split.UNSEEN_WORDS else "record"
    return Document(kind, f"records:{json.dumps(person)}", turns)


def _write(rng: random.Random, split: Split) -> Document:
    person = _person(rng, split)
    return _document(rng, split, person, _follow_ups(rng, person))


def draw(rng: random.Random, split: Split) -> Document:
    """Return a person in a sentence and what is asked about the person."""
    return draw_in_split(_write, rng, split)


def _write_hard(rng: random.Random, split: Split) -> Document:
    person = _person(rng, split)
    if split is Split.TRAIN and rng.random() < 0.9:
        person["job"] = words.unheard_word(rng)
    as_json, asked = _json_turn(person), _questions(person)
    follow_ups = rng.choice(
        (
            [as_json],
            [as_json],
            [as_json],
            [as_json, *rng.sample(asked, 2)],
            rng.sample(asked, 2),
            [Turn("Job:", f" {person['job']}\n"), as_json],
        )
    )
    return _document(rng, split, person, follow_ups)


def draw_hard(rng: random.Random, split: Split) -> Document:
    """Return a person with a job that nobody has heard of, mostly with the JSON object."""
    return draw_in_split(_write_hard, rng, split)
