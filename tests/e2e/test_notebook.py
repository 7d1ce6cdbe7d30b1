"""Results in notebooks: the HTML in a real browser, and `%%lmql` cells in IPython's own shell."""

from __future__ import annotations

import html
import json
import math
import re
import shutil
import subprocess

import pytest
import rich
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import lmql_like
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.runtime.hypotheses import Segment
from lmql_like.runtime.results import Result, Usage
from lmql_like.runtime.toy_model import ToyModel

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(NAMES)} is here")
MODEL = ToyModel(Vocabulary([bytes([byte]) for byte in range(256)] + [b""], eos_token_ids=[256]))
QUERY = """\
"<script>document.title='broken'</script><b>&amp;[X]</b>" where REGEX(X, "[<&>é]{4}")
"\\n'\\"{n}[N: int]" where len(N) == 2
"[Y]!" distribution Y in ["<i>", "</div>"]
return "<p>"
"""
PROBE = """
<script>
const all = query => [...document.querySelectorAll(query)];
const text = document.querySelector(".lmql-text").cloneNode(true);
text.querySelectorAll(".lmql-name").forEach(name => name.remove());
document.documentElement.dataset.seen = JSON.stringify({
  text: text.textContent,
  title: document.title,
  holes: all(".lmql-hole").map(hole => hole.title),
  colours: all(".lmql-hole").map(hole => getComputedStyle(hole).backgroundColor),
  tokens: all(".lmql-token").map(token => token.title),
  shades: all(".lmql-token").map(token => getComputedStyle(token).backgroundColor),
  elements: [...new Set(all("body *").map(node => node.tagName))].sort(),
});
</script>
"""


def seen_in_a_browser(result, tmp_path):
    file = tmp_path / "result.html"
    page = f"<meta charset=utf-8><title>fine</title><body>{result._repr_html_()}{PROBE}</body>"
    file.write_text(page, encoding="utf-8")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    options = ["--headless", "--no-sandbox", "--disable-gpu", profile, "--dump-dom"]
    dumped = subprocess.run(
        [BROWSER, *options, file.as_uri()], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    return json.loads(html.unescape(re.search(r'data-seen="([^"]*)"', dumped)[1]))


@needs_browser
def test_a_browser_shows_the_text_its_holes_and_their_probabilities(tmp_path):
    result = lmql_like.run(QUERY, model=MODEL, n=3, trace=True)
    seen = seen_in_a_browser(result, tmp_path)
    assert seen["title"] == "fine"  # what is in the text is text
    assert seen["text"] == result.text
    assert seen["elements"] == ["B", "CODE", "DIV", "SCRIPT", "SPAN"]
    assert seen["holes"] == [f"{name} = {value!r}" for name, value in result.variables.items()]
    assert len(set(seen["colours"])) == 3
    shown = [float(title.rsplit(": ", 1)[1].rstrip("%")) / 100 for title in seen["tokens"]]
    known = [math.exp(answer.logprob) for answer in result.trace.answers]
    share = result.distributions["Y"][result.variables["Y"]]
    assert shown == pytest.approx([*known, share], abs=6e-4)
    assert all(shade != "rgba(0, 0, 0, 0)" for shade in seen["shades"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=6), st.sampled_from([None, "X", "Y<"])), max_size=5))
def test_any_text_is_escaped_and_kept(pieces):
    segments = tuple(Segment(text.encode("utf-8", "ignore"), hole) for text, hole in pieces)
    text = b"".join(segment.data for segment in segments).decode()
    result = Result(text, {}, None, -1.0, "complete", Usage(), "argmax()", segments=segments)
    shown = re.sub(r'<span class="lmql-name".*?</span>', "", result._repr_html_())
    shown = html.unescape(re.sub(r"<[^>]*>", "", shown.split("</div>")[0]))
    pictures = {**{code: 0x2400 + code for code in range(32)}, 127: 0x2421}
    del pictures[9], pictures[10]
    # `unescape` alone maps C1 controls and newlines as HTML does; compare what it keeps.
    assert shown == html.unescape(html.escape(text.translate(pictures)))


def test_a_result_in_a_terminal_has_coloured_holes():
    result = lmql_like.run('"A[X]" where X == "b"', model=MODEL)
    console = Console(force_terminal=True, color_system="standard", record=True, file=None)
    with console.capture() as captured:
        console.print(result)
    assert "A\x1b[1;36mb\x1b[0m" in captured.get()
    assert "complete" in captured.get()
    assert rich.get_console() is not console
    assert repr(result).startswith("<Result complete: X='b'")


def test_an_error_is_shown():
    result = Result(
        "", {}, None, math.nan, "error", Usage(), "argmax()",
        error=lmql_like.LmqlLikeError("R101", "it <failed>"),
    )  # fmt: skip
    assert "it &lt;failed&gt;" in result._repr_html_()


@pytest.fixture
def shell():
    interactive = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    interactive.clear_instance()
    shell = interactive.instance()
    shell.user_ns["model"] = MODEL
    shell.run_line_magic("load_ext", "lmql_like")
    yield shell
    interactive.clear_instance()


def run_cell(shell, cell):
    outcome = shell.run_cell(cell)
    outcome.raise_error()
    return outcome.result


def test_a_cell_runs_with_the_names_of_the_notebook(shell):
    run_cell(shell, "n = 3\ndef long(text): return len(text) == 2\nX = 'an older X'")
    query = '"{n}[X]" where X in ["b", "bb"] and long(X)\nreturn X + "!"'
    result = run_cell(shell, f"%%lmql --model model --out kept\n{query}")
    assert result.text == "3bb"
    assert shell.user_ns["X"] == "bb"
    assert shell.user_ns["kept"] is result
    assert run_cell(shell, "kept.value") == "bb!"
    assert result.trace is not None
    formatted, _ = shell.display_formatter.format(result)
    assert "lmql-hole" in formatted["text/html"]


def test_a_cell_takes_a_decoder_and_a_seed(shell):
    cell = '%%lmql --model model --decoder "sample(n=3)" --seed 5\n"A[X]" where len(X) == 3'
    first, second = run_cell(shell, cell), run_cell(shell, cell)
    assert first.decoder.startswith("sample(n=3")
    assert first.text == second.text


def test_an_error_in_a_cell_is_shown_with_its_place(shell, capsys):
    outcome = shell.run_cell('%%lmql --model model\n"A[X]" where len(Y) < 3')
    assert type(outcome.error_in_exec).__name__ == "UsageError"
    assert "Q104" in str(outcome.error_in_exec)
    assert "<cell>:1:18" in str(outcome.error_in_exec)
    capsys.readouterr()


def test_cells_use_the_embedded_model_by_default(shell):
    shell.user_ns["country"] = "Italy"
    cell = '%%lmql\n"Q: What is the capital of {country}?\\nA:[C]" where STOPS_BEFORE(C, "\\n")'
    assert run_cell(shell, cell).variables == {"C": " Rome"}
