"""The doctor needs a configuration only, and says what it tried."""

import json

import pytest
from click.testing import CliRunner
from reference.tiny_models import tiny_model, tiny_source_model

from lmql_like.cli import main
from lmql_like.doctor_report import make_report
from lmql_like.runtime import transformers_doctor


def doctor(folder):
    result = CliRunner().invoke(main, ["doctor", str(folder)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def test_an_unknown_architecture_is_examined(tmp_path):
    config = {"model_type": "stablelm", "hidden_size": 2560, "num_hidden_layers": 32}
    (tmp_path / "config.json").write_text(json.dumps(config))
    code, output = doctor(tmp_path)
    assert code == 0
    assert "architecture  stablelm (not in the table)" in output
    assert output.endswith("mode          shared: attention keys, what rows share stored once\n")


@pytest.mark.parametrize("kind", ["mamba", "recurrent_gemma", "rwkv", "minimax", "deepseek_v32"])
def test_what_is_found_is_what_is_known(kind, monkeypatch):
    known = transformers_doctor.KNOWN_MODES[kind]
    monkeypatch.setattr(transformers_doctor, "KNOWN_MODES", {})
    config = tiny_model(kind).config
    found = transformers_doctor.examine(config, type(tiny_model(kind)))
    assert found.mode == known
    assert all(f.error or f.difference > 1e-4 for f in found.findings[:-1])


def test_every_mode_that_was_tried_is_shown(tmp_path):
    tiny_model("mamba").config.save_pretrained(tmp_path)
    code, output = doctor(tmp_path)
    lines = [line.split() for line in output.splitlines()]
    assert code == 0
    assert ["tokens", "exact"] in lines
    assert ["rows-by-length", "wrong", "by"] in [line[:3] for line in lines]


def test_a_table_that_is_wrong_is_contradicted(tmp_path, monkeypatch):
    monkeypatch.setitem(transformers_doctor.KNOWN_MODES, "mamba", "rows")
    tiny_model("mamba").config.save_pretrained(tmp_path)
    code, output = doctor(tmp_path)
    assert code == 1
    assert "The clone contradicts the table" in output


def test_what_has_no_clone_is_recomputed_or_known(tmp_path, monkeypatch):
    tiny_source_model("t5").config.save_pretrained(tmp_path)
    report = make_report(str(tmp_path))
    assert (report.mode, report.examination) == ("rows-by-length", None)
    tiny_model("llama").config.save_pretrained(tmp_path)
    monkeypatch.setattr(transformers_doctor, "KNOWN_MODES", {})
    monkeypatch.setattr(transformers_doctor, "_MAX_WEIGHTS", 10)
    report = make_report(str(tmp_path))
    assert (report.mode, report.problem) == ("recompute", "it has too many weights")


def test_folders_that_are_no_models(tmp_path):
    assert doctor(tmp_path)[0] == 3
    assert "error[M102]" in doctor(tmp_path)[1]
