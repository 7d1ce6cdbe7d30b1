"""What is said to be never read is never read by Lark's own lexer."""

import itertools
import re

from hypothesis import assume, given
from hypothesis import strategies as st
from lark import Lark
from lark.exceptions import LarkError

from lmql_like.grammars.lint import check_grammar

# Patterns whose first match is their longest, in which Lark and we agree.
PATTERNS = st.sampled_from(
    ['"a"', '"b"', '"ab"', '"c"', "/a+/", "/[ab]+/", "/ab*/", "/b/", "/a/", "/aa?/", "/(ab)+/",
     "/[a-c]{1,2}/", "/c?b/", "/[bc]+a?/", "/[a-c]/", "/a+b/"]
)  # fmt: skip
TEXTS = ["".join(text) for n in range(1, 5) for text in itertools.product("abc", repeat=n)]


def parsed(grammar):
    """The kinds of lexemes of every short text that Lark accepts."""
    try:
        parser = Lark(grammar, parser="lalr", lexer="contextual")
    except LarkError:
        assume(False)
    kinds = []
    for text in TEXTS:
        try:
            parser.parse(text)
        except LarkError:
            continue
        kinds.append([token.type for token in parser.lex(text)])
    return kinds


def findings(grammar, code):
    return [f.source.slice(f.span) for f in check_grammar(grammar) if f.code == code]


BODIES = st.sampled_from(
    ["(X | Y)+", "X | Y", "X | Y X", "z | Y\nz: X", '(X | Y) "!"', "X Y | Y", 'z "c" | Y\nz: X | Y']
)


@given(x=PATTERNS, y=PATTERNS, priorities=st.tuples(*[st.sampled_from([0, 1])] * 2), body=BODIES)
def test_hidden_terminals_are_never_found(x, y, priorities, body):
    assume(x != y)
    first, second = priorities
    grammar = f"start: {body}\nX.{first}: {x}\nY.{second}: {y}\n"
    hidden = findings(grammar, "G507")
    assert len(hidden) < 2
    for name in hidden:
        assert name in "XY"
        assert not any(name in kinds for kinds in parsed(grammar))


@given(x=PATTERNS, y=PATTERNS, body=st.sampled_from(["X Y", "X+", 'X z\nz: Y "c"?', "X X Y"]))
def test_terminals_that_cannot_be_told_apart_never_stand_in_a_row(x, y, body):
    assume(x != y)
    grammar = f"start: {body}\nX: {x}\n" + (f"Y: {y}\n" if "Y" in body else "")
    places = findings(grammar, "G508")
    if not places:
        return
    kinds = parsed(grammar)
    if places == ["X+"]:
        assert all(len(found) == 1 for found in kinds)
    else:
        assert kinds == []


@given(x=PATTERNS, y=PATTERNS)
def test_a_terminal_is_hidden_iff_another_of_higher_priority_matches_all_its_texts(x, y):
    assume(x != y)
    grammar = f"start: X | Y\nX.1: {x}\nY: {y}\n"
    larger, smaller = (re.compile(pattern[1:-1]).fullmatch for pattern in (x, y))
    is_hidden = all(larger(text) for text in TEXTS if smaller(text))
    assert findings(grammar, "G507") == (["Y"] if is_hidden else [])
