"""The commands of a session: one table, one function each.

A command reads the session and its argument and returns what is to be printed. Running a
program is the terminal's business: `:load` returns the attempt instead.
"""

from __future__ import annotations

import ast
import math
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lmql_like.errors import QueryError, did_you_mean
from lmql_like.files import read_text, write_text
from lmql_like.repl.inspection import MaskView, TokenView, look_at_mask, look_at_token
from lmql_like.repl.session import Attempt, Session
from lmql_like.repl.tree import show_tree
from lmql_like.runtime.results import Usage
from lmql_like.runtime.search import decoders
from lmql_like.runtime.trace import Candidate
from lmql_like.source import Source

__all__ = ["COMMANDS", "Command", "Desk", "perform"]


@dataclass
class Desk:
    """What commands work on.

    Attributes:
        session: the program so far.
        place: the text in the last hole that `:mask` looked behind.
        is_over: the user wants to leave.
    """

    session: Session
    place: str = ""
    is_over: bool = False


Answer = RenderableType | Attempt | None


@dataclass(frozen=True)
class Command:
    """A command: what it is called with, what it does, what completes its argument."""

    usage: str
    meaning: str
    act: Callable[[Desk, str], Answer]
    argument: str = ""


def perform(desk: Desk, line: str) -> Answer:
    """Carry out a command.

    Raises:
        QueryError: Q504 where there is none of this name; others as the commands.
    """
    name, _, argument = line.strip().partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        raise QueryError(
            "Q504",
            f"there is no command '{name}'",
            help=did_you_mean(name, COMMANDS) or ":help lists them",
        )
    return command.act(desk, argument.strip())


def _wanted(argument: str, usage: str) -> str:
    if not argument:
        raise QueryError("Q504", "the command lacks its argument", help=f"write {usage}")
    return argument


def _quoted(argument: str) -> str:
    """Return an argument that may be written as a string literal, for blanks and escapes."""
    if argument[:1] not in ("'", '"'):
        return argument
    try:
        value = ast.literal_eval(argument)
    except (ValueError, SyntaxError):
        value = None
    if not isinstance(value, str):
        raise QueryError("Q504", f"{argument} is no string", help="close it with its quote")
    return value


# The program


def _undo(desk: Desk, _argument: str) -> Answer:
    turn = desk.session.undo()
    first = turn.piece.source.text.strip().split("\n")[0]
    return Text(f"taken back: {first}", style="dim")


def _reset(desk: Desk, _argument: str) -> Answer:
    desk.session.reset()
    return Text("the program is empty again", style="dim")


def _save(desk: Desk, argument: str) -> Answer:
    path = Path(_wanted(argument, ":save FILE")).expanduser()
    text = desk.session.program_text()
    if path.exists() and path.read_bytes() != text.encode():
        raise QueryError(
            "Q507", f"'{path}' exists and holds something else", help=f":save! {argument}"
        )
    return _write(path, text)


def _overwrite(desk: Desk, argument: str) -> Answer:
    path = Path(_wanted(argument, ":save! FILE")).expanduser()
    return _write(path, desk.session.program_text())


def _write(path: Path, text: str) -> Answer:
    write_text(path, text, "the program")
    return Text(f"saved; run it with: lmql-like run {shlex.quote(str(path))}", style="dim")


def _load(desk: Desk, argument: str) -> Answer:
    usage = ":load FILE NAME=VALUE"
    try:
        file, *given = shlex.split(_wanted(argument, usage))
    except ValueError:
        raise QueryError("Q504", "a quote is never closed", help=f"write {usage}") from None
    arguments = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals:
            raise QueryError("Q504", f"'{word}' is no argument", help=f"write {usage}")
        arguments[name] = value
    path = Path(file).expanduser()
    return desk.session.load(Source(read_text(path, "the query file"), file), arguments)


# Settings


def _model(desk: Desk, argument: str) -> Answer:
    session = desk.session
    if argument:
        session.use_model(None if argument in ("embedded", "default") else argument)
    model = session.model
    return Text(f"model {session.model_name or 'embedded'}: {len(model.vocabulary)} tokens")


def _decoder(desk: Desk, argument: str) -> Answer:
    if argument:
        desk.session.decoder = argument
        return Text(f"decoder {desk.session.decoder}")
    table = Table(show_header=False, box=None)
    for decoder in decoders.DECODERS.values():
        chosen = desk.session.decoder.partition("(")[0] == decoder.name
        mark = desk.session.decoder if chosen else decoder.name
        taken = ", ".join(parameter.name for parameter in decoder.parameters)
        table.add_row("*" if chosen else "", mark, decoder.meaning, taken)
    return table


def _seed(desk: Desk, argument: str) -> Answer:
    if argument:
        if argument != "none" and not argument.isdecimal():
            raise QueryError("Q504", f"'{argument}' is no seed", help=":seed 7, or :seed none")
        desk.session.seed = None if argument == "none" else int(argument)
    seed = desk.session.seed
    return Text("seed: a new one for each input" if seed is None else f"seed {seed}")


# Looking


def _mask(desk: Desk, argument: str) -> Answer:
    desk.place = _quoted(argument)
    return _show_mask(look_at_mask(desk.session, desk.place))


def _show_mask(view: MaskView) -> RenderableType:
    head = Text.assemble(("[", ""), (view.hole, "bold cyan"), ("] ", ""), repr(view.text))
    if not view.fits:
        return Text.assemble(head, ": no text that begins like this is allowed")
    facts = Table(show_header=False, box=None)
    share = view.n_allowed / max(1, view.n_tokens)
    facts.add_row("tokens allowed", f"{view.n_allowed} of {view.n_tokens} ({share:.1%})")
    facts.add_row("their probability", f"{view.mass:.3g}")
    facts.add_row("may end here", "yes" if view.may_end else "no")
    if view.forced:
        facts.add_row("must follow", repr(view.forced))
    tokens = Table("allowed", "p", "refused", "p", box=None)
    for i in range(max(len(view.allowed), len(view.refused))):
        tokens.add_row(*_cells(view.allowed, i), *_cells(view.refused, i))
    return Group(head, facts, tokens)


def _cells(candidates: tuple[Candidate, ...], i: int) -> tuple[Text, str]:
    if i >= len(candidates):
        return Text(""), ""
    candidate = candidates[i]
    return Text(_token(candidate.data)), f"{math.exp(candidate.logprob):.3g}"


def _token(data: bytes) -> str:
    if not data:
        return "(end of text)"
    try:
        return repr(data.decode())
    except UnicodeDecodeError:
        return repr(data)


def _why(desk: Desk, argument: str) -> Answer:
    token = _quoted(_wanted(argument, ":why TOKEN"))
    return _show_token(look_at_token(desk.session, desk.place, token))


def _show_token(view: TokenView) -> RenderableType:
    verdict = ("allowed", "green") if view.allows else ("not allowed", "red")
    head = Text.assemble(
        repr(view.token), " behind ", repr(view.text), " in [", (view.hole, "bold cyan"), "]: "
    )
    head.append(*verdict)
    table = Table(show_header=False, box=None)
    for one in view.verdicts:
        words = {True: "allows it", False: "forbids it", None: "cannot be asked alone"}
        table.add_row(Text(one.condition), words[one.allows])
    if not view.allows and all(one.allows for one in view.verdicts):
        table.add_row("all of them together", "forbid it")
    if not view.verdicts:
        table.add_row("the hole has no conditions", "")
    said = f"p {math.exp(view.logprob):.4g}"
    if view.rank is not None:
        said += f", number {view.rank} of all tokens"
    else:
        said += f", written in {view.n_pieces} tokens"
    if view.allowed_rank is not None:
        said += f", number {view.allowed_rank} of those allowed"
    table.add_row("the model", said)
    return Group(head, table)


def _tree(desk: Desk, _argument: str) -> Answer:
    turn = desk.session.last_asked
    if turn is None:
        raise QueryError("Q505", "the model was asked about no hole yet")
    results = turn.results
    return show_tree(
        results, f"{results[0].decoder}, {len(results)} result{'s' * (len(results) > 1)}"
    )


def _stats(desk: Desk, _argument: str) -> Answer:
    session = desk.session
    table = Table("", "last input", "program", box=None)
    last = session.last.results[0].usage if session.last else Usage()
    whole = session.turns[-1].results[0].usage if session.turns else Usage()
    costs = [turn.results[0].usage for turn in session.turns]
    table.add_row("prompt tokens", "", str(whole.prompt_tokens))
    table.add_row("generated tokens", "", str(whole.generated_tokens))
    table.add_row("forced tokens", "", str(whole.forced_tokens))
    rows: list[tuple[str, Callable[[Usage], float], str]] = [
        ("forward passes", lambda usage: usage.forward_passes, "{:.0f}"),
        ("rows", lambda usage: usage.rows, "{:.0f}"),
        ("model seconds", lambda usage: usage.model_seconds, "{:.3f}"),
        ("mask seconds", lambda usage: usage.mask_seconds, "{:.3f}"),
    ]
    for name, read, form in rows:
        table.add_row(name, form.format(read(last)), form.format(_sum(map(read, costs))))
    settings = f"{len(session.turns)} inputs, decoder {session.decoder}, "
    settings += f"model {session.model_name or 'embedded'}"
    return Group(Text(settings), table)


def _sum(values: Iterable[float]) -> float:
    return float(sum(values))


def _help(_desk: Desk, _argument: str) -> Answer:
    table = Table(show_header=False, box=None)
    for command in COMMANDS.values():
        table.add_row(command.usage, command.meaning)
    hint = "Every other input is a piece of a query: a prompt string, a statement, a block."
    keys = "Enter runs it; Esc Enter begins a new line; Tab completes; Ctrl-C stops a run."
    return Group(Text(hint), Text(keys), table)


def _quit(desk: Desk, _argument: str) -> Answer:
    desk.is_over = True
    return None


COMMANDS: dict[str, Command] = {
    ":undo": Command(":undo", "take the last input back", _undo),
    ":reset": Command(":reset", "forget all inputs", _reset),
    ":save": Command(":save FILE", "write the program of this session", _save, "file"),
    ":save!": Command(":save! FILE", "the same, over a file that exists", _overwrite, "file"),
    ":load": Command(":load FILE NAME=VALUE", "begin anew with a query file", _load, "file"),
    ":model": Command(":model NAME", "go on with another model; 'embedded'", _model),
    ":decoder": Command(":decoder CALL", "such as beam(n=4), or list them", _decoder, "decoder"),
    ":seed": Command(":seed N", "repeat random choices, or 'none'", _seed),
    ":mask": Command(":mask TEXT", "what may follow a text in the last hole", _mask),
    ":why": Command(":why TOKEN", "why a token may follow there, or not", _why),
    ":tree": Command(":tree", "the hypotheses of the last run", _tree),
    ":stats": Command(":stats", "tokens, passes and times", _stats),
    ":help": Command(":help", "this list", _help),
    ":quit": Command(":quit", "leave; so does Ctrl-D", _quit),
}
