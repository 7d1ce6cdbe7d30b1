"""The TextMate grammar: up to date, and of one mind with the language's own lexer."""

import ast
import json
import keyword
import os
import subprocess
import sys
from pathlib import Path

import pytest
from reference.textmate import TextMate

from lmql_like.errors import LmqlLikeError
from lmql_like.language.lexemes import Kind
from lmql_like.language.lexer import Lexer
from lmql_like.language.lines import clause_starts, clause_words_bound, read_lines
from lmql_like.language.nodes import Hole, Interpolation, Prompt, Python, QueryDefinition
from lmql_like.language.parser import parse_query
from lmql_like.language.scopes import statements_in
from lmql_like.source import Source

ROOT = Path(__file__).parents[2]
FILE = ROOT / "editors" / "lmql.tmLanguage.json"
GRAMMAR = json.loads(FILE.read_text(encoding="utf-8"))


def parsed(path):
    source = Source(path.read_text(encoding="utf-8"), path.name)
    try:
        return parse_query(source)
    except LmqlLikeError:
        return None


QUERIES = [
    pytest.param(query, id=path.name)
    for folder in ("examples", "tests/golden/programs")
    for path in sorted((ROOT / folder).glob("*.lmql"))
    for query in [parsed(path)]
    if query is not None
]


def coloured(text):
    """Return the scopes of each character of a text; line ends have none."""
    lines, left_open = TextMate(GRAMMAR).scopes(text)
    assert left_open == []
    flat = [[*line, []] for line in lines]
    return [" ".join(scopes) for line in flat for scopes in line][: len(text)]


def test_the_file_is_what_the_script_writes():
    script = ROOT / "editors" / "generate_textmate.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, script, "--check"]
    done = subprocess.run(command, env=environment, timeout=60, check=False)
    assert done.returncode == 0, "run python editors/generate_textmate.py"


@pytest.mark.parametrize("query", QUERIES)
def test_lexemes_have_their_scopes(query):
    source = query.source
    scopes = coloured(source.text)
    covered = set()
    for lexeme in Lexer(source):
        start, end = lexeme.span.start, lexeme.span.end
        covered.update(range(start, end))
        if lexeme.kind is Kind.STRING:
            assert "string" in scopes[end - 1]
            assert "punctuation.definition.string.end" in scopes[end - 1]
        elif lexeme.kind is Kind.NUMBER:
            assert "constant.numeric" in scopes[start], lexeme
        elif lexeme.kind is Kind.NAME and keyword.iskeyword(lexeme.text):
            assert "keyword" in scopes[start] or "constant.language" in scopes[start], lexeme
        if lexeme.kind is not Kind.STRING:
            assert not any("string" in scopes[at] for at in range(start, end)), lexeme
    for at, char in enumerate(source.text):
        if at not in covered and not char.isspace() and char != "\\":
            assert "comment" in scopes[at]
        elif at in covered:
            assert "comment" not in scopes[at]


def inside_definitions(query):
    """Return the places inside functions and classes: a docstring there may be a query."""
    statements = list(statements_in(query.statements))
    trees = [s.tree for s in statements if isinstance(s, Python)]
    trees += [s.signature for s in statements if isinstance(s, QueryDefinition)]
    places = set()
    for tree in trees:
        if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            last = query.source.line_text(tree.end_lineno)
            first = query.source.offset(tree.lineno, 1)
            places.update(range(first, query.source.offset(tree.end_lineno, len(last) + 1)))
    return places


@pytest.mark.parametrize("query", QUERIES)
def test_prompt_strings_show_holes_and_interpolations_and_others_do_not(query):
    source = query.source
    scopes = coloured(source.text)
    prompts = [s for s in statements_in(query.statements) if isinstance(s, Prompt)]
    parts = [part for prompt in prompts for part in prompt.parts]
    holes = {at for p in parts if isinstance(p, Hole) for at in range(p.span.start, p.span.end)}
    insets = {
        at for p in parts if isinstance(p, Interpolation) for at in range(p.span.start, p.span.end)
    }
    definitions = inside_definitions(query)
    for at, char in enumerate(source.text):
        if char != "\n" and at not in definitions:
            assert ("meta.hole" in scopes[at]) == (at in holes), source.text[at:]
            assert ("meta.interpolation" in scopes[at]) == (at in insets), source.text[at:]
    for part in parts:
        if isinstance(part, Hole):
            name = range(part.name_span.start, part.name_span.end)
            assert all("variable.other.hole" in scopes[at] for at in name)


@pytest.mark.parametrize("query", QUERIES)
def test_clauses_and_decoders_are_keywords(query):
    source = query.source
    scopes = coloured(source.text)
    lexemes = list(Lexer(source))
    own = clause_words_bound(lexemes)
    for line in read_lines(lexemes, source, own):
        for i in clause_starts(line, own):
            assert "keyword.control.clause" in scopes[line.lexemes[i].span.start]
    if query.decoder is not None:
        assert "keyword.control.decoder" in scopes[query.decoder.span.start]


def scope_of(text, part):
    return coloured(text)[text.index(part)]


def test_details():
    text = '"a [[b]] {{c}} \\n [X: r\'[a-z]\'] {x!r:>3}" where REGEX(X, "[d]") # [e]'
    assert "constant.character.escape.bracket" in scope_of(text, "[[")
    assert "constant.character.escape" in scope_of(text, "\\n")
    assert "string.quoted.inner" in scope_of(text, "r'[a-z]'") + scope_of(text, "'[a-z]'")
    assert "storage.type.format" in scope_of(text, "!r")
    assert "keyword.other.role" in scope_of('"{:user}Hi {x}"', "{:user}")
    assert "support.function.constraint" in scope_of(text, "REGEX")
    assert "meta.hole" not in scope_of(text, "[d]")
    assert scope_of(text, "[e]") == "comment.line.number-sign.lmql"
    assert "support.type" in scope_of('"[X: int]"', "int")
    assert "keyword.control.import" in scope_of("from math import pi", "from")
    assert "string.prompt.triple" in coloured('"""a\n[X]\nb"""')[-1]
    assert "meta.hole" in coloured('x = 1; "[X]"')[-2]
    assert "meta.hole" not in coloured('x = {"a": "[X]"}')[-3]
    for text in ("argmax", 'BEAM(n=2) "[X]"', 'sample "[X]"'):
        scopes = coloured(text)
        assert "keyword.control.decoder" in scopes[0]
        assert "meta.hole" in scopes[-2] or text == "argmax"
    assert "decoder" not in coloured("sample = 3")[0]
