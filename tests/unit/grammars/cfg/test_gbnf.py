"""GBNF and EBNF: what each notation means, and how it fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmql_like.errors import GrammarError
from lmql_like.grammars.cfg.ebnf import quote_ebnf, read_ebnf
from lmql_like.grammars.cfg.gbnf import quote_gbnf, read_gbnf
from lmql_like.grammars.limits import Limits
from lmql_like.grammars.regex.nodes import Repeat

BOTH = [read_gbnf, read_ebnf]
TEXT = st.text(st.characters(exclude_categories=["Cs"]))

# (grammar, texts it matches, texts it does not): the same in both notations
SHARED = [
    ('root ::= "a" "b"', ["ab"], ["", "a", "abc"]),
    ('root ::= "a" | "bc"', ["a", "bc"], ["abc", ""]),
    ('root ::= ""', [""], ["a"]),
    (r'root ::= "\n\r\t\\\""', ['\n\r\t\\"'], ["nrt"]),
    (r'root ::= "\x41" "\u00e9\U0001F600"', ["Aé😀"], ["Ae"]),
    ("root ::= [a-c] [^a-c]", ["ad", "c\n", "b😀"], ["aa", "da"]),
    (r"root ::= [\]\\\-] [a-] [-a] [\x41-\x43]", ["]a-B", "\\--A", "-aaC"], ["]a-D", "[a-A"]),
    ('root ::= "a"* "b"+ "c"?', ["b", "aabbc"], ["a", "abcc"]),
    ('root ::= "a"{2} "b"{1,} "c"{0,2}', ["aab", "aabbcc"], ["ab", "aabccc"]),
    ('root ::= "a"{ 1 , 2 }', ["a", "aa"], ["", "aaa"]),
    ('root ::= ("a" | "b" "c")+', ["a", "bca"], ["", "b"]),
    ('root ::= (\n"a"\n|\n"b"\n)', ["a", "b"], ["ab"]),
    ('# one\nroot ::= "a" # two\n  | "#" # three\n\n# end', ["a", "#"], ["a#"]),
    ('root ::= a-b | "x"\na-b ::= "1"\n  "2"\n', ["12", "x"], ["1"]),
    ('root ::= root "a" | "b"', ["b", "baa"], ["a", ""]),
    ('root ::= "(" root ")" | ""', ["", "(())"], ["(", ")("]),
    ('root::="a"|b\r\nb::="c"', ["a", "c"], ["b"]),
]
GBNF_ONLY = [
    ("root ::= . .", ["a\n", "é😀"], ["a"]),
    ('root ::= ("a" | ) |', ["", "a"], ["b"]),
    (r'root ::= "\[\]\-"', ["[]-"], ["[]"]),
    ('root ::= "a\nb"', ["a\nb"], ["ab"]),
    ('root ::= 1-a_b\n1-a_b ::= "x"', ["x"], [""]),
]
EBNF_ONLY = [
    (r'root ::= "\'\?\a\b\e\f\v\0"', ["'?\a\b\x1b\f\v\0"], ["a"]),
    (r'root ::= "\x1F600"', ["😀"], ["\x1f600"]),
    (r"root ::= [\^\$\.\*\+\?\(\)\[\]\{\}\|\/]", ["^", "$", "/", "]"], ["\\"]),
    ('root ::= a.b ()\na.b ::= "x"', ["x"], [""]),
]
TABLE = (
    [(read, *case) for case in SHARED for read in BOTH]
    + [(read_gbnf, *case) for case in GBNF_ONLY]
    + [(read_ebnf, *case) for case in EBNF_ONLY]
)

# (code, line and column, words of the message, grammar)
ERRORS = [
    ("G401", (1, 10), "expected ')'", 'root ::= ("a"'),
    ("G401", (1, 10), "found the next rule, expected ')'", 'root ::= (\nb ::= "a"'),
    ("G401", (1, 13), "found ')'", 'root ::= "a")'),
    ("G401", (1, 10), "expected '\"'", 'root ::= "a'),
    ("G401", (1, 10), "expected ']'", "root ::= [a"),
    ("G401", (1, 10), "expected ']'", "root ::= [a-"),
    ("G401", (1, 10), "empty class", "root ::= []"),
    ("G401", (1, 11), "smaller end first", "root ::= [z-a]"),
    ("G401", (2, 3), "escape \\q", 'root ::=\n "\\q"'),
    ("G401", (1, 11), "escape \\u", 'root ::= "\\u004"'),
    ("G401", (1, 11), "escape", 'root ::= "\\UFFFFFFFF"'),
    ("G401", (1, 11), "escape", 'root ::= "\\'),
    ("G401", (1, 11), "surrogate", 'root ::= "\\ud83d"'),
    ("G401", (1, 14), "found '*', expected one repeat", 'root ::= "a"+*'),
    ("G401", (1, 10), "found '+', expected something to repeat", 'root ::= + "a"'),
    ("G401", (1, 13), "expected a repeat such as", 'root ::= "a"{,3}'),
    ("G401", (1, 13), "expected a repeat such as", 'root ::= "a"{'),
    ("G401", (1, 13), "smaller count first", 'root ::= "a"{3,2}'),
    ("G401", (1, 13), "18 digits", 'root ::= "a"{' + "9" * 5000 + "}"),
    ("G401", (1, 10), "found '@'", "root ::= @"),
    ("G401", (1, 1), "found 'root', expected the name of a rule and '::='", "root : a"),
    ("G401", (1, 14), "middle of a line", 'root ::= "a" b ::= "c"'),
    ("G402", (2, 7), "'numbr' is used but not defined", 'number ::= "1"\nr ::= numbr\nroot ::= r'),
    ("G403", (3, 1), "'root' is defined twice", 'root ::= "a"\n\nroot ::= "b"'),
    ("G404", (1, 1), "found no rules at all", ""),
    ("G404", (1, 1), "found no rules at all", " # nothing\n"),
    ("G404", (1, 1), "expected the start rule 'root'", 'rot ::= "a"'),
]


@pytest.mark.parametrize(("read", "grammar", "matched", "unmatched"), TABLE)
def test_a_grammar_matches_what_it_says(read, grammar, matched, unmatched, accepts):
    rules = read(grammar)
    assert rules.start == "root"
    assert [text for text in matched if not accepts(rules, text)] == []
    assert [text for text in unmatched if accepts(rules, text)] == []


@pytest.mark.parametrize(("grammar", "matched", "unmatched"), SHARED + EBNF_ONLY)
def test_ebnf_means_what_xgrammar_says(grammar, matched, unmatched):
    xgrammar = pytest.importorskip("xgrammar")
    testing = pytest.importorskip("xgrammar.testing")
    parsed = xgrammar.Grammar.from_ebnf(grammar)
    accepted = [t for t in matched + unmatched if testing._is_grammar_accept_string(parsed, t)]
    assert [text for text in accepted if "\0" not in text] == [
        text for text in matched if "\0" not in text
    ]


@pytest.mark.parametrize("read", BOTH)
@pytest.mark.parametrize(("code", "position", "words", "grammar"), ERRORS)
def test_errors_have_code_place_and_reason(read, code, position, words, grammar):
    with pytest.raises(GrammarError) as caught:
        read(grammar)
    assert (caught.value.code, caught.value.position) == (code, position)
    assert words in caught.value.message
    assert "^" in caught.value.render()


@pytest.mark.parametrize(
    ("read", "grammar", "what"),
    [
        (read_gbnf, "root ::= <think>", "token"),
        (read_gbnf, "root ::= !<[12]> .", "token"),
        (read_ebnf, 'root ::= "a" (= "b")', "lookahead"),
        (read_ebnf, 'root ::= TagDispatch(("<f>", f))', "macro"),
    ],
)
def test_features_without_a_meaning_here_are_refused_by_name(read, grammar, what):
    with pytest.raises(GrammarError, match=what) as caught:
        read(grammar)
    assert caught.value.code == "G406"


def test_ebnf_is_stricter_than_gbnf():
    for grammar in ('root ::= "a" |', 'root ::= | "a"', 'root ::= ("a" | )', 'root ::= "a\n"'):
        read_gbnf(grammar)
        with pytest.raises(GrammarError):
            read_ebnf(grammar)


def test_a_misspelt_rule_is_found_again():
    with pytest.raises(GrammarError) as caught:
        read_gbnf('root ::= nmuber\nnumber ::= "1"')
    assert caught.value.help == "did you mean 'number'?"


def test_another_rule_may_be_the_start(accepts):
    rules = read_gbnf('root ::= "a"\nother ::= root root', start="other")
    assert accepts(rules, "aa")


def test_large_counts_are_left_to_who_writes_them_out():
    node = read_gbnf('root ::= "a"{1,1000000000}').rules["root"]
    assert isinstance(node, Repeat)
    assert node.high == 10**9


@pytest.mark.parametrize("read", BOTH)
def test_nesting_has_a_limit_and_no_recursion(read, accepts):
    deep = "(" * 100 + '"a" | "b"' + ' | "c")' * 100
    assert accepts(read(f"root ::= {deep}"), "c")
    for count in (101, 100_000):
        with pytest.raises(GrammarError) as caught:
            read("root ::= " + "(" * count)
        assert (caught.value.code, caught.value.position) == ("G405", (1, 110))
    with pytest.raises(GrammarError):
        read("root ::= (((", limits=Limits(max_nesting=2))


@pytest.mark.parametrize(
    "grammar",
    [
        "root ::= [" + "a-z" * 100_000 + "]",
        "# a\n" * 100_000 + 'root ::= "a"',
        "root ::= " + "a " * 50_000,
    ],
)
def test_long_grammars_take_linear_time(grammar):
    try:
        read_gbnf(grammar)
    except GrammarError as error:
        assert error.code == "G402"  # noqa: PT017 - most of these are well-formed


@pytest.mark.parametrize(("read", "quote"), [(read_gbnf, quote_gbnf), (read_ebnf, quote_ebnf)])
@given(text=TEXT, other=TEXT)
def test_quoting_any_text_and_reading_it_gives_the_text_back(read, quote, accepts, text, other):
    rules = read(f"root ::= {quote(text)}")
    assert accepts(rules, text)
    assert accepts(rules, other) == (text == other)


WORDS = st.sampled_from(
    ["root", "b", "::=", '"a"', '"', "[a-z]", "[", "]", "(", ")", "|", "*", "{2}", "{", "\n", "#",
     "\\", ".", "<t>", " "]
)  # fmt: skip


@pytest.mark.parametrize("read", BOTH)
@given(words=st.lists(WORDS, max_size=30))
def test_whatever_is_read_there_is_a_grammar_or_a_coded_error(read, words):
    try:
        read("root ::= " + "".join(words))
    except GrammarError as error:
        assert error.position is not None  # noqa: PT017 - both outcomes are right
