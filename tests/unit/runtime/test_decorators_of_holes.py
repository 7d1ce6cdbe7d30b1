"""Decorators of holes, functions that run once for all, and tools that a program calls."""

from __future__ import annotations

import asyncio
import textwrap

import pytest

import lmql_like
from lmql_like.errors import LmqlLikeError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.run import run_program, start_run
from lmql_like.runtime.toy_model import ToyModel

TOKENS = [bytes([byte]) for byte in range(256)] + [b"ab", b"abc"]
MODEL = ToyModel(Vocabulary([*TOKENS, b""], eos_token_ids=[len(TOKENS)]), context=None)
DECODERS = ["argmax", "sample(n=3)", "beam(n=3)"]


def run(text, decoder=None, scope=None, **arguments):
    program = compile_query(textwrap.dedent(text), scope=scope or ())
    return run_program(program, arguments, model=MODEL, decoder=decoder, seed=3, scope=scope)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_function_gives_the_hole_another_value_and_the_prompt_keeps_the_text(decoder):
    text = """
        def loud(value):
            return value.upper()
        "A [@loud X] B {X}" where X in ["ab", "c"]
        return X
    """
    for result in run(text, decoder):
        assert result.value in ("AB", "C")
        assert result.text == f"A {result.value.lower()} B {result.value}"
        assert result.variables == {"X": result.value}


def test_several_are_applied_from_the_inside_out_and_may_have_arguments():
    text = """
        class tools:
            @staticmethod
            def add(suffix):
                return lambda value: value + suffix
        "[@tools.add('!') @tools.add('?') X]" where X in ["a"]
    """
    assert run(text)[0].variables == {"X": "a?!"}


def test_a_typed_hole_gives_its_value():
    assert run('"[@abs N: int]" where N == "-3"')[0].variables == {"N": 3}


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_text_itself_can_be_rewritten(decoder):
    text = """
        def shorten(value):
            return Rewritten(len(value), value[:1] + "..")
        "A [@shorten X] [Y]" where X in ["abc", "cab"] and Y in ["p", "q"]
        return X
    """
    for result in run(text, decoder, scope={"Rewritten": lmql_like.Rewritten}):
        assert result.value == 3
        assert result.text[:6] in ("A a.. ", "A c.. ")
        spelled = b"".join(MODEL.vocabulary.tokens[i] for i in result.token_ids)
        assert spelled.decode() == result.text


def test_pre_may_fill_the_hole_without_the_model():
    text = """
        known = {"X": 7}
        @pre
        def look(name):
            return known.get(name)
        "A [@look X] [@look Y]" where Y in ["a", "b"]
        return X
    """
    (result,) = run(text)
    assert result.value == 7
    assert result.text[:4] == "A 7 "
    assert result.variables["Y"] in ("a", "b")


def test_what_pre_gives_must_satisfy_the_conditions():
    text = '@pre\ndef give(name):\n    return "abc"\n"A[@give X]" where len(X) < {n}'
    assert run(text.replace("{n}", "4"))[0].status == "complete"
    dead = run(text.replace("{n}", "3"))[0]
    assert (dead.status, dead.text) == ("dead-end", "Aabc")


@pytest.mark.parametrize("decoder", DECODERS)
def test_stream_sees_each_hypothesis_grow_and_what_it_keeps_is_the_hypothesis_own(decoder):
    text = """
        seen = []
        @stream
        def watch(text):
            seen.append(text)
        "A [@watch X]" where len(X) == 3 and REGEX(X, "[abé]*")
        return seen, X
    """
    for result in run(text, decoder):
        seen, x = result.value
        assert seen[-1] == x
        assert all(x.startswith(part) for part in seen)
        assert [len(part) for part in seen] == sorted(len(part) for part in seen)


def test_one_object_may_be_all_three():
    text = """
        class Watch:
            def __init__(self):
                self.calls = []
            def pre(self, name):
                self.calls.append("pre " + name)
            def stream(self, text):
                self.calls.append("stream " + text)
            def post(self, value):
                self.calls.append("post " + value)
                return value
        watch = Watch()
        "[@watch X]" where X in ["a", "b"]
        return watch.calls, X
    """
    for result in run(text, "beam(n=2)"):
        calls, x = result.value
        assert calls == ["pre X", f"stream {x}", f"post {x}"]


def test_a_nested_query_can_be_decorated():
    text = """
        @query
        def f():
            "think[T]" where T in ["a"]
            return 1
        @query
        def g():
            "mac"
        def twice(value):
            return value * 2
        "A[@twice X: f]B[@twice Y: g]"
        return X, Y
    """
    (result,) = run(text)
    assert result.value == (2, "macmac")
    assert result.text == "A1Bmac"


def test_exceptions_are_the_programs_own():
    text = """
        def fails(value):
            raise ValueError(value)
        try:
            "A[@fails X]" where X in ["a"]
        except ValueError as error:
            " caught {error}"
    """
    assert run(text)[0].text == "Aa caught a"
    with pytest.raises(LmqlLikeError) as raised:
        run('def fails(value):\n    1 / 0\n"[@fails X]" where X in ["a"]')
    assert (raised.value.code, raised.value.position) == ("R101", (2, 5))
    with pytest.raises(LmqlLikeError) as raised:
        run('@stream\ndef fails(text):\n    1 / 0\n"[@fails X]" where len(X) < 3')
    assert (raised.value.code, raised.value.position) == ("R101", (3, 5))


def test_streams_hold_a_hole_back_that_may_be_rewritten():
    text = 'def cut(v):\n    return Rewritten(v, "z")\n"A[@cut X]B" where X in ["ab", "c"]'
    program = compile_query(text, scope=("Rewritten",))
    running = start_run(program, model=MODEL, scope={"Rewritten": lmql_like.Rewritten})
    assert "".join(event.text for event in running.events()) == "AzB"


@pytest.mark.parametrize(
    ("text", "code", "position"),
    [
        ('n = 3\n"[@n X]"', "R111", (2, 4)),
        ('"[@ X]"', "Q012", (1, 2)),
    ],
)
def test_refused(text, code, position):
    with pytest.raises(LmqlLikeError) as raised:
        run(text)
    assert (raised.value.code, raised.value.position) == (code, position)


# Tools: functions that run once for all hypotheses and inputs


@pytest.mark.parametrize("decoder", DECODERS)
def test_once_a_function_runs_for_all_hypotheses(decoder):
    calls = []

    def look(word):
        calls.append(word)
        return [word]

    text = """
        @once
        def tool(word):
            return look(word)
        "[X]" where X in ["a", "b", "c"]
        found = tool("x")
        found.append(X)
        again = tool("x")
        return found, again, tool(word="y")
    """
    for result in run(text, decoder, scope={"look": look}):
        found, again, other = result.value
        assert found == ["x", result.variables["X"]]
        assert (again, other) == (["x"], ["y"])
    assert sorted(calls) == ["x", "y"]


def test_once_holds_for_all_inputs_of_a_run_and_no_longer():
    calls = []

    @lmql_like.once
    def tool(values):
        calls.append(values)
        return len(values)

    program = compile_query('"{tool([n, {1: 2}])}"', scope=("tool",))
    inputs = [{"n": 1}, {"n": 2}, {"n": 1}]
    for _ in range(2):
        results = run_program(program, inputs, model=MODEL, scope={"tool": tool})
        assert [result.text for result in results] == ["2", "2", "2"]
    assert calls == [[1, {1: 2}], [2, {1: 2}]] * 2
    assert tool([]) == tool([]) == 0
    assert len(calls) == 6


def test_once_of_an_async_function():
    calls = []

    async def look(word):
        await asyncio.sleep(0)
        calls.append(word)
        return word

    text = """
        tool = once(look)
        "[X]" where X in ["a", "b"]
        return tool("x"), await tool("x")
    """
    for result in run(text, "beam(n=2)", scope={"look": look}):
        assert result.value == ("x", "x")
    assert calls == ["x"]


def test_without_once_a_side_effect_happens_for_each_hypothesis():
    calls = []
    text = '"[X]" where X in ["a", "b"]\nlook(X)'
    run(text, "beam(n=2)", scope={"look": calls.append})
    assert sorted(calls) == ["a", "b"]


def test_arguments_that_cannot_be_remembered_are_an_error():
    with pytest.raises(LmqlLikeError) as raised:
        run('f = once(print)\nf(bytearray(b"a"))')
    assert raised.value.code == "R101"
