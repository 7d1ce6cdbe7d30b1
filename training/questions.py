"""The questions of the evaluation: closed tables in full, everything else held out.

A kind of question is a row of the table. Kinds that say `table` ask, bare, for what
training showed in full: they measure learning by heart. All other kinds are drawn from
the held-out side of the split.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from training.corpus import arithmetic, facts, lists, mixture
from training.corpus.countries import COUNTRIES
from training.corpus.document import Document, Split, Turn

_FAMILIES = ("facts", "reasoning", "records", "reviews", "dates", "lists", "copying")
_WITH_UNSEEN_WORDS = ("reasoning", "records", "reviews", "copying")
_RAREST = 40
"""Draws for each wanted question before a rare kind is left shorter than the others."""


@dataclass(frozen=True)
class Question:
    """A prompt, its kind and what a right answer is; `to_the_end` asks for the whole document."""

    kind: str
    prompt: str
    expected: str
    to_the_end: bool = False

    def spaced(self) -> Question:
        """Return the question with the space before its answer moved to the prompt."""
        if not self.expected.startswith(" "):
            return self
        return replace(self, prompt=self.prompt + " ", expected=self.expected[1:])

    def accepts(self, answer: str) -> bool:
        """True for the expected answer or, of a list, for any good one."""
        if self.kind.startswith("list"):
            return lists.is_valid(self.prompt, answer)
        return answer == self.expected


def _table(kind: str, turns: list[Turn]) -> list[Question]:
    return [Question(f"{kind} (table)", turn.prompt, turn.answer) for turn in turns]


def table_questions() -> list[Question]:
    """Return every fact and every product that training shows, asked with nothing before it."""
    return [
        *_table("capital", [facts.ask_capital(country) for country in COUNTRIES]),
        *_table("country", [facts.ask_country(country) for country in COUNTRIES]),
        *_table("country detail", [t for country in COUNTRIES for t in facts.ask_details(country)]),
        *_table("common fact", facts.common_facts()),
        *_every_list(),
        *_table("product", [arithmetic.ask(a, "*", b) for a, b in arithmetic.product_table()]),
    ]


def _every_list() -> list[Question]:
    """Return every header of a list: nearly all were trained on, with other items each time."""
    return [
        Question(f"list, {style} (all)", prompt, "", to_the_end=prompt.endswith("\n"))
        for style in lists.STYLES
        for prompt in sorted(
            {lists.header(style, name, n) for name in lists.CATEGORIES for n in lists.LENGTHS}
        )
    ]


def questions_of(document: Document) -> list[Question]:
    """Return the graded turns of a document, each after the turns before it."""
    questions, before = [], ""
    for turn in document.turns:
        prompt = before + turn.prompt
        if turn.graded:
            kind = _kind(document, turn)
            is_list = turn.answer.startswith("- ")
            questions.append(Question(kind, prompt, turn.answer, to_the_end=is_list))
        before += turn.text
    return questions


def _kind(document: Document, turn: Turn) -> str:
    """Name the row of a question: the document's kind and what is asked."""
    family = document.key.split(":")[0]
    asked = turn.prompt.split("\n")[-1]
    if family == "facts":
        return "fact after other questions"
    if family == "records":
        asked = {"JSON:": "JSON", "A:": "question"}.get(asked, "field")
    elif family == "reviews":
        asked = {"Sentiment:": "sentiment", "Analysis:": "analysis", "A:": "analysis"}.get(
            asked, "liked or disliked" if "iked:" in asked else "sentiment"
        )
    elif family == "dates":
        asked = "ISO" if asked == "ISO:" else "question"
    else:
        return document.kind
    kind, *words = document.kind.split(",")
    return ",".join([f"{kind} {asked}", *words])


def _sample_family(family: str, split: Split, rng: random.Random, count: int) -> list[Question]:
    """Return `count` different questions of every kind, or as many as there are."""
    kinds: dict[str, dict[str, Question]] = {}
    draw = mixture.FAMILIES[family]
    for draws in range(count * _RAREST):
        for question in questions_of(draw(rng, split)):
            kinds.setdefault(question.kind, {}).setdefault(question.prompt, question)
        if draws >= 4 * count and all(len(asked) >= count for asked in kinds.values()):
            break
    return [question for kind in sorted(kinds) for question in list(kinds[kind].values())[:count]]


def _sample_arithmetic(rng: random.Random, count: int) -> list[Question]:
    questions = []
    for sign in "+-*":
        for style in ("bare", "asked", "words"):
            for _ in range(count):
                document = arithmetic.write(rng, Split.HELD_OUT, sign, style)
                *before, last = document.turns
                prompt = "".join(turn.text for turn in before) + last.prompt
                questions.append(Question(document.kind, prompt, last.answer))
    return questions


def sample_questions(rng: random.Random, count: int) -> list[Question]:
    """Return the tables and about `count` held-out questions of every other kind."""
    questions = [*table_questions(), *_sample_arithmetic(rng, count)]
    for family in _FAMILIES:
        questions += _sample_family(family, Split.HELD_OUT, rng, count)
        if family in _WITH_UNSEEN_WORDS:
            questions += _sample_family(family, Split.UNSEEN_WORDS, rng, count)
    return questions
