"""Large and recursive models: what is let pass is what pydantic's own JSON schema says."""

from __future__ import annotations

import json
import random
from typing import Literal, Optional

import pytest
from pydantic import BaseModel, Field, TypeAdapter, create_model

from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.python_types import read_type

jsonschema = pytest.importorskip("jsonschema", reason="the validator is not installed")


def many_models(count, rng):
    """Return models, each with members of those before it."""
    models = []
    for number in range(count):
        fields = {
            "id": (int, Field(ge=0)),
            "kind": (Literal[f"kind {number}"], ...),
            "note": (Optional[str], None),  # noqa: UP045 - a value, no annotation
        }
        for name in ("left", "right") if models else ():
            other = rng.choice(models[-20:])
            fields[name] = (rng.choice([other | None, list[other]]), ...)
        models.append(create_model(f"Model{number}", **fields))
    return models


def instance(model, rng, depth):
    """Return a value of a model as JSON has it."""
    value = {"id": rng.randint(0, 99), "kind": model.model_fields["kind"].annotation.__args__[0]}
    if rng.random() < 0.5:
        value["note"] = rng.choice(["x", "é\n", None])
    for name in ("left", "right"):
        field = model.model_fields.get(name)
        if field is None:
            continue
        is_list = getattr(field.annotation, "__origin__", None) is list
        other = field.annotation.__args__[0]
        inner = [instance(other, rng, depth - 1) for _ in range(rng.randint(0, 2) if depth else 0)]
        value[name] = inner if is_list else inner[0] if inner else None
    return value


def broken(value, rng):
    """Return a value that is wrong somewhere."""
    change = rng.choice(["drop", "extra", "kind", "id"])
    copy = json.loads(json.dumps(value))
    places = [copy]
    for place in places:  # grows while it is walked
        for inner in place.values():
            places += [
                v for v in (inner if isinstance(inner, list) else [inner]) if type(v) is dict
            ]
    place = rng.choice(places)
    if change == "drop":
        del place["id"]
    elif change == "extra":
        place["more"] = 1
    elif change == "kind":
        place["kind"] = "other"
    else:
        place["id"] = -1
    return copy


def test_a_model_of_300_types():
    rng = random.Random(5)
    models = many_models(300, rng)
    top = models[-1]
    automaton = compile_formula(read_type(top).formula)
    schema = TypeAdapter(top).json_schema()
    for one in [schema, *schema["$defs"].values()]:
        one["additionalProperties"] = False  # what typed holes never write
    validator = jsonschema.Draft202012Validator(schema)
    for _ in range(40):
        value = instance(top, rng, 3)
        wrong = broken(value, rng)
        assert validator.is_valid(value)
        assert automaton.matches(json.dumps(value))
        assert automaton.matches(json.dumps(wrong)) == validator.is_valid(wrong)
        assert read_type(top).read(json.dumps(value)) == top.model_validate(value)


class Node(BaseModel):
    name: str = Field(max_length=3)
    left: Node | None = None
    right: Leaf | None = None


class Leaf(BaseModel):
    back: list[Node] = []


@pytest.mark.parametrize("depth", [1, 5, 40])
def test_recursive_models(depth):
    value = {"name": "a"}
    for level in range(depth):
        value = (
            {"name": "b", "left": value} if level % 2 else {"name": "", "right": {"back": [value]}}
        )
    automaton = compile_formula(read_type(Node).formula)
    assert automaton.matches(json.dumps(value))
    assert read_type(Node).read(json.dumps(value)) == Node.model_validate(value)
    text = json.dumps(value)
    assert not automaton.matches(text.replace('"a"', '"aaaa"'))
    assert not automaton.matches(text.replace('"a"', "1"))
