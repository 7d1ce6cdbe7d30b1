"""Lark's notation with a lexer: which terminals there are, their rank, and what is refused."""

from pathlib import Path

import lark
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_lexed import lex_and_parse, lexeme_ends

from lmql_like.errors import GrammarError
from lmql_like.grammars.cfg.lark_grammar import quote_lark
from lmql_like.grammars.cfg.lexed_grammar import read_lexed
from lmql_like.grammars.limits import Limits
from lmql_like.grammars.regex.nodes import CharSet, Symbol

PYTHON = (Path(lark.__file__).parent / "grammars" / "python.lark").read_text(encoding="utf-8")

# (grammar, names of the terminals by rank)
RANKS = [
    ('start: NAME | "if"\nNAME: /[a-z]+/', ["IF", "NAME"]),
    ('start: NAME | "if"\nNAME.1: /[a-z]+/', ["NAME", "IF"]),
    ('start: A | B | C\nA.-1: "x"\nB: /x/\nC: /xx?/', ["C", "B", "A"]),
    ('start: "a" "abc" "ab"i', ["ABC", "AB", "A"]),
    (
        'start: "+" "<=>" "==" /x+/ /x{1,}/',
        ["__ANON_0", "__ANON_1", "PLUS", "__ANON_3", "__ANON_2"],
    ),
    ('start: B | A\nA: "x" "y"\nB: /xy/', ["A", "B"]),
    ("start: A | B\nA: /a/ | /b+/\nB: /c/i", ["A", "B"]),
    ('start: "a" | "a" | A\nA: "a"', ["A"]),
    ('start: "a" | t{"a"}\nt{x}: x x | "a"', ["A"]),
    ('start: "a".."c" | LOW\nLOW: "a".."c"', ["LOW"]),
    ('start: "a"\nB: "b"\nc: "c"', ["A"]),
    ('start: "a"\n%ignore /b+/\n%ignore " "', ["A", "__IGNORE_1", "__IGNORE_0"]),
]

# (code, line and column, words of the message, grammar)
ERRORS = [
    ("G409", (2, 1), "terminal 'A' matches the empty text", "start: A\nA: /a*/"),
    ("G409", (1, 8), "terminal /a?/ matches the empty text", "start: /a?/"),
    ("G409", (1, 8), "matches the empty text", "start: /a*?/"),
    ("G102", (1, 9), "a lookbehind at what stands before the lexeme", "start: /(?<!a)b/"),
    ("G102", (1, 11), "more than one character", "start: /ab(?<!ab)/"),
    ("G102", (1, 11), "more than one character", "start: /ab(?<!\\w)/"),
    ("G102", (1, 10), "a lookahead at what must follow the lexeme", "start: /a(?=b)/"),
    ("G102", (1, 13), "several lookaheads", "start: /(?:a(?!bb)|a(?!bc))/"),
    ("G102", (1, 14), "lookaround in a lookahead", "start: /a(?!b(?!c))/"),
    ("G102", (1, 11), "possessive", "start: /ab*+/"),
    ("G102", (1, 10), "atomic", "start: /a(?>b)/"),
    ("G102", (1, 12), "back reference", "start: /(a)\\1/"),
    ("G102", (1, 10), "word boundary", "start: /a\\b/"),
    ("G102", (1, 9), "'^'", "start: /^a/"),
    ("G201", (1, 8), "states, because the order of trying", "start: /(a|b)*?a(a|b){30}c/"),
    ("G202", (1, 13), "terminal writes out", "start: /a??b{300000}/"),
    ("G202", (1, 10), "states", "start: /a{3000000}/"),
    ("G402", (1, 8), "rule 'b' is used", "start: b"),
    ("G404", (1, 1), "start rule", 'a: "x"'),
    ("G406", (1, 10), "declares the rule 'x'", "%declare x\nstart: x"),
]


@pytest.mark.parametrize(("grammar", "names"), RANKS)
def test_terminals_stand_in_the_order_of_their_rank(grammar, names):
    assert [terminal.name for terminal in read_lexed(grammar).terminals] == names


@pytest.mark.parametrize(("code", "position", "words", "grammar"), ERRORS)
def test_errors_have_code_place_and_reason(code, position, words, grammar):
    with pytest.raises(GrammarError) as caught:
        read_lexed(grammar)
    assert (caught.value.code, caught.value.position) == (code, position)
    assert words in caught.value.message


def test_a_declared_terminal_is_never_found():
    grammar = read_lexed('%declare _INDENT\nstart: "a" | "if" _INDENT "a"')
    assert [terminal.name for terminal in grammar.terminals] == ["IF", "A"]
    assert lex_and_parse(grammar, b"a")
    assert not lex_and_parse(grammar, b"ifa")


def test_an_ignored_terminal_is_dropped_where_a_rule_names_it_too():
    grammar = read_lexed('start: "a" WS "b" | "c"\nWS: " "\n%ignore WS')
    assert CharSet(()) in grammar.rules["start"].options[0].parts
    assert lex_and_parse(grammar, b" c ")
    assert not lex_and_parse(grammar, b"a b")


def test_rules_name_terminals_by_rank():
    grammar = read_lexed('start: NAME "if"\nNAME: /[a-z]+/')
    assert grammar.rules["start"].parts == (Symbol(1), Symbol(0))
    assert grammar.terminals[0].is_text
    assert not grammar.terminals[1].is_text
    assert grammar.source.slice(grammar.terminals[0].span) == '"if"'
    assert grammar.source.slice(grammar.terminals[1].span) == "NAME"


def test_every_state_of_a_terminal_lies_on_a_way_to_an_accept():
    grammar = read_lexed("start: A B\nA: /a([^\\s\\S]b|c)d/\nB: /0(?!1[2-3]|[^\\s\\S])/")
    for terminal in grammar.terminals:
        automaton = terminal.automaton
        assert {*automaton.edges[:, 0], *automaton.edges[:, 3]} == set(range(automaton.n_states))
    assert grammar.terminals[0].automaton.n_states == 4


@pytest.mark.parametrize(
    "pattern", ["a{0,2000}", "(a?){2000}", "((a?)*b?){2000}", "(a|b?c?){2000}"]
)
def test_large_counts_stay_linear_in_size(pattern):
    automaton = read_lexed(f"start: /x{pattern}/").terminals[0].automaton
    assert automaton.n_states <= 4 * 2000 + 3
    assert len(automaton.edges) <= 20 * 2000


def test_a_limit_can_be_raised():
    grammar = "start: /<(a|b)*?a(a|b){8}>/"
    with pytest.raises(GrammarError) as caught:
        read_lexed(grammar, limits=Limits(max_states=2_000))
    assert caught.value.code == "G201"
    assert len(read_lexed(grammar).terminals) == 1


def test_python_is_read_whole():
    grammar = read_lexed(PYTHON, start="file_input")
    terminals = {terminal.name: terminal.automaton for terminal in grammar.terminals}
    assert len(terminals) == 99
    assert lexeme_ends(terminals["STRING"], b'"a\\"b" ')[-1:] == [6]
    assert lexeme_ends(terminals["STRING"], b'"""')[-1:] == []
    assert lexeme_ends(terminals["LONG_STRING"], b'"""a""b"""""')[-1:] == [10]
    assert lexeme_ends(terminals["DEC_NUMBER"], b"00_01")[-1:] == [2]


@pytest.mark.parametrize("text", ["a", '"', "\\", "\n", "é\x00", "if", "ﬀ", "\U0001f600"])
def test_quoted_texts_are_terminals(text):
    grammar = read_lexed(f"start: {quote_lark(text)}+")
    assert lex_and_parse(grammar, text.encode() * 2)
    assert not lex_and_parse(grammar, text.encode() + b"~")


@pytest.mark.parametrize("sign", ["+", "*", "*?", "+?", "{1,2}"])
@pytest.mark.parametrize("depth", [50, 101])
def test_deep_patterns_are_read_or_refused_with_a_code(sign, depth):
    try:
        read_lexed("start: /" + "(a|b" * depth + f"){sign}" * depth + "x/")
    except GrammarError as error:
        assert error.code in ("G203", "G202", "G201")  # noqa: PT017 - both outcomes are right


@pytest.mark.parametrize("sign", ["+", "*", "~1..2", "?"])
def test_deep_terminals_are_read_or_refused_with_a_code(sign):
    groups = '("a" | ' * 95 + '"b"' + f"){sign}" * 95
    try:
        read_lexed(f'start: T\nT: {groups} "c"')
    except GrammarError as error:
        assert (error.code, sign) == ("G202", "~1..2")  # noqa: PT017 - both outcomes are right


def test_terminals_of_terminals_nest_to_a_bound():
    lines = [f'T{i}: T{i - 1} "x" | "y"' for i in range(1, 150)]
    with pytest.raises(GrammarError) as caught:
        read_lexed("\n".join(["start: T149", "T0: /a+?/", *lines]))
    assert (caught.value.code, caught.value.position) == ("G405", (151, 1))


WORDS = st.sampled_from(
    ["start", ":", "a", "A", '"a"', '"if"i', "/x*?y/", "/(?!x)y/", "/y(?!x)$/", "/a*/", "(", ")",
     "[", "]", "{", "}", "|", "*", "+", "~2", "~0..1", "..", "\n", "a: ", "A: ", "A.2: ",
     "%ignore ",
     "%declare ", "%import common.WS", "->", ",", " ", " "]
)  # fmt: skip


@given(words=st.lists(WORDS, max_size=25))
def test_whatever_is_read_there_is_a_grammar_or_a_coded_error(words):
    try:
        read_lexed('start: "a" ' + "".join(words))
    except GrammarError as error:
        assert error.position is not None  # noqa: PT017 - both outcomes are right
