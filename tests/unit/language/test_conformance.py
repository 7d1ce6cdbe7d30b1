"""The conformance suite: small programs with what they must give, whatever the decoder.

A case of `tests/data/language/*.cases` is a query under a `===` line, then `---` lines with
what is given (`args`) and expected (`text`, `value`, `variables`, `status`, `matches`), in
JSON. The recorded errors of `tests/golden/errors` are cases too: code and position.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lmql_like import load_model
from lmql_like.errors import LmqlLikeError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.interpreter import Fill, Interpreter
from lmql_like.runtime.run import run_program
from lmql_like.runtime.toy_model import ToyModel

TESTS = Path(__file__).parents[2]
TOKENS = [bytes([byte]) for byte in range(256)] + [b"ab", b"abab", b" a", b"the"]
MODEL = ToyModel(Vocabulary([*TOKENS, b""], eos_token_ids=[len(TOKENS)]), end_bias=4.0)
DECODERS = [
    "argmax",
    "sample(n=2, seed=1)",
    "beam(n=2)",
    "beam_sample(n=2, seed=1)",
    "best_k(k=2)",
    "var(b=2, n=2, seed=1)",
    "beam_var(n=2)",
    "grid(n=2)",
]
PLACE = re.compile(
    r"^error\[(?P<code>\w+)\].*?^ *--> [^\n]*?:(?P<line>\d+):(?P<column>\d+)$",
    re.MULTILINE | re.DOTALL,
)


def cases():
    for path in sorted((TESTS / "data" / "language").glob("*.cases")):
        for block in re.split(r"^=== ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            name, _, rest = block.partition("\n")
            query, *lines = re.split(r"^--- ", rest, flags=re.MULTILINE)
            wanted = {key: json.loads(text) for key, _, text in (x.partition(" ") for x in lines)}
            yield pytest.param(query, wanted, id=f"{path.stem}: {name}")


def errors():
    for path in sorted((TESTS / "golden" / "errors").glob("*.err")):
        found = PLACE.search(path.read_text(encoding="utf-8"))
        if found is not None:
            place = int(found["line"]), int(found["column"])
            yield pytest.param(path.with_suffix(".lmql"), found["code"], place, id=path.stem)


CASES, ERRORS = list(cases()), list(errors())


@pytest.fixture(scope="module")
def default_model():
    return load_model()


def check(result, wanted):
    assert result.status == wanted.get("status", "complete")
    if "text" in wanted:
        assert result.text == wanted["text"]
    if "value" in wanted:
        assert result.value == wanted["value"]
    for name, value in wanted.get("variables", {}).items():
        if result.status == "complete":
            assert result.variables[name] == value
            assert type(result.variables[name]) is type(value)
    for name, pattern in wanted.get("matches", {}).items():
        assert re.fullmatch(pattern, result.variables[name])


def test_there_are_enough_of_them():
    assert len(CASES) >= 200
    assert len(ERRORS) >= 80


@pytest.mark.parametrize(("query", "wanted"), CASES)
def test_every_decoder_gives_what_the_program_means(query, wanted):
    program = compile_query(query)
    arguments = wanted.get("args", {})
    own = program.decoder is not None
    for decoder in [None] if own else DECODERS:
        for result in run_program(program, arguments, model=MODEL, decoder=decoder, seed=1):
            check(result, wanted)


@pytest.mark.parametrize(("query", "wanted"), CASES)
def test_the_default_model_gives_it_too(query, wanted, default_model):
    program = compile_query(query)
    own = program.decoder is not None
    for decoder in [None] if own else DECODERS:
        arguments = wanted.get("args", {})
        for result in run_program(program, arguments, model=default_model, decoder=decoder, seed=1):
            check(result, wanted)


def run_errors(path):
    """Compile a program and fill its holes with 1: its error comes on the way."""
    program = compile_query(path.read_text(encoding="utf-8"), name=path.name)
    interpreter = Interpreter(program, max_instructions=100)
    step = interpreter.start({parameter.name: "word" for parameter in program.parameters})
    while isinstance(step, Fill):
        step = interpreter.fill(step.state, "1")


@pytest.mark.parametrize(("path", "code", "place"), ERRORS)
def test_every_error_is_blamed_where_it_is(path, code, place):
    with pytest.raises(LmqlLikeError) as raised:
        run_errors(path)
    assert (raised.value.code, raised.value.position) == (code, place)
