"""The session in a real terminal: pexpect types, pyte keeps the screen that a user would see."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

pexpect = pytest.importorskip("pexpect", reason="pexpect is not installed")
pyte = pytest.importorskip("pyte", reason="pyte is not installed")

ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT = 100, 40
TOY = """
import time
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.repl.app import converse
from lmql_like.repl.session import Session
from lmql_like.runtime.toy_model import ToyModel, ToyState

class Slow(ToyModel):
    def logits_after(self, ids):
        time.sleep(0.002)
        return super().logits_after(ids)

model = Slow(Vocabulary([*(bytes([b]) for b in range(256)), b""], eos_token_ids=[256]))
converse(Session(lambda name: model, decoder="argmax(max_len=100000)"))
"""


class Terminal:
    """A session behind a pseudo-terminal."""

    def __init__(self, arguments, folder):
        self.screen = pyte.HistoryScreen(WIDTH, HEIGHT, history=1000)
        self.stream = pyte.Stream(self.screen)
        environment = {
            **os.environ,
            "TERM": "xterm-256color",
            "LMQL_LIKE_HISTORY": str(folder / "history"),
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "PYTHONPATH": str(ROOT),
        }
        self.process = pexpect.spawn(
            sys.executable,
            arguments,
            env=environment,
            cwd=str(folder),
            dimensions=(HEIGHT, WIDTH),
            encoding="utf-8",
            timeout=5,
        )

    @property
    def lines(self):
        """Every line that was ever shown, blank ones at the end left out."""
        width = range(WIDTH)
        above = ["".join(line[x].data for x in width) for line in self.screen.history.top]
        return "\n".join(line.rstrip() for line in [*above, *self.screen.display]).rstrip()

    def read(self):
        try:
            self.stream.feed(self.process.read_nonblocking(65536, timeout=0.05))
        except pexpect.TIMEOUT:
            return
        except pexpect.EOF:
            time.sleep(0.05)

    def wait_for(self, *texts, seconds=60):
        """Wait until all of some texts stand on the screen; return what stands there."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if all(text in self.lines for text in texts):
                return self.lines
            self.read()
        raise AssertionError(f"{texts} never came; the screen:\n{self.lines}")

    def wait_for_prompt(self, count, seconds=60):
        """Wait until the last line is an empty prompt, the `count`-th one."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            shown = self.lines.split("\n")
            starts = sum(line.startswith("lmql>") for line in shown)
            if starts >= count and shown[-1] == "lmql>":
                return "\n".join(shown)
            self.read()
        raise AssertionError(f"no prompt number {count}; the screen:\n{self.lines}")

    def type(self, text):
        self.process.send(text)

    def enter(self, *lines):
        """Type lines, wait for the next prompt, return what was shown in between."""
        before = self.wait_for_prompt(1)
        count = sum(line.startswith("lmql>") for line in before.split("\n"))
        for line in lines:
            self.type(line + "\r")
        after = self.wait_for_prompt(count + 1)
        return after[len(before) :]

    def colour_of(self, text):
        """Return the colour of a text that stands on the screen."""
        for y, line in enumerate(self.screen.display):
            if text in line:
                return self.screen.buffer[y][line.index(text)].fg
        raise AssertionError(f"{text!r} is not on the screen:\n{self.lines}")


@contextmanager
def opened(folder, *arguments):
    terminal = Terminal(list(arguments), folder)
    try:
        terminal.wait_for_prompt(1)
        yield terminal
    finally:
        terminal.process.close(force=True)


@pytest.fixture
def toy(tmp_path):
    (tmp_path / "toy.py").write_text(TOY)
    with opened(tmp_path, "toy.py") as terminal:
        yield terminal


def test_a_conversation_with_the_embedded_model(tmp_path):
    with opened(tmp_path, "-m", "lmql_like", "repl") as terminal:
        terminal.enter('"Q: What is the capital of France?\\n"')
        answer = terminal.enter('"A:[C]" where STOPS_BEFORE(C, "\\n") and len(TOKENS(C)) <= 20')
        assert "\nA: Paris\n" in answer
        assert terminal.colour_of(" Paris") == "cyan"
        assert "=> 'Paris'" in terminal.enter("C.strip()")
        assert "error[Q102]" in terminal.enter("nothing")
        assert "saved" in terminal.enter(":save capital.lmql")
        assert "tokens allowed     0 of 1024" in terminal.enter(':mask " Paris\\n"')
        shown = terminal.enter(":why !")
        assert "'!' behind ' Paris\\n' in [C]: not allowed" in shown
        assert 'STOPS_BEFORE(C, "\\n")  forbids it' in shown
        assert "len(TOKENS(C)) <= 20 allows it" in " ".join(shown.split())
        terminal.type("\x04")
        terminal.process.expect(pexpect.EOF)
    from click.testing import CliRunner

    from lmql_like.cli import main

    result = CliRunner().invoke(main, ["run", str(tmp_path / "capital.lmql")])
    assert result.stdout == "Q: What is the capital of France?\nA: Paris\n"


def test_blocks_are_indented_and_run_behind_an_empty_line(toy):
    shown = toy.enter("for i in range(2):", '"{i}[X] "  where X in ["a", "b"]', "")
    assert '  ...     "{i}[X] "' in shown
    assert shown.split("\n")[-2][0] == "0"
    assert "=> 'i'" in toy.enter("[n for n in dir() if n == 'i'][0]")


def test_what_a_program_writes_cannot_command_the_terminal(toy):
    assert "a\u241b[31mb" in toy.enter('"a{chr(27)}[[31mb"')


def test_a_file_is_loaded_in_place_of_the_session(toy, tmp_path):
    (tmp_path / "good.lmql").write_text('"{a}: [X]" where X == "b"\n')
    (tmp_path / "bad.lmql").write_text('"text"\n1 / 0\n')
    toy.enter('"before"')
    assert "error[R101]" in toy.enter(":load bad.lmql")
    assert "error[Q401]" in toy.enter(":load good.lmql")
    assert "and on" in toy.enter('"and on"')
    assert "\nx y: b\n" in toy.enter(":load good.lmql a='x y'")
    toy.enter(":save out.lmql")
    assert (tmp_path / "out.lmql").read_text().endswith('a = \'x y\'\n"{a}: [X]" where X == "b"\n')
    assert "=> 'b'" in toy.enter("X")


def test_what_is_typed_is_coloured(toy):
    toy.type('"a [X]" where len(X) < 3 and')
    toy.wait_for("< 3 and")
    assert toy.colour_of("[X]") == "cyan"
    assert toy.colour_of("where") == "blue"
    assert toy.colour_of("3") == "magenta"


def test_tab_completes(toy):
    toy.type("STOPS_B\t")
    toy.wait_for("lmql> STOPS_BEFORE")
    toy.type("\x15:und\t")
    toy.wait_for("lmql> :undo")


def test_ctrl_c_stops_the_decoding_and_keeps_the_session(toy):
    toy.enter('"Say [X], " where X == "this"')
    toy.type('"[Y]" where REGEX(Y, "[a-z]{50000}")\r')
    toy.wait_for('\nlmql> "[Y]"')
    end = time.monotonic() + 20
    while len(toy.lines.split("{50000}")[-1]) < 100 and time.monotonic() < end:
        toy.read()
    toy.type("\x03")
    toy.wait_for("-- stopped; the session is as it was before this input", seconds=30)
    assert "=> 'this'" in toy.enter("X")
    assert "error[Q102]" in toy.enter("Y")
    assert "and on" in toy.enter('"and on"')


def test_ctrl_c_twice_interrupts_the_authors_code(toy):
    toy.type("x = 1\r")
    toy.wait_for_prompt(2)
    toy.type("while x > 1 or print('running') or True: x += 1\r")
    toy.wait_for("\nrunning")
    toy.type("\x03")
    time.sleep(0.3)
    toy.type("\x03")
    toy.wait_for("-- interrupted; the session is as it was", seconds=30)
    assert "=> 1" in toy.enter("x")


def test_ctrl_c_at_the_prompt_drops_the_line(toy):
    toy.type("half an inp")
    toy.wait_for("half an inp")
    toy.type("\x03")
    toy.wait_for_prompt(2)
    assert "=> 2" in toy.enter("1 + 1")


def test_history_lasts_from_session_to_session(tmp_path):
    (tmp_path / "toy.py").write_text(TOY)
    with opened(tmp_path, "toy.py") as terminal:
        terminal.enter('"Hello"')
    with opened(tmp_path, "toy.py") as terminal:
        terminal.type("\x1b[A")
        terminal.wait_for('lmql> "Hello"')


def test_the_tree_of_a_beam(toy):
    toy.enter(":decoder beam(n=2)")
    toy.enter('"[X]" where REGEX(X, "[ab]{3}")')
    shown = toy.enter(":tree")
    assert "beam(n=2), 2 results" in shown
    assert "<- kept" in shown
    assert "├──" in shown


def test_every_command_works_through_the_terminal(toy, tmp_path):
    toy.enter('"a [X]" where X == "b"')
    toy.enter('"c [Y]" where Y == "d"')
    toy.enter(":undo")
    assert "error[Q102]" in toy.enter("Y")
    assert "=> 'b'" in toy.enter("X")
    toy.enter(":seed 7")
    toy.enter(":decoder sample(temperature=2)")
    first = toy.enter('"[Z]" where REGEX(Z, "[a-z]{6}")').split("\n")[1]
    toy.enter(":undo")
    assert toy.enter('"[Z]" where REGEX(Z, "[a-z]{6}")').split("\n")[1] == first
    assert "passes" in toy.enter(":stats")
    assert "tokens allowed     26 of 257" in toy.enter(":mask abcde")
    assert "no text that begins like this" in toy.enter(":mask abcde!")
    assert "not allowed" in toy.enter(":why !")
    toy.enter(":model other")
    toy.enter(":save kept.lmql")
    assert 'where X == "b"' in (tmp_path / "kept.lmql").read_text()
    toy.enter(":reset")
    assert "error[Q102]" in toy.enter("X")
    assert "a b" in toy.enter(":load kept.lmql")
    shown = toy.enter(":help")
    listed = ":undo :reset :save :load :model :decoder :seed :mask :why :tree :stats :help"
    assert all(name in shown for name in listed.split())
    assert "error[Q504]" in toy.enter(":hepl")
    toy.type(":quit\r")
    toy.process.expect(pexpect.EOF)
