"""Halves of surrogate pairs: an error of the input that holds one, and of no other."""

from __future__ import annotations

import json
import re

import pytest

from lmql_like.errors import LmqlLikeError, QueryError, RunError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.run import run_program
from lmql_like.runtime.toy_model import ToyModel
from lmql_like.source import Source, Span

HALF = "\ud800"
VOCABULARY = Vocabulary([*(bytes([byte]) for byte in range(256)), b""], eos_token_ids=[256])

OPERANDS = [
    "X == v",
    "X != v",
    "X in v",
    "X in [v, 'a']",
    "v in X",
    "X.startswith(v)",
    "ENDS_WITH(X, [v])",
    "STOPS_AT(X, v)",
    "STOPS_AT(X, ['a', v])",
    "STOPS_BEFORE(X, v)",
]


def run(text, rows):
    program = compile_query(f"argmax(max_len=9)\n    {text}")
    return run_program(program, rows, model=ToyModel(VOCABULARY))


@pytest.mark.parametrize("condition", OPERANDS)
def test_an_operand_fails_its_own_row_where_it_stands(condition):
    text = f'"a[X]" where {condition}'
    bad, good = run(text, [{"v": "b" + HALF}, {"v": "b"}])
    assert (bad.status, bad.error.code) == ("error", "R102")
    start = text.index(condition)
    assert start + 5 <= bad.error.position[1] <= start + 5 + len(condition)
    assert good.status != "error"
    json.dumps(bad.to_json(), ensure_ascii=False).encode()


@pytest.mark.parametrize("condition", OPERANDS)
def test_a_literal_operand_is_refused_when_the_query_is_compiled(condition):
    written = re.sub(r"\bv\b", r"'\\ud800'", condition)
    with pytest.raises(QueryError, match="valid Unicode") as raised:
        compile_query(f'"a[X]" where {written}')
    assert raised.value.code == "Q208"


@pytest.mark.parametrize(
    ("prompt", "column"), [("{v}[X]", 7), ("a[X]{v}", 11), ("a{7:{v}>3}[X]", 8)]
)
def test_prompt_text_fails_its_own_row(prompt, column):
    bad, good = run(f'"{prompt}" where X == "c"', [{"v": HALF}, {"v": "b"}])
    assert (bad.status, bad.error.code) == ("error", "R107")
    assert bad.error.position[1] == column
    assert good.status != "error"


def test_the_query_itself_may_catch_it():
    text = 'try:\n    "{v}"\nexcept Exception:\n    "b"\n"[X]" where X == "c"'
    (result,) = run_program(compile_query(text), {"v": HALF}, model=ToyModel(VOCABULARY))
    assert result.text == "bc"


def test_an_escape_in_a_prompt_string_is_refused():
    with pytest.raises(QueryError) as raised:
        compile_query(r'"a \ud83d\ude00 [X]"')
    assert (raised.value.code, raised.value.position) == ("Q017", (1, 4))


def test_a_variable_in_the_place_of_a_hole():
    text = '"a[X]" where X == "b"\nX = v\n"[Y]" where Y == "b" or X == "b"'
    with pytest.raises(RunError, match="valid Unicode"):
        run_program(compile_query(text), {"v": HALF}, model=ToyModel(VOCABULARY))


def test_a_pattern_may_name_what_no_text_holds():
    (result,) = run('"a[X]" where REGEX(X, v)', {"v": "[b\ud800-\udfff]"})
    assert result.variables == {"X": "b"}


@pytest.mark.parametrize("text", ['"{x}\ud800[X]"', 'x = "\ud800"\n"[X]"', "\ud800"])
def test_a_half_in_the_query_is_an_error_that_can_be_printed(text):
    with pytest.raises(LmqlLikeError) as raised:
        compile_query(text)
    str(raised.value).encode()


def test_an_excerpt_shows_an_escape_and_keeps_the_carets_below():
    source = Source("ab\ud800cd\udfffe", "file")
    error = QueryError("Q005", "half \ud800", source=source, span=Span(4, 6), label="here")
    lines = error.render().splitlines()
    assert lines[0] == r"error[Q005]: half \ud800"
    assert lines[-2] == r" 1 | ab\ud800cd\udfffe"
    assert lines[-1] == "   | " + " " * 9 + "^" * 7 + " here"
