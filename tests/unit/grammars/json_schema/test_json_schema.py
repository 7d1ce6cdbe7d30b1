"""What schemas mean, what is refused and where, and how texts are laid out."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from lmql_like.errors import CODES, SchemaError
from lmql_like.grammars.json_schema import (
    UnenforcedWarning,
    compile_json_schema,
    read_json_schema,
)
from lmql_like.grammars.limits import Limits

TABLE = Path(__file__).parents[3] / "data" / "json_schemas.jsonl"
CASES = [json.loads(line) for line in TABLE.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_table_of_cases(case):
    automaton = compile_json_schema(case["schema"])
    assert [text for text in case["valid"] if not automaton.matches(text)] == []
    assert [text for text in case["invalid"] if automaton.matches(text)] == []


@pytest.mark.parametrize(
    ("schema", "code", "pointer"),
    [
        ("{type: string}", "S101", None),
        ([], "S101", None),
        ("NaN", "S101", None),
        ('{"const": "\\ud800"}', "S101", None),
        ({"properties": {"a": 7}}, "S102", "/properties/a"),
        ({"properties": {"a/b": {"type": "strin"}}}, "S102", "/properties/a~1b/type"),
        ({"minLength": -1}, "S102", "/minLength"),
        ({"minLength": True}, "S102", "/minLength"),
        ({"items": {"multipleOf": 0}}, "S102", "/items/multipleOf"),
        ({"required": True}, "S102", "/required"),
        ({"anyOf": []}, "S102", "/anyOf"),
        ({"$ref": 7}, "S102", "/$ref"),
        ({"items": {"$ref": "#/$defs/adress"}, "$defs": {"address": {}}}, "S103", "/items"),
        ({"allOf": [{"$ref": "https://example.com/s.json"}]}, "S103", "/allOf/0"),
        ({"$ref": "#"}, "S104", ""),
        ({"allOf": [{"$ref": "#"}, {"type": "object"}]}, "S104", ""),
        ({"$schema": "https://example.com/dialect"}, "S105", "/$schema"),
        ({"items": {"pattern": "(a"}}, "S201", "/items/pattern"),
        ({"patternProperties": {"[": {}}}, "S201", "/patternProperties"),
        ({"pattern": "(?i)a"}, "S202", "/pattern"),
        ({"type": "string", "pattern": "(?!x)(a{50}){50}"}, "S203", ""),
        ({"items": {"type": "string"}, "uniqueItems": True}, "S301", "/uniqueItems"),
        ({"not": {"uniqueItems": True}}, "S301", "/uniqueItems"),
        ({"format": "regex"}, "S301", "/format"),
        ({"dependentRequired": {f"a{i}": [f"b{i}"] for i in range(20)}}, "S302", None),
        ('{"items":' * 20_000 + "{}" + "}" * 20_000, "S303", None),
        ({"minimum": 10**2000}, "S304", "/minimum"),
        ({"multipleOf": 123457}, "S304", "/multipleOf"),
        ({"format": "email", "maxLength": 5000}, "S304", None),
        ({"not": {"pattern": "(a|b)*a(a|b){40}"}}, "S304", None),
    ],
)
def test_a_schema_is_refused_with_code_and_pointer(schema, code, pointer):
    with pytest.raises(SchemaError) as caught:
        compile_json_schema(schema)
    assert caught.value.code == code
    if pointer is not None:
        assert (caught.value.pointer or "").endswith(pointer)
        assert f"--> #{caught.value.pointer}" in caught.value.render()
    assert caught.value.render().startswith(f"error[{code}]: ")


def test_every_schema_code_is_raised_by_a_test():
    tested = Path(__file__).read_text(encoding="utf-8")
    codes = [code for code in CODES if code[0] == "S" and code < "S4"]  # S4 is about types
    assert [code for code in codes if f'"{code}"' not in tested] == []


@pytest.mark.parametrize(
    "options",
    [
        {"whitespace": "none"},
        {"key_order": "all"},
        {"additional": "no"},
        {"formats": "no"},
        {"unenforced": "ignore"},
    ],
)
def test_an_unknown_option_is_refused(options):
    with pytest.raises(SchemaError) as caught:
        compile_json_schema(True, **options)
    assert caught.value.code == "S106"


# -- order and layout --------------------------------------------------------------------------


def orders(names, **options):
    schema = {
        "properties": {name: {"const": 1} for name in names},
        "required": list(names[: options.pop("required")]),
        "additionalProperties": options.pop("additional", False),
    }
    return compile_json_schema(schema, whitespace="compact", **options)


def members(*names):
    return "{" + ",".join(f'"{name}":1' for name in names) + "}"


def test_few_required_members_come_in_any_order_and_once():
    automaton = orders("abcd", required=4)
    assert automaton.matches(members(*"dbca"))
    assert not automaton.matches(members(*"dbcaa"))
    assert not automaton.matches(members(*"dbc"))


def test_many_required_members_come_in_order_with_others_in_between():
    names = "abcdefgh" + "xy"
    automaton = orders(names, required=8)
    assert automaton.matches(members(*"abcdefgh"))
    assert automaton.matches(members(*"xabcdyefgh"))
    assert not automaton.matches(members(*"bacdefgh"))
    assert not automaton.matches(members(*"abcdefg"))
    with pytest.raises(SchemaError) as caught:
        orders(names, required=8, key_order="any")
    assert caught.value.code == "S305"


def test_declared_order():
    automaton = orders("abc", required=1, additional={"const": 1}, key_order="declared")
    for accepted in ("abc", "ac", "a", "abz", "az", "azq"):
        assert automaton.matches(members(*accepted)), accepted
    for refused in ("ba", "c", "acb", "azb", "aa", ""):
        assert not automaton.matches(members(*refused)), refused


def test_additional_members_can_be_forbidden_where_the_schema_says_nothing():
    schema = {
        "properties": {"a": {"properties": {"b": {}}}, "free": {"type": "object"}},
        "patternProperties": {"^x": {"type": "integer"}},
    }
    automaton = compile_json_schema(schema, additional="forbid")
    assert automaton.matches('{"a": {"b": 1}, "x1": 2, "free": {"z": 1}}')
    assert not automaton.matches('{"y": 1}')
    assert not automaton.matches('{"a": {"c": 1}}')
    assert compile_json_schema(schema).matches('{"y": 1, "a": {"c": 1}}')


def test_white_space():
    schema = {"properties": {"a": {"type": "array"}}, "required": ["a"]}
    value = {"a": [1, {}], "b": {}}
    texts = {
        "compact": json.dumps(value, separators=(",", ":")),
        "python": json.dumps(value),
        "pretty": json.dumps(value, indent=2),
        "wild": '{ "a"\n:\t[ 1 ,{ } ]\r, "b" :{} }',
    }
    accepted = {
        name: [key for key, text in texts.items() if automaton.matches(text)]
        for name in ("compact", "line", "pretty", "flexible")
        for automaton in [compile_json_schema(schema, whitespace=name)]
    }
    assert accepted == {
        "compact": ["compact"],
        "line": ["compact", "python"],
        "pretty": ["pretty"],
        "flexible": list(texts),
    }


def test_equal_schemas_share_their_rule():
    point = {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}
    schema = {"properties": dict.fromkeys("abcdefgh", point), "additionalProperties": point}
    rules = read_json_schema(schema).rules.rules
    own = [name for name in rules if name[0] in "vms" and name[1:].isdigit()]
    assert len(own) < 8


# -- what is not enforced ------------------------------------------------------------------------


def test_what_cannot_be_enforced_is_listed_where_the_caller_allows_it():
    schema = {"properties": {"tags": {"items": {"type": "string"}, "uniqueItems": True}}}
    found = read_json_schema(schema, unenforced="warn")
    assert [one.pointer for one in found.unenforced] == ["/properties/tags/uniqueItems"]
    assert found.unenforced[0].keyword == "uniqueItems"
    with pytest.warns(UnenforcedWarning, match="uniqueItems at #/properties/tags"):
        automaton = compile_json_schema(schema, unenforced="warn")
    assert automaton.matches('{"tags": ["a", "a"]}')
    assert not automaton.matches('{"tags": [1]}')


def test_formats_can_be_annotations():
    assert compile_json_schema({"format": "date"}, formats="annotate").matches('"x"')
    assert compile_json_schema({"format": "regex"}, formats="annotate").matches('"("')


# -- sizes --------------------------------------------------------------------------------------


def test_large_enums():
    texts = compile_json_schema({"enum": [f"value number {i}" for i in range(10_000)]})
    assert texts.matches('"value number 4711"')
    assert not texts.matches('"value number 10000"')
    others = compile_json_schema({"not": {"enum": [f"value {i}" for i in range(3_000)]}})
    assert others.matches('"value x"')
    assert not others.matches('"value 17"')


@pytest.mark.parametrize("low", [0, 3000])
@pytest.mark.parametrize("high", [5000, 2**31 - 1])
def test_large_bounds(low, high):
    for kind, schema in (
        ("string", {"minLength": low, "maxLength": high}),
        ("array", {"minItems": low, "maxItems": high, "items": {"const": 1}}),
        ("object", {"minProperties": low, "maxProperties": high}),
    ):
        automaton = compile_json_schema({"type": kind, **schema})
        for count in (0, 1, 2999, 3000, 5000, 5001):
            texts = {
                "string": '"' + "é" * count + '"',
                "array": "[" + ",".join("1" * count) + "]",
                "object": "{" + ",".join(f'"{i}":0' for i in range(count)) + "}",
            }
            assert automaton.matches(texts[kind]) == (low <= count <= high), (kind, count)


def test_a_hundred_levels():
    schema = {"type": "string"}
    for _ in range(100):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    automaton = compile_json_schema(schema)
    assert automaton.matches('{"a":' * 100 + '"x"' + "}" * 100)
    assert not automaton.matches('{"a":' * 99 + '"x"' + "}" * 99)


def test_a_large_document_is_compiled_or_refused_in_time():
    links = {
        f"d{i}": {
            "type": "object",
            "properties": {"next": {"$ref": f"#/$defs/d{(i + 1) % 400}"}, "v": {"type": "integer"}},
            "additionalProperties": False,
        }
        for i in range(400)
    }
    begin = time.process_time()
    automaton = compile_json_schema({"$ref": "#/$defs/d0", "$defs": links})
    assert automaton.matches('{"v": 1, "next": {"next": {"v": 2}}}')
    with pytest.raises(SchemaError) as caught:
        compile_json_schema(
            {"$ref": "#/$defs/d0", "$defs": links}, limits=Limits(max_nfa_states=1000)
        )
    assert caught.value.code == "S304"
    assert time.process_time() - begin < 20


def test_what_no_branch_can_satisfy_is_empty():
    assert compile_json_schema({"type": "string", "enum": [1]}).is_empty()
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}}
    assert compile_json_schema(schema).is_empty(), "only an endless object would do"
