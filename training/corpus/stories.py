"""Short stories in simple words; there is no right answer, so none is graded."""

from __future__ import annotations

import random

from training.corpus import words
from training.corpus.document import Document, Split, Turn, draw_in_split
from training.corpus.words import article, word_tuple

_MOODS = word_tuple("sad happy small big old young lonely brave clever hungry tired kind funny shy")
_HEROES = word_tuple("cow dog cat fox bear rabbit mouse horse duck king queen boy girl farmer bird")
_COLOURS = word_tuple("white red blue green yellow black brown golden")
_HOMES = word_tuple("house hut castle barn cave tree cottage boat")
_PLACES = (
    "near the river",
    "in the forest",
    "by the sea",
    "on a hill",
    "at the lake",
    "in a village",
    "in the mountains",
)
_FINDS = word_tuple("ball plane key book shell coin hat box kite drum lamp cake")
_SPOTS = (
    "on the road",
    "under a tree",
    "in the garden",
    "behind the house",
    "on the beach",
    "in a boat",
)
_FRIENDS = word_tuple("frog bird hen goat bee child sailor baker hedgehog")
_WISHES = (
    "fly",
    "swim",
    "sing",
    "dance",
    "see the world",
    "find a friend",
    "learn to read",
    "climb a tree",
)
_ENDS = (
    "From that day on, everybody called {name} the {mood} one.",
    "In the evening {name} went home and slept well.",
    "They became good friends.",
    "And they lived happily ever after.",
    "{name} smiled all day.",
)


def _opening(rng: random.Random, name: str, mood: str) -> list[str]:
    return [
        f"Once upon a time there was {article(mood)} {mood} {rng.choice(_HEROES)} named {name}.",
        f"{name} lived in a {rng.choice(_COLOURS)} {rng.choice(_HOMES)} {rng.choice(_PLACES)}.",
    ]


def _middle(rng: random.Random, name: str) -> list[str]:
    find = f"{rng.choice(_COLOURS)} {rng.choice(_FINDS)}"
    friend = rng.choice(_FRIENDS)
    return rng.choice(
        (
            [
                f"One day {name} saw a {find} {rng.choice(_SPOTS)}.",
                f"A {friend} came and asked for the {find}.",
                f"{name} gave the {find} to the {friend}.",
            ],
            [
                f"{name} wanted to {rng.choice(_WISHES)}.",
                f"One morning a {friend} came to help {name}.",
            ],
            [
                f"One night {name} lost a {find}.",
                f"The {friend} helped to look for it.",
                f"They found the {find} {rng.choice(_SPOTS)}.",
            ],
            [f"One day {name} met a {friend} {rng.choice(_SPOTS)}."],
        )
    )


def _write(rng: random.Random, split: Split) -> Document:
    name, mood = words.first_name(rng, split), rng.choice(_MOODS)
    sentences = _opening(rng, name, mood) + _middle(rng, name)
    sentences.append(rng.choice(_ENDS).format(name=name, mood=mood))
    story = " ".join(sentences)
    prompt = rng.choice(("Story:", "Story:", "Story: Once upon a time", "Once upon a time"))
    rest = story.removeprefix(prompt.removeprefix("Story:").strip()).strip()
    return Document("story", "stories:" + story, (Turn(prompt, f" {rest}\n", graded=False),))


def draw(rng: random.Random, split: Split) -> Document:
    """Return one story of four to six sentences."""
    return draw_in_split(_write, rng, split)
