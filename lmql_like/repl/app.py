"""The terminal of a session: reads inputs, shows text while it comes, survives mistakes.

Ctrl-C during a run stops it after the step that is under way; a second one interrupts
whatever runs, the author's own Python too. Either way the session is as it was before the
input.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
from platformdirs import user_data_path
from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.filters import has_completions
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.styles import Style
from rich.console import Console

from lmql_like.errors import LmqlLikeError
from lmql_like.repl.commands import COMMANDS, Desk, perform
from lmql_like.repl.editing import QueryCompleter, indent_behind, is_complete
from lmql_like.repl.highlighting import STYLES, Highlighter
from lmql_like.repl.session import Attempt, Session, Turn
from lmql_like.runtime.results import Result

__all__ = ["converse"]

_PROMPT, _MORE = "lmql> ", "  ... "
_PICTURES = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"}
_PICTURES |= {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
_REASONS = {
    "truncated": "the limit on tokens was reached (max_len)",
    "dead-end": "no text can satisfy the conditions of the next hole",
}


def converse(session: Session) -> None:
    """Read inputs and run them until the user leaves."""
    desk = Desk(session)
    prompt = _make_prompt(desk)
    click.secho(f"lmql-like, decoder {session.decoder}; :help lists the commands", dim=True)
    while not desk.is_over:
        try:
            text = prompt.prompt(_PROMPT)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text.strip():
            _answer(desk, text)


def _answer(desk: Desk, text: str) -> None:
    """Carry out one input, whatever it is; show what is wrong with it."""
    try:
        if not text.lstrip().startswith(":"):
            _run(desk, desk.session.begin(text.strip("\n")))
            return
        shown = perform(desk, text)
        if isinstance(shown, Attempt):
            _run(desk, shown)
        elif shown is not None:
            Console(highlight=False, soft_wrap=False).print(shown)
    except LmqlLikeError as error:
        click.echo(error.render())
    except KeyboardInterrupt:
        click.secho("\n-- interrupted; the session is as it was", fg="red")


def _run(desk: Desk, attempt: Attempt) -> None:
    """Run an input and show its text while it comes."""
    shown = ""
    with _stop_asked() as is_asked:
        for events in attempt.events():
            for event in events:
                click.secho(_visible(event.text), fg="cyan" if event.hole else None, nl=False)
                shown += event.text
            if is_asked():
                _end_line(shown)
                click.secho("-- stopped; the session is as it was before this input", fg="red")
                return
        turn = attempt.session.keep(attempt)
    if turn.complete.status == "complete":
        desk.session = attempt.session
    if turn is desk.session.last_asked:
        desk.place = ""
    _show_end(turn, shown, attempt.shown)


def _show_end(turn: Turn, shown: str, start: int) -> None:
    """Print what the stream could not: other results, the value, how the run ended."""
    best = turn.results[0]
    rest = best.text[start:]
    if rest != shown:
        _end_line(shown)
        click.echo(_visible(rest), nl=False)
        shown = rest
    _end_line(shown)
    if len(turn.results) > 1:
        _show_others(turn.results, start)
    if turn.value is not None:
        click.echo(f"=> {turn.value!r}")
    for name, distribution in best.distributions.items():
        if name in turn.piece.holes:
            shares = ", ".join(f"{v!r} {p:.3f}" for v, p in distribution.probabilities.items())
            click.secho(f"-- {name}: {shares}", fg="yellow")
    if best.status != "complete":
        reason = _REASONS.get(best.status, "")
        click.secho(f"-- {best.status}: {reason}; the input is not kept", fg="red")


def _show_others(results: tuple[Result, ...], start: int) -> None:
    click.secho(f"-- kept, log p {results[0].logprob:.3f}; the others:", fg="yellow")
    for number, result in enumerate(results[1:], start=2):
        text = result.text[start:].strip("\n")
        status = "" if result.status == "complete" else f", {result.status}"
        click.echo(_visible(text))
        click.secho(
            f"-- {number} of {len(results)}, log p {result.logprob:.3f}{status}", fg="yellow"
        )


def _visible(text: str) -> str:
    """Return a text that cannot command the terminal: control characters as pictures."""
    return text.translate(_PICTURES)


def _end_line(shown: str) -> None:
    if shown and not shown.endswith("\n"):
        click.echo()


class _Stop:
    """Whether Ctrl-C was pressed; the second time it interrupts."""

    def __init__(self) -> None:
        self.is_asked = False

    def press(self, _signal: int, _frame: FrameType | None) -> None:
        """Take note, or interrupt."""
        if self.is_asked:
            raise KeyboardInterrupt
        self.is_asked = True


@contextmanager
def _stop_asked() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C ask for a stop instead of interrupting, the first time."""
    stop = _Stop()
    before = signal.signal(signal.SIGINT, stop.press)
    try:
        yield lambda: stop.is_asked
    finally:
        signal.signal(signal.SIGINT, before)


def _make_prompt(desk: Desk) -> PromptSession[str]:
    commands = {name: (c.meaning, c.argument) for name, c in COMMANDS.items()}
    return PromptSession(
        history=_history(),
        multiline=True,
        prompt_continuation=_MORE,
        lexer=Highlighter(),
        style=Style.from_dict(STYLES),
        completer=QueryCompleter(commands, lambda: desk.session.names, lambda: desk.session.holes),
        complete_while_typing=False,
        auto_suggest=AutoSuggestFromHistory(),
        key_bindings=_keys(),
        enable_open_in_editor=True,
    )


def _history() -> History:
    """Return the inputs of earlier sessions; only this one's where the folder is not ours."""
    path = Path(os.environ.get("LMQL_LIKE_HISTORY") or user_data_path("lmql-like") / "history")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError:
        return InMemoryHistory()
    return FileHistory(path)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter", filter=~has_completions)
    def _(event: KeyPressEvent) -> None:
        """Run the input where it is whole; begin a new line otherwise."""
        buffer = event.current_buffer
        if buffer.document.is_cursor_at_the_end and is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n" + indent_behind(buffer.document.current_line_before_cursor))

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        """Begin a new line, whatever stands there."""
        event.current_buffer.insert_text("\n")

    return keys
