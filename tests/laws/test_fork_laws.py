"""Forking: each hypothesis of a search is the program run alone on the hypothesis's own texts.

Random programs note every hole they fill in a list of their own. Whatever a search forks,
keeps and drops, the program replayed step by step on those texts must come to the same
prompt, variables and value.
"""

from __future__ import annotations

import textwrap

from hypothesis import given, settings
from hypothesis import strategies as st

from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.interpreter import Done, Fill, Interpreter
from lmql_like.runtime.run import run_program
from lmql_like.runtime.toy_model import ToyModel

TOKENS = [b"a", b"b", b"ab", b"c", *(bytes([byte]) for byte in range(256))]
VOCABULARY = Vocabulary([*TOKENS, b""], eos_token_ids=[len(TOKENS)])
DECODERS = ["beam(n=2)", "beam(n=4)", "sample(n=3)", "beam_sample(n=3)", "argmax"]

PRELUDE = """
log, xs, seen = [], [], {}
same = xs
class Box:
    def __init__(self):
        self.items = []
box = Box()
def note(text):
    log.append(text)
    box.items.append(len(log))
def numbers():
    for i in range(2):
        yield i
@query
def think(options):
    "think[T]" where T in options
    note(T)
    xs.append(T)
    return T + str(len(xs))
@query
def macro(n):
    for i in range(n):
        "<[M]>" where M in ["a", "c"]
        note(M)
def twice(value):
    xs.append(value)
    return value * 2
"""

OPTIONS = st.lists(st.sampled_from(["a", "b", "ab", "c"]), min_size=1, max_size=3, unique=True)


@st.composite
def holes(draw):
    name = draw(st.sampled_from("XYZ"))
    options = draw(OPTIONS)
    clause = draw(st.sampled_from(["where {0} in {1}", "distribution {0} in {1}"]))
    decorator = draw(st.sampled_from(["", "", "@twice "]))
    noted = f"note({name}[: len({name}) // 2])" if decorator else f"note({name})"
    return f'"[{decorator}{name}]" {clause.format(name, options)}\n{noted}'


SIMPLE = st.one_of(
    holes(),
    st.sampled_from(
        [
            '"{len(xs)}{len(same)}"',
            "xs.append(len(box.items))",
            "seen[len(log)] = list(log)",
            "same = xs",
            "note_count = len(log)",
            "\"[N: think(['a', 'b'])]\"",
            '"[N: macro(2)]"',
            "box.items.clear()",
        ]
    ),
)


def indented(parts):
    return textwrap.indent("\n".join(parts), "    ")


def compounds(inner):
    blocks = st.lists(inner, min_size=1, max_size=3).map(indented)
    heads = st.sampled_from(
        [
            'if log and log[-1] in ("a", "ab"):',
            "if len(xs) % 2:",
            "for i in range(2):",
            "for i in numbers():",
            "for item in list(xs):",
        ]
    )
    return st.tuples(heads, blocks).map("\n".join)


PROGRAMS = st.lists(st.recursive(SIMPLE, compounds, max_leaves=4), min_size=2, max_size=5).map(
    "\n".join
)
END = "\nreturn log, xs, same is xs, seen, box.items"


@given(program=PROGRAMS, decoder=st.sampled_from(DECODERS), seed=st.integers(0, 5))
@settings(max_examples=120)
def test_a_hypothesis_is_the_program_replayed_on_its_texts(program, decoder, seed):
    compiled = compile_query(PRELUDE + program + END)
    model = ToyModel(VOCABULARY, seed=seed)
    for result in run_program(compiled, {}, model=model, decoder=decoder, seed=seed):
        if result.status != "complete":
            continue
        texts = list(result.value[0])
        interpreter = Interpreter(compiled)
        step = interpreter.start({})
        while isinstance(step, Fill):
            step = interpreter.fill(step.state, texts.pop(0))
        assert isinstance(step, Done)
        assert not texts
        assert step.state.prompt == result.text
        assert step.value == result.value
        assert dict(step.state.variables) == dict(result.variables)
