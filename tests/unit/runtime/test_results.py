"""Results as JSON."""

from __future__ import annotations

import datetime as dt
import enum
import json
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import pytest
from pydantic import BaseModel

from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.results import Result, Usage
from lmql_like.runtime.run import run_program
from lmql_like.runtime.toy_model import ToyModel

VOCABULARY = Vocabulary([*(bytes([byte]) for byte in range(256)), b""], eos_token_ids=[256])


def strict(result):
    return json.loads(json.dumps(result.to_json(), allow_nan=False))


def test_an_error_has_no_logprob():
    (failed,) = run_program(compile_query('"{1 / 0}[X]"'), [{}], model=ToyModel(VOCABULARY))
    data = strict(failed)
    assert (data["status"], data["logprob"]) == ("error", None)


def test_an_infinite_number_is_given_as_python_writes_it():
    program = compile_query('"a[N: float]" where N in ["1e999"]\nreturn [N, -N, N - N, 1.5]')
    (result,) = run_program(program, model=ToyModel(VOCABULARY))
    data = strict(result)
    assert data["variables"] == {"N": "inf"}
    assert data["value"] == ["inf", "-inf", "nan", 1.5]


@pytest.mark.parametrize("logprob", [float("-inf"), float("nan")])
def test_a_logprob_that_is_no_finite_number_is_null(logprob):
    result = Result("", {}, {1: float("inf")}, logprob, "dead-end", Usage(), "argmax")
    data = strict(result)
    assert data["logprob"] is None
    assert data["value"] == {"1": "inf"}


def test_values_of_types_are_what_they_are_in_json():
    class Color(enum.Enum):
        RED = "red"

    @dataclass
    class Entry:
        day: dt.date
        share: float

    class Book(BaseModel):
        entries: list[Entry]
        price: Decimal

    entry = Entry(dt.date(2024, 2, 29), float("inf"))
    value = [Book(entries=[entry], price="1.10"), {2, 1}, Color.RED, UUID(int=1), dt.time(9, 30)]
    result = Result("", {"X": value}, len, 0.0, "complete", Usage(), "argmax")
    assert result.to_json()["variables"]["X"] == [
        {"entries": [{"day": "2024-02-29", "share": "inf"}], "price": "1.10"},
        [1, 2],
        "red",
        "00000000-0000-0000-0000-000000000001",
        "09:30:00",
    ]
    assert result.to_json()["value"] == "<built-in function len>"
