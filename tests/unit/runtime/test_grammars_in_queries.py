"""GRAMMAR, GBNF and SUBSTRING_OF in queries: what they accept, where they are refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmql_like.errors import LmqlLikeError
from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.interpreter import Interpreter
from lmql_like.runtime.run import run_program
from lmql_like.runtime.toy_model import ToyModel

TOKENS = [bytes([byte]) for byte in range(256)] + [b"((", b"))", b"ab"]
MODEL = ToyModel(Vocabulary([*TOKENS, b""], eos_token_ids=[len(TOKENS)]), context=None)
NESTED = """'root ::= "(" root ")" | "x"'"""


def run(text, decoder=None, name="<query>", **arguments):
    return run_program(compile_query(text, name=name), arguments, model=MODEL, decoder=decoder)


def is_nested(text):
    depth = (len(text) - 1) // 2
    return text == "(" * depth + "x" + ")" * depth


@pytest.mark.parametrize("decoder", ["argmax", "sample(n=5)", "beam(n=3)"])
def test_a_hole_is_a_sentence(decoder):
    for result in run(f'sample(max_len=40)\n    "A[X]" where GBNF(X, {NESTED})', decoder):
        text = result.variables.get("X", "")
        assert result.status == "truncated" or is_nested(text)


@pytest.mark.parametrize(
    "call",
    [
        """GRAMMAR(X, 'start: "a" start | "b"', lexing="scannerless")""",
        """GRAMMAR(X, 'start ::= "a" start | "b"', syntax="ebnf", start="start")""",
        """gbnf(X, 'start ::= "a" start | "b"', start="start")""",
    ],
)
def test_all_notations(call):
    for result in run(f'"[X]" where {call}', "sample(n=5)"):
        text = result.text
        assert result.status == "truncated" or (set(text[:-1]) <= {"a"} and text[-1] == "b")


def test_a_grammar_of_earlier_values():
    text = """
"[NAME]" where NAME in ["p", "q"]
"[X]" where GBNF(X, f'root ::= "<{NAME}>" [a-b] "</{NAME}>"')
"""
    for result in run(text, "beam(n=4)"):
        name = result.variables["NAME"]
        assert result.variables["X"] in (f"<{name}>a</{name}>", f"<{name}>b</{name}>")


def test_a_grammar_file_stands_beside_the_query(tmp_path):
    (tmp_path / "g.gbnf").write_text('root ::= "yes" | "no"\n', encoding="utf-8")
    query = tmp_path / "q.lmql"
    query.write_text('"[X]" where GBNF(X, file="g.gbnf")', encoding="utf-8")
    results = run(query.read_text(encoding="utf-8"), "beam(n=2)", name=str(query))
    assert {result.text for result in results} == {"yes", "no"}
    (tmp_path / "g.gbnf").write_text("root ::= \n  other\n", encoding="utf-8")
    with pytest.raises(LmqlLikeError) as raised:
        run(query.read_text(encoding="utf-8"), name=str(query))
    assert raised.value.code == "G402"
    assert raised.value.position == (2, 3)
    query.write_text('"[X]" where GBNF(X, file="missing.gbnf")', encoding="utf-8")
    with pytest.raises(LmqlLikeError) as raised:
        run(query.read_text(encoding="utf-8"), name=str(query))
    assert raised.value.code == "Q007"


def test_a_grammar_on_a_hole_that_was_filled_before_is_decided():
    text = f"""
"[X]" where X in ["(x)", "((x)"]
"[Y]" where Y in ["a"]
where (GBNF(X, {NESTED}) or len(X) == 4) or len(Y) == 3
"""
    assert {result.status for result in run(text, "beam(n=2)")} == {"complete"}


CALLS = """
start: NAME "(" start ")" | NAME
NAME: /[a-z]+/
%ignore " "
"""
WHERE = {
    "lengths": "len(X) < 9",
    "patterns": 'REGEX(X, r"[a-f(]+x[)]*") and len(X) < 12',
    "phrases": '"(q" in X and not "aa" in X and len(X) <= 10',
    "tokens": "len(TOKENS(X)) <= 6",
    "tokens and patterns": 'len(TOKENS(X)) <= 8 and REGEX(X, r"[^ ]*[(].*")',
    "stops": 'STOPS_AT(X, [")", "c"]) and len(X) < 15',
}
HOLDS = {
    "lengths": lambda text: len(text) < 9,
    "patterns": lambda text: re.fullmatch(r"[a-f(]+x[)]*", text) and len(text) < 12,
    "phrases": lambda text: "(q" in text and "aa" not in text and len(text) <= 10,
    "tokens": lambda text: len(text.encode()) <= 12,  # no token is longer than two bytes
    "tokens and patterns": lambda text: re.fullmatch(r"[^ ]*[(].*", text),
    "stops": lambda text: len(text) < 15 and not any(is_call(text[:k]) for k in stops_in(text)),
}


def is_call(text):
    depth = text.count("(")
    return (
        re.fullmatch(r"( *[a-z]+ *\()*" + r" *[a-z]+ *" + r"(\) *)*", text)
        and text.count(")") == depth
    )


def stops_in(text):
    return [k + 1 for k, letter in enumerate(text[:-1]) if letter in ")c"]


@pytest.mark.parametrize("decoder", ["argmax", "sample(n=4)", "beam(n=3)"])
@pytest.mark.parametrize("conditions", sorted(WHERE))
def test_a_lexed_grammar_stands_beside_conditions(conditions, decoder):
    text = f'"[X]" where GRAMMAR(X, calls) and {WHERE[conditions]}'
    for result in run(f"argmax(max_len=40)\n    {text}", decoder, calls=CALLS):
        assert result.status == "complete"
        assert is_call(result.variables["X"]), result.variables["X"]
        assert HOLDS[conditions](result.variables["X"]), result.variables["X"]


def test_a_phrase_before_which_a_sentence_ends_is_cut_off():
    text = '"[X]!" where GRAMMAR(X, calls) and STOPS_BEFORE(X, "!") and len(X) < 6'
    for result in run(text, "beam(n=3)", calls=CALLS):
        assert is_call(result.variables["X"])
        assert len(result.variables["X"]) < 6


@given(st.text("abé", max_size=7), st.text("abé", max_size=4))
@settings(max_examples=60)
def test_a_quotation_occurs_in_its_text(text, candidate):
    program = compile_query('"[X]" where SUBSTRING_OF(X, text)')
    step = Interpreter(program).start({"text": text})
    assert compile_formula(step.hole.formula).matches(candidate) == (candidate in text)


@pytest.mark.parametrize(
    ("text", "code", "position"),
    [
        (f'"[X]" where not GBNF(X, {NESTED})', "Q213", (1, 17)),
        (f'"[X]" where GBNF(X, {NESTED}) and GBNF(X, {NESTED})', "Q213", (1, 56)),
        (f'"[X]" where GBNF(X, {NESTED})\nwhere GBNF(X, {NESTED})', "Q213", (2, 7)),
        ('"[X]" where GBNF(X, "root ::= other")', "G402", (1, 31)),
        ('"[X]" where GBNF(X, 3)', "Q208", (1, 21)),
        ('"[X]" where GBNF(X, grammar)', "R102", (1, 21)),
        ('"[X]" where GBNF(X)', "Q203", (1, 13)),
        ('"[X]" where GBNF("a", X)', "Q203", (1, 13)),
        ('"[X]" where GRAMMAR(X, "a", lexed=1)', "Q203", (1, 13)),
        ('"[X]" where GRAMMAR(X, "a", syntax="bnf")', "Q203", (1, 13)),
        ('"[X]" where SUBSTRING_OF(X, 3)', "Q208", (1, 29)),
    ],
)
def test_refused(text, code, position):
    with pytest.raises(LmqlLikeError) as raised:
        run(text, **({"grammar": 3} if "grammar)" in text else {}))
    assert (raised.value.code, raised.value.position) == (code, position)
