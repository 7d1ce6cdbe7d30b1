"""Typed holes in programs: where their types come from, how they fork, what is refused."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass
from typing import Literal

import pytest
from pydantic import BaseModel

import lmql_like
from lmql_like.errors import LmqlLikeError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.language.known_types import MISSING, KnownTypes
from lmql_like.language.parser import parse_query
from lmql_like.runtime.interpreter import Fill, Interpreter
from lmql_like.runtime.run import run_program
from lmql_like.runtime.toy_model import ToyModel
from lmql_like.source import Source

TOKENS = [bytes([byte]) for byte in range(256)] + [b"true", b'{"', b'": ', b"2024-"]
MODEL = ToyModel(Vocabulary([*TOKENS, b""], eos_token_ids=[len(TOKENS)]), end_bias=4.0)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Person(BaseModel):
    name: str
    color: Color | None = None


@dataclass
class Flags:
    on: bool
    size: Literal["small", "large"]


def run(text, decoder="argmax", **arguments):
    return run_program(compile_query(text), arguments, model=MODEL, decoder=decoder, seed=1)


def filled(text, *texts):
    """Return the variables of a program whose holes get these texts."""
    interpreter = Interpreter(compile_query(text))
    step = interpreter.start()
    for one in texts:
        assert isinstance(step, Fill)
        step = interpreter.fill(step.state, one)
    return step.state.variables


@lmql_like.query(model=MODEL)
def from_the_module():
    """
    "[X: Color] [F: Flags]" where len(F) < 40
    """


def test_types_of_the_module_around_a_query_function():
    result = from_the_module()
    assert isinstance(result.variables["X"], Color)
    assert isinstance(result.variables["F"], Flags)


def test_types_of_the_function_around_a_query_function():
    @dataclass
    class Local:
        when: bool

    @lmql_like.query(model=MODEL)
    def query():
        """
        "[X: Local]" where len(X) < 20
        """

    assert isinstance(query().variables["X"], Local)


def test_a_type_may_be_an_argument():
    text = 'kind: type\n"[X: kind]" where len(X) < 20'
    assert isinstance(run(text, kind=Flags | bool)[0].variables["X"], Flags | bool)
    assert isinstance(run(text, kind=dt.date)[0].variables["X"], dt.date)


@pytest.mark.parametrize("decoder", ["beam(n=3)", "sample(n=3)", "best_k(k=3)", "beam_var(n=2)"])
def test_hypotheses_fork_through_typed_holes(decoder):
    text = """
from dataclasses import dataclass
@dataclass
class Point:
    on: bool
points = []
for i in range(2):
    "{i}:[P: Point]" where len(P) < 16
    points.append(P.on)
return points
"""
    for result in run(text, decoder):
        assert result.status == "complete"
        assert len(result.value) == 2
        assert result.variables["P"].on is result.value[1]
        assert str(result.value[0]).lower() in result.text.split("1:")[0]


def test_masks_of_a_type_are_shared_by_the_runs_of_a_program():
    text = 'from dataclasses import dataclass\n@dataclass\nclass P:\n    on: bool\n"[X: P]"'
    interpreters = [Interpreter(compile_query(text)) for _ in range(2)]
    holes = [interpreter.start().hole for interpreter in interpreters]
    assert holes[0].formula is holes[1].formula
    assert holes[0].formula == holes[1].formula


def test_the_prompt_keeps_the_text_and_the_variable_is_the_value():
    text = '"[X: list[int]]{X[0] + 1} [Y]"'
    variables = filled(text, " [1,  2]", "z")
    assert variables["X"] == [1, 2]
    (result,) = run('"[X: int | None]!" where X == "None"')
    assert result.text == "None!"
    assert result.variables == {"X": None}


def test_a_text_that_was_cut_off_has_no_value():
    with pytest.raises(LmqlLikeError) as raised:
        filled('"[X: list[int]]"', "[1, ")
    assert raised.value.code == "R103"
    assert "list[int]" in raised.value.message


def test_what_a_validator_raises_goes_to_the_program():
    text = """
from pydantic import BaseModel, field_validator
class Strange(BaseModel):
    n: int
    @field_validator("n")
    @classmethod
    def look(cls, n):
        raise KeyError(n)
try:
    "[X: Strange]" where X == '{"n": 1}'
except KeyError as error:
    return error.args[0]
"""
    assert run(text)[0].value == 1


def test_decorators_see_the_value():
    text = """
def first(values):
    return values[0]
"[@first X: list[int]]" where X == "[5]"
"""
    assert run(text)[0].variables["X"] == 5


def test_pre_fills_a_typed_hole_with_a_text_of_the_type():
    text = """
@pre
def known(name):
    return {given!r}
"[@known X: list[int]]"
"""
    assert run(text.replace("{given!r}", "[3]"))[0].status == "complete"
    assert run(text.replace("{given!r}", "'abc'"))[0].status == "dead-end"


@pytest.mark.parametrize(
    ("text", "code", "position"),
    [
        ('"[X: Color]"', "Q102", (1, 6)),
        ('"[X: list[Color]]"', "Q102", (1, 11)),
        ('"[X: Literal[1]]"', "Q102", (1, 6)),
        ('"[X]" where type(X) is Color', "Q102", (1, 24)),
        ('from typing import Callable\n"[X: Callable]"', "S401", (2, 6)),
        ('"[X: range]"', "S403", (1, 6)),
        ('"[X: list[range]]"', "S403", (1, 6)),
        ('class C:\n    pass\n"[X: C]"', "S403", (3, 6)),
        ('n = 3\n"[X: n]"', "R108", (2, 6)),
        ('import math\n"[X: math.sqrt]"', "R108", (2, 6)),
        ('"[X: list[int]]" where GBNF(X, "root ::= \\"a\\"")', "G105", (1, 6)),
        ('"[X: dict]" where STOPS_AT(X, "}") or len(X) == 9', "G105", (1, 6)),
        ('"[X]" where JSON(X) and JSON(X)', "Q213", (1, 25)),
        ('"[X]" where not JSON(X)', "Q213", (1, 17)),
        ('"[X]" where JSON()', "Q203", (1, 13)),
        ('"[X]" where JSON(X, {}, {})', "Q203", (1, 13)),
        ('"[X]" where JSON(X, spaces="a")', "Q203", (1, 13)),
        ('"[X]" where JSON(X, whitespace="wide")', "S106", (1, 13)),
        ('"[X]" where JSON(X, "{")', "S101", (1, 21)),
        ('"[X]" where JSON(X, {"type": "array", "uniqueItems": True})', "S301", (1, 21)),
        ('x = {"a": object()}\n"[X]" where JSON(X, x)', "S101", (2, 21)),
        ('"[X]" where JSON(X, file="nowhere.json")', "Q007", None),
        ('"[X: float]" where X in ["a"] and type(X) is float', "Q211", (1, 6)),
        ('@query\ndef f():\n    "a"\nf = f\n"[X: f]" where STOPS_AT(X, "a")', "Q212", (5, 16)),
        ('@query\ndef f():\n    "a"\ng = f\n"[X: g]" where STOPS_AT(X, "a")', "Q212", (5, 16)),
        ('@query\ndef f():\n    "a"\ng = f\n"[X: g]" distribution X in ["a"]', "Q056", (5, 10)),
    ],
)
def test_refused_with_a_place(text, code, position):
    with pytest.raises(LmqlLikeError) as raised:
        run(text)
    assert (raised.value.code, raised.value.position) == (code, position)


def test_a_missing_import_is_named():
    with pytest.raises(LmqlLikeError) as raised:
        compile_query('"[X: Literal[1]]"')
    assert raised.value.help == "write 'from typing import Literal' in front of it"


def test_what_is_known_before_a_program_runs():
    def value(annotation, head=""):
        query = parse_query(Source(f'{head}\n"[X: {annotation}]"', "<q>"))
        tree = query.statements[-1].parts[0].annotation.kind
        return KnownTypes(query).value(tree)

    assert value("list[int]") == list[int]
    assert value("d.date", "import datetime as d") is dt.date
    assert value("date", "from datetime import date") is dt.date
    assert value("date", "date = 3") is MISSING
    assert value("list", "list = 3") is MISSING
    assert value("date", "from datetime import date\ndate = 3") is MISSING
    assert value("date", "from elsewhere import date") is MISSING
    assert value("list['date']") is MISSING


def test_json_of_a_file_and_of_a_path(tmp_path):
    (tmp_path / "bits.json").write_text(
        '{"type": "array", "items": {"enum": [0, 1]}, "minItems": 1}'
    )
    (tmp_path / "q.lmql").write_text('"[X]" where JSON(X, file="bits.json") and len(X) == 3')
    result = lmql_like.run_file(tmp_path / "q.lmql", model=MODEL)
    assert result.variables["X"] in ([0], [1])
    text = 'from pathlib import Path\n"[X]" where JSON(X, Path(p)) and len(X) == 3'
    assert run(text, p=str(tmp_path / "bits.json"))[0].variables["X"] in ([0], [1])


def test_a_wrong_schema_of_a_file_is_blamed_there(tmp_path):
    (tmp_path / "wrong.json").write_text('{"items": {"type": "strin"}}')
    (tmp_path / "q.lmql").write_text('"[X]" where JSON(X, file="wrong.json")')
    with pytest.raises(LmqlLikeError) as raised:
        lmql_like.run_file(tmp_path / "q.lmql", model=MODEL)
    assert raised.value.code == "S102"
    assert "wrong.json#/items/type" in raised.value.message
