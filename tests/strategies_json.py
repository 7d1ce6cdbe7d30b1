"""Hypothesis strategies for JSON Schemas, JSON values and their spellings."""

from __future__ import annotations

import json

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "b", "ab", "x-1", ""])
TEXTS = st.sampled_from(["", "a", "b", "ab", "é", 'b"', "/", "x-1", "12", "aaaaaa", "😀"])
NUMBERS = st.one_of(st.integers(-25, 125), st.sampled_from([0.5, 1.0, 2.5, -3.0, 100.0]))

VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(NAMES | st.sampled_from(["zz", "a1"]), inner, max_size=4)
    ),
    max_leaves=6,
)


def _some(required, optional):
    return st.fixed_dictionaries(required, optional=optional)


_NUMBER = _some(
    {"type": st.sampled_from(["integer", "number"])},
    {
        "minimum": st.integers(-20, 20),
        "exclusiveMaximum": st.integers(-20, 120),
        "multipleOf": st.sampled_from([1, 2, 3, 0.5, 10]),
    },
)
_STRING = _some(
    {"type": st.just("string")},
    {
        "minLength": st.integers(0, 3),
        "maxLength": st.integers(0, 5),
        "pattern": st.sampled_from(["^a", "b$", "[0-9]+", "^(a|b)*$", "^[^é]*$", "^(?!ab)"]),
    },
)
_ENUM = _some({"enum": st.lists(VALUES, min_size=1, max_size=4)}, {})


def _larger(inner):
    array = _some(
        {"type": st.just("array")},
        {
            "items": inner,
            "minItems": st.integers(0, 2),
            "maxItems": st.integers(0, 4),
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "contains": inner,
            "maxContains": st.integers(1, 2),
        },
    )
    members = _some(
        {"type": st.just("object")},
        {
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "required": st.lists(NAMES, max_size=2, unique=True),
            "additionalProperties": inner,
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "1$"]), inner, max_size=2),
            "maxProperties": st.integers(0, 3),
            "minProperties": st.integers(0, 1),
            "propertyNames": st.sampled_from([{"maxLength": 3}, {"pattern": "^[a-z]"}]),
            "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, max_size=1), max_size=1),
        },
    )
    choices = [
        _some({keyword: st.lists(inner, min_size=1, max_size=3)}, {})
        for keyword in ("anyOf", "allOf", "oneOf")
    ]
    combined = st.one_of(
        *choices,
        _some({"not": inner}, {}),
        _some({"if": inner, "then": inner, "else": inner}, {}),
    )
    return st.one_of(array, members, combined, st.builds(lambda a, b: a | b, members, combined))


SCHEMAS = st.recursive(
    st.one_of(_NUMBER, _STRING, _ENUM, st.booleans(), st.just({})), _larger, max_leaves=5
)


def spelled(value, random):
    """Return one of many spellings of a value: escapes, order of keys, white space."""
    space = random.choice(["", " ", "\n\t"])
    if isinstance(value, str):
        return '"' + "".join(_character(char, random) for char in value) + '"'
    if isinstance(value, list):
        return f"[{space}" + f",{space}".join(spelled(item, random) for item in value) + "]"
    if isinstance(value, dict):
        members = [
            f"{spelled(key, random)}{space}:{spelled(item, random)}" for key, item in value.items()
        ]
        random.shuffle(members)
        return f"{{{space}" + f"{space},".join(members) + f"{space}}}"
    return json.dumps(value)


def _character(char, random):
    kind = random.randrange(4)
    if kind == 0:
        units = char.encode("utf-16-be")
        digits = "%04x" if random.random() < 0.5 else "%04X"
        pairs = [units[i : i + 2] for i in range(0, len(units), 2)]
        return "".join("\\u" + digits % int.from_bytes(pair, "big") for pair in pairs)
    if kind == 1 and char == "/":
        return "\\/"
    return json.dumps(char, ensure_ascii=kind == 2)[1:-1]
