"""Terminals: plain ones match what their pattern does, others end where `re.match` ends."""

import re

from hypothesis import assume, given
from hypothesis import strategies as st
from naive_lexed import lexeme_ends

from lmql_like.errors import GrammarError
from lmql_like.grammars.cfg.lexed_terminals import node_automaton
from lmql_like.grammars.cfg.ordered_automaton import ordered_automaton
from lmql_like.grammars.limits import DEFAULT_LIMITS
from lmql_like.grammars.regex.nodes import Concat
from lmql_like.grammars.regex.parser import parse_pattern

TEXTS = st.text("abé\n", max_size=8)
ATOMS = st.sampled_from(["a", "b", "é", ".", "[^a]", "[ab]", "", r"(?<!a)", r"(?<=b)", "$", r"\Z"])
QUANTIFIERS = st.sampled_from(
    ["*", "+", "?", "{2}", "{1,2}", "{0,3}", "{2,}", "*?", "+?", "??", "{0,2}?", "{1,3}?", "{1,}?"]
)
PLAIN = st.recursive(
    st.sampled_from(["a", "b", "é", ".", "[ab]"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("(?:{0[0]}|{0[1]})".format),
        st.tuples(inner, QUANTIFIERS).map("(?:{0[0]}){0[1]}".format),
    ),
    max_leaves=3,
)


def _extend(inner):
    return st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("(?:{0[0]}|{0[1]})".format),
        st.tuples(inner, QUANTIFIERS).map("(?:{0[0]}){0[1]}".format),
        PLAIN.map("(?!{})".format),
        PLAIN.map("(?={})".format),
    )


PATTERNS = st.recursive(ATOMS, _extend, max_leaves=8)


@given(pattern=PLAIN, texts=st.lists(TEXTS, min_size=1, max_size=20))
def test_plain_terminals_may_end_wherever_the_pattern_matches(pattern, texts):
    automaton = node_automaton(parse_pattern(pattern), DEFAULT_LIMITS)
    for text in texts:
        ends = {
            len(text[:n].encode()) for n in range(len(text) + 1) if re.fullmatch(pattern, text[:n])
        }
        assert set(lexeme_ends(automaton, text.encode())) == ends


def ordered(pattern):
    return ordered_automaton(Concat((parse_pattern(pattern, ordered=True),)), DEFAULT_LIMITS)


@given(pattern=PATTERNS, texts=st.lists(TEXTS, min_size=1, max_size=20))
def test_the_longest_lexeme_is_what_re_match_takes(pattern, texts):
    try:
        automaton = ordered(pattern)
    except GrammarError as error:
        assert error.code == "G102"  # noqa: PT017 - refused, with the reason
        assume(False)
    for text in texts:
        match = re.match(pattern, text)
        expected = None if match is None else len(match.group().encode())
        ends = lexeme_ends(automaton, text.encode())
        assert (ends[-1] if ends else None) == expected, (pattern, text)
