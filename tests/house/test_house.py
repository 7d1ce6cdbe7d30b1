"""The rules of the house hold: floors, wheel, error codes, help texts, the two commands."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lmql_like.cli import main
from lmql_like.errors import CODES

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "lmql_like").rglob("*.py"))
USED = re.compile(r'"([QGSRM]\d{3})"')


def raised_codes():
    return {
        code
        for module in MODULES
        if module.name != "errors.py"
        for code in USED.findall(module.read_text(encoding="utf-8"))
    }


def test_the_floors_hold():
    lint = Path(sys.executable).with_name("lint-imports")
    subprocess.run([lint], cwd=ROOT, check=True, capture_output=True, timeout=120)


def test_every_code_that_is_raised_is_registered_and_the_other_way_round():
    assert raised_codes() == set(CODES)


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_has_a_page_with_its_title(code):
    page = (ROOT / "docs" / "errors" / f"{code}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {code}: {CODES[code]}\n")
    assert "\n    " in page, "a page shows an example"


def test_there_is_no_page_without_a_code():
    assert {page.stem for page in (ROOT / "docs" / "errors").glob("*.md")} == set(CODES)


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_and_option_has_help(name):
    command = main.commands[name]
    assert command.help
    for parameter in command.params:
        if parameter.param_type_name == "option" and not parameter.is_flag:
            assert parameter.help or parameter.show_default, f"{name} {parameter.name}"


def test_ci_runs_the_readmes_own_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = [line.strip() for line in script.splitlines() if line.startswith("pip install")]
    assert len(commands) == 2
    for command in commands:
        assert f"\n    {command}\n" in readme


def test_architecture_fits_on_a_page():
    assert len((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()) <= 100


def test_the_wheel_holds_one_package_with_model_and_error_pages(tmp_path):
    hatchling = pytest.importorskip("hatchling.build", reason="the build back end is not installed")
    del hatchling
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"lmql_like"}
    assert "lmql_like/default_model/model.safetensors" in names
    assert "lmql_like/explanations/G101.md" in names
    assert "lmql_like/py.typed" in names


def functions(tree):
    return [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(ROOT)))
def test_modules_keep_the_style_of_the_house(module):
    text = module.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module begins with its contract"
    assert text.count("\n") <= 520
    for function in functions(tree):
        assert function.end_lineno - function.lineno < 100, function.name
    assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree))


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(ROOT)))
def test_torch_and_transformers_are_imported_in_few_places(module):
    tree = ast.parse(module.read_text(encoding="utf-8"))
    top_level = {
        (name.name if isinstance(node, ast.Import) else node.module or "").split(".")[0]
        for node in tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in node.names
    }
    if not module.name.startswith("transformers_"):
        assert not top_level & {"torch", "transformers"}


def test_help_is_fast():
    begin = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "lmql_like", "--help"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    loaded = {line.rsplit("|", 1)[-1].strip() for line in begin.stderr.splitlines()}
    assert not loaded & {"torch", "numba", "transformers", "numpy", "pydantic"}
