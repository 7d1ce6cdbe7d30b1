from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmql_like.errors import QueryError
from lmql_like.language.lexer import Lexer
from lmql_like.language.nodes import Hole, Interpolation, Text
from lmql_like.language.templates import holes_of, read_template
from lmql_like.source import Source


def read(text):
    source = Source(text)
    return read_template(source, list(Lexer(source))[:-1])


def shape(text):
    """The parts in short: texts as they are, holes and interpolations as tuples."""
    return [short(part) for part in read(text)]


def short(part):
    if isinstance(part, Text):
        return part.text
    if isinstance(part, Hole):
        kind = part.annotation and (part.annotation.type or part.annotation.pattern)
        return ("hole", part.name, kind)
    spec = tuple(short(inner) for inner in part.format)
    return ("value", ast.unparse(part.expression), part.conversion, spec)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('"plain"', ["plain"]),
        ('""', []),
        ('"a [X] b"', ["a ", ("hole", "X", None), " b"]),
        ('"[X][Y]"', [("hole", "X", None), ("hole", "Y", None)]),
        ('"[ X ]"', [("hole", "X", None)]),
        ('"[X: int]"', [("hole", "X", "int")]),
        ('"[X:bool]"', [("hole", "X", "bool")]),
        ("\"[X: r'[a-z]]+']\"", [("hole", "X", "[a-z]]+")]),
        ("\"[X: r'\\d+\\'']\"", [("hole", "X", "\\d+\\'")]),
        ("\"[X: 'a' 'b']\"", [("hole", "X", "ab")]),
        ('"[[X]] {{y}}"', ["[X] {y}"]),
        ('"[[[X]]]"', ["[", ("hole", "X", None), "]"]),
        ('"{{{x}}}"', ["{", ("value", "x", "", ()), "}"]),
        ('"{x!r}"', [("value", "x", "r", ())]),
        ('"{x:.2f}"', [("value", "x", "", (".2f",))]),
        ('"{x!s:>{w + 1}}"', [("value", "x", "s", (">", ("value", "w + 1", "", ())))]),
        ('"{a != b}"', [("value", "a != b", "", ())]),
        ('"{x = }"', ["x = ", ("value", "x", "r", ())]),
        ('"{x=:>3}"', ["x=", ("value", "x", "", (">3",))]),
        ('"{x=!s}"', ["x=", ("value", "x", "s", ())]),
        ('"{x == 1}"', [("value", "x == 1", "", ())]),
        ("\"{d['a:}']}\"", [("value", "d['a:}']", "", ())]),
        ('"{d[1:2]}"', [("value", "d[1:2]", "", ())]),
        ("\"{'\\n'.join(x)}\"", [("value", "'\\n'.join(x)", "", ())]),
        ('"{d[\\"k\\"]}"', [("value", "d['k']", "", ())]),
        ("'a\\'s [X]\"'", ["a's ", ("hole", "X", None), '"']),
        ('"[X]\\""', [("hole", "X", None), '"']),
        ('"""a\nb [X]"""', ["a\nb ", ("hole", "X", None)]),
        ("r'\\n [X]'", ["\\n ", ("hole", "X", None)]),
        ('"a" \'b [X]\' "c"', ["ab ", ("hole", "X", None), "c"]),
        ('"\\N{BULLET} \\u00e9 \\x41 \\101 \\q"', ["\u2022 é A A \\q"]),
        ('"a\\\nb"', ["ab"]),
        ('"{\nx\n}"'.replace('"', '"""'), [("value", "x", "", ())]),
    ],
)
def test_reads_parts(text, parts):
    assert shape(text) == parts


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ('"a [X"', "Q010", 4),
        ('"a {x"', "Q010", 4),
        ('"a {x:3"', "Q010", 4),
        ('"[X: \'a]"', "Q010", 2),
        ('"a ] b"', "Q011", 4),
        ('"a } b"', "Q011", 4),
        ('"[]"', "Q012", 2),
        ('"[1]"', "Q012", 2),
        ('"[a b]"', "Q012", 2),
        ('"[f(X)]"', "Q012", 2),
        ('"[X:]"', "Q012", 2),
        ('"[None]"', "Q012", 3),
        ('"{}"', "Q013", 2),
        ('"{x!}"', "Q013", 4),
        ('"{x!z}"', "Q013", 4),
        ("'{\"a\": [X]}'", "Q013", 2),
        ('"{x:[X]}"', "Q013", 2),
        ('"{1 +}"', "Q005", 3),
        ('"{x y}"', "Q005", 3),
        ('"[X: 3]"', "Q055", 6),
        ('"[X: x + 1 if y else 2]"', "Q055", 6),
    ],
)
def test_refuses_with_a_place(text, code, column):
    with pytest.raises(QueryError) as raised:
        read(text)
    assert (raised.value.code, raised.value.position) == (code, (1, column))


ALPHABET = st.text(st.sampled_from("ab'\"\\\n\t é\u2022\U0001f600"), max_size=12)


@given(ALPHABET)
def test_text_without_brackets_is_the_literals_value(text):
    assert "".join(part.text for part in read(repr(text))) == text


@given(st.text(st.sampled_from("ab[]{}'\" \n"), max_size=12))
def test_doubling_gives_every_character(text):
    doubled = "".join(char * 2 if char in "[]{}" else char for char in text)
    assert "".join(part.text for part in read(repr(doubled))) == text


@given(st.text(st.sampled_from("ab[]{}:!X=r'\" "), max_size=10))
def test_a_literal_is_read_or_refused_with_a_code(text):
    try:
        parts = read(repr(text))
    except QueryError as error:
        assert error.position  # noqa: PT017 - both outcomes are fine
    else:
        assert all(isinstance(part, Text | Hole | Interpolation) for part in parts)


def test_spans_cover_what_was_written():
    source = Source('"a [X: int] {y!r:>3}"')
    _, hole, _, value = read_template(source, list(Lexer(source))[:-1])
    assert source.slice(hole.span) == "[X: int]"
    assert source.slice(hole.name_span) == "X"
    assert source.slice(hole.annotation.span) == "int"
    assert source.slice(value.span) == "{y!r:>3}"


def test_a_string_that_is_no_template_has_no_holes():
    source = Source("'list[0] and } [X'")
    assert holes_of(source, next(iter(Lexer(source)))) == []
