"""The command line: catches errors, prints, and sets the exit code.

Exit codes: 0 all results are complete; 1 a result was truncated, met a dead end, a row of a
data file failed, or a grammar has errors; 2 the query, its arguments or the command are wrong;
3 the model cannot be loaded or used.
"""

from __future__ import annotations

import difflib
import functools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from lmql_like import __version__
from lmql_like.errors import CODES, LmqlLikeError, ModelError, QueryError, did_you_mean
from lmql_like.files import read_text

if TYPE_CHECKING:
    from lmql_like.language.program import Program
    from lmql_like.runtime.model import LanguageModel
    from lmql_like.runtime.results import Result
    from lmql_like.runtime.streaming import TextEvent

__all__ = ["main"]

COMPLETE, INCOMPLETE, QUERY_WRONG, MODEL_WRONG = range(4)

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _reports_errors(command: _Command) -> _Command:
    """Print an error of ours without a traceback, and exit with its code."""

    @functools.wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except LmqlLikeError as error:
            click.echo(error.render(), err=True)
            sys.exit(MODEL_WRONG if isinstance(error, ModelError) else QUERY_WRONG)

    return cast("_Command", guarded)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lmql-like")
def main() -> None:
    """Run prompt programs whose outputs cannot break their rules."""


# -- run -------------------------------------------------------------------------------


@main.command()
@click.argument("file", required=False)
@click.option("-c", "code", metavar="CODE", help="The query itself, instead of a file.")
@click.option("--arg", "args", multiple=True, metavar="NAME=VALUE", help="An argument.")
@click.option("--model", metavar="PATH_OR_NAME", help="A folder or hub name; default: embedded.")
@click.option("--device", metavar="NAME", help="Such as cpu or cuda:0.")
@click.option("--dtype", metavar="NAME", help="Of the weights: float32, bfloat16, float16.")
@click.option("--device-map", metavar="MAP", help="Spread the model over devices, such as auto.")
@click.option("--trust-remote-code", is_flag=True, help="Run the model's own Python code.")
@click.option("--decoder", metavar="CALL", help='Such as "beam(n=4)" or "sample(temperature=0.7)".')
@click.option("--seed", type=int, help="Makes sampling repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print results as JSON, one per line.")
@click.option("--data", type=click.Path(path_type=Path), help="Many inputs: a .jsonl or .csv file.")
@click.option("--output", type=click.Path(path_type=Path), help="Results of --data, as .jsonl.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@_reports_errors
def run(
    file: str | None,
    code: str | None,
    args: tuple[str, ...],
    decoder: str | None,
    seed: int | None,
    as_json: bool,
    data: Path | None,
    output: Path | None,
    batch_size: int,
    **model_options: Any,
) -> None:
    """Run the query in FILE ("-" reads standard input).

    The text appears while it is generated. With --data the query runs on every row of a
    file, in batches, and each row's result is appended to --output; run the same command
    again to go on where it stopped.

    A query file is a program: run only files that you would run as Python.
    """
    program = _compile(file, code)
    arguments = _arguments(program, args)
    _check_decoder(decoder)
    if data is not None:
        _run_data(program, arguments, data, output, decoder, seed, batch_size, model_options)
        return
    if output is not None:
        raise click.UsageError("--output goes with --data; use > to keep what is printed")
    model = _load(program, model_options)
    results = _run_once(program, arguments, model, decoder, seed, as_json=as_json)
    sys.exit(COMPLETE if all(result.status == "complete" for result in results) else INCOMPLETE)


def _compile(file: str | None, code: str | None) -> Program:
    from lmql_like.language.compiler import compile_query

    if (file is None) == (code is None):
        raise click.UsageError("give a query: a FILE, '-' for standard input, or -c CODE")
    if code is not None:
        return compile_query(code, name="<command line>")
    if file == "-":
        return compile_query(sys.stdin.read(), name="<stdin>")
    return compile_query(read_text(cast("str", file), "the query file"), name=cast("str", file))


def _arguments(program: Program, args: Sequence[str]) -> dict[str, Any]:
    from lmql_like.language.parameters import parse_argument

    known = {parameter.name: parameter for parameter in program.parameters}
    arguments: dict[str, Any] = {}
    for arg in args:
        name, equals, text = arg.partition("=")
        if not equals:
            raise click.UsageError(f"--arg {arg}: expected NAME=VALUE")
        if name not in known:
            listed = ", ".join(known) or "none"
            raise QueryError(
                "Q402",
                f"the query has no argument '{name}'",
                help=f"{did_you_mean(name, known)} It takes {listed}.".strip(),
            )
        arguments[name] = parse_argument(known[name], text)
    return arguments


def _check_decoder(decoder: str | None) -> None:
    """Find what is wrong with a decoder call before a model is loaded for it."""
    from lmql_like.runtime.search.decoders import parse_decoder

    if decoder is not None:
        parse_decoder(decoder)


def _load(program: Program, options: dict[str, Any]) -> LanguageModel:
    _announce_compiling()
    from lmql_like.runtime.transformers_model import load_model

    return load_model(options.pop("model") or program.model, **options)


def _announce_compiling() -> None:
    from lmql_like.kernels import is_kernel_cache_empty, kernel_cache_folder

    if is_kernel_cache_empty():
        click.echo(
            f"First run on this machine: compiling kernels into {kernel_cache_folder()} "
            "(up to a minute, once).",
            err=True,
        )


def _run_once(
    program: Program,
    arguments: dict[str, Any],
    model: LanguageModel,
    decoder: str | None,
    seed: int | None,
    *,
    as_json: bool,
) -> list[Result]:
    from lmql_like.runtime.run import start_run

    running = start_run(program, arguments, model=model, decoder=decoder, seed=seed)
    printer = _Printer()
    for event in running.events():
        if not as_json:
            printer.show(event)
    results = running.results()
    if as_json:
        for result in results:
            click.echo(json.dumps(result.to_json(), allow_nan=False))
    else:
        printer.finish(results)
    return results


class _Printer:
    """Shows a run's text while it comes: holes in colour on a terminal."""

    def __init__(self) -> None:
        self._lane_zero = ""

    def show(self, event: TextEvent) -> None:
        """Print a piece of the first result's text."""
        if event.lane or event.input_index:
            return
        text = click.style(event.text, fg="cyan") if event.hole else event.text
        click.echo(text, nl=False)
        self._lane_zero += event.text

    def finish(self, results: Sequence[Result]) -> None:
        """Print what the stream could not: other results, values, how each ended."""
        if self._lane_zero and not self._lane_zero.endswith("\n"):
            click.echo()
        for number, result in enumerate(results, start=1):
            if number > 1 or result.text != self._lane_zero:
                click.echo(result.text, nl=not result.text.endswith("\n"))
            if result.value is not None:
                click.echo(f"=> {result.value!r}")
            if len(results) > 1:
                rank = f"-- {number} of {len(results)}, log p {result.logprob:.3f}"
                click.secho(rank, fg="yellow")
            if result.status != "complete":
                click.secho(f"-- {result.status}: {_REASONS[result.status]}", fg="red", err=True)


_REASONS = {
    "truncated": "the limit on tokens was reached (max_len)",
    "dead-end": "no text can satisfy the constraints of the next hole",
    "error": "the query's own code failed",
}


# -- data --------------------------------------------------------------------------------


def _run_data(
    program: Program,
    arguments: dict[str, Any],
    data: Path,
    output: Path | None,
    decoder: str | None,
    seed: int | None,
    batch_size: int,
    model_options: dict[str, Any],
) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from lmql_like.data_runs import DataRun

    if output is None:
        raise click.UsageError("--data needs --output FILE.jsonl for the results")
    options = json.dumps([model_options["model"], decoder, seed])
    work = DataRun(program, data, output, defaults=arguments, options=options)
    model = _load(program, model_options) if work.n_left else None
    columns = ("[progress.description]{task.description}", BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("rows", total=work.n_rows, completed=work.n_done)
        for n in work.run(model, decoder=decoder, seed=seed, batch_size=batch_size):
            progress.advance(task, n)
    counts = ", ".join(f"{count} {status}" for status, count in sorted(work.statuses.items()))
    click.echo(f"{output}: {work.n_rows} rows ({counts or 'none'})", err=True)
    sys.exit(COMPLETE if set(work.statuses) <= {"complete"} else INCOMPLETE)


# -- check and explain -----------------------------------------------------------------------


@main.command()
@click.argument("file", required=False)
@click.option("-c", "code", metavar="CODE", help="The query itself, instead of a file.")
@_reports_errors
def check(file: str | None, code: str | None) -> None:
    """Check the query in FILE without running it; needs no model."""
    program = _compile(file, code)
    click.echo(f"{program.source.name}: ok")
    for parameter in program.parameters:
        kind = getattr(parameter.annotation, "__name__", None) or parameter.annotation or "str"
        default = "required" if parameter.is_required else f"default {parameter.default!r}"
        click.echo(f"  argument {parameter.name}: {kind} ({default})")
    for hole in program.holes:
        click.echo(f"  hole {hole}")
    if program.decoder:
        click.echo(f"  decoder {program.decoder.name}")


@main.command()
@click.argument("code")
@_reports_errors
def explain(code: str) -> None:
    """Explain an error CODE, such as Q104."""
    code = code.upper()
    if code not in CODES:
        raise QueryError("Q008", f"there is no error code '{code}'", help=did_you_mean(code, CODES))
    from rich.console import Console
    from rich.markdown import Markdown

    from lmql_like.error_pages import read_page

    Console().print(Markdown(read_page(code)))


# -- repl ------------------------------------------------------------------------------------


@main.command()
@click.option("--model", metavar="PATH_OR_NAME", help="A folder or hub name; default: embedded.")
@click.option("--decoder", metavar="CALL", help='Such as "beam(n=4)"; default: argmax.')
@click.option("--seed", type=int, help="Makes sampling repeatable.")
@_reports_errors
def repl(model: str | None, decoder: str | None, seed: int | None) -> None:
    """Write a program piece by piece and see what it says.

    Every input goes on behind the ones before it. `:help` lists the commands.
    """
    _check_decoder(decoder)
    _announce_compiling()
    from lmql_like.dsl import default_model
    from lmql_like.repl.app import converse
    from lmql_like.repl.session import Session

    converse(Session(default_model, model=model, decoder=decoder, seed=seed))


# -- fmt -------------------------------------------------------------------------------------


@main.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit with 1 if any.")
@click.option("--diff", is_flag=True, help="Change nothing; show what would be.")
@_reports_errors
def fmt(files: tuple[str, ...], only_check: bool, diff: bool) -> None:
    """Lay out query FILES in place ("-" reads standard input and prints).

    Indentation, white space, blank lines and the case of keywords change; comments, line
    breaks and strings stay. What a query does never changes.
    """
    from lmql_like.language.formatter import format_query

    changed = 0
    for file in files:
        text = sys.stdin.read() if file == "-" else read_text(file, "the query file")
        written = format_query(text, name="<stdin>" if file == "-" else file)
        changed += written != text
        if diff:
            old, new = text.splitlines(keepends=True), written.splitlines(keepends=True)
            click.echo("".join(difflib.unified_diff(old, new, file, file)), nl=False)
        elif file == "-" and not only_check:
            click.echo(written, nl=False)
        elif written != text:
            click.echo(f"{file}: {'not laid out' if only_check else 'changed'}", err=True)
            if not only_check:
                Path(file).write_text(written, encoding="utf-8", newline="")
    sys.exit(INCOMPLETE if only_check and changed else COMPLETE)


# -- grammars --------------------------------------------------------------------------------

_SYNTAX = click.option(
    "--syntax",
    type=click.Choice(["lark", "gbnf", "ebnf"]),
    help="Of the grammar; default: by the file's ending, else Lark's.",
)
_START = click.option("--start", metavar="RULE", help="The grammar's rule for whole texts.")


def _syntax_of(file: str, chosen: str | None) -> str:
    ending = Path(file).suffix.removeprefix(".")
    return chosen or (ending if ending in ("gbnf", "ebnf") else "lark")


@main.command("check-grammar")
@click.argument("file")
@_SYNTAX
@_START
@click.option(
    "--lexing",
    type=click.Choice(["lexed", "scannerless"]),
    default="lexed",
    show_default=True,
    help="How a Lark grammar is going to be read.",
)
@click.option("--strict", is_flag=True, help="Let warnings fail the check too.")
@click.option("--json", "as_json", is_flag=True, help="Print findings as JSON, one per line.")
@_reports_errors
def check_grammar(
    file: str, syntax: str | None, start: str | None, lexing: str, strict: bool, as_json: bool
) -> None:
    """Look for mistakes in the grammar in FILE ("-" reads standard input).

    Errors keep a grammar from being used. Warnings are parts that do nothing or too much,
    notes what may well be meant. The exit code is 1 where there are errors.
    """
    from lmql_like.grammars.lint import check_grammar as find

    text = sys.stdin.read() if file == "-" else read_text(file, "the grammar file")
    name = "<stdin>" if file == "-" else file
    found = find(text, start=start, syntax=_syntax_of(file, syntax), lexing=lexing, name=name)
    for finding in found:
        click.echo(json.dumps(finding.to_json()) if as_json else finding.render() + "\n")
    counts = {kind: sum(f.severity == kind for f in found) for kind in ("error", "warning", "note")}
    if not as_json:
        shown = [f"{n} {kind}{'s' * (n > 1)}" for kind, n in counts.items() if n]
        click.echo(f"{name}: {', '.join(shown) or 'ok'}")
    failed = counts["error"] or (strict and counts["warning"])
    sys.exit(INCOMPLETE if failed else COMPLETE)


# -- doctor ----------------------------------------------------------------------------------


@main.command()
@click.argument("model", required=False)
@click.option("--trust-remote-code", is_flag=True, help="Run the model's own Python code.")
@_reports_errors
def doctor(model: str | None, trust_remote_code: bool) -> None:
    """Find out how MODEL can be run exactly, from its configuration alone.

    A tiny clone of the architecture with random weights is put to the law of states: whether
    rows that were extended, forked, reordered and rewound are as if they were fresh.
    """
    from lmql_like.doctor_report import make_report, print_report

    report = make_report(model, trust_remote_code=trust_remote_code)
    print_report(report)
    sys.exit(COMPLETE if report.agrees else INCOMPLETE)


# -- mask ------------------------------------------------------------------------------------


@main.command()
@click.option("--regex", "regexes", multiple=True, metavar="R", help="A pattern; all must match.")
@click.option("--grammar", metavar="FILE", help="A grammar that the text must follow.")
@_SYNTAX
@_START
@click.option("--text", default="", metavar="T", help="The text so far.")
@click.option("--explain", "token", metavar="TOKEN", help="Why may it follow or not? Text or #id.")
@click.option("--tokenizer", metavar="PATH", help="A tokenizer folder; default: the embedded one.")
@click.option("--limit", default=20, show_default=True, help="How many tokens to list.")
@_reports_errors
def mask(
    regexes: tuple[str, ...],
    grammar: str | None,
    syntax: str | None,
    start: str | None,
    text: str,
    token: str | None,
    tokenizer: str | None,
    limit: int,
) -> None:
    """Show what may follow a text, in bytes and in tokens of a vocabulary.

    Grammars are read without a lexer: every way to match the text counts. With --explain it
    says why one token may follow or may not; the exit code is 1 where it may not.
    """
    from rich.console import Console

    from lmql_like.mask_constraint import MaskConstraint
    from lmql_like.mask_report import load_vocabulary, make_report, print_report

    if not regexes and grammar is None:
        raise click.UsageError("give a constraint: --regex R or --grammar FILE")
    chosen = _syntax_of(grammar, syntax) if grammar else "lark"
    source = read_text(grammar, "the grammar file") if grammar else None
    constraint = MaskConstraint(regexes, source, grammar or "", chosen, start)
    if token is not None:
        from lmql_like.mask_explanation import explain_token, print_explanation

        explanation = explain_token(constraint, load_vocabulary(tokenizer), text, token)
        print_explanation(explanation, Console())
        sys.exit(COMPLETE if explanation.is_allowed else INCOMPLETE)
    report = make_report(constraint.compile, text, tokenizer)
    print_report(report, Console(), limit=limit)
    sys.exit(COMPLETE if report.is_prefix else INCOMPLETE)
