"""Golden cases: how errors read, and what programs compile to.

`UPDATE_GOLDEN=1 pytest tests/unit/language/test_golden_cases.py` writes the expected
texts anew; read the difference before you keep it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lmql_like.errors import LmqlLikeError
from lmql_like.language.compiler import compile_query
from lmql_like.language.listing import list_program
from lmql_like.runtime.interpreter import Fill, Interpreter

GOLDEN = Path(__file__).parents[2] / "golden"
UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))


def cases(folder):
    return sorted((GOLDEN / folder).glob("*.lmql"), key=lambda path: path.name)


def compare(path, actual):
    if UPDATE:
        path.write_text(actual + "\n", encoding="utf-8")
    assert actual + "\n" == path.read_text(encoding="utf-8")


def run(program):
    """Run a program that compiles: its error comes later. Every hole is filled with 1."""
    interpreter = Interpreter(program, max_instructions=100)
    step = interpreter.start({parameter.name: "word" for parameter in program.parameters})
    while isinstance(step, Fill):
        step = interpreter.fill(step.state, "1")


@pytest.mark.parametrize("path", cases("errors"), ids=lambda path: path.stem)
def test_error_reads_as_recorded(path):
    with pytest.raises(LmqlLikeError) as raised:
        run(compile_query(path.read_text(encoding="utf-8"), name=path.name))
    compare(path.with_suffix(".err"), raised.value.render())


@pytest.mark.parametrize("path", cases("programs"), ids=lambda path: path.stem)
def test_program_compiles_as_recorded(path):
    program = compile_query(path.read_text(encoding="utf-8"), name=path.name)
    compare(path.with_suffix(".out"), list_program(program))
