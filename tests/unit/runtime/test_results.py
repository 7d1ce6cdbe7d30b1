"""Results as JSON."""

from __future__ import annotations

import json

import pytest

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
