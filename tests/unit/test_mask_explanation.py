"""Explanations agree with the masks they explain."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lmql_like.errors import GrammarError
from lmql_like.grammars import TokenMasker, Vocabulary
from lmql_like.mask_constraint import MaskConstraint
from lmql_like.mask_explanation import explain_token, find_token, print_explanation

WORDS = [b"ab", b"abc", b"a1", b"b1", b"{", b'{"', b'":', b'"a"', "é".encode(), "aé".encode()]
VOCABULARY = Vocabulary(
    [b"", *(bytes([b]) for b in range(256)), *WORDS, b"#1", b"#99"], eos_token_ids=[0]
)
JSON_LIKE = """
root ::= object
object ::= "{" ws (pair ("," ws pair)*)? "}"
pair ::= string ":" ws value
value ::= object | string | number
string ::= "\\"" [a-zé]* "\\"" ws
number ::= [0-9]{1,3} ws
ws ::= " "*
"""
LARK = """
start: pair ("," pair)*
pair: NAME "=" (INT | "?" | pair)
NAME: /[a-z]+/
INT: /[0-9]+/
%ignore " "
"""


def explained(constraint, text, token):
    return explain_token(constraint, VOCABULARY, text, token)


def shown(explanation):
    console = Console(file=io.StringIO(), width=100)
    print_explanation(explanation, console)
    return console.file.getvalue()


CASES = [
    (("[a-z]+",), "", "ab"),
    (("[a-z]+", ".{0,2}"), "a", "abc"),
    (("[a-z]+", ".{0,2}"), "ab", "c"),
    (("(ab)*", "[^1]*"), "ab", "a1"),
    (("[a-c]+", "(a|b|1)*"), "b", "b1"),
    (("é+",), "é", "aé"),
]


@pytest.mark.parametrize(("patterns", "text", "token"), CASES)
def test_the_verdict_is_the_masks(patterns, text, token):
    constraint = MaskConstraint(patterns)
    masker = TokenMasker(constraint.compile(), VOCABULARY)
    state = masker.advance_bytes(masker.start(), text.encode(), tokens=0)
    for number in [*range(96, 102), *range(257, len(VOCABULARY))]:
        explanation = explained(constraint, text, f"#{number}")
        assert explanation.is_allowed == (masker.advance(state, number) is not None)
    explanation = explained(constraint, text, token)
    data = token.encode()
    prefixes = [data[:n] for n in range(len(data) + 1)]
    alive = [p for p in prefixes if masker.advance_bytes(state, p) is not None]
    assert explanation.kept == alive[-1]
    at = masker.advance_bytes(state, explanation.kept)
    assert explanation.instead == masker.next_bytes(at)
    assert explanation.may_end == masker.is_accepting(at)


def test_each_pattern_that_forbids_a_token_is_named():
    constraint = MaskConstraint(("[a-z]+", ".{0,2}", "[^x]*"))
    assert explained(constraint, "a", "abc").culprits == ("--regex '.{0,2}'",)
    assert explained(constraint, "a", "1").culprits == ("--regex '[a-z]+'",)
    assert explained(constraint, "ab", "x").culprits == (
        "--regex '.{0,2}'",
        "--regex '[^x]*'",
    )
    assert explained(constraint, "a", "b").culprits == ()


def test_parts_may_forbid_a_token_only_together():
    constraint = MaskConstraint(("(a|b)[12]", "a1|b2|a2"))
    assert explained(constraint, "", "b1").culprits == ("--regex 'a1|b2|a2'",)
    constraint = MaskConstraint(("(ab)*c?", "(a|b)?(ba|c)*"))
    explanation = explained(constraint, "", "ab")
    assert not explanation.is_allowed
    assert explanation.culprits == ()
    assert "all of them together" in shown(explanation)


def test_open_rules_are_named():
    constraint = MaskConstraint((), JSON_LIKE, "j.gbnf", "gbnf")
    explanation = explained(constraint, '{"ab": {"c"', "x")
    assert explanation.culprits == ("--grammar j.gbnf",)
    paths = {e.path: e.ranges for e in explanation.expectations}
    inner = ("root", "object", "pair", "value", "object", "pair")
    assert paths == {inner: ((58, 58),), (*inner, "string", "ws"): ((32, 32),)}
    assert "root > ... > pair > value > object > pair: ':'" in shown(explanation)


def test_terminals_of_lark_grammars_are_named():
    constraint = MaskConstraint((), LARK, "g.lark")
    explanation = explained(constraint, "ab = 1", "b1")
    found = {(e.path[-1], e.ranges) for e in explanation.expectations}
    assert found == {
        ("INT", ((48, 57),)),
        ("start", ((44, 44),)),
        ("pair", ((32, 32),)),
    }
    assert not explanation.is_allowed


TEXTS = st.lists(st.sampled_from(["{", "}", '"', "a", "é", ":", " ", "1", ","]), max_size=12).map(
    "".join
)


@given(text=TEXTS, token=st.sampled_from([*WORDS, b"}", b",", b" ", b"1", b"q", b"\xc3"]))
def test_rules_expect_exactly_what_the_mask_allows(text, token):
    constraint = MaskConstraint((), JSON_LIKE, "j.gbnf", "gbnf")
    explanation = explained(constraint, text, f"#{VOCABULARY.tokens.index(token)}")
    masker = TokenMasker(constraint.compile(), VOCABULARY)
    state = masker.advance_bytes(masker.start(), text.encode(), tokens=0)
    assert explanation.is_prefix == (state is not None)
    if state is None:
        return
    assert explanation.is_allowed == (masker.advance_bytes(state, token) is not None)
    if explanation.expectations is None:  # in the middle of a character
        assert explanation.kept.endswith(b"\xc3")
        return
    expected = {
        chr(code).encode()[0]
        for e in explanation.expectations
        for low, high in e.ranges
        for code in range(low, min(high, low + 300) + 1)
    }
    assert expected == set(explanation.instead)
    assert all(e.path[0] == "root" for e in explanation.expectations)
    assert shown(explanation)


def test_long_texts_and_left_recursion_are_read():
    grammar = 'root ::= root item | item\nitem ::= "a" | "(" root ")"'
    constraint = MaskConstraint((), grammar, "g.gbnf", "gbnf")
    explanation = explained(constraint, "(" * 50 + "a" * 500, "#1")
    assert {e.ranges for e in explanation.expectations} == {((97, 97),), ((40, 40),), ((41, 41),)}


@pytest.mark.parametrize("limit", ["_MOST_SYMBOLS", "_MOST_ITEMS"])
def test_what_is_too_large_for_rules_is_explained_without(monkeypatch, limit):
    monkeypatch.setattr(f"lmql_like.grammars.cfg.expectations.{limit}", 100)
    grammar = 'root ::= [a-z]{1,200} "."'
    constraint = MaskConstraint((), grammar, "g.gbnf", "gbnf")
    explanation = explained(constraint, "a" * 100, "1")
    assert explanation.expectations is None
    assert explanation.culprits == ("--grammar g.gbnf",)


def test_tokens_are_given_by_text_or_number():
    assert find_token(VOCABULARY, "ab") == (VOCABULARY.tokens.index(b"ab"), b"ab")
    assert find_token(VOCABULARY, "#98") == (98, b"a")
    assert find_token(VOCABULARY, "##1") == (VOCABULARY.tokens.index(b"#1"), b"#1")
    assert find_token(VOCABULARY, "no token") == (None, b"no token")
    assert find_token(VOCABULARY, "#x") == (None, b"#x")
    with pytest.raises(GrammarError) as caught:
        find_token(VOCABULARY, "#1000")
    assert caught.value.code == "G305"


def test_the_end_of_the_text_is_explained():
    constraint = MaskConstraint(("[a-z]{2}",))
    explanation = explained(constraint, "a", "#0")
    assert not explanation.is_allowed
    assert "may not end here" in shown(explanation)
    assert explained(constraint, "ab", "#0").is_allowed
    assert "could stand there  the end of the text" in shown(explained(constraint, "ab", "b"))
    assert "2: '.' 'b', or the end" in shown(explained(MaskConstraint(("a(b|[.])?",)), "a", "c"))


def test_texts_that_nothing_begins_with_have_no_explanation():
    explanation = explained(MaskConstraint(("a",)), "b", "a")
    assert not explanation.is_prefix
    assert "No text that begins like this" in shown(explanation)
