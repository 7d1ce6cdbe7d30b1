"""Large, deep and hostile schemas end in a result or in a coded error, soon."""

from __future__ import annotations

import time

import pytest
from hostile_schemas import REFUSED, SCHEMAS, pydantic_models

from lmql_like.errors import CODES, SchemaError
from lmql_like.grammars.json_schema import compile_json_schema

SECONDS = 20  # of processor time, on a machine that others use too


@pytest.fixture(autouse=True, scope="module")
def _compiled_kernels():
    """Compile the kernels before the clock runs."""
    compile_json_schema({"type": "object"}).matches('{"a": [1]}')


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_is_large_is_compiled_in_time(name):
    schema, valid, invalid = SCHEMAS[name]
    begin = time.process_time()
    automaton = compile_json_schema(schema)
    assert automaton.matches(valid)
    assert not automaton.matches(invalid)
    assert time.process_time() - begin < SECONDS


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_too_large_is_refused_in_time(name):
    begin = time.process_time()
    with pytest.raises(SchemaError) as caught:
        compile_json_schema(REFUSED[name])
    assert caught.value.code in CODES
    assert time.process_time() - begin < SECONDS


def test_three_hundred_pydantic_models():
    pytest.importorskip("pydantic")
    automaton = compile_json_schema(pydantic_models(300))
    left = '{"name_1": "x", "right": [{"name_4": "", "count_4": 2}]}'
    assert automaton.matches(f'{{"name_0": "a", "left": [{left}, {left}]}}')
    assert not automaton.matches('{"name_0": "a", "left": [{"name_2": "x"}]}')
