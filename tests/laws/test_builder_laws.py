"""Laws of the builder: what it builds is what the parser reads from its text.

Random programs are put together of random parts and conditions. Reading the text of such a
program must give the same nodes, each at the same place, and compiling both the same
instructions. An independent twin writes the meaning of the conditions as Python functions.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, fields, is_dataclass
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from lmql_like.dsl import conditions as c
from lmql_like.dsl.prompts import arg, gen, hole, prompt, role
from lmql_like.errors import LmqlLikeError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_nodes, compile_query
from lmql_like.language.listing import list_program
from lmql_like.language.parser import parse_query
from lmql_like.runtime.interpreter import Interpreter
from lmql_like.runtime.run import run_program
from lmql_like.runtime.toy_model import ToyModel

TEXTS = st.text(
    st.one_of(st.sampled_from("[]{}\"'\\\n\t\r ab#é\x00\u2028"), st.characters(codec="utf-8")),
    max_size=8,
)
PHRASES = st.text("ab[{\"'\\\n é", min_size=1, max_size=3)
NUMBERS = st.integers(-2, 40)
UNITS = st.sampled_from([c.Length, c.ByteLength, c.WordCount, c.SentenceCount, c.TokenLength])


def plain(node):
    """Return nodes, trees and places as values that compare."""
    if isinstance(node, ast.AST):
        own = [(name, plain(value)) for name, value in ast.iter_fields(node)]
        places = [(name, getattr(node, name, None)) for name in node._attributes]
        return type(node).__name__, own, places
    if is_dataclass(node):
        return type(node).__name__, [(f.name, plain(getattr(node, f.name))) for f in fields(node)]
    if isinstance(node, list | tuple):
        return [plain(item) for item in node]
    if isinstance(node, dict):
        return [(key, plain(value)) for key, value in node.items()]
    return node


@dataclass
class Pet:
    name: str
    age: int | None = None


def same(text):
    return text


OPERANDS = st.one_of(
    PHRASES,
    st.lists(PHRASES, max_size=3),
    st.sampled_from([arg("given"), hole("X"), arg("other", str, "o"), frozenset(("a",))]),
    st.just({"a": [1, -2.5, None, True], "b": ()}),
)


@st.composite
def counts(draw):
    count, number = draw(UNITS)(), draw(st.one_of(NUMBERS, st.just(arg("n"))))
    comparison = draw(st.sampled_from(["<", "<=", ">", ">=", "==", "!=", "in"]))
    if comparison == "in":
        return count.within(draw(st.one_of(st.lists(NUMBERS, max_size=3), st.just(range(3)))))
    return {
        "<": lambda: count < number,
        "<=": lambda: count <= number,
        ">": lambda: count > number,
        ">=": lambda: count >= number,
        "==": lambda: count == number,
        "!=": lambda: count != number,
    }[comparison]()


LEAVES = st.one_of(
    st.tuples(
        st.sampled_from(
            [
                *(c.StartsWith, c.EndsWith, c.StopsAt, c.StopsBefore, c.SubstringOf, c.Includes),
                *(c.Excludes, c.OneOf, c.Equals, c.Contains, c.Json, c.Gbnf, c.Grammar),
            ]
        ),
        OPERANDS,
    ).map(lambda pair: pair[0](pair[1])),
    st.sampled_from([r"[a-z]+\n?", "(a|b)*", re.compile("a.b", re.DOTALL)]).map(c.Regex),
    st.sampled_from([c.Int, c.Float, c.Bool, c.Date]).map(lambda kind: kind()),
    counts(),
    st.builds(c.Custom, st.sampled_from([same, str.isdigit, len]), OPERANDS),
    st.sampled_from([int, Pet, list[int], date]).map(c.OfType),
    st.sampled_from([c.Json(), c.Json({"type": "integer"}, key_order="free"), c.Json(Pet)]),
    st.just(c.Grammar('start: "a"', start="start", lexing="scannerless")),
)


def joined(inner):
    return st.one_of(
        st.tuples(inner, inner).map(lambda p: p[0] & p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] | p[1]),
        st.tuples(inner, st.sampled_from([True, arg("free")])).map(lambda p: p[0] | p[1]),
        inner.map(lambda one: ~one),
        st.tuples(inner, st.sampled_from(["X", "Y"])).map(lambda p: p[0].of(p[1])),
    )


CONDITIONS = st.recursive(LEAVES, joined, max_leaves=8)


@st.composite
def gens(draw):
    options = {}
    if draw(st.booleans()):
        options["where"] = draw(CONDITIONS)
    kind = draw(st.integers(0, 5))
    if kind == 0:
        options["type"] = draw(st.sampled_from([int, float, bool, str, Pet, list[int], date]))
    elif kind == 1:
        options["distribution"] = draw(st.one_of(st.lists(PHRASES), st.just(arg("values"))))
        options["tokenizations"] = draw(st.sampled_from(["canonical", "all"]))
    elif kind == 2:
        options["query"] = prompt("inner ", arg("x"))
        options["arguments"] = draw(st.sampled_from([None, {"x": "a'b\""}, {"x": 3}]))
    elif kind == 3:
        options["decorators"] = draw(st.lists(st.sampled_from([same, str.strip]), max_size=2))
    return gen(draw(st.sampled_from("XYZ")), **options)


PARTS = st.one_of(
    TEXTS,
    TEXTS,
    gens(),
    gens(),
    st.sampled_from([arg("given"), hole("X"), 12, None, [1, "[X]"], role("user")]),
)
LINES = st.lists(PARTS, max_size=5).map(lambda parts: prompt(*parts))


@st.composite
def programs(draw):
    whole = draw(LINES)
    for line in draw(st.lists(LINES, max_size=2)):
        whole = draw(st.sampled_from([whole + line, prompt(whole, line)]))
    return whole


def compiled(nodes, built):
    try:
        program = compile_nodes(nodes, built.parameters, built.scope)
    except LmqlLikeError as error:
        return error.code, error.message, error.span
    return list_program(program)


@settings(max_examples=150, deadline=None)
@given(programs())
def test_what_is_built_is_what_is_read(program):
    built = program._built
    names = frozenset(built.scope) | {parameter.name for parameter in built.parameters}
    read = parse_query(built.nodes.source, names)
    assert plain(built.nodes) == plain(read)
    assert compiled(built.nodes, built) == compiled(read, built)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(TEXTS, st.integers(), st.lists(TEXTS, max_size=2))))
def test_values_are_text_and_never_code(values):
    program = prompt(*values)
    step = Interpreter(program.program).start({})
    assert step.state.prompt == "".join(map(str, values))
    assert not program.program.holes


TOKENS = [bytes([byte]) for byte in range(256)]
MODEL = ToyModel(Vocabulary([*TOKENS, b"ab", b"ba", b""], eos_token_ids=[258]), end_bias=3.0)

# Each leaf with its twin: what it means, as a function of the whole text.
TWINS = st.one_of(
    PHRASES.map(lambda p: (c.Contains(p), lambda text: p in text)),
    PHRASES.map(lambda p: (c.StartsWith(p), lambda text: text.startswith(p))),
    PHRASES.map(lambda p: (c.EndsWith(p), lambda text: text.endswith(p))),
    PHRASES.map(lambda p: (c.Equals(p), lambda text: text == p)),
    PHRASES.map(lambda p: (c.Excludes(p), lambda text: p not in text)),
    PHRASES.map(lambda p: (c.SubstringOf(p * 2), lambda text: text in p * 2)),
    st.lists(PHRASES, min_size=1, max_size=3).map(lambda p: (c.OneOf(p), lambda text: text in p)),
    st.integers(0, 6).map(lambda n: (c.Length() <= n, lambda text: len(text) <= n)),
    st.integers(0, 6).map(lambda n: (c.ByteLength() > n, lambda text: len(text.encode()) > n)),
    st.integers(0, 3).map(lambda n: (c.WordCount() != n, lambda text: len(text.split()) != n)),
    st.just((c.Regex("[ab]*"), lambda text: re.fullmatch("[ab]*", text) is not None)),
)
MEANT = st.recursive(
    TWINS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(
            lambda p: (p[0][0] & p[1][0], lambda text: p[0][1](text) and p[1][1](text))
        ),
        st.tuples(inner, inner).map(
            lambda p: (p[0][0] | p[1][0], lambda text: p[0][1](text) or p[1][1](text))
        ),
        inner.map(lambda p: (~p[0], lambda text: not p[1](text))),
    ),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(MEANT, st.integers(0, 3))
def test_results_satisfy_what_the_conditions_mean(pair, seed):
    condition, twin = pair
    program = prompt("<", gen("X", condition & c.Regex(r"[ab\[{'\"\\ \n]{0,6}")), ">")
    try:
        results = run_program(
            program.program, model=MODEL, decoder="sample(n=2)", seed=seed, scope={}
        )
    except LmqlLikeError as error:
        assert error.code == "Q211"  # noqa: PT017 - no text satisfies it
        return
    for result in results:
        if result.status == "complete":
            assert twin(result.variables["X"])


def test_it_is_the_program_that_one_would_write():
    program = prompt("Q: ", arg("q"), "\nA:", gen("A", c.Regex("a+") & ~c.Contains("\n")), "!")
    written = compile_query('"Q: {q}\\nA:[A]!" where REGEX(A, "a+") and not "\\n" in A')
    assert list_program(program.program) == list_program(written)
