"""The commands for authors of queries, through click's runner."""

from __future__ import annotations

from click.testing import CliRunner

from lmql_like.cli import main


def invoke(*args, stdin=None):
    return CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)


# -- fmt


def test_fmt_changes_files_in_place_and_says_which(tmp_path):
    messy, tidy = tmp_path / "messy.lmql", tmp_path / "tidy.lmql"
    messy.write_text('"[X]"   where   len( X )<3\n')
    tidy.write_text('"[X]" where len(X) < 3\n')
    result = invoke("fmt", messy, tidy)
    assert result.exit_code == 0
    assert result.stderr == f"{messy}: changed\n"
    assert messy.read_text() == tidy.read_text() == '"[X]" where len(X) < 3\n'


def test_fmt_checks_and_shows_without_changing(tmp_path):
    file = tmp_path / "messy.lmql"
    file.write_text('"[X]"   where len(X)<3\n')
    checked = invoke("fmt", "--check", file)
    assert (checked.exit_code, checked.stderr) == (1, f"{file}: not laid out\n")
    shown = invoke("fmt", "--diff", file)
    assert shown.exit_code == 0
    assert '\n-"[X]"   where len(X)<3\n+"[X]" where len(X) < 3\n' in shown.stdout
    assert file.read_text() == '"[X]"   where len(X)<3\n'


def test_fmt_reads_standard_input():
    result = invoke("fmt", "-", stdin='x=1\n"{x}[X]"')
    assert (result.exit_code, result.stdout) == (0, 'x = 1\n"{x}[X]"\n')


def test_fmt_leaves_a_file_that_is_no_query_alone(tmp_path):
    file = tmp_path / "broken.lmql"
    file.write_text('"[X"')
    result = invoke("fmt", file)
    assert result.exit_code == 2
    assert "Q010" in result.stderr
    assert file.read_text() == '"[X"'
