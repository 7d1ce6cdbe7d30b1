"""Grammars on disk: what comes back is what was read; broken files are read anew."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmql_like.errors import GrammarError
from lmql_like.grammars import Limits, compile_grammar, grammar_cache
from lmql_like.grammars.cfg.reader import read_grammar
from lmql_like.grammars.grammar_cache import read_grammar_cached
from lmql_like.grammars.node_records import grammar_of, record_of

LEXED = """
start: item ("," item)* -> list
item: NAME | NUMBER | "(" start ")" | COMMENT
NAME: /[a-zé]+/
NUMBER: /0(?![0-9])|[1-9][0-9]*/
COMMENT: /#.*?;/
%ignore " "
"""
GBNF = 'root ::= "(" root ")" | [0-9]{2,5} | word*\nword ::= "one" | "two" | [^a-z]'
CASES = [
    (LEXED, "lark", "lexed", "ab, (7,c)", "07"),
    (LEXED.replace("(?![0-9])", ""), "lark", "scannerless", "ab, (7,c)", "07,"),
    (GBNF, "gbnf", "scannerless", "((123))", "((a))"),
    (GBNF, "ebnf", "scannerless", "onetwo!", "onetwoa"),
]


def assert_alike(one, other):
    assert type(one) is type(other)
    assert one.rules == other.rules
    assert (one.start, one.source.text, one.source.name) == (
        other.start,
        other.source.text,
        other.source.name,
    )
    if hasattr(one, "places"):
        assert (one.places, one.inlined) == (other.places, other.inlined)
        return
    assert one.ignored == other.ignored
    for a, b in zip(one.terminals, other.terminals, strict=True):
        assert (a.name, a.priority, a.is_text, a.span) == (b.name, b.priority, b.is_text, b.span)
        assert a.automaton.edges.tolist() == b.automaton.edges.tolist()
        names = ("n_states", "start", "accepts", "guards", "guard_accepts")
        assert all(getattr(a.automaton, n) == getattr(b.automaton, n) for n in names)


def test_what_a_parser_makes_of_the_rules_is_kept_too(tmp_path):
    first, second = (read_grammar_cached(LEXED, tmp_path).network for _ in range(2))
    assert first is not second
    for name in ("n_states", "start", "accept", "rule_starts", "rule_ends"):
        assert getattr(first, name) == getattr(second, name)
    for name in ("edges", "jumps", "calls"):
        assert getattr(first, name).tolist() == getattr(second, name).tolist()
    proven = [read_grammar_cached(text, tmp_path).proven for text in (LEXED, "start: A A\nA: /a+/")]
    assert proven == [True, False]


@pytest.mark.parametrize(("text", "syntax", "lexing", "good", "bad"), CASES)
def test_the_second_reading_comes_from_the_disk(
    text, syntax, lexing, good, bad, tmp_path, monkeypatch
):
    arguments = {"syntax": syntax, "lexing": lexing}
    first = read_grammar_cached(text, tmp_path, **arguments)
    monkeypatch.delattr(grammar_cache, "read_grammar")  # it must not be needed any more
    second = read_grammar_cached(text, tmp_path, **arguments)
    assert_alike(first, read_grammar(text, **arguments))
    assert_alike(first, second)
    automaton = compile_grammar(text, cache=str(tmp_path), **arguments)
    assert automaton.matches(good)
    assert not automaton.matches(bad)
    assert [path.suffix for path in tmp_path.iterdir()] == [".grammar"]


def test_what_the_reading_depends_on_names_the_file(tmp_path):
    texts = [GBNF, GBNF + " "]
    for text in texts:
        read_grammar_cached(text, tmp_path, syntax="gbnf")
    read_grammar_cached(GBNF, tmp_path, syntax="ebnf")
    read_grammar_cached(GBNF, tmp_path, syntax="gbnf", start="word")
    read_grammar_cached(GBNF, tmp_path, syntax="gbnf", limits=Limits(max_nesting=99))
    assert len(list(tmp_path.iterdir())) == 5


@given(data=st.data())
def test_a_file_with_any_damage_is_read_anew(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    read_grammar_cached(LEXED, folder)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        damaged = whole[:at]
    else:
        damaged = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    path.write_bytes(damaged)
    assert_alike(read_grammar_cached(LEXED, folder), read_grammar(LEXED))
    assert path.read_bytes() == whole


def test_refused_grammars_are_not_kept_and_a_closed_folder_is_no_error(tmp_path):
    with pytest.raises(GrammarError):
        read_grammar_cached("root ::= (", tmp_path, syntax="gbnf")
    assert not list(tmp_path.iterdir())
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert read_grammar_cached(GBNF, blocked / "cache", syntax="gbnf").start == "root"


def test_a_node_that_stands_twice_is_written_once():
    grammar = read_grammar('root ::= x x x\nx ::= "ab"', syntax="gbnf")
    record, arrays = record_of(grammar)
    assert len({str(row) for row in record["nodes"]}) <= len(record["nodes"]) < 10
    assert_alike(grammar_of(record, arrays), grammar)


WRITER = """
import sys
from lmql_like.grammars.grammar_cache import _store, _load
from lmql_like.grammars.cfg.reader import read_grammar
from pathlib import Path
path, grammar = Path(sys.argv[1]), read_grammar('root ::= "a" root | [0-9]{1,300}', syntax="gbnf")
for _ in range(60):
    _store(path, grammar)
    found = _load(path)
    assert found is not None and found.rules == grammar.rules
"""


def test_writers_at_the_same_time_never_show_half_a_file(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path / "x.grammar")]
    writers = [subprocess.Popen(command) for _ in range(2)]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["x.grammar"]
