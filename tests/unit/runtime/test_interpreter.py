"""The interpreter: programs from hole to hole, states as values."""

from __future__ import annotations

import asyncio
import threading

import pytest

from lmql_like.errors import QueryError, RunError
from lmql_like.grammars.compiler import compile_formula
from lmql_like.language.compiler import compile_query
from lmql_like.language.parameters import Parameter
from lmql_like.runtime.interpreter import Done, Fill, Interpreter


def run(text, *answers, arguments=None, **options):
    """Run a program with these answers; return its last step."""
    interpreter = Interpreter(compile_query(text), **options)
    step = interpreter.start(arguments or {})
    for answer in answers:
        step = interpreter.fill(step.state, answer)
    return step


def prompt(text, *answers, **arguments):
    step = run(text, *answers, arguments=arguments)
    assert isinstance(step, Done)
    return step.state.prompt


def failure(text, *answers, **arguments):
    with pytest.raises(RunError) as raised:
        run(text, *answers, arguments=arguments)
    return raised.value


# Steps


def test_a_program_goes_from_hole_to_hole():
    interpreter = Interpreter(compile_query('"Hi {name}: [A], [B]!"\nreturn A + B'))
    first = interpreter.start({"name": "Ann"})
    assert isinstance(first, Fill)
    assert (first.text, first.hole.name, first.hole.follow) == ("Hi Ann: ", "A", ", ")
    second = interpreter.fill(first.state, "x")
    assert (second.text, second.hole.name, second.hole.follow) == (", ", "B", "!")
    last = interpreter.fill(second.state, "y")
    assert isinstance(last, Done)
    assert (last.text, last.value) == ("!", "xy")
    assert last.state.variables == {"A": "x", "B": "y"}
    assert last.state.prompt == "Hi Ann: x, y!"


def test_a_program_without_holes_is_done_at_once():
    step = run('"a"\nx = 3\n"{x}"')
    assert (step.text, step.value) == ("a3", None)


def test_a_state_that_waits_for_no_hole_cannot_be_filled():
    step = run('"a"')
    with pytest.raises(RunError) as raised:
        Interpreter(compile_query('"a"')).fill(step.state, "x")
    assert raised.value.code == "R106"


def test_variables_keep_the_order_in_which_they_were_filled():
    step = run('for i in range(2):\n    "[A][B]"\n"[A]"', *"abcde")
    assert list(step.state.variables.items()) == [("B", "d"), ("A", "e")]


@pytest.mark.parametrize(
    ("follow", "text"),
    [("", '"[X]"'), ("b", '"[X]b"'), ("b", '"[X]b[Y]c"'), ("", '"[X]{1}b"'), ("b", '"[X]" "b"')],
)
def test_follow_is_the_literal_text_behind(follow, text):
    assert run(text).hole.follow == follow


# Values of holes


@pytest.mark.parametrize(
    ("text", "raw", "value"),
    [
        ('"[X]"', " 12", " 12"),
        ('"[X: int]"', " 12", 12),
        ('"[X: int]"', "-3", -3),
        ('"[X: float]"', "1.5", 1.5),
        ('"[X: bool]"', " False", False),
        ('"[X: str]"', "a", "a"),
        ('"[X]" where INT(X) and len(X) < 3', "12", 12),
        ('"[X]" where FLOAT(X)', "12", 12.0),
        ('"[X]"\nwhere BOOL(X)', "True", True),
        ('"[X]" where INT(X) or X == "a"', "12", "12"),
        ("\"[X: r'[0-9]+']\"", "12", "12"),
        ("\"[X: r'[0-9]+']\" where INT(X)", "12", 12),
    ],
)
def test_typed_holes_have_values_and_the_prompt_has_texts(text, raw, value):
    step = run(text, raw)
    assert step.state.variables["X"] == value
    assert type(step.state.variables["X"]) is type(value)
    assert step.state.prompt == raw


def test_a_text_that_is_no_value_of_its_type_is_an_error():
    error = failure('"a [X: int]"', "-")
    assert (error.code, error.position) == ("R103", (1, 4))


# Prompt strings


def test_interpolations_are_formatted_as_pythons_f_strings():
    text = 'x, w = 3.14159, 8\n"{x:.2f}|{x!r:>{w}}|{x!s:<4.4}|{x=}|{x = :.1f}|{{x}}[[x]]"'
    x, w = 3.14159, 8
    assert prompt(text) == f"{x:.2f}|{x!r:>{w}}|{x!s:<4.4}|{x=}|{x = :.1f}|{{x}}[x]"


def test_interpolations_are_evaluated_from_left_to_right_between_holes():
    assert prompt('"[X]{X}[Y]{X + Y}"', "a", "b") == "aabab"


def test_no_newline_is_implied():
    assert prompt('"a"\n"b"\nif True:\n    "c"') == "abc"


# Constraints over several holes


def texts_of(step, texts):
    automaton = compile_formula(step.hole.formula)
    return [text for text in texts if automaton.matches(text)]


def test_a_relation_is_enforced_at_the_later_hole():
    interpreter = Interpreter(compile_query('"[X] [Y]" where X == Y and len(X) < 3'))
    first = interpreter.start()
    assert texts_of(first, ["a", "ab", "abc"]) == ["a", "ab"]
    second = interpreter.fill(first.state, "ab")
    assert texts_of(second, ["a", "ab", "abc"]) == ["ab"]


@pytest.mark.parametrize(
    ("condition", "first", "allowed"),
    [
        ("X in Y", "b", ["ab", "b"]),
        ("Y in X", "ab", ["", "a", "ab", "b"]),
        ("len(X) < len(Y)", "a", ["ab"]),
        ("len(Y) <= len(X) + 1", "", ["", "a", "b"]),
        ("X != Y", "a", ["", "ab", "b"]),
        ("Y in [X, X.upper()]", "b", ["b"]),
        ('X == "a" or Y == "a"', "b", ["a"]),
        ('X == "a" or Y == "a"', "a", ["", "a", "ab", "b"]),
        ("len(BYTES(X)) == len(WORDS(Y))", "é", []),
        ('not (X == "b" and Y == "b")', "b", ["", "a", "ab"]),
        ('REGEX(X, "b+") and STARTS_WITH(Y, X)', "b", ["b"]),
    ],
)
def test_conditions_over_two_holes(condition, first, allowed):
    for where in (f'"[X]"\n"[Y]"\nwhere {condition}', f'"[X][Y]" where {condition}'):
        assert texts_of(run(where, first), ["", "a", "ab", "b"]) == allowed


def test_a_condition_waits_for_a_later_prompt_string():
    text = '"[X]" where Y == X\n"[Y]"\n"[Y]"'
    assert texts_of(run(text, "a"), ["a", "b"]) == ["a"]
    assert texts_of(run(text, "a", "a"), ["a", "b"]) == ["a", "b"]


def test_a_global_condition_holds_in_every_round():
    text = 'for i in range(2):\n    "[X]"\nwhere len(X) <= i + 1'
    assert texts_of(run(text), ["a", "ab", "abc"]) == ["a"]
    assert texts_of(run(text, "a"), ["a", "ab", "abc"]) == ["a", "ab"]


def test_a_condition_that_reads_a_hole_waits_for_its_own():
    text = 'for i in range(2):\n    "[L][W]" where W in [L + "x"]'
    assert texts_of(run(text, "a"), ["ax", "bx"]) == ["ax"]
    third = run(text, "a", "ax")
    assert texts_of(third, ["a", "b"]) == ["a", "b"]
    assert texts_of(run(text, "a", "ax", "b"), ["ax", "bx"]) == ["bx"]


def test_a_typed_hole_is_tested_by_its_text_once_it_is_filled():
    text = '"[N: int] [Y]" where len(N) < 2 or Y == "b"'
    assert texts_of(run(text, "12"), ["a", "b"]) == ["b"]
    assert texts_of(run(text, "1"), ["a", "b"]) == ["a", "b"]


def test_a_condition_that_reads_an_unfilled_hole_is_an_error():
    error = failure('for i in "ab":\n    "[A]" where A in [B]\n    "[B]"')
    assert (error.code, error.position) == ("R105", (2, 17))


def test_operands_are_evaluated_once_when_the_hole_begins():
    text = (
        'calls = []\ndef f():\n    calls.append(1)\n    return ["a"]\n'
        '"[X]" where X in f()\n"{len(calls)}"'
    )
    assert prompt(text, "a") == "a1"


# States are values


def test_filling_does_not_change_the_state():
    text = (
        "xs = [[]]\nalias = xs[0]\n"
        'for i in range(2):\n    "[H]"\n    alias.append(H)\n    xs.append(alias)\nreturn xs'
    )
    interpreter = Interpreter(compile_query(text))
    first = interpreter.start()
    a = interpreter.fill(first.state, "a")
    b = interpreter.fill(first.state, "b")
    assert interpreter.fill(a.state, "c").value == [["a", "c"]] * 3
    assert interpreter.fill(b.state, "d").value == [["b", "d"]] * 3
    assert first.state.names["xs"] == [[]]


def test_aliases_stay_aliases_in_a_fork():
    text = 'a = {"k": [1]}\nb = (a["k"], a)\n"[H]"\nb[0].append(H)\nreturn a["k"] is b[1]["k"], a'
    assert run(text, "x").value == (True, {"k": [1, "x"]})


def test_instances_of_the_programs_classes_are_copied():
    text = 'class C:\n    n = 0\nc = C()\n"[A]"\nc.n += 1\n"[B]"\nreturn c.n, type(c) is C'
    interpreter = Interpreter(compile_query(text))
    second = interpreter.fill(interpreter.start().state, "a")
    assert interpreter.fill(second.state, "b").value == (1, True)
    assert interpreter.fill(second.state, "c").value == (1, True)


def test_functions_see_the_names_of_the_state_that_runs():
    text = (
        "n = 0\ndef bump():\n    global n\n    n += 1\n    return n\n"
        '"[A]"\nbump()\n"[B]"\nreturn bump()'
    )
    interpreter = Interpreter(compile_query(text))
    second = interpreter.fill(interpreter.start().state, "a")
    assert [interpreter.fill(second.state, x).value for x in "xy"] == [2, 2]


def test_generators_are_read_once_for_all_forks():
    text = (
        "taken = []\ndef items():\n    for i in range(3):\n        yield [i]\n"
        'for x in items():\n    "[H]"\n    x.append(H)\n    taken.append(x)\nreturn taken'
    )
    interpreter = Interpreter(compile_query(text))
    first = interpreter.start()
    results = []
    for answer in "ab":
        step = interpreter.fill(first.state, answer)
        while isinstance(step, Fill):
            step = interpreter.fill(step.state, answer)
        results.append(step.value)
    assert results == [[[i, answer] for i in range(3)] for answer in "ab"]


def test_what_cannot_be_copied_is_shared(tmp_path):
    path = tmp_path / "log.txt"
    text = (
        f'lock = make()\nwith open({str(path)!r}, "w") as log:\n'
        '    "[H]"\n    log.write(H)\nreturn lock'
    )
    interpreter = Interpreter(compile_query(text))
    make = threading.Lock
    first = interpreter.start({"make": make})
    assert interpreter.fill(first.state, "a").value is first.state.names["lock"]
    assert path.read_text() == "a"


def test_the_callers_containers_are_not_changed_and_its_objects_are_shared():
    class Client:
        calls = 0

    client, history = Client(), ["a"]
    text = '"[X]"\nhistory.append(X)\nclient.calls += 1\nhistory.append(client)\nreturn history'
    value = run(
        'history.append("b")\n' + text, "x", arguments={"history": history, "client": client}
    ).value
    assert value == ["a", "b", "x", client]
    assert history == ["a"]
    assert client.calls == 1


def test_a_list_may_grow_while_it_is_iterated_over():
    assert prompt(
        'xs = ["a"]\nfor x in xs:\n    "[H]"\n    if len(xs) < 3: xs.append(H)\n"{xs}"', *"bcd"
    ) == ("bcd['a', 'b', 'c']")


def test_managers_are_entered_once_and_left_by_each_fork():
    text = (
        "log = []\n"
        "class M:\n"
        "    def __enter__(self):\n        log.append('in')\n"
        "    def __exit__(self, *error):\n        log.append('out')\n"
        'with M():\n    "[H]"\nreturn log'
    )
    interpreter = Interpreter(compile_query(text))
    first = interpreter.start()
    assert [interpreter.fill(first.state, x).value for x in "ab"] == [["in", "out"]] * 2


# Exceptions


def test_exceptions_of_the_authors_code_have_a_place_and_a_cause():
    error = failure('"[X]"\nfor i in "ab":\n    y = {}\n    y[i + X]', "z")
    assert (error.code, error.position) == ("R101", (4, 5))
    assert error.message == "KeyError: 'az'"
    assert isinstance(error.__cause__, KeyError)


def test_the_place_is_inside_the_function_that_raised():
    error = failure('def f(x):\n    return x.nothing\n"[X]"\nf(X)', "a")
    assert error.position == (2, 12)


def test_an_exception_in_an_interpolation_is_placed_there():
    assert failure('"[X]" "{1 / 0}"', "a").position == (1, 9)


def test_lines_count_from_the_file_around():
    program = compile_query('\n    "[X]"\n    1 / 0\n', first_line=10, name="m.py")
    interpreter = Interpreter(program)
    with pytest.raises(RunError) as raised:
        interpreter.fill(interpreter.start().state, "x")
    assert raised.value.position == (12, 5)


RAISED_AGAIN = """
try:
    try:
        "[X]"
        1 / 0
    except ZeroDivisionError:
        raise
except Exception as e:
    "{type(e).__name__}"
"""

RAISED_WHILE_HANDLING = """
try:
    try:
        "[X]"
        1 / 0
    except ZeroDivisionError as a:
        [][0]
except IndexError as b:
    "{type(b.__context__).__name__}"
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'try:\n    "[X]"\n    1 / 0\nexcept ZeroDivisionError as e:\n    "{e}"',
            "xdivision by zero",
        ),
        (
            'try:\n    "[X]"\n    raise KeyError(X)\nexcept (KeyError, OSError) as e:\n    "{e}"',
            "x'x'",
        ),
        (
            'try:\n    "[X]{1/0}"\nexcept Exception:\n    "c"\nelse:\n    "d"\nfinally:\n    "f"',
            "xcf",
        ),
        ('try:\n    "[X]"\nexcept: "c"\nelse:\n    "d"\nfinally:\n    "f"', "xdf"),
        ('for i in "ab":\n    try:\n        "[X]"\n        break\n    finally:\n        "f"', "xf"),
        ('try:\n    "[X]"\n    return 1\nfinally:\n    "f"', "xf"),
        (RAISED_AGAIN, "xZeroDivisionError"),
        (RAISED_WHILE_HANDLING, "xZeroDivisionError"),
    ],
)
def test_the_programs_own_handlers_see_exceptions(text, expected):
    assert prompt(text, "x") == expected


def test_an_exceptions_name_is_forgotten():
    error = failure('try:\n    "[X]"\n    1 / 0\nexcept Exception as e:\n    "a"\ne', "x")
    assert error.message.startswith("NameError")


def test_a_bare_raise_without_an_exception_is_an_error():
    assert "RuntimeError" in failure('"[X]"\nif X: raise', "x").message


def test_catching_what_is_no_exception_class_is_an_error():
    assert "TypeError" in failure('try:\n    "[X]"\n    1 / 0\nexcept 3: "a"', "x").message


def test_keyboard_interrupts_pass_through():
    with pytest.raises(KeyboardInterrupt):
        run('try:\n    "[X]"\n    raise KeyboardInterrupt\nexcept BaseException:\n    "no"', "x")


def test_constraint_errors_are_not_the_programs_to_catch():
    with pytest.raises(RunError) as raised:
        run('n = 5\ntry:\n    "[X]" where X in n\nexcept Exception:\n    "no"')
    assert raised.value.code == "R102"


def test_an_endless_loop_can_be_stopped():
    with pytest.raises(RunError) as raised:
        run('while True:\n    "a"', max_instructions=100)
    assert raised.value.code == "R104"


# Python


def test_match_chooses_a_block():
    text = (
        '"[X]"\nmatch X.split():\n    case [a, b] if a < b:\n        "two {a}"\n'
        '    case [a]:\n        "one {a}"\n    case _:\n        "many"'
    )
    assert [prompt(text, x) for x in ("p q", "q p", "p")] == ["p qtwo p", "q pmany", "pone p"]


def test_while_and_for_have_else():
    text = 'n = 0\nwhile n < 3:\n    n += 1\n    "[X]"\n    if X == "b": break\nelse:\n    "e"'
    assert prompt(text, "a", "a", "a") == "aaae"
    assert prompt(text, "a", "b") == "ab"


def test_async_functions_are_awaited():
    text = (
        "import asyncio\n"
        "async def f(x):\n    await asyncio.sleep(0)\n    return x + '!'\n"
        '"[X]"\na = f(X)\nb = await f(a)\n'
        "c = await asyncio.gather(f('p'), f('q'))\n"
        'if await f(X) == "x!": "yes {await f(b)} {f(b)}"\nreturn a, b, c'
    )
    step = run(text, "x")
    assert step.value == ("x!", "x!!", ["p!", "q!"])
    assert step.state.prompt == "xyes x!!! x!!!"


def test_tasks_live_on_one_event_loop():
    text = (
        "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 1\n"
        "async def g():\n    return asyncio.ensure_future(f())\n"
        "task = await g()\nreturn await task"
    )
    assert run(text).value == 1


def test_coroutines_run_inside_a_running_loop():
    async def main():
        return run('async def f():\n    return 7\n"[X]"\nreturn await f()', "x").value

    assert asyncio.run(main()) == 7


def test_names_of_the_outer_scope_are_read():
    program = compile_query(
        '"{f(2)}[X]" where X in words', parameters=[], scope=["f", "words", "g"]
    )
    interpreter = Interpreter(program, scope={"f": lambda n: n * 2, "words": ["a"], "g": 0})
    step = interpreter.start()
    assert step.text == "4"
    assert "g" not in step.state.names


def test_recursion_into_another_query_keeps_both_apart():
    inner = compile_query('"{x}[X]"\nreturn X', parameters=[Parameter("x")])

    def ask(x):
        interpreter = Interpreter(inner)
        return interpreter.fill(interpreter.start({"x": x}).state, "inner").value

    text = 'x = "outer"\n"[X]"\ny = ask(X)\nreturn x, X, y'
    assert run(text, "a", arguments={"ask": ask}).value == ("outer", "a", "inner")


def test_arguments_are_checked():
    with pytest.raises(QueryError) as raised:
        run('"{a}{b}"', arguments={"a": 1})
    assert raised.value.code == "Q401"


def test_nothing_the_model_wrote_is_evaluated():
    step = run('"[X] {X}"', "{1/0} [Y]")
    assert step.state.prompt == "{1/0} [Y] {1/0} [Y]"


# Programs that other implementations of the language read wrongly


def test_or_behind_where_is_part_of_the_condition():
    step = run('"[X]" where X == "a" or X == "b"')
    assert texts_of(step, ["a", "b", "c"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [('"[X]\\""', 'x"'), ("'A [X]\"'", 'A x"'), ('"""[X]\'"\'"""', "x'\"'"), ("'[X]'", "x")],
)
def test_quotes_may_end_a_prompt_string(text, expected):
    assert prompt(text, "x") == expected


def test_conversions_and_formats_work():
    assert prompt('x = 2.5\n"{x!r} {x:.2f}"') == "2.5 2.50"


@pytest.mark.parametrize("name", ["sample", "var", "beam", "argmax", "where", "distribution"])
def test_variables_may_be_named_like_keywords(name):
    assert prompt(f'{name} = 3\n"{{{name}}}[X]"', "x") == "3x"


@pytest.mark.parametrize("text", ['f"a [X]"', '["[X]" for i in "ab"]', 'def f():\n    "[X]"\nf()'])
def test_lost_prompt_strings_are_errors(text):
    with pytest.raises(QueryError) as raised:
        compile_query(text)
    assert raised.value.code in ("Q014", "Q016")
