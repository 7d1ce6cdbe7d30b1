from __future__ import annotations

import datetime as dt
from enum import Enum
from typing import Literal, Optional

import pytest

from lmql_like.errors import QueryError
from lmql_like.language.parameters import MISSING, Parameter, bind_arguments, parse_argument


class Color(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (None, "3", "3"),
        (str, "3", "3"),
        (int, "3", 3),
        (float, "1e3", 1000.0),
        (bool, "true", True),
        (list[int], "[1, 2]", [1, 2]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Optional[int], "3", 3),  # noqa: UP045 - the older spelling, too
        (int | None, "null", None),
        (Literal["a", "b"], "b", "b"),
        (Color, "red", Color.RED),
        (dt.date, "2024-02-29", dt.date(2024, 2, 29)),
        (tuple[int, str], '[1, "a"]', (1, "a")),
    ],
)
def test_texts_become_values(annotation, text, value):
    assert parse_argument(Parameter("x", annotation), text) == value


@pytest.mark.parametrize(
    ("annotation", "text", "shown"),
    [(int, "three", "int"), (list[int], '["a"]', "list[int]"), (bool, "maybe", "bool")],
)
def test_other_texts_are_refused_by_name(annotation, text, shown):
    with pytest.raises(QueryError) as raised:
        parse_argument(Parameter("count", annotation), text)
    assert raised.value.code == "Q403"
    assert "'count'" in raised.value.message
    assert shown in raised.value.message


def test_a_type_without_a_text_form_is_refused():
    with pytest.raises(QueryError) as raised:
        parse_argument(Parameter("x", type("Opaque", (), {})), "a")
    assert raised.value.code == "Q403"


def test_arguments_and_defaults_are_bound():
    parameters = [Parameter("a"), Parameter("b", int, 3)]
    assert bind_arguments(parameters, {"a": 1}) == {"a": 1, "b": 3}
    assert bind_arguments(parameters, {"a": 1, "b": None}) == {"a": 1, "b": None}


def test_missing_and_unknown_arguments_are_errors():
    parameters = [Parameter("country"), Parameter("n", int, MISSING)]
    with pytest.raises(QueryError) as raised:
        bind_arguments(parameters, {})
    assert raised.value.code == "Q401"
    assert "'country', 'n'" in raised.value.message
    with pytest.raises(QueryError) as raised:
        bind_arguments(parameters, {"contry": 1})
    assert raised.value.code == "Q402"
    assert "did you mean 'country'?" in raised.value.help


@pytest.mark.parametrize(
    "annotation", ["Foo", "print", "open('x')", "list[Foo]", "(lambda: int)()"]
)
def test_an_annotation_is_a_known_type(annotation):
    from lmql_like.language.compiler import compile_query

    with pytest.raises(QueryError) as raised:
        compile_query(f'x: {annotation}\n"[X]"')
    assert raised.value.code == "Q404"
