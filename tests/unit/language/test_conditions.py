"""What conditions demand of a hole's text, checked on texts."""

from __future__ import annotations

import pytest

from lmql_like.errors import GrammarError, LmqlLikeError, QueryError, RunError
from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.formulas import FALSE, TRUE, StopsBefore, TokenCount
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.interpreter import Fill, Interpreter

TEXTS = [
    "",
    "a",
    "b",
    "ab",
    "ba",
    "abc",
    "abca",
    "a b",
    "a b c",
    "é",
    "12",
    " 12",
    "1.5",
    "True",
    "a\n",
]


def formula_of(condition, **values):
    program = compile_query('"[X]" where ' + condition)
    step = Interpreter(program).start(values)
    assert isinstance(step, Fill)
    return step.hole.formula


@pytest.mark.parametrize(
    ("condition", "meaning"),
    [
        ('X in ["a", "ab"]', lambda x: x in ["a", "ab"]),
        ('X in ("a", "b")', lambda x: x in ("a", "b")),
        ('X in {"a": 1}', lambda x: x == "a"),
        ("X in [] + []", lambda _: False),
        ('X in "ab"', lambda x: x in "ab"),
        ('X not in ["a"]', lambda x: x != "a"),
        ('X == "ab"', lambda x: x == "ab"),
        ('"ab" == X', lambda x: x == "ab"),
        ('X != "ab"', lambda x: x != "ab"),
        ('"a" in X', lambda x: "a" in x),
        ('"a" not in X', lambda x: "a" not in x),
        ('X.startswith("a")', lambda x: x.startswith("a")),
        ('X.startswith(("a", "b"))', lambda x: x.startswith(("a", "b"))),
        ('X.endswith("a")', lambda x: x.endswith("a")),
        ('STARTS_WITH(X, ["a", "1"])', lambda x: x.startswith(("a", "1"))),
        ('ends_with(X, "b")', lambda x: x.endswith("b")),
        ('REGEX(X, r"[ab]+")', lambda x: x and not x.strip("ab")),
        ('regex(X, r"a.?")', lambda x: x in ("a", "ab", "abc", "a b") and len(x) < 3),
        ("INT(X)", lambda x: x in ("12", " 12")),
        ("FLOAT(X)", lambda x: x in ("12", " 12", "1.5")),
        ("BOOL(X)", lambda x: x == "True"),
        ('STOPS_AT(X, "\\n")', lambda x: "\n" not in x[:-1]),
        ('stops_at(X, ["c", "zz"])', lambda x: "c" not in x[:-1]),
        ("len(X) < 2", lambda x: len(x) < 2),
        ("len(X) <= 2", lambda x: len(x) <= 2),
        ("len(X) > 2", lambda x: len(x) > 2),
        ("len(X) >= 2", lambda x: len(x) >= 2),
        ("len(X) == 2", lambda x: len(x) == 2),
        ("len(X) != 2", lambda x: len(x) != 2),
        ("2 > len(X)", lambda x: len(x) < 2),
        ("2 <= len(X)", lambda x: len(x) >= 2),
        ("1 < len(X) <= 3", lambda x: 1 < len(x) <= 3),
        ("len(X) in [1, 3]", lambda x: len(x) in (1, 3)),
        ("len(X) in range(2, 4)", lambda x: len(x) in (2, 3)),
        ("len(X) not in {0, 1}", lambda x: len(x) > 1),
        ("len(X) < 0 * 1", lambda _: False),
        ("len(X) >= -3", lambda _: True),
        ("len(BYTES(X)) == 2", lambda x: len(x.encode()) == 2),
        ("len(WORDS(X)) == 2", lambda x: len(x.split()) == 2),
        ('len(X) < 2 or X == "abc"', lambda x: len(x) < 2 or x == "abc"),
        ('not (len(X) < 2 or "b" in X)', lambda x: not (len(x) < 2 or "b" in x)),
        ('len(X) < 3 and not X in ["a"]', lambda x: len(x) < 3 and x != "a"),
        ('("a" in X and "b" in X) or X == ""', lambda x: ("a" in x and "b" in x) or x == ""),
        ("True", lambda _: True),
        ("False or len(X) == 1", lambda x: len(x) == 1),
        ("1 + 1 == 3", lambda _: False),
        ("len(X) < 1 + 1", lambda x: len(x) < 2),
        ("len(X) < len([1, 2])", lambda x: len(x) < 2),
    ],
)
def test_conditions_mean_what_python_would_say(condition, meaning):
    automaton = compile_formula(formula_of(condition))
    assert [x for x in TEXTS if automaton.matches(x)] == [x for x in TEXTS if meaning(x)]


def test_operands_are_values_of_the_moment():
    formula = formula_of("X in options and len(X) < n", options=["a", "abc"], n=2)
    assert [x for x in TEXTS if compile_formula(formula).matches(x)] == ["a"]


def test_token_counts_stay_with_the_formula():
    assert formula_of("len(TOKENS(X)) <= 3") == TokenCount(0, 3)
    assert formula_of("2 < len(TOKENS(X))") == TokenCount(3, None)


def test_a_stop_phrase_may_be_a_compiled_pattern():
    formula = formula_of("STOPS_BEFORE(X, p)", p=__import__("re").compile("[.!]"))
    assert isinstance(formula, StopsBefore)


def test_a_compiled_pattern_keeps_its_flags():
    import re

    formula = formula_of("REGEX(X, p)", p=re.compile("A.?", re.IGNORECASE))
    assert [x for x in TEXTS if compile_formula(formula).matches(x)] == ["a", "ab"]


def test_the_empty_condition_is_true():
    assert formula_of("1 < 2") == TRUE
    assert formula_of("X in [] + []") == FALSE


@pytest.mark.parametrize(
    ("condition", "code", "column"),
    [
        ("X", "Q201", 13),
        ("not X", "Q201", 17),
        ("X > 3", "Q201", 13),
        ('X[0] == "a"', "Q201", 13),
        ('X.upper() == "A"', "Q201", 13),
        ('X.startswith("a", 1)', "Q201", 13),
        ("len(X) + 1 < 3", "Q201", 13),
        ("len(X)", "Q201", 13),
        ("len(X.strip()) < 3", "Q201", 13),
        ("print(X)", "Q201", 13),
        ('X is "a"', "Q201", 13),
        ("X == X", "Q201", 13),
        ("len(X) < len(X)", "Q201", 13),
        ("X in [X]", "Q201", 13),
        ("INT(X) == 3", "Q201", 13),
        ('"a" if X == "b" else "c"', "Q201", 13),
        ('REGEXX(X, "a")', "Q202", 13),
        ("stopsat(X, 'a')", "Q202", 13),
        ("INT(X, 3)", "Q203", 13),
        ('REGEX("a", X)', "Q203", 19),
        ('REGEX(X, p="a")', "Q203", 13),
        ("X in [TOKENS]", "Q102", 19),
        ('not STOPS_BEFORE(X, "a")', "Q204", 17),
        ('(STOPS_BEFORE(X, "a") and len(X) < 3) or len(X) == 9', "Q204", 14),
        ("ERASE(X)", "Q205", 13),
        ('GRAMMAR(X, "")', "G404", 24),
        ('GBNF(X, "")', "G404", 21),
        ('GBNF(X, syntax="lark")', "Q203", 13),
        ('GBNF(X + "a", "a")', "Q203", 13),
        ("GRAMMAR(X, 'a', start=n)", "Q203", 13),
        ("not GBNF(X, 'root ::= \"a\"')", "Q213", 17),
        ("GBNF(X, 'root ::= \"a\"') and GBNF(X, 'root ::= \"b\"')", "Q213", 41),
        ("X in 5", "Q208", 18),
        ('X in ["a", 3]', "Q208", 18),
        ("X == 3", "Q208", 18),
        ("3 in X", "Q208", 13),
        ('len(X) < "3"', "Q208", 22),
        ("len(X) < 2.5", "Q208", 22),
        ("len(X) < True", "Q208", 22),
        ("len(X) in 3", "Q208", 23),
        ("STOPS_AT(X, [])", "Q208", 25),
        ("STOPS_AT(X, 3)", "Q208", 25),
        ('REGEX(X, "[a")', "G101", 23),
        ('REGEX(X, r"(?=a)")', "G102", 24),
        ("len(Y) < 3", "Q104", 17),
        ('Y == "a" or len(X) < 3', "Q104", 13),
    ],
)
def test_refuses_with_a_place(condition, code, column):
    with pytest.raises(LmqlLikeError) as raised:
        compile_query('"[X]" where ' + condition, parameters=[])
    assert (raised.value.code, raised.value.position) == (code, (1, column))


@pytest.mark.parametrize(
    ("condition", "values", "code"),
    [
        ("X in v", {"v": 5}, "R102"),
        ("X in v", {"v": [1]}, "R102"),
        ("X == v", {"v": None}, "R102"),
        ("v in X", {"v": 3}, "R102"),
        ("len(X) < v", {"v": "3"}, "R102"),
        ("len(X) in v", {"v": "abc"}, "R102"),
        ("STOPS_AT(X, v)", {"v": [""]}, "R102"),
        ("X in v", {"v": "ab" * 99}, "R102"),
        ("REGEX(X, v)", {"v": "[a"}, "G101"),
        ("X in v[0]", {"v": []}, "R101"),
        ("len(X) < 1 // v", {"v": 0}, "R101"),
    ],
)
def test_operands_of_the_wrong_kind_are_run_errors(condition, values, code):
    with pytest.raises((RunError, GrammarError)) as raised:
        formula_of(condition, **values)
    assert raised.value.code == code
    assert raised.value.position


def test_a_names_own_meaning_wins_over_an_operators():
    program = compile_query('REGEX = ["a"]\n"[X]" where X in REGEX')
    assert isinstance(Interpreter(program).start(), Fill)


def test_tokens_are_refused_where_they_cannot_be_counted():
    with pytest.raises(QueryError) as raised:
        compile_query('"[X] [Y]" where len(TOKENS(X)) < len(Y)')
    assert raised.value.code == "Q210"
    with pytest.raises(QueryError) as raised:
        compile_query('"[X] [Y]" where len(Y) < len(TOKENS(X))')
    assert raised.value.code == "Q210"
