"""Patterns mean what `re.fullmatch` says; what is outside the dialect is refused with its place."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import pytest

from lmql_like.errors import GrammarError
from lmql_like.grammars import compile_regex

TABLE = [
    json.loads(line)
    for line in (Path(__file__).parent.parent / "data" / "patterns.jsonl").read_text().splitlines()
]


def test_the_table_is_large():
    assert len({case["pattern"] for case in TABLE}) >= 300


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case["pattern"])
def test_patterns_agree_with_re(case):
    automaton = compile_regex(case["pattern"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        expected = re.compile(case["pattern"])
    for text in case["texts"]:
        assert automaton.matches(text) == bool(expected.fullmatch(text)), text


REFUSED = [
    ("a(?=b)", 1, "a lookahead"),
    ("a(?!b)c", 1, "a negative lookahead"),
    ("(?<=a)b", 0, "a lookbehind"),
    ("x(?<!a)b", 1, "a negative lookbehind"),
    (r"(a)\1", 3, "a back reference"),
    (r"(?P<q>a)(?P=q)", 8, "a back reference"),
    (r"(a)?(?(1)b|c)", 4, "a conditional group"),
    (r"a\b", 1, "a word boundary"),
    (r"\Ba", 0, "a word boundary"),
    ("a^b", 1, "'^' away from the pattern's edge"),
    ("a$b", 1, "'$' away from the pattern's edge"),
    ("(?:a$)*", 4, "'$' away from the pattern's edge"),
    ("a*^b", 2, "'^' away from the pattern's edge"),
    (r"a\Zb", 1, "'\\Z' away from the pattern's edge"),
    ("(?m)^a$", 4, "'^' under the flag m"),
]


@pytest.mark.parametrize(("pattern", "position", "what"), REFUSED)
def test_what_is_outside_the_dialect_is_refused_with_its_place(pattern, position, what):
    with pytest.raises(GrammarError, match=re.escape(what)) as raised:
        compile_regex(pattern)
    assert raised.value.code == "G102"
    assert raised.value.position == (1, position + 1)


@pytest.mark.parametrize("pattern", ["a++", "(?>a)", "a{2}+"])
def test_repeats_that_never_give_back_are_refused(pattern):
    """Python 3.10 calls them malformed, later versions possessive or atomic."""
    with pytest.raises(GrammarError) as raised:
        compile_regex(pattern)
    assert raised.value.code in ("G101", "G102")
    assert raised.value.position is not None


MALFORMED = [
    "(",
    ")",
    "[",
    "[b-a]",
    "*a",
    "a**",
    r"\q",
    r"a{2,1}",
    "(?P<1>a)",
    r"\N{NOPE}",
    "(?z)a",
]


@pytest.mark.parametrize("pattern", MALFORMED)
def test_malformed_patterns_have_a_code_and_a_place(pattern):
    with pytest.raises(GrammarError) as raised:
        compile_regex(pattern)
    assert raised.value.code == "G101"
    assert raised.value.position is not None
    assert "error[G101]" in raised.value.render()
