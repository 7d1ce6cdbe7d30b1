"""ECMA-262 patterns: lookaround against `re` by brute force, the dialect, its refusals."""

from __future__ import annotations

import itertools
import re

import pytest

from lmql_like.errors import SchemaError
from lmql_like.grammars.json_schema.patterns import pattern_automaton, pattern_node

TEXTS = ["".join(t) for n in range(5) for t in itertools.product("abfx1 ", repeat=n)]
SAME_IN_PYTHON = [
    "^(?!foo)[a-z]+$", r"^(?=.*\d)(?=.*[a-z]).{2,5}$", r"\bfx\b", "a|^b", "(^a|b$)",
    "^((?!ab).)*$", "(?<=a)b", "(?<!a)b", "^a$|^$", "a(?=b)b?x*", "^(a(?!b)|b)+$", r"x\Bb",
    "^(?:(?!a{2})[ab])*x$", "(?=a)", "$", "^", "(?!)", "a{2,3}", "[^a]b", "^(?!.*(ab|ba)).*$",
    "(a$|b)*x", r"\b", r"^.*\b$", "(?<=^a)b", "(?!a$)[ab]", "^[a-b]{1,3}(?<!b)$", "a{0}b",
    "(?:(?=a)|b)*f", "[^]", "[]",
]  # fmt: skip


@pytest.mark.parametrize("pattern", SAME_IN_PYTHON)
def test_a_pattern_is_searched_for(pattern):
    python = {"[^]": "(?s:.)", "[]": "(?!)"}.get(pattern, pattern.replace("$", r"\Z"))
    compiled = re.compile(python, re.ASCII)
    automaton = pattern_automaton(pattern)
    for text in TEXTS:
        assert automaton.accepts(text) == bool(compiled.search(text)), text


@pytest.mark.parametrize(
    ("pattern", "accepted", "refused"),
    [
        (r"^\d+$", ["12"], ["\u0661", "a"]),
        (r"^\w$", ["a", "_"], ["é"]),
        (r"^\s$", ["\u00a0", "\ufeff", "\u2029"], ["\u0085", "a"]),
        ("^.$", ["a", "\u0085", "😀"], ["\n", "\r", "\u2028"]),
        (r"^\p{Lu}\P{L}$", ["É1"], ["é1", "Éa"]),
        (r"^\p{Letter}+$", ["aé"], ["1"]),
        (r"^\u{1F600}$", ["😀"], ["a"]),
        (r"^\uD83D\uDE00$", ["😀"], ["a"]),
        (r"^\x41\u0042\cJ\0\/$", ["AB\n\0/"], ["AB"]),
        ("^{}{a}$", ["{}{a}"], [""]),
        (r"^[\b\-a-\d]$", ["\b", "-", "a", "5"], ["b"]),
        ("^(?<name>a)$", ["a"], ["b"]),
        ("a$", ["a"], ["a\n"]),
        (r"^\$\^\.\*$", ["$^.*"], ["a"]),
    ],
)
def test_the_dialect_is_javascripts(pattern, accepted, refused):
    automaton = pattern_automaton(pattern)
    assert [automaton.accepts(text) for text in accepted] == [True] * len(accepted)
    assert [automaton.accepts(text) for text in refused] == [False] * len(refused)


@pytest.mark.parametrize(
    "pattern",
    ["(a", "a)", "[a", "*a", "a**", "a{2}{3}", "a{3,2}", "[b-a]", "\\", "a|*", r"\u{110000}"],
)
def test_what_is_no_pattern_is_refused_with_its_place(pattern):
    with pytest.raises(SchemaError) as caught:
        pattern_node(pattern)
    assert caught.value.code == "S201"
    assert "character" in caught.value.message


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a)\1",
        r"\k<a>",
        "(?i)a",
        "(?P<n>a)",
        r"\A",
        r"\Z",
        r"\p{Script=Greek}",
        "(" * 101 + ")" * 101,
    ],
)
def test_what_is_outside_the_dialect_is_refused(pattern):
    with pytest.raises(SchemaError) as caught:
        pattern_node(pattern)
    assert caught.value.code == "S202"


def test_a_large_pattern_with_assertions_is_refused():
    with pytest.raises(SchemaError) as caught:
        pattern_automaton("(?!x)(a{50}){50}")
    assert caught.value.code == "S203"
