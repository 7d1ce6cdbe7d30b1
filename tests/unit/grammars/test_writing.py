"""Texts in grammars that are written at run time stay texts, whatever they hold."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmql_like.errors import GrammarError
from lmql_like.grammars import compile_grammar
from lmql_like.grammars.writing import alternatives, grammar_text, quote

SYNTAXES = ["lark", "gbnf", "ebnf"]
START = {"lark": "start", "gbnf": "root", "ebnf": "root"}
# What could end a string, a rule or the grammar, or mean something in one of the notations.
SIGNS = st.sampled_from(
    ['"', "\\", "'", "\n", "\r", "\t", "\0", "\x7f", "\x85", "\u2028", "|", ")", "(", "[", "]", "{",
     "}", "*", "::=", ":", "%ignore", "//", "#", "start", "root", "\\u0041", "\\x41", "\\n", '"i',
     "é", "\U0001f600", "\U0010ffff", "/", "~3", "..", "->", " ", "<t>", "a"]
)  # fmt: skip
CHARACTERS = st.characters(exclude_categories=["Cs"])
TEXTS = st.one_of(st.lists(SIGNS, max_size=6).map("".join), st.text(CHARACTERS, max_size=8))


def compiled(body, syntax):
    text = grammar_text({START[syntax]: body}, syntax=syntax)
    return compile_grammar(text, syntax=syntax, lexing="scannerless")


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(texts=st.lists(TEXTS, min_size=1, max_size=4), other=TEXTS)
@settings(max_examples=60)
def test_alternatives_match_the_texts_and_nothing_else(syntax, texts, other):
    automaton = compiled(alternatives(texts, syntax=syntax), syntax)
    for text in texts:
        assert automaton.matches(text)
    for probe in (other, other + texts[0], texts[0] + texts[-1], texts[0][:-1], ""):
        assert automaton.matches(probe) == (probe in texts)


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(text=TEXTS, before=TEXTS, behind=TEXTS)
@settings(max_examples=40)
def test_texts_stand_in_any_context(syntax, text, before, behind):
    one, two, three = (quote(t, syntax=syntax) for t in (before, text, behind))
    repeated = alternatives([text], syntax=syntax)
    automaton = compiled(f"{one} {repeated}* ({two} | {three})", syntax)
    for times in range(3):
        assert automaton.matches(before + times * text + text)
        assert automaton.matches(before + times * text + behind)
    assert not automaton.matches(before + text + behind + "!!!!!!!!!!!!!!!!!!!")


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(name=TEXTS)
def test_names_cannot_smuggle_rules_in(syntax, name):
    try:
        text = grammar_text({START[syntax]: '"a"', name: '"b"'}, syntax=syntax)
    except GrammarError as error:
        assert error.code == "G411"  # noqa: PT017 - both outcomes are right
    else:
        automaton = compile_grammar(text, syntax=syntax, lexing="scannerless")
        assert automaton.matches("b" if name == START[syntax] else "a")


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_nothing_to_choose_from_is_refused(syntax):
    with pytest.raises(GrammarError) as caught:
        alternatives([], syntax=syntax)
    assert caught.value.code == "G411"
    assert compiled(alternatives([""], syntax=syntax), syntax).matches("")
    assert compiled(alternatives(iter(["a", "a", "b"]), syntax=syntax), syntax).matches("b")


def test_unknown_notations_are_refused():
    for write in (
        quote,
        alternatives,
        lambda rules, syntax: grammar_text({rules: ""}, syntax=syntax),
    ):
        with pytest.raises(GrammarError) as caught:
            write("a", syntax="bnf")
        assert caught.value.code == "G408"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_halves_of_surrogate_pairs_are_refused_when_read(syntax):
    with pytest.raises(GrammarError) as caught:
        compiled(alternatives(["a", "\ud800"], syntax=syntax), syntax)
    assert caught.value.code == "G401"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_large_catalogues_are_tries(syntax):
    count = 2000 if syntax == "lark" else 20_000
    names = [f'entity "{i}" \\ {i * i}' for i in range(count)]
    automaton = compiled(alternatives(names, syntax=syntax), syntax)
    assert automaton.matches(names[-1])
    assert not automaton.matches(names[-1] + "0")
    assert automaton.dfa().n_states < 100


def bracketings(words):
    """The grammar of all binary trees over the words of a sentence, in order."""
    n = len(words)
    rules = {"root": f"t0-{n}"}
    for first, end in itertools.combinations(range(n + 1), 2):
        options = [f'"(" t{first}-{cut} " " t{cut}-{end} ")"' for cut in range(first + 1, end)]
        rules[f"t{first}-{end}"] = " | ".join(options or [quote(words[first], syntax="gbnf")])
    return grammar_text(rules, syntax="gbnf")


def trees(words):
    if len(words) == 1:
        return list(words)
    return [
        f"({left} {right})"
        for cut in range(1, len(words))
        for left in trees(words[:cut])
        for right in trees(words[cut:])
    ]


@given(words=st.lists(TEXTS.filter(len), min_size=1, max_size=4))
@settings(max_examples=30)
def test_sentences_are_bracketed_in_every_way_and_no_other(words):
    automaton = compile_grammar(bracketings(words), syntax="gbnf")
    expected = trees(words)
    assert all(map(automaton.matches, expected))
    for tree in expected:
        for wrong in (tree[:-1], tree + ")", f"({tree})", tree.replace(words[0], "", 1)):
            assert automaton.matches(wrong) == (wrong in expected)
