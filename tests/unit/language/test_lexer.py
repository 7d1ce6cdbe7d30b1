from __future__ import annotations

import io
import token as python_token
import tokenize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmql_like.errors import QueryError
from lmql_like.language.lexemes import Kind
from lmql_like.language.lexer import Lexer
from lmql_like.source import Source, Span

KINDS = {
    python_token.NAME: Kind.NAME,
    python_token.NUMBER: Kind.NUMBER,
    python_token.STRING: Kind.STRING,
    python_token.OP: Kind.OPERATOR,
    python_token.NEWLINE: Kind.NEWLINE,
}

PIECES = [
    *("x", "in", "é1", "12", "0x1F", "1.5e-3", ".5j", "1_000", "..."),
    *("'a'", '"b\\""', "r'\\\\'", "'''c\n\"d'''", "rb'x'", 'Rb"\\x00"', "u'v'"),
    *("**=", "->", ":=", "//", "!=", "<=", "@", "~", ",", ";", "."),
    *("(1,\n 2)", "[x\n]", "{'k': 1}", "# comment", "\\\nx", "\n"),
]


def lex(text):
    return list(Lexer(Source(text)))


def pythons(text):
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    if any(t.type == python_token.ERRORTOKEN for t in tokens):
        raise IndentationError
    return [(KINDS[t.type], t.string.strip("\n")) for t in tokens if t.type in KINDS]


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_reads_lexemes_as_python_reads_tokens(pieces):
    text = " ".join(pieces).replace("\n ", "\n") + "\n"
    try:
        expected = pythons(text)
    except (tokenize.TokenError, IndentationError):
        return
    assert [(x.kind, x.text.strip("\n")) for x in lex(text)] == expected


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_spans_are_the_texts_own_places(pieces):
    source = Source(" ".join(pieces) + "\n")
    try:
        lexemes = list(Lexer(source))
    except QueryError:
        return
    assert all(source.slice(x.span) == x.text for x in lexemes if x.text)


def test_an_f_string_may_nest_its_own_quotes():
    text = 'f"{a["b"]:{w}} {{ {f"{x}"}" + 1'
    assert [x.text for x in lex(text)][:3] == ['f"{a["b"]:{w}} {{ {f"{x}"}"', "+", "1"]


@pytest.mark.parametrize(
    ("text", "code", "position"),
    [
        ('x = "abc', "Q001", (1, 5)),
        ('x = "abc\n"', "Q001", (1, 5)),
        ("x = '''abc\n'", "Q001", (1, 5)),
        ("f(\n[1)", "Q002", (2, 3)),
        ("f(1))", "Q002", (1, 5)),
        ("a\n(b", "Q002", (2, 1)),
        ("a = b ? c", "Q003", (1, 7)),
    ],
)
def test_blames_the_character_at_fault(text, code, position):
    with pytest.raises(QueryError) as raised:
        lex(text)
    assert (raised.value.code, raised.value.position) == (code, position)


def test_a_stretch_is_read_at_its_place():
    source = Source("abc [X: int] def")
    lexemes = list(Lexer(source, Span(5, 11)))
    assert [(x.text, x.span.start) for x in lexemes][:3] == [("X", 5), (":", 6), ("int", 8)]
