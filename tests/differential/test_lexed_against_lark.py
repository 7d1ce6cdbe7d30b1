"""The lexed reading against Lark's LALR parser with its contextual lexer."""

import json
import os
import re
from pathlib import Path

import lark
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_lexed import completions_exist, lex_and_parse, lexeme_ends, lexemes

from lmql_like.grammars.cfg.lexed_grammar import read_lexed

NAMES = """
start: stmt+
stmt: "if" NAME ";" | NAME "=" value ";" | "return"i [value] ";"
value: NAME | INT | STRING | value "+" value_
value_: NAME | "(" value ")"
NAME: /[a-z_]\\w*/
STRING: /"(?:\\\\.|[^"\\\\])*?"/
%import common.INT
%import common.WS
%ignore WS
%ignore /#[^\\n]*/
"""
CONTEXT = """
start: "a" A "c" | "b" B
A: /[a-c]+/
B: /[a-z]/
%ignore " "
"""
PRIORITIES = """
start: (HEX | WORD | DOT | ELLIPSIS | "0x" | RANGE)+
WORD: /\\w+/
HEX.2: /[0-9a-f]+/
DOT: "."
ELLIPSIS: "..."
RANGE: "0".."9" ".." "0".."9"
%ignore " "
"""
TEMPLATES = """
start: _list{item, ","} "." | "[" _list{"x", "xx"} "]"
_list{x, s}: x (s x)*
item: "x"~2..3 | KEY ":" item
KEY: "k"i ("e" | "ey")
"""
AHEAD = """
start: (COMMENT | TEXT | NUMBER | "<" | "-->" | ".")+
COMMENT: "<!--" /.*?-->/s
TEXT: /[a-z]+(?!!)/
NUMBER: /0(?![0-9])|[1-9]+/
"""
IGNORED = """
start: "a" WS "b" | "c" "d"
%import common.WS
%ignore WS
"""

# (grammar, texts of the language, texts that are none)
TABLE = [
    (NAMES, ["if iffy;", "x=1;", "return;", "RETURN x;", 'iff = "a\\"b" + (x); # c', "if_=if1;",
      "if if;"],  # behind `if` no keyword may come: it is a name
     ["iffy;", "x=1", "if=1;", "returnx;", 'x="a;', "x = 1 + 2;"]),
    (CONTEXT, ["aabc c", "a a c", "bz", "b b"], ["aabc", "a c", "bb b", "ac"]),
    (PRIORITIES, ["ab 0x1 ...", "fg .", "....", "1..2", "12 ff"], ["-", "a-b"]),
    (TEMPLATES, ["xx,xxx.", "Key:ke:xx.", "[xxxxxxx]", "[x]"], ["x.", "xx,.", "[xx]", "KE:xx,."]),
    (AHEAD, ["<!-- a -->b-->", "<!---->", "abc<", "0", "10", "0.0", "1.0"],
     ["<!-- a", "00", "a!", "01"]),
    (IGNORED, ["c d", "cd"], ["a b", "ab"]),
]  # fmt: skip


def parser(grammar, start="start"):
    try:
        return lark.Lark(grammar, parser="lalr", lexer="contextual", start=start)
    except lark.exceptions.GrammarError:  # ambiguous, so with a lexer that knows no context
        return lark.Lark(grammar, parser="earley", lexer="basic", start=start)


def parses(lark_parser, text):
    try:
        lark_parser.parse(text)
    except lark.exceptions.UnexpectedInput:
        return False
    return True


@pytest.mark.parametrize(("text", "valid", "invalid"), TABLE)
def test_both_accept_and_refuse_the_same(text, valid, invalid):
    grammar, reference = read_lexed(text), parser(text)
    assert [t for t in valid if not lex_and_parse(grammar, t.encode())] == []
    assert [t for t in valid if not parses(reference, t)] == []
    assert [t for t in invalid if lex_and_parse(grammar, t.encode())] == []
    assert [t for t in invalid if parses(reference, t)] == []


PIECES = ["a", "b", "c", "if", "x", "xx", "z", "1", "return", "=", ";", " ", '"', ",", ".", "k:"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
AGREEING = [NAMES, CONTEXT, TEMPLATES, IGNORED]


@pytest.fixture(scope="module")
def pairs():
    return [(read_lexed(text), parser(text)) for text in AGREEING]


@given(text=TEXTS)
def test_random_texts_are_what_they_are_to_lark(pairs, text):
    for grammar, reference in pairs:
        assert lex_and_parse(grammar, text.encode()) == parses(reference, text)


# (grammar, text, our lexemes or None, whether Lark parses it)
DIFFERENCES = [
    # Lark's lexer tries terminals in the order of their priorities and takes the first that
    # matches, here the shorter one; ours takes the longest.
    ('start: IF | NAME\nIF.2: "if"\nNAME: /[a-z]+/', "iffy", ["NAME"], False),
    ("start: LONG | SHORT\nSHORT: /a{1,3}/\nLONG: /a|ab/", "ab", ["LONG"], False),
    # Inside a pattern without lazy repeats and lookaround it takes the first option.
    ("start: A\nA: /a|ab/", "ab", ["A"], False),
    # It joins the parts of a terminal as text: this one is /a|bc/ to it.
    ('start: A\nA: /a|b/ "c"', "ac", ["A"], False),
    # A state of its parser stands for several places in a sentence, so that it looks for
    # terminals that cannot come next.
    (
        'start: "(" x ONE ONE | "[" x TWO\nx: "a"\nONE: ")"\nTWO: "))"',
        "(a))",
        ["LPAR", "A", "ONE", "ONE"],
        False,
    ),
]


@pytest.mark.parametrize(("text", "data", "names", "is_larks"), DIFFERENCES)
def test_what_differs_from_lark_is_known(text, data, names, is_larks):
    grammar = read_lexed(text)
    found = lexemes(grammar, data.encode())
    assert (found and [grammar.terminals[i].name for i in found]) == names
    assert parses(parser(text), data) == is_larks


def test_completions_are_found_by_trying():
    grammar = read_lexed(CONTEXT)
    pieces = [b"a", b"b", b"c", b" ", b"z"]
    assert completions_exist(grammar, b"aabc", pieces, 2)
    assert not completions_exist(grammar, b"az", pieces, 3)
    assert not completions_exist(grammar, b"bb z", pieces, 3)


def shared_cases():
    folder = Path(__file__).parents[3] / "shared" / "bench" / "cases"
    path = Path(os.environ.get("LMQL_LIKE_BENCH", folder)) / "grammars.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [case for case in map(json.loads, lines) if case["kind"] == "lark"]


@pytest.mark.parametrize("case", shared_cases(), ids=lambda case: case["name"])
def test_shared_grammars_mean_what_they_mean_to_lark(case):
    grammar, reference = read_lexed(case["text"]), parser(case["text"])
    for text in case["valid"] + case["invalid"]:
        if len(text) <= 60:
            assert lex_and_parse(grammar, text.encode()) == parses(reference, text), text


PYTHON = (Path(lark.__file__).parent / "grammars" / "python.lark").read_text(encoding="utf-8")
EXPRESSIONS = [
    "a", "iffy", "a if b else c", "aif b else c", "x[1:2, ...]", "0", "00", "01", "0_0", "10",
    "0x1F", "1.", ".5e-3j", "1if x else 2", '""', '"""a"b"""', "'a\\'b'", '"a', "rb'x' 'y'",
    "f(*a, **k)", "not x", "notx", "lambda x, *y: x", "[i for i in x]", "{1: 2, **z}",
    "a is not b", "a \\\n + b", "a + # c", "é", "1a",
]  # fmt: skip


@pytest.fixture(scope="module")
def python():
    return read_lexed(PYTHON, start="eval_input"), parser(PYTHON, start="eval_input")


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_python_expressions_are_what_they_are_to_lark(python, text):
    grammar, reference = python
    assert lex_and_parse(grammar, text.encode()) == parses(reference, text)


TERMINALS = """
start: DEC_NUMBER | STRING | LONG_STRING | NOTE | WORDS
NOTE: "<!--" (/.*?-->/s | "x"+ /.??/ "--!>")
WORDS: "a".."c"~1..3 ("," | ", " /(?! )/)? | "ab" /(?<=b)c+?/ "d"i ["e"]
%import python (DEC_NUMBER, STRING, LONG_STRING)
"""
BITS = ["0", "1", "_", "'", '"', '""', "\\", "r", "b", "B", "\n", "é", "<!--", "x", "-->", "--!>",
        "a", "c", ",", " ", "d", "e"]  # fmt: skip


@pytest.fixture(scope="module")
def terminals():
    patterns = {t.name: t.pattern.to_regexp() for t in parser(TERMINALS).terminals}
    automata = {t.name: t.automaton for t in read_lexed(TERMINALS).terminals}
    assert set(patterns) == set(automata)
    return [(re.compile(pattern), automata[name]) for name, pattern in patterns.items()]


@given(text=st.lists(st.sampled_from(BITS), max_size=8).map("".join))
def test_ordered_terminals_end_where_larks_own_patterns_do(terminals, text):
    for pattern, automaton in terminals:
        match = pattern.match(text)
        found = lexeme_ends(automaton, text.encode())[-1:]
        assert found == ([] if match is None else [len(match.group().encode())]), pattern


COMMON = (Path(lark.__file__).parent / "grammars" / "common.lark").read_text(encoding="utf-8")
USUAL = re.findall("^([A-Z][A-Z_0-9]*) *:", COMMON, re.MULTILINE)
LAZY = {"C_COMMENT", "ESCAPED_STRING"}


@pytest.fixture(scope="module")
def common():
    grammar = f"start: {' | '.join(USUAL)}\n%import common ({', '.join(USUAL)})"
    patterns = {t.name: re.compile(t.pattern.to_regexp()) for t in parser(grammar).terminals}
    assert set(patterns) > LAZY
    return [(t.name, patterns[t.name], t.automaton) for t in read_lexed(grammar).terminals]


@given(text=st.text('aZ_09.+-e"\\/*#\n\r é', max_size=8))
def test_common_terminals_are_as_long_as_larks(common, text):
    for name, pattern, automaton in common:
        match = pattern.match(text)
        ends = [] if match is None else [match.end()]
        if name not in LAZY:  # as long as they can, where Lark's may be shorter
            ends = [n for n in range(len(text) + 1) if pattern.fullmatch(text, 0, n)]
        expected = [len(text[:n].encode()) for n in ends[-1:]]
        assert lexeme_ends(automaton, text.encode())[-1:] == expected, name
