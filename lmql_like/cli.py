"""The command line: catches errors, prints, and sets the exit code.

Exit codes: 0 all results are complete; 1 a result was truncated, met a dead end, a row of a
data file failed, or a grammar or schema has errors; 2 the query, its arguments or the command are
wrong; 3 the model cannot be loaded or used.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmql_like import __version__
from lmql_like.cli_authors import check, fmt, repl, trace
from lmql_like.cli_common import (
    COMPLETE,
    INCOMPLETE,
    check_decoder,
    compile_given,
    load_given,
    model_options,
    read_arguments,
    reports_errors,
)
from lmql_like.cli_grammars import check_grammar, mask
from lmql_like.cli_schemas import check_schema, generate
from lmql_like.errors import CODES, QueryError, did_you_mean
from lmql_like.expert_report import expert_lines

if TYPE_CHECKING:
    from lmql_like.language.program import Program
    from lmql_like.runtime.model import LanguageModel
    from lmql_like.runtime.results import Result
    from lmql_like.runtime.streaming import TextEvent

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lmql-like")
def main() -> None:
    """Run prompt programs whose outputs cannot break their rules."""


for _command in (check, check_grammar, check_schema, fmt, generate, mask, repl, trace):
    main.add_command(_command)


# -- run -------------------------------------------------------------------------------


@main.command()
@click.argument("file", required=False)
@click.option("-c", "code", metavar="CODE", help="The query itself, instead of a file.")
@click.option("--arg", "args", multiple=True, metavar="NAME=VALUE", help="An argument.")
@model_options
@click.option(
    "--healing",
    type=click.Choice(["space", "full", "off"]),
    default="space",
    show_default=True,
    help="Where a hole's first token may begin inside the prompt's last one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print results as JSON, one per line.")
@click.option("--data", type=click.Path(path_type=Path), help="Many inputs: a .jsonl or .csv file.")
@click.option("--output", type=click.Path(path_type=Path), help="Results of --data, as .jsonl.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@reports_errors
def run(
    file: str | None,
    code: str | None,
    args: tuple[str, ...],
    decoder: str | None,
    seed: int | None,
    healing: str,
    as_json: bool,
    data: Path | None,
    output: Path | None,
    batch_size: int,
    **options: Any,
) -> None:
    """Run the query in FILE ("-" reads standard input).

    The text appears while it is generated. With --data the query runs on every row of a
    file, in batches, and each row's result is appended to --output; run the same command
    again to go on where it stopped.

    A query file is a program: run only files that you would run as Python.
    """
    program = compile_given(file, code)
    arguments = read_arguments(program, args)
    check_decoder(decoder)
    if data is not None:
        how = {"decoder": decoder, "seed": seed, "healing": healing}
        _run_data(program, arguments, data, output, how, batch_size, options)
        return
    if output is not None:
        raise click.UsageError("--output goes with --data; use > to keep what is printed")
    model = load_given(program, options)
    how = {"decoder": decoder, "seed": seed, "healing": healing}
    results = _run_once(program, arguments, model, how, as_json=as_json)
    sys.exit(COMPLETE if all(result.status == "complete" for result in results) else INCOMPLETE)


def _run_once(
    program: Program,
    arguments: dict[str, Any],
    model: LanguageModel,
    how: dict[str, Any],
    *,
    as_json: bool,
) -> list[Result]:
    from lmql_like.runtime.run import start_run

    running = start_run(program, arguments, model=model, **how)
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
        for line in expert_lines(results[0].usage.experts or {}) if results else ():
            click.secho(f"-- {line}", fg="blue", err=True)
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
    how: dict[str, Any],
    batch_size: int,
    model_options: dict[str, Any],
) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from lmql_like.data_runs import DataRun

    if output is None:
        raise click.UsageError("--data needs --output FILE.jsonl for the results")
    about = [model_options["model"], how["decoder"], how["seed"]]
    if how["healing"] != "space":
        about.append(how["healing"])
    if model_options["adaptive_gate"] is not None:  # it changes results
        about.append(model_options["adaptive_gate"])
    options = json.dumps(about)
    work = DataRun(program, data, output, defaults=arguments, options=options)
    model = load_given(program, model_options) if work.n_left else None
    columns = ("[progress.description]{task.description}", BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("rows", total=work.n_rows, completed=work.n_done)
        for n in work.run(model, batch_size=batch_size, **how):
            progress.advance(task, n)
    counts = ", ".join(f"{count} {status}" for status, count in sorted(work.statuses.items()))
    click.echo(f"{output}: {work.n_rows} rows ({counts or 'none'})", err=True)
    sys.exit(COMPLETE if set(work.statuses) <= {"complete"} else INCOMPLETE)


# -- explain -------------------------------------------------------------------------------


@main.command()
@click.argument("code")
@reports_errors
def explain(code: str) -> None:
    """Explain an error CODE, such as Q104."""
    code = code.upper()
    if code not in CODES:
        raise QueryError("Q008", f"there is no error code '{code}'", help=did_you_mean(code, CODES))
    from rich.console import Console
    from rich.markdown import Markdown

    from lmql_like.error_pages import read_page

    Console().print(Markdown(read_page(code)))


# -- doctor ----------------------------------------------------------------------------------


@main.command()
@click.argument("model", required=False)
@click.option("--trust-remote-code", is_flag=True, help="Run the model's own Python code.")
@reports_errors
def doctor(model: str | None, trust_remote_code: bool) -> None:
    """Find out how MODEL can be run exactly, from its configuration alone.

    A tiny clone of the architecture with random weights is put to the law of states: whether
    rows that were extended, forked, reordered and rewound are as if they were fresh.
    """
    from lmql_like.doctor_report import make_report, print_report

    report = make_report(model, trust_remote_code=trust_remote_code)
    print_report(report)
    sys.exit(COMPLETE if report.agrees else INCOMPLETE)
