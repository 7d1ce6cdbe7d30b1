"""Hypothesis strategies for Python types, each with a strategy for its values."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from dataclasses import field, make_dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, Optional, Union

from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model
from typing_extensions import TypedDict


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"
    NONE = " "


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 20


class Mixed(enum.Enum):
    TEXT = "1"
    NUMBER = 2
    HALF = 0.5
    NOTHING = None


class Pair(NamedTuple):
    left: int
    right: str = "x"


class Tree(BaseModel):
    value: int
    children: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat", "kitten"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str


class Open(BaseModel, extra="allow"):
    a: bool = Field(alias="the a")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
ZONES = st.none() | st.integers(-1439, 1439).map(lambda m: dt.timezone(dt.timedelta(minutes=m)))
TREES = st.recursive(
    st.builds(Tree, value=st.integers(-5, 500)),
    lambda inner: st.builds(Tree, value=st.integers(0, 9), children=st.lists(inner, max_size=2)),
    max_leaves=4,
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SMALL = st.floats(0, 1, exclude_min=True, exclude_max=True)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=3)
PRICES = st.decimals(0, 999, allow_nan=False, allow_infinity=False, places=2)
SHORT = st.text('aé😀\n"', min_size=1, max_size=3)
CODES = st.from_regex(r"\A[0-9]{1,3} [a-z_]{1,2}\Z")
SPACED = st.sampled_from([" xy", "aa\tx\ra", "\u3000xx"])
SECONDS = st.timedeltas(dt.timedelta(days=-9999), dt.timedelta(days=9999))


def leaf(kind, values):
    return st.just((kind, values))


LEAVES = st.one_of(
    leaf(int, st.integers()),
    leaf(float, FLOATS),
    leaf(bool, st.booleans()),
    leaf(str, TEXTS),
    leaf(None, st.none()),
    leaf(dt.date, st.dates()),
    leaf(dt.time, st.times(timezones=st.none())),
    leaf(dt.datetime, st.datetimes(timezones=ZONES)),
    leaf(dt.timedelta, SECONDS),
    leaf(uuid.UUID, st.uuids()),
    leaf(Decimal, DECIMALS),
    leaf(Color, st.sampled_from(Color)),
    leaf(Level, st.sampled_from(Level)),
    leaf(Mixed, st.sampled_from(Mixed)),
    leaf(Literal["a", "b c", 3] | None, st.sampled_from(["a", "b c", 3, None])),
    leaf(Annotated[int, Field(ge=-3, lt=12)], st.integers(-3, 11)),
    leaf(Annotated[int, Field(multiple_of=7)], st.integers().map(lambda n: 7 * n)),
    leaf(Annotated[float, Field(gt=0, lt=1)], SMALL),
    leaf(Annotated[float, Field(ge=-2.5, le=1e3)], st.floats(-2.5, 1e3)),
    leaf(Annotated[Decimal, Field(max_digits=5, decimal_places=2, ge=0)], PRICES),
    leaf(Annotated[Decimal, Field(max_digits=4)], st.integers(-9999, 9999).map(Decimal)),
    leaf(Annotated[str, Field(min_length=1, max_length=3)], SHORT),
    leaf(Annotated[str, Field(pattern=r"^\d+\s[\w-]{1,2}$")], CODES),
    leaf(Annotated[str, Field(pattern=r"[^\S\d]x.")], SPACED),
    leaf(Pair, st.builds(Pair, st.integers(), TEXTS)),
    leaf(Tree, TREES),
    leaf(
        Annotated[Cat | Dog, Field(discriminator="kind")],
        st.builds(Cat, kind=st.sampled_from(["cat", "kitten"])) | st.builds(Dog, name=TEXTS),
    ),
    leaf(Open, st.booleans().map(lambda a: Open(**{"the a": a, "more": [1]}))),
)  # fmt: skip

_KEYS = st.sampled_from([str, int, Color, dt.date, bool])
_KEY_VALUES = {
    str: TEXTS,
    int: st.integers(),
    Color: st.sampled_from(Color),
    dt.date: st.dates(),
    bool: st.booleans(),
}
_NAMES = ["a", "b_c", "name", "count"]


def _members(inner):
    return st.lists(inner, min_size=1, max_size=4).map(
        lambda members: dict(zip(_NAMES, members, strict=False))
    )


def _dataclass(members):
    kinds = [(name, kind) for name, (kind, _) in members.items()]
    made = make_dataclass("Record", kinds)
    return made, st.builds(made, **{name: values for name, (_, values) in members.items()})


def _dataclass_with_default(members):
    (kind, values) = next(iter(members.values()))
    made = make_dataclass("Sparse", [("a", kind), ("b", list[int], field(default_factory=list))])
    return made, st.builds(made, a=values)


def _typed_dict(members):
    kind = TypedDict("Entry", {name: kind for name, (kind, _) in members.items()})
    return kind, st.fixed_dictionaries({name: values for name, (_, values) in members.items()})


def _model(members):
    made = create_model("Model", **{name: (kind, ...) for name, (kind, _) in members.items()})
    return made, st.builds(made, **{name: values for name, (_, values) in members.items()})


def _hashable(pair):
    return pair[0] in (int, str, bool, Color, Level, dt.date, uuid.UUID, Decimal)


def _sets(inner):
    return inner.filter(_hashable).map(lambda p: (set[p[0]], st.sets(p[1], max_size=3)))


def _larger(inner):
    return st.one_of(
        inner.map(lambda p: (list[p[0]], st.lists(p[1], max_size=3))),
        inner.map(lambda p: (Annotated[list[p[0]], Field(min_length=1, max_length=2)],
                             st.lists(p[1], min_size=1, max_size=2))),
        inner.map(lambda p: (tuple[p[0], ...], st.lists(p[1], max_size=3).map(tuple))),
        st.tuples(inner, inner).map(
            lambda ps: (tuple[ps[0][0], ps[1][0]], st.tuples(ps[0][1], ps[1][1]))
        ),
        inner.map(lambda p: (Optional[p[0]], st.none() | p[1])),  # noqa: UP045
        st.tuples(_KEYS, inner).map(
            lambda kp: (dict[kp[0], kp[1][0]],
                        st.dictionaries(_KEY_VALUES[kp[0]], kp[1][1], max_size=3))
        ),
        _members(inner).map(_dataclass),
        _members(inner).map(_dataclass_with_default),
        _members(inner).map(_typed_dict),
        _members(inner).map(_model),
    )  # fmt: skip


TYPES: st.SearchStrategy[tuple[Any, st.SearchStrategy[Any]]] = st.recursive(
    LEAVES | _sets(LEAVES), _larger, max_leaves=3
)
"""Types, each with a strategy for its values."""

UNIONS = st.lists(LEAVES, min_size=2, max_size=3).map(
    lambda ps: Union[tuple(p[0] for p in ps)]  # noqa: UP007 - its members are values
)
"""Unions, some of which pydantic tells apart by trying."""
