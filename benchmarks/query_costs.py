"""What does a query cost, beside a program that decodes in chunks and prompts again?

    python benchmarks/query_costs.py [--chunk 30] [--questions 20]

The three case studies of Beurer-Kellner et al., "Prompting Is Programming" (PLDI 2023), section 6,
in the forms that the embedded model knows: chain of thought with a distribution, ReAct with a
tool, arithmetic with a calculator. The baseline is the paper's: plain `generate` writes chunks
of a fixed length, Python looks for what it needs in them, cuts the rest off, and sends the whole
prompt again. Both decode greedily, over the same weights and the same questions.

    decoder calls     how often decoding begins: `generate`, or a query, or a distribution
    model queries     how often the model is run on a text: for each token that `generate` writes;
                      for each row of a pass of the query's, which may read forced tokens on the way
    billable tokens   tokens of the prompt and written ones, of each call; a query's call reads
                      each token once
    right             answers that are right

Prints Markdown, the mean of each count over the questions.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

import lmql_like
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.model import LanguageModel
from lmql_like.runtime.run import run_program

MODEL = Path(lmql_like.__file__).parent / "default_model"
LABELS = [" positive", " neutral", " negative"]
PEOPLE = ["Alice Baker", "Paul Miller", "Emma Fisher", "Tom Carter"]
CAPITALS = {
    "Rome": "Italy",
    "Oslo": "Norway",
    "Paris": "France",
    "Madrid": "Spain",
    "Cairo": "Egypt",
}
JOBS = ["pilot", "cook", "nurse", "baker"]


@dataclass
class Costs:
    """What one answer cost, and whether it was right."""

    calls: int = 0
    queries: int = 0
    tokens: int = 0
    right: bool = False


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunk", type=int, default=30)
    parser.add_argument("--questions", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    counting = Counting(lmql_like.load_model())
    chunks = Chunks(counting, options.chunk)
    studies: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]] = {
        "chain of thought, distribution": (reviews, thought_query, thought_baseline),
        "ReAct, a look-up": (people, react_query, react_baseline),
        "arithmetic, a calculator": (sums, sum_query, sum_baseline),
    }
    print("| case study | | decoder calls | model queries | billable tokens | right |")
    print("|---|---|---|---|---|---|")
    for name, (questions, query, baseline) in studies.items():
        asked = questions(random.Random(1), options.questions)
        ours = [query(counting, *question) for question in asked]
        theirs = [baseline(chunks, *question) for question in asked]
        print_rows(name, ours, theirs)


def print_rows(name: str, ours: Sequence[Costs], theirs: Sequence[Costs]) -> None:
    """Print the two rows of a case study and their ratio."""

    def mean(costs: Sequence[Costs], attribute: str) -> float:
        return sum(getattr(cost, attribute) for cost in costs) / len(costs)

    counts = ("calls", "queries", "tokens")
    for who, costs in (("chunks of `generate`", theirs), ("query", ours)):
        numbers = " | ".join(f"{mean(costs, count):.1f}" for count in counts)
        print(f"| {name} | {who} | {numbers} | {mean(costs, 'right'):.0%} |")
    saved = [1 - mean(ours, count) / mean(theirs, count) for count in counts]
    print("| | saved | " + " | ".join(f"{share:.0%}" for share in saved) + " | |", flush=True)


# Counting


class Counting:
    """The embedded model; counts the texts that it is run on, and the tokens that it reads."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.states = self.queries = self.tokens = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def new_state(self, n_rows: int) -> Any:
        """Return a state that reports what it is asked."""
        self.states += 1
        state = self.model.new_state(n_rows)
        extend = state.extend

        def counted(new_ids: Sequence[Sequence[int]], keep: Sequence[int]) -> Any:
            self.queries += sum(map(bool, new_ids))
            self.tokens += sum(map(len, new_ids))
            return extend(new_ids, keep)

        state.extend = counted
        return state


def run(counting: Counting, text: str, **arguments: Any) -> tuple[Costs, Any]:
    """Run a query; return what it cost and its value."""
    counting.states = counting.queries = counting.tokens = 0
    (result,) = run_program(compile_query(text), arguments, model=counting)
    # The last token is written and never read.
    return Costs(counting.states, counting.queries, counting.tokens + 1), result.value


class Chunks:
    """The paper's baseline: `generate` over the same weights, a chunk at a time."""

    def __init__(self, counting: Counting, length: int) -> None:
        self.weights = AutoModelForCausalLM.from_pretrained(MODEL)
        self.encode = counting.model.encode
        self.vocabulary = counting.model.vocabulary
        self.length = length
        self.costs = Costs()

    def write(self, prompt: str) -> str:
        """Return the chunk behind a prompt, and count what it costs."""
        ids = self.encode(prompt, at_start=True)
        with torch.no_grad():
            whole = self.weights.generate(
                torch.tensor([ids]), max_new_tokens=self.length, do_sample=False, pad_token_id=0
            )
        new = whole[0, len(ids) :].tolist()
        self.costs.calls += 1
        self.costs.queries += len(new)
        self.costs.tokens += len(ids) + len(new)
        written = [token for token in new if token not in self.vocabulary.eos_token_ids]
        return b"".join(self.vocabulary.tokens[token] for token in written).decode(errors="replace")

    def write_until(self, prompt: str, stops: Sequence[str]) -> tuple[str, str]:
        """Write chunks until a stop occurs; return the prompt up to its end, and the stop."""
        begin = len(prompt)
        for _ in range(4):
            prompt += self.write(prompt)
            found = [(prompt.find(stop, begin), stop) for stop in stops if stop in prompt[begin:]]
            if found:
                at, stop = min(found)
                return prompt[: at + len(stop)], stop
        return prompt, ""

    def done(self, *, right: bool) -> Costs:
        """Return what was counted since the last time."""
        costs, self.costs = self.costs, Costs()
        costs.right = right
        return costs


# Chain of thought with a distribution


def reviews(rng: random.Random, count: int) -> list[tuple[str, str]]:
    """Return reviews, each with its label."""
    good = [("food", "great"), ("staff", "kind"), ("pool", "clean"), ("bed", "soft")]
    bad = [("room", "dirty"), ("bus", "late"), ("street", "noisy"), ("soup", "cold")]
    found = []
    for _ in range(count):
        (a, how), (b, bad_how) = rng.choice(good), rng.choice(bad)
        (c, other) = rng.choice([pair for pair in good if pair[0] != a])
        label = rng.choice(LABELS)
        text = {
            " positive": f"The {a} was {how} and the {c} was {other}.",
            " neutral": f"The {a} was {how} but the {b} was {bad_how}.",
            " negative": f"The {b} was {bad_how}.",
        }[label]
        found.append((text, label))
    return found


def thought_query(counting: Counting, review: str, label: str) -> Costs:
    """Reason, then ask for the probabilities of the labels."""
    text = r"""
"Review: {review}\nAnalysis:[ANALYSIS]\n" where STOPS_BEFORE(ANALYSIS, "\n")
"Review: {review}\nSentiment:[LABEL]" distribution LABEL in labels
return LABEL
"""
    costs, value = run(counting, text, review=review, labels=LABELS)
    costs.right = value == label
    return costs


def thought_baseline(chunks: Chunks, review: str, label: str) -> Costs:
    """Reason, then read the label off the next chunk."""
    prompt, _ = chunks.write_until(f"Review: {review}\nAnalysis:", ["\n"])
    answer = chunks.write(f"{prompt}Review: {review}\nSentiment:")
    return chunks.done(right=answer.startswith(label))


# ReAct


def people(rng: random.Random, count: int) -> list[tuple[str, str, str]]:
    """Return names, what is known about them, and the country they live in."""
    found = []
    for _ in range(count):
        name, city = rng.choice(PEOPLE), rng.choice(list(CAPITALS))
        age = rng.randint(20, 70)
        fact = f"{name} lives in {city}, works as a {rng.choice(JOBS)} and is {age} years old."
        found.append((name, fact, CAPITALS[city]))
    return found


def react_query(counting: Counting, name: str, fact: str, country: str) -> Costs:
    """Look a person up, then the map, then finish; the model chooses among what is possible."""
    text = r"""
question = f"In which country does {name} live?"
"Question: {question}\n"
done, city, country = [], "", ""
while True:
    possible = {" look up": True, " look at the map": city, " finish": country}
    "Act:[ACT]" where ACT in [act for act in possible if possible[act]] and ACT not in done
    done.append(ACT)
    if ACT == " finish":
        return country
    if ACT == " look up":
        " [SUBJECT]\n" where SUBJECT in names and SUBSTRING_OF(SUBJECT, question)
        "Text: {fact}\nCity:[CITY]\n" where STOPS_BEFORE(CITY, "\n")
        city = CITY
    else:
        "\nQ:{city} is the capital of which country?\n"
        "A:[COUNTRY]\n" where STOPS_BEFORE(COUNTRY, "\n")
        country = COUNTRY.strip()
"""
    costs, value = run(counting, text, name=name, fact=fact, names=PEOPLE)
    costs.right = value == country
    return costs


def react_baseline(chunks: Chunks, name: str, fact: str, country: str) -> Costs:
    """Write a chunk for each action and answer.

    What is written is no action that the model was trained on: the one that is possible is
    taken then, so that both programs take the same way.
    """
    prompt = f"Question: In which country does {name} live?\nAct:"
    chunks.write(prompt)
    prompt, _ = chunks.write_until(f"{prompt} look up {name}\nText: {fact}\nCity:", ["\n"])
    city = prompt.rsplit("City:", 1)[1].strip()
    prompt += "Act:"
    chunks.write(prompt)
    prompt += f" look at the map\nQ: {city} is the capital of which country?\nA:"
    prompt, _ = chunks.write_until(prompt, ["\n"])
    answer = prompt.rsplit("A:", 1)[1].strip()
    chunks.write(prompt + "Act:")
    return chunks.done(right=answer == country)


# Arithmetic


def sums(rng: random.Random, count: int) -> list[tuple[str, int]]:
    """Return problems of two steps with small numbers, and their answers."""
    found = []
    for _ in range(count):
        name, what = rng.choice(["Emma", "Paul", "Alice"]), rng.choice(["pears", "books", "eggs"])
        a, b = rng.randint(5, 20), rng.randint(5, 20)
        c = rng.randint(2, a)
        text = (
            f"{name} has {a} {what} and buys {b} more. Then {name} sells {c}. "
            f"How many {what} does {name} have now?"
        )
        found.append((text, a + b - c))
    return found


def calculate(step: str) -> int:
    """Return the result of the calculation that a text ends with."""
    found = re.search(r"(\d+) ([-+*]) (\d+) =$", step)
    if found is None:
        return 0
    left, right = int(found[1]), int(found[3])
    return {"+": left + right, "-": left - right, "*": left * right}[found[2]]


def sum_query(counting: Counting, question: str, answer: int) -> Costs:
    """Let the model write the steps; the calculator works them out."""
    text = r"""
"Q: {question}\nA:"
for i in range(4):
    "[STEP]" where STOPS_AT(STEP, " =") and STOPS_AT(STEP, "So")
    if STEP.endswith("So"):
        break
    " {calculate(STEP)}"
" the answer is[ANSWER: int].\n"
return ANSWER
"""
    costs, value = run(counting, text, question=question, calculate=calculate)
    costs.right = value == answer
    return costs


def sum_baseline(chunks: Chunks, question: str, answer: int) -> Costs:
    """Cut each chunk behind its first calculation, put in the result, and prompt again."""
    prompt = f"Q: {question}\nA:"
    for _ in range(4):
        prompt, stop = chunks.write_until(prompt, [" =", "So the answer is"])
        if stop != " =":
            break
        prompt += f" {calculate(prompt)}"
    written = chunks.write(prompt)
    found = re.match(r" (-?\d+)\.", written)
    return chunks.done(right=found is not None and int(found[1]) == answer)


if __name__ == "__main__":
    main()
