"""Grammars and patterns made to hurt end in a result or in a coded error, soon and in little room.

Errors name the limit, its value, and the place.
"""

import time

import pytest

from lmql_like.errors import GrammarError
from lmql_like.grammars import Limits, compile_grammar, compile_regex
from lmql_like.grammars.cfg.reader import read_grammar
from lmql_like.grammars.lint import check_grammar

NESTED = "(" * 10_000 + '"a"' + ")" * 10_000


def rules(count, body, last, start="root", sign="::="):
    """Rules r0 to r{count}; NEXT in the body is the name of the next one."""
    lines = [f"{start} {sign} r0"]
    lines += [f"r{i} {sign} {body.replace('NEXT', f'r{i + 1}')}" for i in range(count)]
    return "\n".join([*lines, f"r{count} {sign} {last}", ""])


def ring(count, body):
    lines = [f"r{i} ::= {body.replace('NEXT', f'r{(i + 1) % count}')}" for i in range(count)]
    return "\n".join(["root ::= r0", *lines, ""])


# (grammar, a text, whether it matches) in GBNF
RESULTS = {
    "many options": ("root ::= " + "|".join(f'"word{i}"' for i in range(20_000)), "word7", True),
    "options in a rule": (
        "root ::= x x\nx ::= [0-9] | " + "|".join(f'"w{i}"' for i in range(20_000)),
        "w17",
        True,
    ),
    "a long chain": (rules(20_000, "NEXT", '"y"'), "y", True),
    "a long rule": ("root ::= " + '"ab" ' * 20_000, "ab" * 20_000, True),
    "a ring of left recursion": (ring(300, 'NEXT "x" | "y"'), "yxx", True),
    "a ring that may be empty": (ring(20, 'NEXT NEXT "x"? | "y"?'), "yyx", True),
    "doubling": (rules(60, "NEXT NEXT", '"a"'), "aaaa", False),
    "doubling of what may be empty": (rules(60, "NEXT NEXT", '"a"?'), "aaaa", True),
    "repeats of repeats": ("root ::= " + "(" * 90 + '"a"' + "*)" * 90, "aaa", True),
    "counts of what may be empty": ('root ::= (("a"?){50}){50}', "aaa", True),
    "a cycle": ('root ::= root | root root | "a"?', "aaa", True),
    "optional and required": ('root ::= ("a"?){5000} "a"{5000}', "aaa", False),
    "a subset construction": ('root ::= ("a"|"b")* "a" ("a"|"b"){30}', "ba" * 20, True),
    "comments": ('root ::= "a"\n' + "# nothing\n" * 100_000, "a", True),
    "blanks": ('root ::= "a"' + " \n" * 500_000, "a", True),
}


@pytest.fixture(autouse=True, scope="module")
def _compiled_kernels():
    """Compile the kernels before the clock runs."""
    compile_grammar('root ::= "a" root | "b"', syntax="gbnf").matches("ab")
    compile_regex("a+b?").matches("ab")


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("syntax", ["gbnf", "ebnf"])
def test_what_only_looks_large_is_compiled(name, syntax):
    begin = time.monotonic()
    grammar, text, expected = RESULTS[name]
    assert compile_grammar(grammar, syntax=syntax).matches(text) == expected
    assert time.monotonic() - begin < 30


# (grammar, code, the limit's name, line and column) in GBNF
REFUSED = {
    "nesting": ("root ::= " + NESTED, "G405", "Limits.max_nesting", (1, 110)),
    "a huge count": ('root ::= "b" "a"{100000000000000000}', "G202", "max_nfa_states", (1, 17)),
    "counts of counts": (
        "root ::= " + "(" * 12 + '"a"' + "){1000}" * 12,
        "G202",
        "max_nfa_states",
        (1, 33),
    ),
    "a long text": ('root ::= "' + "a" * 2_000_000 + '"', "G202", "max_nfa_states", (1, 1)),
    "a count that no number holds": ('root ::= "a"{' + "9" * 5000 + "}", "G401", "", (1, 13)),
    "an unclosed bracket": ("root ::= [" + "a-z" * 100_000, "G401", "", (1, 10)),
    "many names, one misspelt": (
        rules(5000, '"x" NEXT', "r50000"),
        "G402",
        "",
        (5002, 11),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("syntax", ["gbnf", "ebnf"])
def test_what_is_large_is_refused_in_its_place(name, syntax):
    begin = time.monotonic()
    grammar, code, limit, position = REFUSED[name]
    with pytest.raises(GrammarError) as caught:
        compile_grammar(grammar, syntax=syntax)
    assert (caught.value.code, caught.value.position) == (code, position)
    assert limit in caught.value.help
    assert len(caught.value.render()) < 2500
    assert time.monotonic() - begin < 30


LARK_RESULTS = {
    "many options": ("start: " + "|".join(f'"w{i}"' for i in range(3000)), "w7", True),
    "options with blanks": (
        "start: ITEM+\nITEM: " + "|".join(f'"w{i}"' for i in range(3000)) + '\n%ignore " "',
        "w7 w8",
        True,
    ),
    "texts with blanks": (
        "start: (" + "|".join(f'"w{i}"' for i in range(3000)) + ')+\n%ignore " "',
        "w7 w8",
        True,
    ),
    "templates in templates": (
        'start: t0{"a"}\n'
        + "\n".join(f"t{i}{{x}}: t{i + 1}{{x}}" for i in range(300))
        + "\nt300{x}: x",
        "a",
        True,
    ),
    "ignored terminals": (
        'start: "a"+\n' + "\n".join(f"%ignore /z{i}/" for i in range(1000)),
        "az5a",
        True,
    ),
    "ignored text that may be empty": (
        'start: "a"+\n%ignore /( *)*/\n%ignore WS\nWS: /\\s*/',
        "a  a",
        True,
    ),
    "a ring of left recursion": (
        ring(100, 'NEXT "x" | "y"').replace("::=", ":").replace("root", "start"),
        "yxx",
        True,
    ),
    "optional parts": ("start: " + '["a"] ' * 200, "aaa", True),
}


@pytest.mark.parametrize("name", LARK_RESULTS)
def test_lark_grammars_that_only_look_large_are_compiled(name):
    grammar, text, expected = LARK_RESULTS[name]
    assert compile_grammar(grammar, lexing="scannerless").matches(text) == expected


LARK_REFUSED = {
    "nesting": (f"start: {NESTED}", "G405", (1, 108)),
    "nesting of a pattern": (
        "start: /" + "(" * 10_000 + "a" + ")" * 10_000 + "/",
        "G405",
        (1, 109),
    ),
    "a huge count": ('start: "b" "a"~100000000000000000', "G202", (1, 15)),
    "templates that grow": (
        'start: _more{"a"}\n_more{x}: x | _more{_twice{x}}\n_twice{x}: x x',
        "G405",
        (1, 8),
    ),
    "templates in arguments": (
        "start: " + "t{" * 5000 + '"a"' + "}" * 5000 + "\nt{x}: x",
        "G405",
        (1, 209),
    ),
    "terminals that double": (
        "start: T0\n" + "\n".join(f"T{i}: T{i + 1} T{i + 1}" for i in range(40)) + '\nT40: "a"',
        "G405",
        (2, 1),
    ),
    "many names": (
        rules(50_000, '"x" NEXT', '"y"', start="start", sign=":"),
        "G410",
        (33334, 14),
    ),
}


@pytest.mark.parametrize("name", LARK_REFUSED)
def test_large_lark_grammars_are_refused_in_their_place(name):
    begin = time.monotonic()
    grammar, code, position = LARK_REFUSED[name]
    with pytest.raises(GrammarError) as caught:
        compile_grammar(grammar, lexing="scannerless")
    assert caught.value.code in (code, "G203")
    assert caught.value.position == position
    assert time.monotonic() - begin < 30


PATTERNS = {
    "many options": ("|".join(f"word{i}" for i in range(10_000)), "word7", None),
    "optional and required": ("(a?){5000}a{5000}", None, None),
    "stars of stars": ("(" * 90 + "a" + "*)" * 90 + "b", "aab", None),
    "a long text": ("ab" * 20_000, "ab" * 20_000, None),
    "cases": ("(?i)" + "ab" * 5000, "aB" * 5000, None),
    "nesting": ("(" * 10_000 + "a" + ")" * 10_000, None, "G203"),
    "a huge count": ("a{99999999999}", None, "G101"),
    "a count that no number holds": ("a{2," + "9" * 5000 + "}", None, "G101"),
    "counts of counts": ("(((a{1000}){1000}){1000})", None, "G202"),
    "counted letters": (r"\w{1,5000}", None, "G202"),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_are_compiled_or_refused(name):
    begin = time.monotonic()
    pattern, text, code = PATTERNS[name]
    try:
        automaton = compile_regex(pattern)
        assert code is None
        if text is not None:
            assert automaton.matches(text)
    except GrammarError as error:
        assert (error.code, error.position is None) == (code, False)  # noqa: PT017 - see the table
    assert time.monotonic() - begin < 30


def test_raised_limits_never_end_in_python_s_own_recursion():
    deep = "(" * 10_000 + '"a" | "b"' + ")" * 10_000
    limits = Limits(max_nesting=10**6)
    assert compile_grammar(f"root ::= {deep}", syntax="gbnf", limits=limits).matches("b")
    for lexing in ("lexed", "scannerless"):
        assert {f.code for f in check_grammar(f"start: {deep}", lexing=lexing, limits=limits)} == {
            "G405"
        }
    found = check_grammar(f"root ::= {deep}", syntax="gbnf", limits=limits)
    assert found == []


def test_limits_are_raised_by_argument():
    grammar = 'root ::= "a"{2000}'
    with pytest.raises(GrammarError) as caught:
        read_grammar(grammar, syntax="gbnf", limits=Limits(max_nfa_states=1000))
    assert caught.value.code == "G202"
    assert "1000 states" in caught.value.message
    assert read_grammar(grammar, syntax="gbnf", limits=Limits(max_nfa_states=3000)).rules
    words = "start: " + '"a" ' * 50
    assert check_grammar(words, limits=Limits(max_words=51)) == []
    assert [f.code for f in check_grammar(words, limits=Limits(max_words=50))] == ["G410"]
