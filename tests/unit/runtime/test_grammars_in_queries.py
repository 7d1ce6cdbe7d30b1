"""GRAMMAR, GBNF and SUBSTRING_OF in queries: what they accept, where they are refused."""

from __future__ import annotations

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
