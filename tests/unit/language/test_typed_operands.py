"""Earlier holes that are numbers, in conditions on later ones."""

from __future__ import annotations

import pytest

from lmql_like.errors import QueryError
from lmql_like.grammars.compiler import compile_formula
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.interpreter import Interpreter


@pytest.mark.parametrize(
    "condition",
    [
        "Y == X",
        "X != Y",
        "Y in [X, 'a']",
        "X in Y",
        "Y.startswith(X)",
        "STOPS_AT(Y, X)",
        "not (Y == 'a' or Y == X)",
        "len(Y) == len(X)",
        "len(Y) < len(WORDS(X))",
        "len(Y) in X",
        "Y == X.upper()",
        "Y == X[0]",
        "Y == 'a' + str(len(X))",
    ],
)
@pytest.mark.parametrize("hole", ['"Q:[X]" where INT(X)', '"Q:[X: int]"'])
def test_a_number_is_no_text(hole, condition):
    with pytest.raises(QueryError, match="no text but of type int") as raised:
        compile_query(f'{hole}\n"Z:[Y]" where {condition}')
    error = raised.value
    assert error.code == "Q208"
    assert error.position[0] == 2
    assert error.source.slice(error.span) == "X"


@pytest.mark.parametrize(
    ("condition", "text", "fits"),
    [
        ("Y == str(X)", "-8", True),
        ("Y == str(X)", "8", False),
        ("len(Y) == len(str(X))", "ab", True),
        ("len(Y) < -X", "ab", True),
        ("len(Y) in [X, 2]", "ab", True),
        ("len(Y) == abs(X)", "abcdefgh", True),
        ("Y == X.bit_length() * 'a'", "aaaa", True),
        ("Y == (X if isinstance(X, str) else 'a')", "a", True),
    ],
)
def test_its_value_may_be_used(condition, text, fits):
    program = compile_query(f'"Q:[X: int]"\n"Z:[Y]" where {condition}')
    interpreter = Interpreter(program)
    step = interpreter.fill(interpreter.start().state, " -8")
    assert compile_formula(step.hole.formula).matches(text) == fits


@pytest.mark.parametrize(
    "text",
    [
        '"[Y]"\n"[X: int]" where X == Y',
        '"[X: int]"\nX = str(X)\n"[Y]" where Y == X',
        '"[X]"\nif X:\n    "[X: int]"\n"[Y]" where Y == X',
        '"[X: str]"\n"[Y]" where Y == X',
    ],
)
def test_what_may_be_a_text_is_left_to_the_run(text):
    assert compile_query(text).holes


@pytest.mark.parametrize("strict", [True, False])
def test_a_bare_name_is_an_argument(strict):
    program = compile_query('"[X]" where not strict or X == "a"')
    assert [parameter.name for parameter in program.parameters] == ["strict"]
    step = Interpreter(program).start({"strict": strict})
    assert compile_formula(step.hole.formula).matches("b") != strict


def test_a_bare_name_that_nothing_gives_a_value_is_refused_in_a_function():
    with pytest.raises(QueryError) as raised:
        compile_query('"[X]" where strict', parameters=[])
    assert (raised.value.code, raised.value.position) == ("Q102", (1, 13))
