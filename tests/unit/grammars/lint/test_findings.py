"""Every finding is found where it stands, and nothing is found where nothing is wrong."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import lark
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lark.load_grammar import load_grammar

from lmql_like.errors import CODES, GrammarError
from lmql_like.grammars.lint import check_grammar

ROOT = Path(__file__).parents[4]
LARK_GRAMMARS = Path(lark.__file__).parent / "grammars"
SHARED = Path(os.environ.get("LMQL_LIKE_SHARED", ROOT.parent / "shared")) / "bench" / "cases"
PAGES = sorted((ROOT / "docs" / "errors").glob("G5*.md"))


def syntax_of(grammar):
    return "gbnf" if "::=" in grammar else "lark"


def found(grammar, syntax=None, **options):
    """Codes with the text their carets stand under."""
    findings = check_grammar(grammar, syntax=syntax or syntax_of(grammar), **options)
    return [(f.code, f.source.slice(f.span) if f.span else None) for f in findings]


LARK = [
    ('start: "a"\nb: "b"', [("G501", "b")]),
    ('start: "a"\nb: c\nc: b "x" | "c"', [("G501", "b"), ("G501", "c")]),
    ('start: "a"\npair{x}: x x', [("G501", "pair")]),
    ('start: pair{"a"}\npair{x}: x "," x', []),
    ('start: a | "x"\na: a "y"', [("G502", "a")]),
    ('start: a | "x"\na: b "y"\nb: a b', [("G502", "a"), ("G502", "b")]),
    ('start: "a" b | "a"  b | "c"\nb: "b"', [("G503", '"a"  b')]),
    ('start: ("a" | ("b" | "a")) "c"', [("G503", '"a"')]),
    ('start: "a" -> x | "a" -> y', [("G503", '"a"')]),
    ('start: NAME\nNAME: "x"\nNUMBER: /[0-9]/', [("G505", "NUMBER")]),
    ("start: INT\n%import common (INT, WS)", [("G505", "WS")]),
    ("start: INT\n%import common.INT\n%import common.WS -> SPACE", [("G505", "SPACE")]),
    ("start: NAME\nNAME: LETTER+\nLETTER: /[a-z]/", []),
    ('start: "x"\nWS: / +/\n%ignore WS', []),
    ('start: "x"\nWS: / +/\n%ignore (WS | "#")', []),
    ("start: (A*)* B\nA: /a/\nB: /b/", [("G510", "(A*)*"[1:])]),
    ("start: [A]+ B\nA: /a/\nB: /b/", [("G510", "[A]+")]),
    ("start: start | A\nA: /a/", [("G511", "start")]),
    ("start: x x | A\nx: [start]\nA: /a/", [("G511", "start"), ("G513", "x")]),
    ("start: A* A* B\nA: /a/\nB: /b/\n%ignore / /", [("G512", "A*")]),
    ("start: A A* B\nA: /a/\nB: /b/\n%ignore / /", []),
    ("start: A* B* A*\nA: /a/\nB: /b/\n%ignore / /", []),
    ("start: a start B | B\na: A?\nA: /a/\nB: /b/", [("G513", "start")]),
    ("start: start B | B\nB: /b/", []),
]


@pytest.mark.parametrize(("grammar", "expected"), LARK)
def test_findings_of_lark_grammars(grammar, expected):
    assert found(grammar) == expected
    assert found(grammar, lexing="scannerless") == expected


LEXED = [
    ("start: A | B\nA.1: /[a-z]+/\nB: /[a-f]+/", [("G507", "B")]),
    ("start: A | B\nA: /[a-z]+/\nB.1: /[a-f]+/", []),
    ('start: A | "if"\nA.1: /[a-z]+/', [("G507", '"if"')]),
    ("start: A | B\nA: /[a-z]{1,9}/\nB: /[a-f]{1,3}/", [("G507", "B")]),
    # Only one of them may stand at each place: both are read.
    ('start: "x" A | "y" B\nA.1: /[a-z]+/\nB: /[a-f]+/\n%ignore / /', []),
    # B also stands where A may not.
    ('start: A | B | "!" B\nA.1: /[a-z]+/\nB: /[a-f]+/', []),
    ('start: x | B\nx: A "?"?\nA.1: /[a-z]+/\nB: /[a-f]+/', [("G507", "B")]),
    ("start: A\nA: /#[a-z]+/\nB.1: /#[^\\n]*/\n%ignore B", [("G507", "A")]),
    ("start: A A\nA: /[a-z]+/", [("G508", "A")]),
    ("start: A+\nA: /[a-z]+/", [("G508", "A+")]),
    ("start: A+\nA: /[a-z]+;/", []),
    ("start: A A\nA: /[a-z]+/\n%ignore / /", []),
    ("start: n A\nn: /[0-9]+/\nA: /[0-9a-z]+/", []),
    ("start: a b\na: A\nb: B\nA: /[0-9]+(\\.[0-9]+)?/\nB: /[0-9]/", [("G508", "b")]),
    ('start: A "b"\nA: /a+/', []),
    ("start: A | A WS A\nA: /a/\nWS: / /\n%ignore WS", [("G515", "WS")]),
    ("start: A | x\nx: B\nA: /a/\n%declare B", [("G502", "x"), ("G515", "B")]),
    ('start: A | "if" A\nA: /[a-z]+/\n%ignore / /', [("G509", "A")]),
    ('start: A "if" A\nA: /[a-z]+/\n%ignore / /', []),
    ('start: A | "if" A\nA: /[A-Z]+/\n%ignore / /', []),
]


@pytest.mark.parametrize(("grammar", "expected"), LEXED)
def test_findings_of_the_lexed_reading(grammar, expected):
    assert found(grammar) == expected
    assert {code for code, _ in found(grammar, lexing="scannerless")} <= {"G406", "G503"}


GBNF = [
    ('root ::= "a"\nb ::= "b"', [("G501", "b")]),
    ('root ::= "a" b\nb ::= "b" b', [("G502", "root"), ("G502", "b")]),
    ('root ::= "a" | [a] | "a"', [("G503", "[a]"), ("G503", '"a"')]),
    ('root ::= ("a"*)* "b"', [("G510", '"a"*)*')]),
    ('root ::= ws ws* "b"\nws ::= [ \\t]+', [("G510", "")]),
    ('root ::= "a" ws [ ]* "b"\nws ::= [ \\t]*', [("G512", "[ ]*")]),
    ('root ::= "a" ws [,]* "b"\nws ::= [ \\t]*', []),
    ('root ::= [0-9]+ [a-z]* "b"', []),
    ('root ::= key val\nkey ::= [a-z] "=" [a-z]\nval ::= [a-z] "=" [a-z]', [("G504", "val")]),
    ("root ::= (((((root)))))", [("G502", "root"), ("G511", "root")]),
]


@pytest.mark.parametrize("syntax", ["gbnf", "ebnf"])
@pytest.mark.parametrize(("grammar", "expected"), GBNF)
def test_findings_without_a_lexer(grammar, expected, syntax):
    result = found(grammar, syntax)
    if expected == [("G510", "")]:
        assert [code for code, _ in result] == ["G512"]
    else:
        assert result == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_show_what_they_speak_of(page):
    wrong, mended = (
        re.sub(r"^    ", "", block, flags=re.MULTILINE).strip()
        for block in re.findall(r"((?:^    .*\n)+)", page.read_text(), re.MULTILINE)
    )
    assert page.stem in {code for code, _ in found(wrong)}
    assert found(mended) == []


def test_there_is_a_page_for_every_finding():
    assert {page.stem for page in PAGES} == {code for code in CODES if code.startswith("G5")}


# -- true findings only ------------------------------------------------------------------


def test_grammars_that_come_with_lark_have_no_mistakes():
    for name in ("common", "unicode", "lark", "python"):
        grammar = (LARK_GRAMMARS / f"{name}.lark").read_text()
        findings = check_grammar(grammar)
        assert {f.code for f in findings} <= {"G502", "G509", "G514", "G515"}, name
        # Indentation is declared, and what needs it matches nothing.
        dead = {f.source.slice(f.span) for f in findings if f.severity == "warning"}
        assert dead == ({"_INDENT", "_DEDENT", "match_stmt"} if name == "python" else set())


def test_a_given_start_rule_says_what_is_used():
    grammar = (LARK_GRAMMARS / "python.lark").read_text()
    unused = {text for code, text in found(grammar, start="file_input") if code == "G501"}
    loaded, _ = load_grammar(grammar, "<python>", [], global_keep_all_tokens=False)
    _, kept, _ = loaded.compile(["file_input"], set())
    defined = {name for name, params, *_ in loaded.rule_defs if not params}
    templates = {name for name, params, *_ in loaded.rule_defs if params}
    assert unused - templates == defined - {rule.origin.name for rule in kept}
    assert "single_input" in unused


def test_shared_grammars_have_no_mistakes():
    path = SHARED / "grammars.jsonl"
    if not path.exists():
        pytest.skip("the shared cases are not here")
    for line in path.read_text().splitlines():
        case = json.loads(line)
        if case["kind"] == "lark":
            assert found(case["text"], "lark") == []
            assert found(case["ebnf"], "ebnf") == []
            assert found(case["ebnf"], "gbnf") == []


# -- errors -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grammar", "code", "place", "help_"),
    [
        ("start: NAEM\nNAME: /a/", "G402", "NAEM", "did you mean 'NAME'?"),
        ("start: naem\nname: /a/", "G402", "naem", "did you mean 'name'?"),
        ('start: pair{"a"}\npair{x, y}: x y', "G401", "pair", ""),
        ('root ::= "a" | itme\nitem ::= "b"', "G402", "itme", "did you mean 'item'?"),
        ("start: A\nA: /(?<=ab)c/", "G102", "(?<=ab)", ""),
        ('start: "a', "G401", '"', ""),
    ],
)
def test_what_keeps_a_grammar_from_use_is_an_error(grammar, code, place, help_):
    findings = check_grammar(grammar, syntax=syntax_of(grammar), name="g.txt")
    assert [f.severity for f in findings] == ["error"]
    assert (findings[0].code, findings[0].help) == (code, help_)
    assert grammar[findings[0].span.start :].startswith(place)
    assert "g.txt:" in findings[0].render()


def test_a_start_that_is_not_there_is_an_error():
    assert [f.code for f in check_grammar("number: /[0-9]/", start="nubmer")] == ["G404"]
    assert [f.code for f in check_grammar("number: /[0-9]/")] == ["G514"]
    assert [f.code for f in check_grammar('n ::= "a"', syntax="gbnf", start="m")] == ["G404"]
    assert [f.code for f in check_grammar("", syntax="gbnf")] == ["G404"]


def test_unknown_readings_are_refused():
    with pytest.raises(GrammarError) as caught:
        check_grammar("start: A", lexing="basic")
    assert caught.value.code == "G408"


# -- laws -------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["start", ":", "a", "A", '"a"', "/x*/", "(", ")", "[", "]", "|", "*", "~2", "{a}", "\n",
     "\n|", "a: ", "A: ", "A.2: ", "%ignore ", "// c\n", "a{x}: x", "->b", '"a".."b"', " "]
)  # fmt: skip


@given(words=st.lists(WORDS, max_size=25))
def test_any_text_gives_findings_with_places(words):
    for lexing in ("lexed", "scannerless"):
        for finding in check_grammar('start: "a" ' + "".join(words), lexing=lexing):
            assert finding.code in CODES
            assert finding.render()
            assert finding.to_json()["severity"] in ("error", "warning", "note")


@given(words=st.lists(WORDS, max_size=25))
def test_findings_do_not_depend_on_layout(words):
    grammar = 'start: "a" ' + "".join(words)
    spread = grammar.replace("\n", "  // a comment | with : signs\n\n  \n")
    codes = [f.code for f in check_grammar(grammar)]
    assert sorted(codes) == sorted(f.code for f in check_grammar(spread))


def test_findings_do_not_depend_on_the_hash_seed():
    grammar = LARK_GRAMMARS / "python.lark"
    outputs = {
        subprocess.run(
            [sys.executable, "-m", "lmql_like", "check-grammar", grammar],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            timeout=120,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize(
    "grammar",
    [
        "root ::= r0\n"
        + "".join(f'r{i} ::= "x" r{i + 1}\n' for i in range(5000))
        + "r5000 ::= []a]",
        "root ::= r0\n" + "".join(f"r{i} ::= r{i + 1}?\n" for i in range(5000)) + 'r5000 ::= "a"',
        "root ::= " + "|".join(f'"w{i}"' for i in range(20_000)),
        "root ::= r0\n" + "".join(f'r{i} ::= r{(i + 1) % 300} "x" | "y"\n' for i in range(300)),
        "root ::= " + "(" * 90 + '"a"' + ")*" * 90,
    ],
)
def test_large_grammars_are_checked_in_time(grammar):
    begin = time.monotonic()
    check_grammar(grammar, syntax="gbnf")
    assert time.monotonic() - begin < 20
