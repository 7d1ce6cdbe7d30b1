"""The corpus is the same for a seed, right by independent rules, and keeps its splits apart."""

import calendar
import datetime as dt
import json
import random
import re

import pytest

from training.corpus import arithmetic, copying, dates, lists, mixture, reasoning, records, reviews
from training.corpus.countries import COUNTRIES
from training.corpus.document import Split, is_held_out
from training.corpus.words import (
    UNSEEN_CITIES,
    UNSEEN_FIRST_NAMES,
    UNSEEN_JOBS,
    UNSEEN_SURNAMES,
    UNSEEN_THINGS,
)

MONTHS = tuple(calendar.month_abbr)
WORDS = {"plus": "+", "minus": "-", "times": "*"}


def drawn(family, split=Split.TRAIN, count=300):
    rng = random.Random(7)
    return [family.draw(rng, split) for _ in range(count)]


@pytest.mark.parametrize("family", mixture.FAMILIES)
def test_same_seed_same_documents(family):
    def once():
        rng = random.Random(3)
        return [mixture.FAMILIES[family](rng, Split.TRAIN) for _ in range(20)]

    assert once() == once()


@pytest.mark.parametrize("family", [records, reviews, dates, lists, copying])
@pytest.mark.parametrize("split", Split)
def test_hard_documents_stay_on_their_side_of_the_split(family, split):
    rng = random.Random(9)
    for _ in range(100):
        document = family.draw_hard(rng, split)
        assert is_held_out(document.key) == (split is not Split.TRAIN)


@pytest.mark.parametrize("family", mixture.FAMILIES)
@pytest.mark.parametrize("split", Split)
def test_answers_end_in_a_line_break_and_keys_name_their_family(family, split):
    rng = random.Random(5)
    for _ in range(100):
        document = mixture.FAMILIES[family](rng, split)
        assert document.key.startswith(family + ":")
        for turn in document.turns:
            assert turn.answer.endswith("\n")
            assert turn.answer[0] in " -"


def test_problems_have_the_value_that_python_computes():
    for document in drawn(arithmetic):
        for turn in document.turns:
            problem = re.search(r"(\d+) (\S+) (\d+)", turn.prompt)
            left, sign, right = problem.groups()
            value = eval(f"{left} {WORDS.get(sign, sign)} {right}")  # noqa: S307
            assert turn.answer == f" {value}\n"
            assert value >= 0


def test_sums_and_differences_are_split_by_their_numbers():
    for split in (Split.TRAIN, Split.HELD_OUT):
        for document in drawn(arithmetic, split):
            for turn in document.turns:
                left, sign, right = re.search(r"(\d+) (\S+) (\d+)", turn.prompt).groups()
                sign = WORDS.get(sign, sign)
                if sign != "*":
                    assert is_held_out(f"{left}{sign}{right}") == (split is Split.HELD_OUT)


def read_date(text):
    """Return (year, month, day) of any notation of the corpus, by other rules than it."""
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    name = re.search(r"[A-Z][a-z]{2}", text)
    if name:
        day, year = numbers
        return year, MONTHS.index(name.group()), day
    return tuple(numbers if "/" in text else numbers[::-1])


def test_dates_say_the_day_they_were_given():
    for document in drawn(dates):
        for turn in document.turns:
            if turn.prompt.startswith("Date:"):
                day = dt.date(*read_date(turn.prompt.split("\n")[0].removeprefix("Date: ")))
                assert turn.answer.strip() == day.isoformat()
            elif "year" in turn.prompt:
                assert int(turn.answer) == day.year


@pytest.mark.parametrize("split", Split)
def test_records_hold_what_the_sentence_says(split):
    seen = 0
    for document in drawn(records, split):
        sentence = document.turns[0].prompt.split("\n")[0]
        for turn in document.turns:
            if turn.prompt.endswith("JSON:"):
                person = json.loads(turn.answer)
                assert list(person) == ["name", "age", "job", "city"]
                assert all(str(value) in sentence for value in person.values())
                seen += 1
            else:
                assert turn.answer.strip() in sentence
    assert seen > 100


def test_word_problems_end_in_the_value_of_their_last_step():
    for document in drawn(reasoning):
        (turn,) = document.turns
        steps = re.findall(r"(\d+) ([-+*]) (\d+) = (\d+)", turn.answer)
        values = [eval(f"{left} {sign} {right}") for left, sign, right, _ in steps]  # noqa: S307
        assert values == [int(step[3]) for step in steps]
        assert turn.answer.endswith(f"So the answer is {values[-1]}.\n")


def test_sentiment_agrees_with_what_was_liked():
    rng = random.Random(8)
    hard = [reviews.draw_hard(rng, Split.TRAIN) for _ in range(300)]
    for document in [*drawn(reviews, count=500), *hard]:
        answers = {turn.prompt.split("\n")[-1]: turn.answer.strip() for turn in document.turns}
        if {"Sentiment:", "Liked:", "Disliked:"} <= set(answers):
            liked, disliked = answers["Liked:"] != "none", answers["Disliked:"] != "none"
            wanted = "neutral" if liked and disliked else "positive" if liked else "negative"
            assert answers["Sentiment:"] == wanted


def test_lists_are_valid_by_their_own_rules():
    rng = random.Random(8)
    hard = [lists.draw_hard(rng, Split.TRAIN) for _ in range(300)]
    for document in [*drawn(lists), *hard]:
        (turn,) = document.turns
        assert lists.is_valid(turn.prompt, turn.answer)
    assert not lists.is_valid("A list of 2 fruits:\n", "- apple\n- apple\n")
    assert not lists.is_valid("A list of 2 fruits:\n", "- apple\n")
    assert not lists.is_valid("A list of 2 fruits:\n", "- apple\n- dog\n")


def test_json_copies_are_json():
    for document in drawn(copying):
        (turn,) = document.turns
        if turn.prompt.startswith("Words:"):
            words = turn.prompt.split("\n")[0].removeprefix("Words: ").split(", ")
            assert json.loads(turn.answer) == words


@pytest.mark.parametrize("draw", [mixture.draw, mixture.draw_polish])
def test_training_text_holds_no_word_kept_for_evaluation(draw):
    rng = random.Random(11)
    text = "".join(draw(rng, Split.TRAIN, 0.5).text for _ in range(4000)).lower()
    heard = set(re.findall(r"[a-z]+", text))
    kept = (*UNSEEN_FIRST_NAMES, *UNSEEN_SURNAMES, *UNSEEN_CITIES, *UNSEEN_JOBS, *UNSEEN_THINGS)
    assert not heard & {word.lower() for word in kept}


def test_every_capital_has_one_country():
    assert len(COUNTRIES) > 100
    assert len({country.capital for country in COUNTRIES}) == len(COUNTRIES)
