"""The commands about schemas: what they print, and how they end."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from lmql_like.cli import main

PERSON = {
    "title": "Person",
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Z][a-z]+$"},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
ENFORCED = (
    "  enforced: additionalProperties (1), maximum (1), minimum (1), pattern (1), properties (1), "
    "required (1), type (3)"
)
PROMPT = "Text: Anna is 30 years old.\nJSON:"


def invoke(*args, stdin=None):
    return CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)


@pytest.fixture
def person(tmp_path):
    file = tmp_path / "person.json"
    file.write_text(json.dumps(PERSON))
    return file


def check(schema, *options):
    return invoke("check-schema", "-", *options, stdin=json.dumps(schema))


# -- check-schema --------------------------------------------------------------------------


def test_a_schema_that_is_enforced_is_ok(person):
    result = invoke("check-schema", person)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{person}: ok",
        ENFORCED,
        "  annotations: title (1)",
    ]


def test_everything_that_is_refused_is_listed_with_its_place():
    schema = {
        "properties": {
            "a/b": {"type": "string", "pattern": r"(x)\1"},
            "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            "c": {"items": [{"format": "regex"}, {"pattern": r"(?<n>a)\k<n>"}]},
        },
    }
    result = check(schema)
    assert result.exit_code == 1
    heads = [line for line in result.stdout.splitlines() if line.startswith("refused")]
    assert sorted(heads) == [
        "refused[S202] #/properties/a~1b/pattern",
        "refused[S202] #/properties/c/items/1/pattern",
        "refused[S301] #/properties/c/items/0/format",
        "refused[S301] #/properties/tags/uniqueItems",
    ]
    assert "<stdin>: 4 refused\n" in result.stdout


def test_what_is_no_condition_is_listed_and_fails_only_where_it_is_asked_to():
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "definitions": {"a": {"type": "string"}},
        "properties": {
            "a": {"$ref": "#/definitions/a", "maxLength": 3},
            "b": {"format": "postcode", "minContains": 2},
            "c": {"prefixItems": [], "then": {}, "colour": "red"},
        },
    }
    result = check(schema)
    assert result.exit_code == 0
    notes = [json.loads(line) for line in check(schema, "--json").stdout.splitlines()]
    assert {(note["pointer"], note["reason"]) for note in notes} == {
        ("/properties/a/maxLength", "stands beside $ref, where this draft ignores it"),
        ("/properties/b/format", "'postcode' is no format of the specification"),
        ("/properties/b/minContains", "means nothing without 'contains'"),
        ("/properties/c/prefixItems", "a keyword of another draft"),
        ("/properties/c/then", "means nothing without 'if'"),
        ("/properties/c/colour", "an unknown keyword"),
    }
    assert check(schema, "--strict").exit_code == 1


def test_a_schema_without_a_valid_value_fails():
    result = check({"type": "integer", "minimum": 2, "maximum": 1})
    assert (result.exit_code, result.stdout.splitlines()[0]) == (1, "<stdin>: no value is valid")


@pytest.mark.parametrize("text", ["{", '{"type": "whole"}', "3", '{"$ref": "#/nowhere"}'])
def test_what_is_no_schema_is_an_error(text):
    result = invoke("check-schema", "-", stdin=text)
    assert result.exit_code == 2
    assert "error[S1" in result.stderr
    assert invoke("check-schema", "no-such-file").exit_code == 2


# -- mask ----------------------------------------------------------------------------------


def test_masks_of_a_schema(person):
    result = invoke("mask", "--json-schema", person, "--text", '{"name": "Ada", "age": 36')
    assert result.exit_code == 0
    assert "matches as it is" in result.stdout
    assert invoke("mask", "--json-schema", person, "--text", '{"name": "ada').exit_code == 1


def test_why_a_token_is_forbidden_by_a_schema(person):
    result = invoke(
        *("mask", "--json-schema", person, "--regex", "[^b]*", "--text", '{"name": "A'),
        *("--explain", "b"),
    )
    assert result.exit_code == 1
    assert "forbidden by       --regex '[^b]*'" in result.stdout
    result = invoke("mask", "--json-schema", person, "--text", '{"age": 12', "--explain", "1")
    assert f"--json-schema {person}" in result.stdout


# -- generate ------------------------------------------------------------------------------


def test_one_json_text_for_a_prompt(person):
    result = invoke("generate", "--json-schema", person, "--prompt", PROMPT)
    assert (result.exit_code, result.stdout) == (0, '{"name": "Anna", "age": 30}\n')
    compact = invoke(
        "generate", "--json-schema", person, "--prompt", "-", "--whitespace", "compact",
        stdin=PROMPT,
    )  # fmt: skip
    assert set(json.loads(compact.stdout)) == {"name", "age"}
    assert " " not in compact.stdout


def test_several_texts_into_a_file(person, tmp_path):
    output = tmp_path / "texts.jsonl"
    result = invoke(
        "generate", "--json-schema", person, "--prompt", PROMPT, "--output", output,
        "--decoder", "sample(n=3)", "--seed", "1",
    )  # fmt: skip
    assert (result.exit_code, result.stdout) == (0, "")
    texts = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(texts) == 3
    assert all(set(text) == {"name", "age"} for text in texts)


def test_a_text_by_a_pattern_or_a_grammar(tmp_path):
    prompt = "Q: What is the capital of Italy?\nA: "
    result = invoke("generate", "--regex", "[A-Z][a-z]+", "--prompt", prompt)
    assert result.exit_code == 0
    assert result.stdout.strip().isalpha()
    grammar = tmp_path / "g.gbnf"
    grammar.write_text('root ::= " " ("yes" | "no") "."\n')
    result = invoke("generate", "--grammar", grammar, "--prompt", "Is it?", "--json")
    assert json.loads(result.stdout)["variables"]["TEXT"] in (" yes.", " no.")


def test_a_limit_on_tokens_closes_the_text(tmp_path):
    file = tmp_path / "list.json"
    file.write_text(json.dumps({"type": "array", "items": {"type": "string"}, "minItems": 1}))
    result = invoke("generate", "--json-schema", file, "--prompt", "Words: ", "--max-tokens", "9")
    assert result.exit_code == 0
    assert isinstance(json.loads(result.stdout)[0], str)


def test_what_cannot_be_generated(person, tmp_path):
    assert invoke("generate", "--prompt", "x").exit_code == 2
    both = invoke("generate", "--prompt", "x", "--regex", "a", "--json-schema", person)
    assert both.exit_code == 2
    (tmp_path / "s.json").write_text('{"items": {"uniqueItems": true}}')
    result = invoke("generate", "--prompt", "x", "--json-schema", tmp_path / "s.json")
    assert result.exit_code == 2
    assert "error[S301]" in result.stderr
    assert "#/items/uniqueItems" in result.stderr
    result = invoke("generate", "--prompt", "x", "--regex", "a", "--decoder", "bean()")
    assert result.exit_code == 2
    chat = invoke("generate", "--prompt", "x", "--regex", "a", "--chat")
    assert "R112" in chat.stderr


def test_values_of_types_in_the_results_of_a_run():
    code = """from datetime import date
"[X: date]" where X == "2024-02-29"
"""
    result = invoke("run", "-c", code, "--json")
    assert json.loads(result.stdout)["variables"] == {"X": "2024-02-29"}
