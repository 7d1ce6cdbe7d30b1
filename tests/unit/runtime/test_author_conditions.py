"""Conditions of the author's own: checked functions, masking operators, byte recognizers."""

from __future__ import annotations

import itertools
import textwrap

import pytest
from click.testing import CliRunner

import lmql_like
from lmql_like.cli import main
from lmql_like.errors import LmqlLikeError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.language.listing import own_conditions
from lmql_like.runtime.run import run_program
from lmql_like.runtime.toy_model import ToyModel

TOKENS = [
    b"a",
    b"b",
    b"c",
    b"ab",
    b"bc",
    b"A",
    b"B",
    b" ",
    b".",
    "é".encode()[:1],
    "é".encode()[1:],
]
MODEL = ToyModel(Vocabulary([*TOKENS, b""], eos_token_ids=[len(TOKENS)]), context=None)


def run(text, decoder=None, scope=None, **arguments):
    program = compile_query(textwrap.dedent(text), scope=scope or ())
    return run_program(program, arguments, model=MODEL, decoder=decoder, seed=3, scope=scope)


def texts(condition, prelude="", decoder="beam(n=64)", **options):
    """Return what a beam that keeps everything finds for [X] among the texts of up to 3 letters."""
    where = f'"[X]" where REGEX(X, "[abcAB]{{0,3}}") and ({condition})'
    results = run(f"{textwrap.dedent(prelude)}\n{where}", decoder, **options)
    return {result.variables["X"] for result in results if result.status == "complete"}


LETTERS = ["".join(letters) for n in range(4) for letters in itertools.product("abcAB", repeat=n)]


CLASSES = """
    @constraint
    class Different:
        def forward(self, text):
            return len(set(text)) == len(text)
        def final(self, text, value):
            return "var" if value else "fin"

    @constraint
    class Longest:
        def __init__(self, n):
            self.n = n
        def forward(self, text):
            return len(text) <= self.n
        def follow(self, text, token):
            return len(text) + len(token) <= self.n
        def final(self, text, value):
            return "fin" if not value else "var"

    @constraint
    class Even:
        def start(self):
            return 0
        def step(self, state, byte):
            return 1 - state if byte in b"ab" else state
        def is_accepting(self, state):
            return state == 0

    @constraint
    class Modulo:
        def __init__(self, n, letter="a"):
            self.n, self.letter = n, ord(letter)
        def start(self):
            return 0
        def step(self, state, byte):
            return (state + (byte == self.letter)) % self.n
        def is_accepting(self, state):
            return state == 0

    def low(text):
        return text.islower()
"""


def different(text):
    return len(set(text)) == len(text)


def even(text):
    return sum(letter in "ab" for letter in text) % 2 == 0


CASES = [
    ("Different(X)", different),
    ("Longest(X, 2)", lambda t: len(t) <= 2),
    ("Even(X)", even),
    ("not Even(X)", lambda t: not even(t)),
    ("Modulo(X, 3)", lambda t: t.count("a") % 3 == 0),
    ("Modulo(X, 2, 'b') or len(X) == 1", lambda t: t.count("b") % 2 == 0 or len(t) == 1),
    ("low(X)", lambda t: t.islower()),
    ("X.isupper()", lambda t: t.isupper()),
    ("not low(X) and Different(X)", lambda t: not t.islower() and different(t)),
    ("low(X) or len(X) == 2", lambda t: t.islower() or len(t) == 2),
    ("not Different(X)", lambda t: not different(t)),
    (
        "Different(X) and not Even(X) or X == 'aa'",
        lambda t: (different(t) and not even(t)) or t == "aa",
    ),
    ("not (Longest(X, 1) or low(X))", lambda t: len(t) > 1 and not t.islower()),
    ("all(letter in 'ab' for letter in X)", lambda t: set(t) <= set("ab")),
]


@pytest.mark.parametrize(("condition", "expected"), CASES, ids=[case[0] for case in CASES])
def test_a_beam_finds_no_text_that_breaks_the_condition(condition, expected):
    found = texts(condition, CLASSES)
    assert found
    assert all(expected(text) for text in found)


@pytest.mark.parametrize("condition", ["Different(X)", "Longest(X, 2)", "Even(X)", "Modulo(X, 2)"])
@pytest.mark.parametrize("decoder", ["argmax", "sample(n=20)", "beam(n=4)"])
def test_operators_mask_so_that_no_result_is_a_dead_end(condition, decoder):
    expected = dict(CASES).get(condition, lambda t: t.count("a") % 2 == 0)
    where = f'"[X]" where REGEX(X, "[abcAB]{{0,3}}") and {condition}'
    results = run(textwrap.dedent(CLASSES) + where, decoder)
    assert {result.status for result in results} == {"complete"}
    assert all(expected(result.variables["X"]) for result in results)


def test_a_recognizer_is_part_of_the_automaton():
    found = texts("Even(X) and len(X) == 3", CLASSES, decoder="beam(n=128)")
    assert found == {text for text in LETTERS if even(text) and len(text) == 3}


def test_a_checked_function_ends_in_a_dead_end_that_disturbs_no_other():
    results = run(
        '"[X]" where X in ["a", "b", "c"] and good(X)',
        "beam(n=3)",
        scope={"good": lambda text: text != "a"},
    )
    statuses = {result.text: result.status for result in results}
    assert statuses == {"a": "dead-end", "b": "complete", "c": "complete"}


def test_a_checked_function_sees_the_value_and_other_names():
    text = """
        limit = 3
        def fits(value, low, high):
            return isinstance(value, int) and low <= value < high
        "[N: int]" where N == "{n}" and fits(N, 0, high=limit)
    """
    digits = Vocabulary([b"2", b"3", b""], eos_token_ids=[2])
    for n, status in (("2", "complete"), ("3", "dead-end")):
        program = compile_query(textwrap.dedent(text.replace("{n}", n)))
        (result,) = run_program(program, model=ToyModel(digits))
        assert result.status == status


def test_over_two_holes_the_later_one_is_checked():
    text = """
        def sorted_pair(a, b):
            return a <= b
        "[X] [Y]" where X in ["a", "b"] and Y in ["a", "b"] and sorted_pair(X, Y)
    """
    results = run(text, "beam(n=8)")
    assert {r.text for r in results if r.status == "complete"} == {"a a", "a b", "b b"}
    (filled,) = run(
        text.replace('"[X] [Y]"', 'X = "b"\n        "[Y]"').replace('X in ["a", "b"] and ', ""),
        "argmax",
    )
    assert filled.text in ("b", "a")


def test_operators_of_python_code():
    @lmql_like.constraint
    class StartsLow:
        def forward(self, text):
            return text[:1].islower()

        def final(self, text, value):
            del value
            return "fin" if text else "var"

    found = texts("StartsLow(X)", scope={"StartsLow": StartsLow})
    assert found
    assert all(text[0].islower() for text in found)


def test_characters_of_several_tokens_count_when_they_are_whole():
    text = """
        @constraint
        class NoE:
            def forward(self, text):
                return "\u00e9" not in text
            def final(self, text, value):
                return "fin" if not value else "var"
        "[X]" where NoE(X) and len(X) == 2
    """
    results = run(text, "sample(n=40)")
    assert results
    assert all("é" not in result.text for result in results)


ENDLESS = """
    @constraint
    class Count:
        def start(self):
            return 0
        def step(self, state, byte):
            return state + 1
        def is_accepting(self, state):
            return True
    "[X]" where Count(X)
"""
NO_HOLE_FIRST = """
    @constraint
    class Any:
        def forward(self, text):
            return True
    "[X]" where Any(3, X)
"""


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('"[X]" where missing(X)', "Q201"),
        ('"[X]" where len(X)', "Q201"),
        ('"[X]" where print(X)', "Q201"),
        ('def f(t):\n    return 1\n"[X]" where f(X) or len(TOKENS(X)) < 3', "Q212"),
        ('def f(t):\n    return 1\n"[X]" where not f(X) or STOPS_AT(X, "a")', "Q212"),
        ('def f(t):\n    return 1 / 0\n"[X]" where X in ["a"] and f(X)', "R101"),
        ('@constraint\nclass C:\n    pass\n"[X]" where C(X)', "R101"),
        (ENDLESS, "G202"),
        (NO_HOLE_FIRST, "R102"),
    ],
)
def test_refused(text, code):
    with pytest.raises(LmqlLikeError) as raised:
        run(text)
    assert raised.value.code == code


def test_check_says_what_is_checked_and_not_masked():
    query = textwrap.dedent(CLASSES) + '"[X]" where low(X) and Even(X) and X.isupper()'
    assert own_conditions(compile_query(query)) == ["`low(X)`", "`X.isupper()`"]
    result = CliRunner().invoke(main, ["check", "-c", query])
    assert "  condition `low(X)` (a function's: checked when the hole ends" in result.stdout
    assert "Even" not in result.stdout
