"""The command line, through click's runner and, where it matters, through real processes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lmql_like.cli import main

ROOT = Path(__file__).parents[2]
CAPITAL = str(ROOT / "examples" / "capital.lmql")
SUM = '"{a} + {b} =[N: int]\\n"\nreturn N'


def invoke(*args, stdin=None):
    return CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_file_runs_and_prints_its_text():
    result = invoke("run", CAPITAL, "--arg", "country=France")
    assert result.exit_code == 0
    assert result.stdout == "Q: What is the capital of France?\nA: Paris\n=> 'Paris'\n"


def test_json_gives_variables_logprob_status_and_usage():
    result = invoke("run", CAPITAL, "--arg", "country=Italy", "--json")
    answer = json.loads(result.stdout)
    assert answer["variables"] == {"CAPITAL": " Rome"}
    assert answer["value"] == "Rome"
    assert answer["status"] == "complete"
    assert -5 < answer["logprob"] < 0
    usage = answer["usage"]
    assert usage["forward_passes"] == usage["rows"] > 0
    assert usage["prompt_tokens"] > 5
    assert usage["generated_tokens"] >= 1


def test_code_and_standard_input():
    assert invoke("run", "-c", '"17 + 12 =[N: int]\\n"').stdout == "17 + 12 = 29\n"
    assert invoke("run", "-", stdin='"17 + 12 =[N: int]\\n"').stdout == "17 + 12 = 29\n"


def test_arguments_have_the_querys_types():
    code = 'n: int\nwords: list[str]\n"{n + 1} {words[1]}[X]" where X == "!"'
    result = invoke("run", "-c", code, "--arg", "n=4", "--arg", 'words=["a", "b"]')
    assert result.stdout == "5 b!\n"


def test_every_result_of_a_beam_is_shown():
    result = invoke("run", "-c", '"Sky:[X]" where X in [" a", " b"]', "--decoder", "beam(n=2)")
    assert result.exit_code == 0
    assert result.stdout.count("log p") == 2
    assert result.stdout.count("Sky: ") == 2


def test_samples_repeat_with_a_seed():
    args = ["run", "-c", '"Story:[X]\\n"', "--decoder", "sample(n=2, max_len=30)", "--json"]
    first, second = invoke(*args, "--seed", "7"), invoke(*args, "--seed", "7")
    texts = [[json.loads(line)["text"] for line in r.stdout.splitlines()] for r in (first, second)]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 2


def test_a_dead_end_is_a_status_and_exit_code_1():
    result = invoke("run", "-c", '"x[X]" where len(X) < 3 and X.startswith(y)', "--arg", "y=abcd")
    assert result.exit_code == 1
    assert result.stdout == "x\n"
    assert "dead-end" in result.stderr


def test_a_truncated_result_is_exit_code_1_and_keeps_its_text():
    result = invoke("run", "-c", '"Story:[X]"', "--decoder", "argmax(max_len=12)")
    assert result.exit_code == 1
    assert result.stdout.startswith("Story: ")
    assert "truncated" in result.stderr


WRONG = [
    (["run", "no-such-file.lmql"], "Q007"),
    (["run", str(ROOT)], "Q007"),
    (["run", CAPITAL], "Q401"),
    (["run", CAPITAL, "--arg", "contry=x"], "Q402"),
    (["run", "-c", 'n: int\n"{n}[X]"', "--arg", "n=four"], "Q403"),
    (["check", "-c", '"[X]" where len(X) < 3 and len(X) > 5'], "Q211"),
    (["check", "-c", '"[X]" where X in []'], "Q211"),
    (["check", "-c", '"[X]" where REGEX(X, "(?=a)b")'], "G102"),
    (["run", "-c", '"a[X]"', "--decoder", "beem(n=2)"], "R201"),
    (["run", "-c", '"a[X]"', "--decoder", "beam(m=2)"], "R202"),
    (["run", "-c", "x = 1 / 0\n'a[X]'"], "R101"),
    (["explain", "Q999"], "Q008"),
    (["mask", "--regex", "("], "G101"),
]


@pytest.mark.parametrize(("args", "code"), WRONG, ids=lambda value: str(value)[-30:])
def test_what_is_wrong_has_a_code_and_exit_code_2(args, code):
    result = invoke(*args)
    assert result.exit_code == 2, result.output
    assert f"error[{code}]" in result.stderr
    assert "Traceback" not in result.output


UNUSABLE = [["run"], ["run", CAPITAL, "--arg", "x"], ["run", CAPITAL, "--data", "x"]]


@pytest.mark.parametrize("args", UNUSABLE, ids=len)
def test_a_wrong_command_is_exit_code_2(args):
    assert invoke(*args).exit_code == 2


def test_models_that_cannot_be_loaded_are_exit_code_3(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    without_weights = tmp_path / "config-only"
    without_weights.mkdir()
    config = ROOT / "lmql_like" / "default_model" / "config.json"
    (without_weights / "config.json").write_bytes(config.read_bytes())
    for folder, code in [
        (tmp_path / "nowhere", "M101"),
        (empty, "M102"),
        (without_weights, "M103"),
    ]:
        result = invoke("run", CAPITAL, "--arg", "country=France", "--model", folder)
        assert result.exit_code == 3
        assert f"error[{code}]" in result.stderr


def test_check_lists_arguments_and_holes():
    result = invoke("check", CAPITAL)
    assert result.exit_code == 0
    assert "argument country: str (required)" in result.stdout
    assert "hole CAPITAL" in result.stdout


def test_explain_shows_the_page():
    result = invoke("explain", "g102")
    assert result.exit_code == 0
    assert "outside the dialect" in result.stdout


def test_mask_shows_what_may_follow(tmp_path):
    del tmp_path
    result = invoke("mask", "--regex", "[0-9]{2}/[0-9]{2}", "--text", "12")
    assert result.exit_code == 0
    assert "must follow       '/'" in result.stdout
    result = invoke("mask", "--regex", "[0-9]{2}/[0-9]{2}", "--text", "x")
    assert result.exit_code == 1


def test_mask_explains_a_token():
    args = ["mask", "--regex", "[a-z]+", "--regex", ".{0,3}", "--text", "ab"]
    assert invoke(*args, "--explain", "c").exit_code == 0
    result = invoke(*args, "--explain", "1")
    assert result.exit_code == 1
    assert "forbidden by       --regex '[a-z]+'" in result.stdout
    assert invoke(*args, "--explain", "#99999999").exit_code == 2


def test_check_grammar_prints_findings_with_places(tmp_path):
    grammar = tmp_path / "g.gbnf"
    grammar.write_text('root ::= "a" | "a"\n')
    result = invoke("check-grammar", grammar)
    assert result.exit_code == 0
    assert "warning[G503]" in result.stdout
    assert f"{grammar}:1:16" in result.stdout
    assert result.stdout.endswith(f"{grammar}: 1 warning\n")
    assert invoke("check-grammar", grammar, "--strict").exit_code == 1
    printed = invoke("check-grammar", grammar, "--json").stdout
    found = [json.loads(line) for line in printed.splitlines()]
    assert [(f["code"], f["line"], f["column"]) for f in found] == [("G503", 1, 16)]


def test_check_grammar_fails_on_errors_only():
    result = invoke("check-grammar", "-", "--syntax", "lark", stdin="start: nmae\nname: /a/\n")
    assert result.exit_code == 1
    assert "error[G402]" in result.stdout
    assert "did you mean 'name'?" in result.stdout
    result = invoke("check-grammar", "-", stdin='start: "a"\n')
    assert (result.exit_code, result.stdout) == (0, "<stdin>: ok\n")
    assert invoke("check-grammar", "no-such-file").exit_code == 2
    assert invoke("check-grammar", "-", "--start", "m", stdin='n: "a"\n').exit_code == 1


# -- data files --------------------------------------------------------------------------


def test_a_data_file_is_run_row_by_row(tmp_path):
    data, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    rows = [{"a": a, "b": 2} for a in range(3, 9)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = invoke("run", "-c", SUM, "--data", data, "--output", output, "--batch-size", "4")
    assert result.exit_code == 0, result.output
    found = lines(output)
    assert [line["row"] for line in found] == list(range(6))
    assert [line["value"] for line in found] == [5, 6, 7, 8, 9, 10]


def test_a_bad_row_is_reported_and_not_fatal(tmp_path):
    data, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    good = {"a": 3, "b": 4}
    bad = ['{"a": 3', "[1]", '{"a": 3}', '{"a": 3, "b": 4, "c": 5}']
    data.write_text("\n".join([json.dumps(good), *bad, json.dumps(good)]) + "\n")
    result = invoke("run", "-c", SUM, "--data", data, "--output", output)
    assert result.exit_code == 1
    found = lines(output)
    assert [line["status"] for line in found] == ["complete", *["error"] * 4, "complete"]
    codes = [line["error"][:11] for line in found[1:5]]
    assert codes == ["error[Q406]", "error[Q406]", "error[Q401]", "error[Q402]"]


def test_code_that_fails_on_one_row_does_not_stop_the_others(tmp_path):
    data, output = tmp_path / "rows.csv", tmp_path / "out.jsonl"
    with data.open("w", newline="") as file:
        csv.writer(file).writerows([["n"], ["2"], ["0"], ["5"], ["x"]])
    code = 'n: int\n"{10 // n}[X]" where X == "!"'
    result = invoke("run", "-c", code, "--data", data, "--output", output)
    assert result.exit_code == 1
    assert [line["status"] for line in lines(output)] == ["complete", "error", "complete", "error"]
    assert lines(output)[0]["text"] == "5!"


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path):
    data, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    data.write_text("".join(json.dumps({"a": a, "b": 1}) + "\n" for a in range(1, 9)))
    args = ["run", "-c", SUM, "--data", data, "--output", output, "--decoder", "sample(n=2)"]
    assert invoke(*args).exit_code == 0
    complete = output.read_bytes()
    kept = complete.splitlines(keepends=True)[:3]
    output.write_bytes(b"".join(kept) + b'{"row": 3, "dig')  # the machine stopped here
    assert invoke(*args).exit_code == 0
    again = lines(output)
    drop = ("usage", "others", "logprob")  # sums of floats depend on the batch's shape
    assert [{k: v for k, v in line.items() if k not in drop} for line in again] == [
        {k: v for k, v in json.loads(line).items() if k not in drop}
        for line in complete.splitlines()
    ]


def test_an_output_of_other_data_is_refused_and_left_alone(tmp_path):
    data, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    data.write_text('{"a": 1, "b": 1}\n')
    output.write_text('{"row": 0, "digest": "0", "status": "complete"}\n')
    result = invoke("run", "-c", SUM, "--data", data, "--output", output)
    assert result.exit_code == 2
    assert "Q407" in result.stderr
    assert output.read_text().count("\n") == 1


def test_an_unreadable_data_file_is_refused(tmp_path):
    result = invoke("run", "-c", SUM, "--data", tmp_path / "no.csv", "--output", tmp_path / "o")
    assert result.exit_code == 2
    assert "Q406" in result.stderr


def test_the_command_runs_as_a_process():
    process = subprocess.run(
        [sys.executable, "-m", "lmql_like", "run", CAPITAL, "--arg", "country=Spain"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.endswith("A: Madrid\n=> 'Madrid'\n")
    assert "Loading weights" not in process.stderr


def test_a_file_that_is_no_result_is_never_touched(tmp_path):
    data, notes = tmp_path / "rows.jsonl", tmp_path / "notes.txt"
    data.write_text('{"a": 1, "b": 1}')
    for content in ["my notes", '{"row": 0', '{"row": [], "digest": "", "status": "x"}\n', "[]\n"]:
        notes.write_text(content)
        result = invoke("run", "-c", SUM, "--data", data, "--output", notes)
        if content != '{"row": 0':  # the beginning of a result: an interrupted run
            assert result.exit_code == 2
            assert "Q407" in result.stderr
            assert notes.read_text() == content
    result = invoke("run", "-c", SUM, "--data", data, "--output", data)
    assert "Q407" in result.stderr
    assert data.read_text() == '{"a": 1, "b": 1}'


def test_results_of_another_query_or_decoder_are_not_continued(tmp_path):
    data, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    data.write_text('{"a": 1, "b": 1}\n{"a": 2, "b": 1}\n')
    assert invoke("run", "-c", SUM, "--data", data, "--output", output).exit_code == 0
    before = output.read_bytes()
    for other in (
        ["-c", SUM + " + 1"],
        ["-c", SUM, "--decoder", "beam(n=2)"],
        ["-c", SUM, "--seed", "4"],
    ):
        result = invoke("run", *other, "--data", data, "--output", output)
        assert result.exit_code == 2
        assert "Q407" in result.stderr
    assert output.read_bytes() == before


def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path):
    data, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    data.write_bytes(b'\xef\xbb\xbf{"a": 1, "b": 1}\n')
    assert invoke("run", "-c", SUM, "--data", data, "--output", output).exit_code == 0


def test_an_empty_data_file_has_an_empty_result_file(tmp_path):
    data, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    data.write_text("\n")
    assert invoke("run", "-c", SUM, "--data", data, "--output", output).exit_code == 0
    assert output.read_text() == ""


def test_columns_of_one_name_are_refused(tmp_path):
    data = tmp_path / "rows.csv"
    data.write_text("a,b,a\n1,2,3\n")
    result = invoke("run", "-c", SUM, "--data", data, "--output", tmp_path / "out.jsonl")
    assert result.exit_code == 2
    assert "Q406" in result.stderr


def test_output_is_strict_json(tmp_path):
    data, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    data.write_text('{"a": 1}\n')
    invoke("run", "-c", SUM, "--data", data, "--output", output)

    def refuse(constant):
        raise AssertionError(constant)

    json.loads(output.read_text(), parse_constant=refuse)


def test_bytes_that_are_no_text_are_a_prefix_of_nothing():
    assert invoke("mask", "--regex", "a", "--text", "\udcff").exit_code == 1
