"""Everything the documentation shows is run: Python blocks, console blocks, examples."""

from __future__ import annotations

import os
import re
import runpy
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from lmql_like.cli import main
from lmql_like.language.decoders import DECODERS
from lmql_like.runtime.search import decoders

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(python|console|lmql)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = sorted((ROOT / "examples").glob("*.lmql"))
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))


def blocks(language):
    return [
        pytest.param(
            match[2], id=f"{page.relative_to(ROOT)}:{text[: match.start()].count(chr(10)) + 1}"
        )
        for page in PAGES
        for text in [page.read_text(encoding="utf-8")]
        for match in BLOCK.finditer(text)
        if match[1] == language
    ]


def run(command):
    arguments = shlex.split(command)
    assert arguments[0] == "lmql-like"
    result = CliRunner().invoke(main, arguments[1:])
    return result.output


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def own_decoders(monkeypatch):
    """Decoders that a block adds are gone behind it."""
    monkeypatch.setattr(decoders, "_STARTS", dict(decoders._STARTS))
    known = dict(DECODERS)
    yield
    for name in DECODERS.keys() - known.keys():
        del DECODERS[name]


@pytest.mark.usefixtures("own_decoders")
@pytest.mark.parametrize("block", blocks("python"))
def test_python_blocks_run(block, tmp_path):
    file = tmp_path / "block.py"  # a file, because queries read their own source
    file.write_text(block, encoding="utf-8")
    code = compile(block, str(file), "exec", dont_inherit=True)
    exec(code, {"__name__": "block"})  # noqa: S102 - our own docs


@pytest.mark.parametrize("block", blocks("console"))
def test_console_blocks_print_what_they_show(block):
    commands = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    assert commands
    for entry in commands:
        command, _, expected = entry.partition("\n")
        assert run(command).rstrip("\n") == expected.rstrip("\n")


@pytest.mark.parametrize("block", blocks("lmql"))
def test_query_blocks_compile(block):
    from lmql_like.language.compiler import compile_query

    compile_query(block)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_examples_print_their_expected_output(example):
    """The command stands in the file's head; the output beside it, as NAME.out."""
    head = example.read_text(encoding="utf-8")
    command = next(
        line.lstrip("# ").strip() for line in head.splitlines() if "lmql-like run" in line
    )
    expected = example.with_suffix(".out")
    if os.environ.get("LMQL_LIKE_REGENERATE"):
        expected.write_text(run(command), encoding="utf-8")
    assert run(command) == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("example", SCRIPTS, ids=lambda path: path.name)
def test_scripts_print_their_expected_output(example, capsys):
    runpy.run_path(str(example), run_name="__main__")
    printed = capsys.readouterr().out
    expected = example.with_suffix(".out")
    if os.environ.get("LMQL_LIKE_REGENERATE"):
        expected.write_text(printed, encoding="utf-8")
    assert printed == expected.read_text(encoding="utf-8")


def test_there_are_enough_examples():
    assert len(EXAMPLES) + len(SCRIPTS) >= 20
