"""Reviews with their sentiment, an analysis and what was liked; held out by what is said.

A review is positive or negative when all it says is, and neutral when it says both.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise

from training.corpus.document import Document, Split, Turn, draw_in_split
from training.corpus.words import article, invent_word, unheard_word, word_tuple

_GENERAL = (
    word_tuple("""great good excellent wonderful lovely nice fantastic amazing perfect fabulous
    superb brilliant"""),
    word_tuple("""bad terrible awful poor horrible disappointing dreadful mediocre unpleasant
    ugly"""),
)
_GROUPS = (
    (
        word_tuple("food breakfast dinner coffee soup wine pizza cake menu bread salad fish"),
        word_tuple("tasty delicious fresh"),
        word_tuple("cold bland salty stale"),
    ),
    (
        word_tuple("staff service waiter host guide driver owner receptionist"),
        word_tuple("friendly helpful kind polite"),
        word_tuple("rude slow unfriendly careless"),
    ),
    (
        word_tuple("room bed bathroom hotel pool beach kitchen garden apartment house lobby"),
        word_tuple("clean quiet comfortable cozy"),
        word_tuple("dirty noisy small uncomfortable"),
    ),
    (
        word_tuple("movie plot music acting book story show concert ending game hike tour"),
        word_tuple("exciting funny beautiful fun"),
        word_tuple("boring dull confusing tedious"),
    ),
    (
        word_tuple("phone battery screen sound camera price location view stay trip keyboard lamp"),
        word_tuple("solid useful impressive"),
        word_tuple("broken weak useless"),
    ),
)
_UNSEEN_ASPECTS = word_tuple("balcony elevator sauna playlist charger terrace dessert shuttle")
_STRONGER = ("", "", "", "really ", "very ", "so ", "quite ")
LABELS = ("positive", "neutral", "negative")


@dataclass(frozen=True)
class Opinion:
    """One aspect, whether it was liked, and the clause that says so (in lower case)."""

    aspect: str
    liked: bool
    clause: str


def sentiment(opinions: list[Opinion]) -> str:
    """Return the label of a review that says these things."""
    liked = {opinion.liked for opinion in opinions}
    if len(liked) == 2:
        return "neutral"
    return "positive" if liked == {True} else "negative"


def _clause(
    rng: random.Random, aspect: str, adjectives: tuple[tuple[str, ...], ...], liked: bool
) -> str:
    praise, blame = (rng.choice(words) for words in adjectives)
    verb = rng.choice(("was", "was", "was", "is"))
    if liked:
        return rng.choice(
            (
                f"the {aspect} {verb} {rng.choice(_STRONGER)}{praise}",
                f"the {aspect} {verb} {rng.choice(_STRONGER)}{praise}",
                f"I {rng.choice(('loved', 'liked', 'enjoyed'))} the {aspect}",
                f"we had {article(praise)} {praise} {aspect}",
            )
        )
    return rng.choice(
        (
            f"the {aspect} {verb} {rng.choice(_STRONGER)}{blame}",
            f"the {aspect} {verb} {rng.choice(_STRONGER)}{blame}",
            f"the {aspect} {verb} not {rng.choice(('', '', 'very ', 'really '))}{praise}",
            f"I {rng.choice(('hated', 'disliked', 'did not like', 'did not enjoy'))} the {aspect}",
            f"we had {article(blame)} {blame} {aspect}",
        )
    )


def _opinion(rng: random.Random, split: Split, liked: bool) -> Opinion:
    nouns, praise, blame = rng.choice(_GROUPS)
    aspect = rng.choice(nouns)
    if split is Split.UNSEEN_WORDS:
        aspect = rng.choice(_UNSEEN_ASPECTS)
    elif split is Split.TRAIN and rng.random() < 0.3:
        aspect = invent_word(rng)
    adjectives = _GENERAL if rng.random() < 0.5 else (praise, blame)
    return Opinion(aspect, liked, _clause(rng, aspect, adjectives, liked))


def _in_unheard_words(rng: random.Random, opinion: Opinion) -> Opinion:
    """Return an opinion of another aspect, in most cases one that nobody has heard of."""
    if rng.random() < 0.3:
        return opinion
    aspect = unheard_word(rng)
    clause = opinion.clause.replace(f" {opinion.aspect}", f" {aspect}")
    return Opinion(aspect, opinion.liked, clause)


def _opinions(rng: random.Random, split: Split) -> list[Opinion]:
    label = rng.choice(LABELS)
    count = rng.choice((1, 2, 2, 3, 3)) if label != "neutral" else rng.choice((2, 2, 3))
    likes = [label == "positive"] * count
    if label == "neutral":
        likes = rng.choice(([True, False], [False, True]))
        likes = likes + [rng.random() < 0.5] * (count - 2)
    opinions = []
    while len(opinions) < count:
        opinion = _opinion(rng, split, likes[len(opinions)])
        if opinion.aspect not in [other.aspect for other in opinions]:
            opinions.append(opinion)
    return opinions


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _review(rng: random.Random, opinions: list[Opinion]) -> str:
    """Join the clauses with `and`, `but` or a full stop, as their contents allow."""
    text = opinions[0].clause
    sentences = []
    for before, opinion in pairwise(opinions):
        joiner = " and " if before.liked == opinion.liked else " but "
        if rng.random() < 0.6 and " and " not in text and " but " not in text:
            text += joiner + opinion.clause
        else:
            sentences.append(_sentence(text))
            text = opinion.clause
    return " ".join([*sentences, _sentence(text)])


def analysis(opinions: list[Opinion]) -> str:
    """Return the one sentence that says of each aspect whether it is good or bad."""
    parts = [f"the {o.aspect} is {'good' if o.liked else 'bad'}" for o in opinions]
    return _sentence(", ".join(parts[:-1]) + " and " + parts[-1] if parts[1:] else parts[0])


def aspects(opinions: list[Opinion], liked: bool) -> str:
    """Return the liked or the disliked aspects in their order, or `none`."""
    return ", ".join(o.aspect for o in opinions if o.liked == liked) or "none"


def _turns(rng: random.Random, opinions: list[Opinion], hard: bool) -> list[Turn]:
    review = f"Review: {_review(rng, opinions)}\n"
    label = sentiment(opinions)
    explain = Turn("Analysis:", f" {analysis(opinions)}\n")
    classify = Turn("Sentiment:", f" {label}\n")
    lists = [
        Turn("Liked:", f" {aspects(opinions, True)}\n"),
        Turn("Disliked:", f" {aspects(opinions, False)}\n"),
    ]
    ask = [
        Turn("Q: What is the underlying sentiment of this review and why?\nA:", explain.answer),
        Turn(
            "Based on this, the overall sentiment of the message can be considered to be",
            f" {label}\n",
        ),
    ]
    choices = (
        [classify],
        [classify],
        [explain, classify],
        [explain, classify, *lists],
        [classify, *lists],
        lists,
        ask,
    )
    turns = rng.choice(choices[3:6] if hard else choices)
    return [Turn(review + turns[0].prompt, turns[0].answer), *turns[1:]]


def _write(rng: random.Random, split: Split, hard: bool = False) -> Document:
    opinions = _opinions(rng, split)
    if hard and split is Split.TRAIN:
        opinions = [_in_unheard_words(rng, opinion) for opinion in opinions]
    key = "reviews:" + "|".join(sorted(o.clause for o in opinions))
    kind = "review, unseen words" if split is Split.UNSEEN_WORDS else "review"
    return Document(kind, key, tuple(_turns(rng, opinions, hard)))


def draw(rng: random.Random, split: Split) -> Document:
    """Return a review and what is asked about it."""
    return draw_in_split(_write, rng, split)


def draw_hard(rng: random.Random, split: Split) -> Document:
    """Return a review, mostly of unheard things, that asks what was liked and what was not."""
    return draw_in_split(lambda rng, split: _write(rng, split, hard=True), rng, split)
