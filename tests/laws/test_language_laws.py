"""Laws of the language floor.

A query's control flow is Python's; forks are replays; every text compiles or is refused
at a place.
"""

from __future__ import annotations

import textwrap
from itertools import count
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lmql_like.errors import LmqlLikeError, RunError
from lmql_like.language.compiler import compile_query
from lmql_like.language.listing import list_program
from lmql_like.runtime.interpreter import Done, Fill, Interpreter

PRELUDE = """
class Manager:
    def __init__(self, log, swallow):
        self.log = log
        self.swallow = swallow
    def __enter__(self):
        self.log.append("enter")
        return len(self.log)
    def __exit__(self, kind, error, trace):
        self.log.append("exit " + (kind.__name__ if kind else "-"))
        return self.swallow and kind is KeyError
def numbers(n):
    for i in range(n):
        yield [i]
def bump(n):
    return n + 1
log = []
xs = [[1], [2]]
ys = xs
a, b = 1, 2
"""

SIMPLE = [
    "a += 1",
    "b = a * 2 - b",
    "xs.append([a])",
    "ys[-1].append(b)",
    "xs = [list(x) for x in ys][:4]",
    "log.append((a, len(xs)))",
    "c = (lambda n: n + b)(a)",
    "del xs[3:]",
    "assert b < 50",
    "raise KeyError(a)",
    "raise ValueError(b)",
    "1 / (a - 3)",
    "(a, *_), b = (b, a), len(ys)",
    "def bump(n):\n    global_list = xs + [[n]]\n    return len(global_list) + a",
    "a = bump(a)",
    "log.append([x for x in xs if x])",
    "pass",
]
TESTS = ["a % 2", "len(xs) > 2", "b > a", "not log", "H == 'x'"]
ITERABLES = [
    "range(2)",
    "xs[:3]",
    "enumerate(xs[:2])",
    "numbers(3)",
    "zip(xs, range(2))",
    "{'k': xs, 'l': 1}",
    "{'k': xs}.items()",
    "iter(xs[:2])",
]


class Writer:
    """Draws a program, written twice: as a query, and as plain Python."""

    def __init__(self, draw) -> None:
        self.draw = draw
        self.names = count()
        self.budget = 14

    def pick(self, options):
        return self.draw(st.sampled_from(options))

    def block(self, depth, *, in_loop) -> tuple[str, str]:
        size = self.draw(st.integers(1, 3))
        pairs = [self.statement(depth, in_loop=in_loop) for _ in range(size)]
        return "\n".join(q for q, _ in pairs), "\n".join(p for _, p in pairs)

    def statement(self, depth, *, in_loop) -> tuple[str, str]:
        self.budget -= 1
        kinds = ["simple", "simple", "hole", "hole", "text"]
        if depth and self.budget > 0:
            kinds += ["if", "for", "while", "try", "with", "match"]
        kinds += ["break", "continue"] if in_loop else []
        kinds += ["return"] if self.draw(st.integers(0, 9)) == 0 else []
        kind = self.pick(kinds)
        return getattr(self, f"{kind}_")(depth, in_loop)

    def simple_(self, _depth, _in_loop):
        text = self.pick(SIMPLE)
        return text, text

    def hole_(self, _depth, _in_loop):
        name = self.pick(["H", "K"])
        return f'"<[{name}]>"', f"say('<'); {name} = ask(); say({name}); say('>')"

    def text_(self, _depth, _in_loop):
        return '"{a}{b!r:>3}, "', "say(f'{a}{b!r:>3}, ')"

    def break_(self, _depth, _in_loop):
        return "break", "break"

    def continue_(self, _depth, _in_loop):
        return "continue", "continue"

    def return_(self, _depth, _in_loop):
        return "return (a, b, ys)", "return (a, b, ys)"

    def compound(self, header, depth, in_loop, clauses=()):
        query, python = self.block(depth - 1, in_loop=in_loop)
        texts = [f"{header}:\n{indent(query)}", f"{header}:\n{indent(python)}"]
        for clause, clause_in_loop in clauses:
            query, python = self.block(depth - 1, in_loop=clause_in_loop)
            texts[0] += f"\n{clause}:\n{indent(query)}"
            texts[1] += f"\n{clause}:\n{indent(python)}"
        return tuple(texts)

    def if_(self, depth, in_loop):
        clauses = self.pick(
            [(), (("else", in_loop),), (("elif b % 2", in_loop), ("else", in_loop))]
        )
        return self.compound(f"if {self.pick(TESTS)}", depth, in_loop, clauses)

    def for_(self, depth, in_loop):
        clauses = self.pick([(), (("else", in_loop),)])
        target = self.pick(["t", "t", "xs[0]"])
        return self.compound(f"for {target} in {self.pick(ITERABLES)}", depth, True, clauses)

    def while_(self, depth, in_loop):
        turn = f"turn{next(self.names)}"
        clauses = self.pick([(), (("else", in_loop),)])
        query, python = self.compound(f"while ({turn} := {turn} + 1) < 3", depth, True, clauses)
        return f"{turn} = 0\n{query}", f"{turn} = 0\n{python}"

    def try_(self, depth, in_loop):
        clauses = self.pick(
            [
                (("except KeyError", in_loop),),
                (("except (ValueError, ZeroDivisionError) as e", in_loop), ("else", in_loop)),
                (("except KeyError as e", in_loop), ("except Exception", in_loop)),
                (("finally", False),),
                (("except KeyError", in_loop), ("else", in_loop), ("finally", in_loop)),
            ]
        )
        return self.compound("try", depth, in_loop, clauses)

    def with_(self, depth, in_loop):
        header = self.pick(
            [
                "with Manager(log, True)",
                "with Manager(log, False) as m",
                "with Manager(log, True) as m, Manager(ys, False)",
            ]
        )
        return self.compound(header, depth, in_loop)

    def match_(self, depth, in_loop):
        first, second = (self.block(depth - 1, in_loop=in_loop) for _ in range(2))
        cases = ("case [[first], *_] if first > 0:", "case [_]:")
        query, python = (
            f"match {'xs'}:\n"
            + "".join(
                indent(f"{case}\n{indent(body[i])}") + "\n"
                for case, body in zip(cases, (first, second), strict=True)
            )
            for i in range(2)
        )
        return query, python


def indent(text):
    return textwrap.indent(text, "    ")


@st.composite
def programs(draw):
    query, python = Writer(draw).block(3, in_loop=False)
    return PRELUDE + "H = K = ''\n" + query, PRELUDE + "H = K = ''\n" + python


class NoAnswerLeft(BaseException):
    """The plain twin asks for a hole's text, and there is none."""


def run_python(text, answers):
    """Run the plain twin; return what a query's run is compared by."""
    said, stopped, answers = [], [], list(answers)

    def ask():
        if answers:
            return answers.pop(0)
        stopped.append("".join(said))
        raise NoAnswerLeft

    scope = {"say": said.append, "ask": ask}
    exec(f"def main():\n{indent(text)}\n    return None", scope)  # noqa: S102 - our own text
    result = "done", None, None
    try:
        value = scope["main"]()
        result = "done", "".join(said), value
    except NoAnswerLeft:
        pass
    except Exception as error:  # noqa: BLE001 - whatever the program raises is compared
        result = type(error).__name__, None, None
    # A query without an answer stops for good: its `finally` blocks never run.
    return ("more", stopped[0], None) if stopped else result


def run_query(interpreter, answers):
    answers = iter(answers)
    try:
        step = interpreter.start({})
        while isinstance(step, Fill):
            answer = next(answers, None)
            if answer is None:
                return "more", step.state.prompt, None
            step = interpreter.fill(step.state, answer)
    except RunError as error:
        return type(error.__cause__).__name__, None, None
    return "done", step.state.prompt, step.value


@settings(max_examples=150, deadline=None)
@given(programs(), st.lists(st.sampled_from(["x", "y", ""]), min_size=1, max_size=6))
def test_control_flow_is_pythons(program, answers):
    query, python = program
    interpreter = Interpreter(compile_query(query), max_instructions=5000)
    expected = run_python(python, answers)
    actual = run_query(interpreter, answers)
    if expected[0] == "more" or actual[0] == "more":
        assert actual[:2] == expected[:2]
    else:
        assert repr(actual) == repr(expected)


def snapshot(step):
    if isinstance(step, Done):
        return "done", step.text, repr(step.value), step.state.prompt
    return "fill", step.text, step.hole.name, step.state.prompt, repr(dict(step.state.variables))


def fill(interpreter, step, answer):
    """Return the next step, or the name of the exception that ended the run."""
    try:
        return interpreter.fill(step.state, answer)
    except RunError as error:
        return type(error.__cause__).__name__


def replay(program, answers):
    """Return the last step of a fresh run, or the exception that ended it."""
    interpreter = Interpreter(program)
    try:
        step = interpreter.start({})
        for answer in answers:
            step = interpreter.fill(step.state, answer)
    except RunError as error:
        return type(error.__cause__).__name__
    return snapshot(step)


@settings(max_examples=100, deadline=None)
@given(programs(), st.data())
def test_forks_are_replays(program, data):
    compiled = compile_query(program[0])
    interpreter = Interpreter(compiled)
    try:
        first = interpreter.start({})
    except RunError:
        return
    waiting = [((), first)] if isinstance(first, Fill) else []
    for _ in range(8):
        if not waiting:
            break
        answers, step = data.draw(st.sampled_from(waiting), label="state")
        answer = data.draw(st.sampled_from(["x", "y", ""]), label="answer")
        after = fill(interpreter, step, answer)
        expected = replay(compiled, (*answers, answer))
        assert (after if isinstance(after, str) else snapshot(after)) == expected
        if isinstance(after, Fill):
            waiting.append(((*answers, answer), after))


GOLDEN = Path(__file__).parents[1] / "golden"
WRITTEN = [
    path.read_text(encoding="utf-8")
    for path in sorted(GOLDEN.glob("*/*.lmql"))
    if path.stat().st_size
]
FRAGMENTS = [
    *"[](){}:;,'\"\\#@!=. \n\t",
    *("where ", " where X == 'a'", " and ", "\n    ", "[X]", "{x}", "[X: int]", '"""', "not "),
    *("argmax", "from ", "len(X)", "STOPS_AT(X, '.')", "é", "\r\n", "f", "r", "in ", "if x:\n"),
    *("return ", "await ", "yield ", "lambda: ", "=", "X", "Y"),
]


@st.composite
def damaged_programs(draw):
    """A program of the golden cases with a few pieces cut, put in or doubled."""
    text = draw(st.sampled_from(WRITTEN))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        kind = draw(st.sampled_from(["cut", "insert", "double"]))
        piece = {
            "cut": "",
            "insert": draw(st.sampled_from(FRAGMENTS)),
            "double": text[start:end] * 2,
        }
        text = text[:start] + piece[kind] + text[end if kind != "insert" else start :]
    return text


@settings(max_examples=300, deadline=None)
@given(damaged_programs())
def test_every_text_is_compiled_or_refused_at_a_place(text):
    try:
        program = compile_query(text)
    except LmqlLikeError as error:
        line, column = error.position
        lines = error.source.text.split("\n")
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 1
        assert error.render()  # noqa: PT017 - same
    else:
        assert list_program(program) is not None
