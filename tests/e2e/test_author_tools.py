"""The commands for authors of queries, through click's runner."""

from __future__ import annotations

import json

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


# -- check

LOOSE = '"[X]"\nfor i in range(2):\n    "\\n[Y] and"'


def test_check_prints_findings_and_facts():
    result = invoke("check", "-c", LOOSE)
    assert result.exit_code == 0
    assert "warning[Q604]: the hole 'X' ends only" in result.stdout
    assert "note[Q601]: the value of 'Y' is never used" in result.stdout
    assert "\n<command line>: 1 warning, 1 note\n  hole X\n  hole Y\n" in result.stdout


def test_check_can_be_strict_about_warnings():
    assert invoke("check", "--strict", "-c", LOOSE).exit_code == 1
    assert invoke("check", "--strict", "-c", '"[X]"').exit_code == 0


def test_check_gives_findings_as_json():
    result = invoke("check", "--json", "-c", LOOSE)
    codes = [json.loads(line)["code"] for line in result.stdout.splitlines()]
    assert codes == ["Q604", "Q601"]


def test_check_of_a_query_that_cannot_be_run_is_an_error():
    result = invoke("check", "-c", '"[X]" where len(Y) < 3')
    assert (result.exit_code, result.stdout) == (2, "")
    assert "error[Q104]" in result.stderr


def test_check_names_types_that_are_only_known_when_the_program_runs():
    code = "from datetime import date\nclass P:\n    pass\n" + '"[D: date] [X: list[P]]"'
    result = invoke("check", "-c", code)
    assert result.exit_code == 0
    types = [line for line in result.stdout.splitlines() if line.startswith("  type ")]
    assert types == [
        "  type `list[P]` (read when its hole begins: validators are checked, not masked)"
    ]
