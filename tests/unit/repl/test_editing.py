"""Typing: completion, colours, and when Enter runs an input."""

from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from lmql_like.errors import LmqlLikeError
from lmql_like.language.lexer import Lexer
from lmql_like.repl.commands import COMMANDS
from lmql_like.repl.editing import QueryCompleter, indent_behind, is_complete
from lmql_like.repl.highlighting import STYLES, Highlighter, highlight
from lmql_like.source import Source

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.lmql"))


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("", True),
        (":load x", True),
        ('"Hello [X]"', True),
        ('"Hello [X]" where len(X) < 3', True),
        ('"Hello [X]" where', False),
        ('"Hello [X]" where len(X) < 3 and', False),
        ('"Hello [X]" WHERE len(X) <', False),
        ("f(1,", False),
        ("x = [", False),
        ("x = [1]", True),
        ("x = \\", False),
        ('"""a', False),
        ("'''a\nb", False),
        ('"""a\nb"""\n', True),
        ('"a', True),
        ("for i in range(2):", False),
        ("for i in range(2):\n    x = i", False),
        ("for i in range(2):\n    x = i\n", True),
        ("for i in range(2):\n    x = [\n", False),
        ("a)", True),
        ("# note", True),
        ("x = 1;", True),
        ("@query", False),
        ("@query\ndef f():\n    'a'\n", True),
    ],
)
def test_enter_runs_what_is_whole(text, whole):
    assert is_complete(text) is whole


def test_lines_are_indented_like_the_one_before():
    assert indent_behind("  x = 1") == "  "
    assert indent_behind("if x:  ") == "    "
    assert indent_behind("    else:") == "        "


def completions(text, *, asked=True):
    commands = {name: (c.meaning, c.argument) for name, c in COMMANDS.items()}
    completer = QueryCompleter(commands, lambda: {"items": [1], "_": 2}, lambda: ["ITEM"])
    event = CompleteEvent(completion_requested=asked)
    found = completer.get_completions(Document(text), event)
    return {completion.text: completion.display_meta_text for completion in found}


def test_words_are_completed():
    assert completions("STOPS_B") == {"STOPS_BEFORE": "operator"}
    assert completions('"[X]" wh')["where"] == "clause"
    assert completions("item") == {"items": "list"}
    assert completions('"{IT') == {"ITEM": "hole"}
    assert completions('"[X: in') == {"int": "type"}
    assert completions("retu") == {"return": "word"}
    assert completions("", asked=False) == {}
    assert "items" in completions("x = ")


def test_commands_and_their_arguments_are_completed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "greet.lmql").touch()
    assert set(completions(":s")) == {":save", ":save!", ":seed", ":stats"}
    assert set(completions(":decoder be")) >= {"beam"}
    assert "et.lmql" in completions(":load gre")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_beginning_of_an_example_can_be_coloured(path):
    text = path.read_text(encoding="utf-8")
    for end in range(0, len(text) + 1, 7):
        at = 0
        for stretch in highlight(text[:end]):
            assert at <= stretch.start <= stretch.end <= end
            assert stretch.style in STYLES
            at = stretch.end


def styles_of(text):
    return {text[s.start : s.end]: s.style for s in highlight(text) if s.start < s.end}


def test_colours():
    text = 'beam(n=2)\n"a {b!r} [X: int]" where INT(X) and X in ["c [d]"]  # note\nreturn 3'
    styles = styles_of(text)
    assert styles["beam"] == "decoder"
    assert styles["[X: int]"] == "hole"
    assert styles["{b!r}"] == "interpolation"
    assert styles['"a '] == "prompt"
    assert styles_of('"{:user}Hi"')["{:user}"] == "clause"
    assert styles["where"] == "clause"
    assert styles["INT"] == "operator"
    assert styles['"c [d]"'] == "string"
    assert styles["# note"] == "comment"
    assert styles["return"] == "keyword"
    assert styles["3"] == "number"
    assert styles_of(":load file") == {":load": "command"}
    assert styles_of('x = "open [Y') == {'"open [Y': "string"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_colouring_keeps_the_text_and_covers_all_strings(path):
    text = path.read_text(encoding="utf-8")
    line_of = Highlighter().lex_document(Document(text))
    lines = text.split("\n")
    assert ["".join(piece[1] for piece in line_of(i)) for i in range(len(lines))] == lines
    styled = [""] * len(text)
    for stretch in highlight(text):
        styled[stretch.start : stretch.end] = [stretch.style] * (stretch.end - stretch.start)
    try:
        strings = [x.span for x in Lexer(Source(text)) if x.text[:1] in ("'", '"')]
    except LmqlLikeError:
        strings = []
    assert strings
    assert all(styled[i] for span in strings for i in range(span.start, span.end))
