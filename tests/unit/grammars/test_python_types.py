"""Types one by one: how their values are written, what is checked, what is refused."""

from __future__ import annotations

import collections
import copy
import datetime as dt
import enum
import ipaddress
import math
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from pydantic import (
    UUID4,
    AfterValidator,
    AliasChoices,
    AliasPath,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NaiveDatetime,
    PastDate,
    RootModel,
    SecretStr,
    StringConstraints,
    model_validator,
)
from typing_extensions import NotRequired, TypedDict

from lmql_like.errors import SchemaError
from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.python_types import read_schema, read_type


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Pair(NamedTuple):
    left: int
    right: str = "x"


@dataclass
class Point:
    x: int
    y: float = 0.0
    label: str = field(init=False, default="none")
    scale: InitVar[int] = 1


class Entry(TypedDict):
    a: int
    b: NotRequired[bool]


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"


class Dog(BaseModel):
    kind: Literal["dog", "wolf"] = "dog"


class Aliased(BaseModel):
    first: int = Field(alias="the first")
    second: int = Field(validation_alias=AliasChoices(AliasPath("b", 0), "the second"))


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", str_max_length=2, strict=True)
    text: str
    day: dt.date | None = None


class Loose(BaseModel, extra="allow"):
    __pydantic_extra__: dict[str, int]
    a: int


TABLE = [
    (int, {"3": 3, " -12": -12, "0": 0}, ["3.0", "1e3", "+1", "007", "", "  3"]),
    (float, {"3": 3.0, " 2.5e3": 2500.0}, ["inf", "nan", ".5"]),
    (bool, {"True": True, "false": False, " true": True}, ["TRUE", "1", "yes"]),
    (None, {"None": None, "null": None}, ["none", ""]),
    (str, {"": "", ' "x': ' "x', "é\n": "é\n"}, []),
    (Annotated[str, Field(max_length=2)], {"é😀": "é😀", " ": " "}, ["abc"]),
    (dt.date, {"2024-02-29": dt.date(2024, 2, 29)}, ["2023-02-29", "0000-01-01", "2024-2-1"]),
    (dt.time, {"09:30": dt.time(9, 30), "23:59:59.5": dt.time(23, 59, 59, 500000)}, ["24:00"]),
    (dt.datetime, {"2024-01-01 10:00": dt.datetime(2024, 1, 1, 10)}, ["2024-01-01"]),  # noqa: DTZ001
    (NaiveDatetime, {"2024-01-01T10:00": dt.datetime(2024, 1, 1, 10)}, ["2024-01-01T10:00Z"]),  # noqa: DTZ001
    (AwareDatetime, {"2024-01-01T10:00Z": dt.datetime(2024, 1, 1, 10, tzinfo=dt.timezone.utc)},
     ["2024-01-01T10:00"]),
    (dt.timedelta, {"P1DT2H": dt.timedelta(days=1, hours=2), "-PT0.5S": dt.timedelta(seconds=-0.5)},
     ["P", "PT", "P1M"]),
    (uuid.UUID, {str(uuid.UUID(int=7)): uuid.UUID(int=7)}, [uuid.UUID(int=7).hex]),
    (UUID4, {"6ba7b810-9dad-41d1-80b4-00c04fd430c8": uuid.UUID(
        "6ba7b810-9dad-41d1-80b4-00c04fd430c8")}, ["6ba7b810-9dad-11d1-80b4-00c04fd430c8"]),
    (Decimal, {"1.10": Decimal("1.10"), " -0.00": Decimal("-0.00")}, ["1e3", "NaN"]),
    (Annotated[Decimal, Field(max_digits=3)], {"1.23": Decimal("1.23"), "123": Decimal(123)},
     ["12.34", "1234"]),
    (Annotated[Decimal, Field(gt=0, decimal_places=1)], {"0.1": Decimal("0.1")},
     ["0.0", "-1", "0.12"]),
    (Literal["a", " b", 3] | None, {"a": "a", " a": "a", " b": " b", "3": 3, "None": None},
     ["b", "c", '"a"', "3.0"]),
    (Literal["3", 3], {"3": 3, '"3"': "3"}, []),
    (Color, {"red": Color.RED, " blue": Color.BLUE}, ["RED", "green"]),
    (Level, {"1": Level.LOW, "2": Level.HIGH}, ["3", "1.0"]),
    (Color | None, {"red": Color.RED, "None": None}, ["green"]),
    (dt.date | Literal["today"], {"today": "today", "2024-01-01": dt.date(2024, 1, 1)}, ["now"]),
    (int | str, {"3": 3, '"3"': "3"}, ["x"]),
    (Annotated[int, Field(ge=1, lt=5, multiple_of=2)], {"2": 2, "4": 4}, ["0", "1", "5", "6"]),
    (Annotated[float, Field(lt=1)], {"0.5": 0.5, "-1e400": -math.inf},
     ["1", "0.99999999999999999999", "1e400"]),
    (Annotated[float, Field(gt=0, allow_inf_nan=False)], {"0.5": 0.5}, ["0", "1e-400", "1e400"]),
    (bytes, {"é": "é".encode()}, []),
    (list, {'[1, "a", {}]': [1, "a", {}], " []": []}, ["[1 ,2]", "[1,  2]", "1"]),
    (list[dt.date], {'["2024-01-01"]': [dt.date(2024, 1, 1)]}, ["[2024-01-01]"]),
    (Annotated[list[int], Field(min_length=1, max_length=2)], {"[1]": [1]}, ["[]", "[1, 2, 3]"]),
    (set[Color], {'["red", "blue"]': {Color.RED, Color.BLUE}}, ['["red", "red"]']),
    (set[int], {"[1, 1]": {1}}, []),
    (frozenset[bool], {"[true]": frozenset([True])}, ["[true, true]"]),
    (collections.deque[int], {"[1]": collections.deque([1])}, []),
    (tuple, {"[1, null]": (1, None)}, []),
    (tuple[()], {"[]": ()}, ["[1]"]),
    (tuple[int, str], {'[1, "a"]': (1, "a")}, ["[1]", '[1, "a", 2]']),
    (tuple[int, ...], {"[]": (), "[1, 2]": (1, 2)}, ['["a"]']),
    (Pair, {'[1, "a"]': Pair(1, "a"), "[2]": Pair(2)}, ["[]"]),
    (Sequence[int], {"[1]": [1]}, []),
    (dict, {'{"a": [1]}': {"a": [1]}}, ["[]"]),
    (Mapping[int, bool], {'{"1": true}': {1: True}}, ['{"a": true}', '{"01": true}']),
    (dict[Color, int], {'{"red": 1}': {Color.RED: 1}}, ['{"green": 1}']),
    (dict[dt.date, int], {'{"2024-01-01": 1}': {dt.date(2024, 1, 1): 1}}, ['{"2024": 1}']),
    (Annotated[dict[str, int], Field(max_length=1)], {"{}": {}}, ['{"a": 1, "b": 2}']),
    (Point, {'{"x": 1}': Point(1), '{"y": 2.5, "x": 1, "scale": 3}': Point(1, 2.5)},
     ['{"x": 1, "label": "a"}', '{"x": 1, "z": 1}', "{}"]),
    (Entry, {'{"a": 1}': {"a": 1}, '{"b": true, "a": 1}': {"a": 1, "b": True}}, ["{}"]),
    (Aliased, {'{"the first": 1, "the second": 2}':
               Aliased.model_validate({"the first": 1, "the second": 2})}, ['{"first": 1}']),
    (Strict, {'{"text": "ab", "day": "2024-01-01"}': Strict(text="ab", day=dt.date(2024, 1, 1))},
     ['{"text": "abc"}']),
    (Loose, {'{"a": 1, "b": 2}': Loose(a=1, b=2)}, ['{"a": 1, "b": "c"}']),
    (RootModel[list[int]], {"[1]": RootModel[list[int]]([1])}, ["{}"]),
    (Annotated[Cat | Dog, Field(discriminator="kind")],
     {'{"kind": "wolf"}': Dog(kind="wolf")}, ["{}", '{"kind": "cow"}']),
    (Any, {"3": 3, ' {"a": 1}': {"a": 1}}, ["x"]),
    (list[Any] | None, {"[3]": [3], "null": None}, ["None"]),
    (Annotated[str, Field(pattern=r"^\w\d$")], {"é\u0663": "é\u0663"}, ["-1", "11\n"]),
    (Annotated[str, Field(pattern=re.compile(r"\d$"))], {"a1\n": "a1\n"}, ["1a"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "values", "refused"), TABLE, ids=lambda v: str(v)[:40])
def test_a_type_is_written_as_the_table_says(kind, values, refused):
    typed = read_type(kind)
    automaton = compile_formula(typed.formula)
    assert not typed.checks
    for text, value in values.items():
        assert automaton.matches(text), text
        found = typed.read(text)
        assert (found, type(found)) == (value, type(value))
    for text in refused:
        assert not automaton.matches(text), text


class Checked(BaseModel):
    n: int

    @model_validator(mode="after")
    def look(self):
        return self


@dataclass
class Posted:
    n: int

    def __post_init__(self):
        self.n += 1


class Initialized(BaseModel):
    n: int

    def __init__(self, **values):
        super().__init__(**values)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (Annotated[int, AfterValidator(abs)], "the validator 'abs'"),
        (Annotated[int, BeforeValidator(str)], "the validator 'str'"),
        (Checked, "the validator 'look'"),
        (list[Posted], "the method '__post_init__'"),
        (Initialized, "__init__"),
        (PastDate, "now_op"),
        (Annotated[dt.date, Field(ge=dt.date(2020, 1, 1))], "the condition 'ge'"),
        (Annotated[Decimal, Field(le=9)], "the condition 'le'"),
        (Annotated[dict[str, int], Field(min_length=2)], "the condition 'min_length'"),
        (SecretStr, "the validator 'SecretStr'"),
        (Annotated[str, StringConstraints(strip_whitespace=True, min_length=2)], "beside 'strip"),
    ],
)
def test_what_only_code_decides_is_noted(kind, what):
    assert any(what in check for check in read_type(kind).checks)


class Tool(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    run: Callable[[], None]


class Odd(enum.Enum):
    PAIR = (1, 2)


@pytest.mark.parametrize(
    ("kind", "code", "place"),
    [
        (Tool, "S401", "Tool.run"),
        (list[Tool], "S401", "Tool.run"),
        (Odd, "S401", "Odd"),
        (Literal[Color.RED], "S401", "Literal"),
        (complex, "S401", "complex"),
        (type[int], "S401", "type[int]"),
        (dict[float, int], "S401", "dict[float, int].keys"),
        (dict[tuple[int, int], int], "S401", ".keys"),
        (ipaddress.IPv4Address, "S401", "IPv4Address"),
        (range, "S403", "range"),
        ("list[Nowhere]", "S403", "Nowhere"),
        (Annotated[set[str], Field(min_length=2)], "S301", "any number of values"),
    ],
)
def test_what_has_no_text_is_refused(kind, code, place):
    with pytest.raises(SchemaError) as raised:
        read_type(kind)
    assert raised.value.code == code
    assert place in raised.value.message


def test_types_are_read_once():
    assert read_type(list[int]) is read_type(list[int])
    assert read_type(list[Literal[1]]) is not read_type(list[Literal[True]])
    assert read_type(int | str) is not read_type(str | int)
    assert copy.deepcopy(read_type(Point)) is read_type(Point)


def test_equal_types_share_their_formula():
    def make():
        @dataclass
        class Local:
            n: int

        return Local

    one, other = read_type(make()), read_type(make())
    assert one is not other
    assert one.formula is other.formula


OTHERS = list["Other"]  # noqa: F821 - names are looked up when the type is read


def test_names_in_quotes_are_looked_up():
    typed = read_type(OTHERS, {"Other": Color})
    assert typed.read('["red"]') == [Color.RED]
    assert read_type(OTHERS, {"Other": int}).read("[1]") == [1]


def test_a_schema_by_itself_gives_json():
    text = read_schema('{"type": "integer"}', (("whitespace", "compact"),))
    assert text.read("12") == 12
    assert text.formula is read_schema('{"type": "integer"}', (("whitespace", "compact"),)).formula
    assert read_type(dt.date).as_document().read('"2024-01-01"') == dt.date(2024, 1, 1)
