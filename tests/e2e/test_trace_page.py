"""The page of a run: its data against the run, and what a real browser makes of it."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from lmql_like.cli import main
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.run import run_program
from lmql_like.runtime.toy_model import ToyModel
from lmql_like.trace_page import write_page
from lmql_like.trace_page.page_data import page_data

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(NAMES)} is here")

SINGLES = [bytes([byte]) for byte in range(256)]
VOCABULARY = Vocabulary([*SINGLES, b"ab", b"abc", b".\n", b"a\n", b""], eos_token_ids=[260])
QUERY = """\
"<b>Say</b> & [X]" where STOPS_BEFORE(X, "\\n") and REGEX(X, "[ab]{3,6}\\n?")
for i in range(2):
    "\\n{i}: [Y]!" where Y in ["one", "", "once", "é"]
return "</script><script>x"
"""


NESTED = """\
@query
def think(word):
    "{word}? [T] [U]" where REGEX(T, "[ab]{2}") and U in ["", "é"]
    return T + U

@query
def aside():
    "(an aside: [V])" where REGEX(V, "[ab]{2}")

"[A: think('a')][B] [C: aside()] [D: think(B)]" where B in ["", "abc"]
"[A]" where len(A) < 3
"""


def run(text, decoder="argmax", seed=3):
    program = compile_query(text, name="q<uery>.lmql")
    model = ToyModel(VOCABULARY)
    return program, run_program(program, model=model, decoder=decoder, seed=seed, trace=True)


def spelled(part):
    if part.get("gone"):
        return ""
    return part.get("text", "") + "".join(token["text"] for token in part.get("tokens", ()))


DECODERS = ["argmax", "beam(n=3)", "sample(n=3)"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("query", [QUERY, NESTED], ids=["flat", "nested"])
def test_the_parts_are_the_text_and_its_choices(query, decoder, seed):
    program, results = run(query, decoder, seed)
    data = page_data(program, results, "toy")
    for result, shown in zip(results, data["results"], strict=True):
        assert "".join(map(spelled, shown["parts"])) == result.text
        holes = [part["hole"] for part in shown["parts"] if "hole" in part]
        asked = [a.question.hole for a in result.trace.answers]
        assert len(holes) >= len({id(hole) for hole in asked})
        chosen = [t for p in shown["parts"] for t in p.get("tokens", ()) if "question" in t]
        assert len(chosen) == len(result.trace.answers)
        assert [t["logprob"] for t in chosen] == [a.logprob for a in result.trace.answers]
        for token, answer in zip(chosen, result.trace.answers, strict=True):
            question = data["questions"][token["question"]]
            assert question["hole"] == answer.question.hole.name
            assert question["allowed"] == answer.question.n_allowed
            assert token["spelled"] == answer.data.decode("utf-8", "backslashreplace")
            if token["text"] and answer.data.isascii():
                assert token["text"] + token.get("back", "") == token["spelled"]


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_tree_is_a_tree_and_leads_to_every_result(decoder):
    program, results = run(QUERY, decoder)
    tree = page_data(program, results, "toy")["tree"]
    for number, branch in enumerate(tree):
        parent = branch["parent"]
        before = tree[parent]["total"] if parent is not None else 0.0
        assert parent is None or parent < number
        # Tokens that were forced count as soon as they are scored.
        assert branch["total"] <= before + branch["logprob"] + 1e-6
    ends = {b["result"]: b["total"] for b in tree if b["status"] and b["result"] is not None}
    assert ends == {n: pytest.approx(result.logprob) for n, result in enumerate(results)}


def test_times_add_up_and_are_summed_up_where_there_are_many():
    program, results = run('"[X]" where REGEX(X, "[ab]{900}")')
    data = page_data(program, results, "toy")
    record = results[0].trace.run
    assert len(data["rounds"]) <= 240 < len(record.rounds)
    assert sum(r["passes"] for r in data["rounds"]) == results[0].usage.forward_passes
    model_seconds = sum(r["model"] for r in data["rounds"])
    assert 0 <= results[0].usage.model_seconds - model_seconds < 1e-3
    assert data["rounds"][-1]["last"] == len(record.rounds) - 1


def test_a_run_without_a_trace_has_no_page():
    program = compile_query('"a"')
    results = run_program(program, model=ToyModel(VOCABULARY))
    with pytest.raises(ValueError, match="not traced"):
        write_page(program, results, "toy")


def test_the_page_needs_nothing_and_holds_its_data():
    program, results = run(QUERY, "beam(n=2)")
    page = write_page(program, results, "toy")
    links = set(re.findall(r"https?://[^\s\"'<]+", page))
    assert links <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(link|img|iframe|script[^>]+src)", page)
    assert "default-src 'none'" in page
    assert page.count("<script") == 2
    assert "<title>q&lt;uery&gt;.lmql</title>" in page
    found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert json.loads(found[1]) == json.loads(json.dumps(page_data(program, results, "toy")))


# In the browser

CLICKS = """
<script>
  const seen = {};
  const text = (query) => [...document.querySelectorAll(query)].map((node) => node.innerText);
  const prompt = () => {
    const copy = document.getElementById("prompt").cloneNode(true);
    for (const node of copy.querySelectorAll(".name, .end, .gone, s")) node.remove();
    return copy.textContent;
  };
  seen.prompts = [];
  const buttons = [...document.querySelectorAll("#results button")];
  for (const button of buttons.length ? buttons : [document.body]) {
    button.click();
    seen.prompts.push(prompt());
  }
  const tokens = [...document.querySelectorAll("#prompt button.token")];
  seen.masks = tokens.map((token) => {
    token.click();
    return [token.dataset.question, document.getElementById("mask-count").innerText,
      document.querySelectorAll("#mask-sample span").length, token.title];
  });
  seen.holes = text("#prompt .name");
  seen.tree = document.querySelectorAll("#tree li").length;
  seen.bars = document.querySelectorAll("#time rect").length;
  seen.program = document.getElementById("program").textContent;
  seen.wide = document.documentElement.scrollWidth > window.innerWidth;
  document.body.dataset.seen = JSON.stringify(seen);
</script>
"""


def look_at(page, folder):
    """Open a page in the browser, click through it, return what was seen."""
    file = folder / "page.html"
    file.write_text(page.replace("</body>", f"{CLICKS}</body>"), encoding="utf-8")
    dumped = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder / 'profile'}",
            "--window-size=1200,900",
            "--virtual-time-budget=5000",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert 'data-ready="yes"' in dumped
    seen = re.search(r'data-seen="([^"]*)"', dumped)
    return json.loads(html.unescape(seen[1]))


@needs_browser
def test_a_browser_shows_prompt_masks_tree_and_times(tmp_path):
    program, results = run(QUERY, "beam(n=3)")
    data = page_data(program, results, "toy")
    seen = look_at(write_page(program, results, "toy"), tmp_path)
    assert seen["prompts"] == [result.text for result in results]
    assert seen["program"] == QUERY
    assert seen["holes"] == ["X", "Y", "Y"]
    assert seen["tree"] == len(data["tree"])
    assert seen["bars"] == 3 * len(data["rounds"])
    assert len(seen["masks"]) == len(results[-1].trace.answers)
    for number, count, n_sample, title in seen["masks"]:
        question = data["questions"][int(number)]
        assert count.startswith(f"{question['allowed']} of {question['tokens']} tokens")
        assert n_sample == len(question["sample"])
        assert title.endswith(("%", "0")) or "e-" in title
    assert not seen["wide"]


@needs_browser
def test_a_browser_shows_holes_of_nested_queries(tmp_path):
    program, results = run(NESTED)
    seen = look_at(write_page(program, results, "toy"), tmp_path)
    assert seen["prompts"] == [results[0].text]
    assert seen["holes"] == ["T", "U", "A", "B", "V", "T", "U", "D", "A"]


def test_holes_that_were_not_chosen_token_by_token_say_so():
    program, results = run('"[X]" where X == "one"\n"[Y]" distribution Y in ["a", "b"]')
    first, second = page_data(program, results, "toy")["results"][0]["parts"]
    assert first["tokens"] == [{"text": "one", "kind": "given"}]
    [token] = second["tokens"]
    assert (token["kind"], token["text"]) == ("best", results[0].variables["Y"])
    assert token["share"] == max(results[0].distributions["Y"].probabilities.values())


@needs_browser
def test_a_browser_shows_a_run_without_any_question(tmp_path):
    program, results = run('"only text, {1 + 1}"')
    seen = look_at(write_page(program, results, "toy"), tmp_path)
    assert seen["prompts"] == ["only text, 2"]
    assert seen["tree"] == seen["bars"] == 0


# The command


def test_the_command_writes_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = str(ROOT / "examples" / "capital.lmql")
    result = CliRunner().invoke(main, ["trace", file, "--arg", "country=France"])
    assert (result.exit_code, result.stdout) == (0, "capital.trace.html: 1 result, complete\n")
    assert "Paris" in (tmp_path / "capital.trace.html").read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_is_an_error(tmp_path):
    result = CliRunner().invoke(main, ["trace", "-c", '"a"', "-o", str(tmp_path / "no" / "f")])
    assert result.exit_code == 2
    assert "Q507" in result.stderr
