from __future__ import annotations

import pytest

from lmql_like.errors import QueryError
from lmql_like.language.compiler import compile_query
from lmql_like.language.parameters import Parameter


def free(text):
    return [parameter.name for parameter in compile_query(text).parameters]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('"{a} {b + a}"', ["a", "b"]),
        ('"{a:>{w}}"', ["a", "w"]),
        ("x = a\ny = x", ["a"]),
        ("x = x", ["x"]),
        ("x += 1", ["x"]),
        ("import os.path as p, re\nprint(p, re, os)", ["os"]),
        ("from a import b as c\nprint(b, c)", ["b"]),
        ("for i in xs: print(i, n)", ["xs", "n"]),
        ('for i in xs:\n    "{last}"\n    last = i', ["xs"]),
        ('while go:\n    "{x}"\n    x = go = 0', []),
        ("[x for x in xs if x in ys]", ["xs", "ys"]),
        ("[x for x in x]", ["x"]),
        ("{k: v for k, v in d.items()}", ["d"]),
        ("[y for x in xs for y in x]", ["xs"]),
        ("lambda a, *b, c=d: a + e", ["d", "e"]),
        ("def f(a=b):\n    return a + later + c\nlater = 1", ["b", "c"]),
        ("def f():\n    x = 1\n    def g():\n        return x + y\n    return g", ["y"]),
        ("class A(B):\n    x = y\n    z = x\n    def f(self):\n        return q", ["B", "y", "q"]),
        ("with open(p) as f: f.read()", ["p"]),
        ("try: pass\nexcept E as e: print(e)", ["E"]),
        ("(n := 3)\nprint(n)", []),
        (
            "match s:\n    case [a, *b] if a > c: print(a, b)\n    case {'k': d, **e}: print(d, e)",
            ["s", "c"],
        ),
        ('match s:\n    case P(x=a): "{a}"', ["s", "P"]),
        ("del x", []),
        ('"[X]"\nprint(X)', []),
        ('"[X] {X}"', []),
        ('"[X]" where X in options', ["options"]),
        ('"[X]"\nwhere len(X) < n + m', ["n", "m"]),
        ('"{b}[X]" where X in a\n"{c}"', ["b", "a", "c"]),
        ('"[X]" where X in [o for o in os if o != X2]', ["os", "X2"]),
        ('a: int\nb: str = "x"\n"{a}{b}{c}"', ["a", "b", "c"]),
        ("print(__name__, len, ValueError)", []),
    ],
)
def test_free_names_are_parameters(text, names):
    assert free(text) == names


def test_declarations_give_types_and_defaults():
    program = compile_query('a: int\nb: list[str] = ["x"]\nc: "str"\n"{a}{b}"\nd: int = 3')
    assert program.parameters == (
        Parameter("a", int),
        Parameter("b", list[str], ["x"]),
        Parameter("c", "str"),
    )


def test_an_assignment_of_a_computed_value_stays_one():
    assert compile_query('x: int = len("abc")\n"{x}"').parameters == ()


def test_given_parameters_are_the_only_ones():
    program = compile_query('"{a}[X]"', parameters=[Parameter("a", str)])
    assert program.parameters == (Parameter("a", str),)
    with pytest.raises(QueryError) as raised:
        compile_query('"{adress}[X]"', parameters=[Parameter("address", str)])
    assert (raised.value.code, raised.value.position) == ("Q102", (1, 3))
    assert "did you mean 'address'?" in raised.value.render()


def test_names_of_the_outer_scope_are_captured_if_they_are_read():
    program = compile_query(
        '"{helper(1)}[X]" where X in words', parameters=[], scope=["helper", "words", "other"]
    )
    assert program.captured == ("helper", "words")


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ('"{X} [X]"', (1, 3)),
        ('print(X)\n"[X]"', (1, 7)),
        ('if X:\n    "[X]"', (1, 4)),
    ],
)
def test_a_hole_is_not_read_before_it_is_filled(text, position):
    with pytest.raises(QueryError) as raised:
        compile_query(text)
    assert (raised.value.code, raised.value.position) == ("Q101", position)


@pytest.mark.parametrize(
    "text",
    [
        'X = ""\n"{X} [X]"',
        'for i in range(2):\n    if i: "{X}"\n    "[X]"',
        'def f():\n    return X\n"[X]"\nf()',
        '"[X] {X}"',
    ],
)
def test_a_hole_may_be_read_where_it_may_have_a_value(text):
    compile_query(text)
