"""Lark's notation: compared with Lark's own scannerless parser, and how it fails."""

import lark
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmql_like.errors import GrammarError
from lmql_like.grammars.cfg.lark_grammar import quote_lark, read_lark

TEXT = st.text(st.characters(exclude_categories=["Cs"]))

# (grammar, texts it matches, texts it does not)
TABLE = [
    ('start: "a" "b"', ["ab"], ["", "a", "a b"]),
    ('start: "a"i /b+/i', ["AB", "abb"], ["a"]),
    ('start: a | B\na: "x"\nB: "y"', ["x", "y"], ["", "xy"]),
    ('start: a\n  | "y" -> other\n?a: "x"\n  | "z"\n!_b: a\n', ["x", "y", "z"], ["xz"]),
    ('start: "a"* "b"+ "c"?', ["b", "aabbc"], ["a", "abcc"]),
    ('start: "a" ~ 2 "b" ~ 1..3', ["aab", "aabbb"], ["ab", "aabbbb"]),
    ('start: ["a"] ["b" | "c"] "d"', ["d", "ad", "cd", "abd"], ["bcd", "a"]),
    ("start: A B\nA.2: /a+/\nB.-1: A | /b/", ["aa", "ab", "aaa"], ["a", "b"]),
    ('start: A\nA: "x" ("y" | "z")* ["w"]', ["x", "xyzw"], ["y", "xww"]),
    ('start: "a".."c" R\nR: "\\u0030".."9"', ["a0", "c9"], ["d0", "a"]),
    ('start: "a" "b"\n%ignore " "', ["ab", " a  b "], ["a\nb"]),
    (
        "start: A+\nA: /a/\n%ignore /[ ]+/\n%ignore /#[^\\n]*\\n/",
        ["a a", "#c\na #d\n"],
        ["#", "a#"],
    ),
    ('start: INT ("," INT)*\n%import common.INT\n%import common.WS\n%ignore WS', ["1, 22"], ["1,"]),
    ("%import common (INT, WORD)\nstart: INT WORD", ["1a"], ["a1"]),
    ("%import common.INT -> N\nstart: N N", ["12"], ["1"]),
    ('start: _list{INT, ","}\n_list{x, s}: x (s x)*\n%import common.INT', ["1", "1,2"], ["1,", ""]),
    ('start: t{f, "x"}\nt{g, y}: g{y}\nf{z}: z z', ["xx"], ["x"]),
    ('start: x\nx: "a"\n%extend x: "b"', ["a", "b"], ["ab"]),
    ('%import common.INT\n%override INT: "x"\nstart: INT', ["x"], ["1"]),
    ('start: start "a" | "b"', ["b", "baa"], ["a"]),
    ('start: "(" start ")" |', ["", "(())"], ["("]),
    ("start: /a b # no\n/x", ["ab"], ["a b"]),
    ("start: /a.b/s /c.d/", ["a\nbc-d"], ["a\nbc\nd"]),
    ('start: "\\n\\t\\\\ \\" \\x41 é"', ['\n\t\\ " A é'], ["n"]),
    ("start: /[\\/]\\d\\w/", ["/1a"], ["1a"]),
    ('// one\nstart: "a" # two\n  | "//#"\n', ["a", "//#"], ["#"]),
    ('start: a\n\n\na: "x"\n', ["x"], []),
]

# (code, line and column, words of the message, grammar)
ERRORS = [
    ("G401", (1, 8), "end of the line", "start: ("),
    ("G401", (1, 8), "found ')'", "start: )"),
    ("G401", (2, 4), "expected '\"'", 'start: a\na: "x'),
    ("G401", (2, 4), "expected '/'", "start: a\na: /x"),
    ("G401", (1, 8), "expected '\"'", 'start: "' + "\\" * 101),
    ("G401", (1, 7), "expected '.' or ':' or '{'", 'start "a"'),
    ("G401", (1, 8), "it is empty", 'start: ""'),
    ("G401", (1, 8), "surrogate", 'start: "\\ud800"'),
    ("G401", (1, 8), "wrong escape", 'start: "\\x0"'),
    ("G401", (1, 11), "found the counts 5..2", 'start: "a"~5..2'),
    ("G401", (1, 8), "single characters", 'start: "a".."zz"'),
    ("G401", (1, 8), "smaller first", 'start: "z".."a"'),
    ("G401", (2, 1), "made of itself", 'start: A\nA: A "x"'),
    ("G401", (2, 4), "rules aren't allowed inside terminals", 'start: A\nA: b\nb: "x"'),
    ("G401", (1, 8), "expected its arguments", "start: a\na{p}: p"),
    ("G401", (1, 8), "wrong number of template arguments", 'start: a{"x"}\na{p, q}: p q'),
    ("G401", (1, 7), "18 digits", "start." + "9" * 5000 + ': "a"'),
    ("G402", (1, 8), "rule 'b' is used but not defined", "start: b"),
    ("G402", (1, 12), "terminal 'NUMBR'", 'start: "a" NUMBR\nNUMBER: "1"'),
    ("G402", (2, 8), "terminal 'NOPE'", "%import common.NOPE\nstart: NOPE"),
    ("G402", (1, 9), "terminal 'NOPE'", '%ignore NOPE\nstart: "a"'),
    ("G403", (3, 1), "'a' is defined twice", 'start: a\na: "x"\na: "y"'),
    ("G404", (1, 1), "found no rules at all", ""),
    ("G404", (1, 1), "expected the start rule 'start'", 'stat: "a"'),
    ("G405", (1, 108), "more than 100 groups", "start: " + "(" * 10_000),
    ("G405", (1, 8), "more than 1000 rules", 'start: x{"a"}\nx{y}: y x{z{y}}\nz{q}: q q'),
    ("G406", (1, 10), "declares 'FOO'", "%declare FOO\nstart: FOO"),
    ("G406", (1, 1), "imports 'secret.lark'", "%import .secret (A)\nstart: A"),
    ("G406", (1, 1), "imports 'no/such.lark'", "%import no.such.A\nstart: A"),
    ("G102", (2, 5), "negative lookahead", "start: A\nA: /(?!x)y+/"),
    ("G102", (1, 10), "lookahead", "start: /a(?=b)/i"),
    ("G102", (1, 1), "lookahead", "%import python.NAME\n%import python.STRING\nstart: STRING"),
    ("G102", (1, 8), "flag l", "start: /x/l"),
    ("G101", (1, 9), "not a regular expression", "start: /(a/"),
]


@pytest.mark.parametrize(("grammar", "matched", "unmatched"), TABLE)
def test_a_grammar_matches_what_it_says(grammar, matched, unmatched, accepts):
    rules = read_lark(grammar)
    assert [text for text in matched if not accepts(rules, text)] == []
    assert [text for text in unmatched if accepts(rules, text)] == []


@pytest.mark.parametrize(("grammar", "matched", "unmatched"), TABLE)
def test_larks_scannerless_parser_says_the_same(grammar, matched, unmatched):
    parser = lark.Lark(grammar, parser="earley", lexer="dynamic_complete")
    for text in filter(None, matched):  # Lark does not parse the empty text without a lexer
        parser.parse(text)
    for text in unmatched:
        with pytest.raises(lark.exceptions.UnexpectedInput):
            parser.parse(text)


@pytest.mark.parametrize(("code", "position", "words", "grammar"), ERRORS)
def test_errors_have_code_place_and_reason(code, position, words, grammar):
    with pytest.raises(GrammarError) as caught:
        read_lark(grammar)
    assert (caught.value.code, caught.value.position) == (code, position)
    assert words in caught.value.message


def test_only_what_is_reached_is_read(accepts):
    rules = read_lark('start: "a"\nb: /x(?=y)/\nC: /(?<!a)b/')
    assert accepts(rules, "a")
    assert set(rules.rules) == {"start"}


def test_another_rule_may_be_the_start(accepts):
    assert accepts(read_lark('start: "a"\nother: start start', start="other"), "aa")


def test_repeats_point_into_the_grammar():
    rules = read_lark("start: A\nA: /ab{2,5}/")
    repeat = rules.rules["start"].parts[1]
    assert rules.source.slice(repeat.span) == "{2,5}"


def test_terminals_used_twice_everywhere_do_not_explode():
    lines = [f"T{i}: T{i - 1} T{i - 1}" for i in range(1, 41)]
    with pytest.raises(GrammarError) as caught:
        read_lark("\n".join(["start: T40", 'T0: "a"', *lines]))
    assert caught.value.code == "G405"
    rules = [f"t{i}: t{i - 1} t{i - 1}" for i in range(1, 41)]
    assert len(read_lark("\n".join(["start: t40", 't0: "a"', *rules])).rules) == 42


def test_deep_groups_become_rules():
    grammar = "start: " + "(" * 100 + '"a" | "b" "c"' + ' | "d")+' * 100
    nodes = read_lark(grammar).rules
    assert len(nodes) > 1
    assert max(depth(node) for node in nodes.values()) < 100


@pytest.mark.parametrize("count", [150, 199, 250])
def test_deep_patterns_are_read_or_refused_with_a_code(count):
    try:
        read_lark("start: /" + "(a|b" * count + ")" * count + "/")
    except GrammarError as error:
        assert error.code == "G203"  # noqa: PT017 - both outcomes are right


def depth(node):
    below = [*getattr(node, "parts", ()), *getattr(node, "options", ())]
    below += [node.item] if hasattr(node, "item") else []
    return 1 + max(map(depth, below), default=0)


@given(text=TEXT, other=TEXT)
def test_quoting_any_text_and_reading_it_gives_the_text_back(accepts, text, other):
    rules = read_lark(f"start: {quote_lark(text)}")
    assert accepts(rules, text)
    assert accepts(rules, other) == (text == other)


WORDS = st.sampled_from(
    ["start", ":", "a", "A", '"a"', '"', "/", "/x/", "(", ")", "[", "]", "{", "}", "|", "*", "~2",
     "..", "\n", "a: ", "A: ", "%ignore", "%import common.", "->", ",", "\\", "#", " ", " "]
)  # fmt: skip


@given(words=st.lists(WORDS, max_size=25))
def test_whatever_is_read_there_is_a_grammar_or_a_coded_error(words):
    try:
        read_lark('start: "a" ' + "".join(words))
    except GrammarError as error:
        assert error.position is not None  # noqa: PT017 - both outcomes are right
