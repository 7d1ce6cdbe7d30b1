from __future__ import annotations

import ast

import pytest

from lmql_like.errors import QueryError
from lmql_like.language import nodes
from lmql_like.language.parser import parse_query
from lmql_like.source import Source


def parse(text, bound=()):
    return parse_query(Source(text), frozenset(bound))


def wheres(text):
    """The conditions of each prompt string, and those of the program."""
    query = parse(text)
    from lmql_like.language.scopes import prompts_of

    of_prompts = [
        [ast.unparse(clause.condition) for clause in prompt.where]
        for prompt in prompts_of(query.statements)
    ]
    return of_prompts, [ast.unparse(clause.condition) for clause in query.where]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"[X]" where A', ([["A"]], [])),
        ('"[X]" WHERE A AND NOT B OR C IN d', ([["A and (not B) or C in d"]], [])),
        ('"[X]" where len(X) < 3  # short\n"y"', ([["len(X) < 3"], []], [])),
        ('"[X]"\n    where A\n    and B', ([["A and B"]], [])),
        ('"[X]" where (A or\nB)', ([["A or B"]], [])),
        ('"[X]" where A and\nB', ([["A and B"]], [])),
        ('"[X]" where A\nand B', ([["A and B"]], [])),
        ('"[X]" where\n    A\n    and B\n"y"', ([["A and B"], []], [])),
        ('"[X]"\n"[Y]"\nwhere A', ([[], []], ["A"])),
        ('"[X]"\nwhere A\n"[Y]"', ([["A"], []], [])),
        ('if a:\n    "[X]"\n    where A\nwhere B', ([["A"]], ["B"])),
        ('argmax\n    "[X]" where A\nfrom "m"\nwhere B', ([["A"]], ["B"])),
        ('argmax\n    "[X]"\nWHERE\n    A AND\n    B', ([[]], ["A and B"])),
        ('argmax "[X]" from "m" where A', ([[]], ["A"])),
        ('argmax "[X]" where A', ([["A"]], [])),
        ('argmax "[X]"\n    from "m"\n    where A', ([[]], ["A"])),
        ('"[X]" where A; y = 1', ([["A"]], [])),
        ('if a: "[X]" where A', ([["A"]], [])),
        ('("[X]" "b") where A', ([["A"]], [])),
        ('("[X]"\n "b")\nwhere A', ([[]], ["A"])),
        ('"[X]" where A == "where B"', ([["A == 'where B'"]], [])),
        ('"[X]" where f(where=1)', ([["f(where=1)"]], [])),
    ],
)
def test_conditions_go_where_they_belong(text, expected):
    assert wheres(text) == expected


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ('argmax\n    "a"', "argmax", {}),
        ('argmax\n"a"', "argmax", {}),
        ('argmax()\n"a"', "argmax", {}),
        ('ARGMAX(max_len=3)\n    "a"', "argmax", {"max_len": 3}),
        ('import re\nx = 1\nbeam(n=2)\n    "a"', "beam", {"n": 2}),
        (
            'def f():\n    pass\n\nsample(temperature=0.5,\n  n=2)\n"a"',
            "sample",
            {"temperature": 0.5, "n": 2},
        ),
        ('x: int\nsample(n=1)\n"a"', "sample", {"n": 1}),
        ('lmql\nargmax\n    "a"', "argmax", {}),
        ('\n    beam(n=2)\n        "a"\n    from "m"\n', "beam", {"n": 2}),
        ('argmax "a"', "argmax", {}),
        ('sample(n=2) "a"', "sample", {"n": 2}),
    ],
)
def test_decoder_clauses_are_recognized(text, name, arguments):
    decoder = parse(text).decoder
    assert decoder is not None
    assert (decoder.name, dict(decoder.arguments)) == (name, arguments)


@pytest.mark.parametrize(
    "text",
    [
        'sample = 3\n"{sample}"',
        'var = 1\nvar\n"a"',
        'from random import sample\nsample([1], 1)\n"a"',
        'def beam(n):\n    pass\nbeam(n=2)\n"a"',
        'beam: int\n"{beam}"',
        'argmax.x = 1\n"a"',
        'sample[0]\n"a"',
        'var, y = 1, 2\n"{var}"',
        "print(1)\n'a'",
        'where = 3\n"{where}"\nwhere\n',
        '"a"\nfor where in []: pass\nwhere (1)\n',
        'match (1):\n    case 1: "a"',
    ],
)
def test_names_like_decoders_and_clauses_stay_names(text):
    query = parse(text)
    assert query.decoder is None
    assert not query.where


def test_a_given_name_is_no_decoder():
    assert parse('sample(n=1)\n"a"', bound=["sample"]).decoder is None


def test_the_model_is_named_by_a_string():
    assert parse('"[X]"\nfrom "a" "b"').model.name == "ab"


def test_an_import_is_no_model():
    query = parse('from os import path\n"a"')
    assert query.model is None
    assert query.prologue == 1


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("x = 1", ["Python"]),
        ('"a"', ["Prompt"]),
        ('"a"; x = 1; "b"', ["Prompt", "Python", "Prompt"]),
        ("pass", []),
        ("for x in y:\n    if x: break", ["Python"]),
        ('for x in y:\n    "a"', ["For"]),
        ("for x in y:\n    return", ["For"]),
        ("while x:\n    def f():\n        return 1\n    f()", ["Python"]),
        ('with a, b as c:\n    "x"', ["With"]),
        ('match x:\n    case 1:\n        "a"', ["Match"]),
        ("match x:\n    case 1:\n        y = 2", ["Python"]),
        ('try:\n    "a"\nexcept E: pass', ["Try"]),
        ("return 3", ["Return"]),
        ("x = '[X]'", ["Python"]),
        ("print('[X]')", ["Python"]),
        ("def f():\n    '''Uses list[int].'''", ["Python"]),
        ("async def f():\n    yield 1", ["Python"]),
        ("async for x in y:\n    z = x", ["Python"]),
    ],
)
def test_statements_become_nodes(text, kinds):
    assert [type(node).__name__ for node in parse(text).statements] == kinds


def test_several_managers_nest():
    (outer,) = parse('with a as b, c:\n    "x"').statements
    assert isinstance(outer, nodes.With)
    assert isinstance(outer.body[0], nodes.With)


@pytest.mark.parametrize(
    ("text", "code", "position"),
    [
        ('"a" b', "Q006", (1, 5)),
        ('"a" 3', "Q005", (1, 5)),
        ('f"[X]"', "Q014", (1, 1)),
        ('"a" f"b"', "Q014", (1, 5)),
        ('b"[X]"', "Q015", (1, 1)),
        ('if x:\n    f"a"', "Q014", (2, 5)),
        ('def f():\n    x = 1\n    "[X]"', "Q016", (3, 6)),
        ('class A:\n    "Doc of [X]"', "Q016", (2, 13)),
        ('lambda: "[X]"\n"[X]".strip()', "Q016", (2, 2)),
        ('"[X]" if a else "b"', "Q016", (1, 1)),
        ('["{i}" for i in x]', "Q016", (1, 2)),
        ('if a:\n    a or "b"', "Q016", (2, 10)),
        ('"[X]" where', "Q018", (1, 7)),
        ("continue", "Q019", (1, 1)),
        ('while 0:\n    "a"\nelse:\n    break', "Q019", (4, 5)),
        ("yield 1", "Q020", (1, 1)),
        ("x = (yield)", "Q020", (1, 6)),
        ("if 1:\n    global x", "Q020", (2, 5)),
        ('async for x in y:\n    "a"', "Q020", (1, 1)),
        ('async with x:\n    "a"', "Q020", (1, 1)),
        ('"[X]" distribution X == "a"', "Q056", (1, 20)),
        ('"[X]"\nscoring x', "Q051", (2, 1)),
        ('argmax "a"\n    "b"', "Q307", (1, 1)),
        ('x = 1\nfrom "m"\n"a"', "Q307", (2, 1)),
        ("def f():\n    if x = 1:\n        pass", "Q005", (2, 8)),
        ('é = "é" +', "Q005", (1, 10)),
        ('if 1:\n"a"', "Q005", (2, 1)),
        ('"[X]" where é < < 1', "Q005", (1, 17)),
        ('"a"\nwhere x y', "Q005", (2, 7)),
    ],
)
def test_refuses_with_a_place(text, code, position):
    with pytest.raises(QueryError) as raised:
        parse(text)
    assert (raised.value.code, raised.value.position) == (code, position)


def test_errors_count_lines_of_the_file_around():
    with pytest.raises(QueryError) as raised:
        parse_query(Source('\n    "a [X"\n', name="module.py", first_line=40))
    assert raised.value.position == (41, 8)
    assert "module.py:41:8" in raised.value.render()
