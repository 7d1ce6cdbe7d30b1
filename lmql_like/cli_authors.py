"""The commands for authors of queries: check, fmt, trace and the interactive session."""

from __future__ import annotations

import difflib
import functools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmql_like.cli_common import (
    COMPLETE,
    INCOMPLETE,
    announce_compiling,
    check_decoder,
    compile_given,
    load_given,
    model_options,
    read_arguments,
    read_given,
    reports_errors,
)
from lmql_like.files import read_text, write_text

if TYPE_CHECKING:
    from lmql_like.language.program import Program

__all__ = ["check", "fmt", "repl", "trace"]


@click.command()
@click.argument("file", required=False)
@click.option("-c", "code", metavar="CODE", help="The query itself, instead of a file.")
@click.option("--strict", is_flag=True, help="Let warnings fail the check too.")
@click.option("--json", "as_json", is_flag=True, help="Print findings as JSON, one per line.")
@reports_errors
def check(file: str | None, code: str | None, strict: bool, as_json: bool) -> None:
    """Check the query in FILE without running it; needs no model.

    Errors keep a query from being run. Warnings are hardly ever meant: holes that do not end,
    values that are lost, names that hide others, statements that are never reached. Notes may
    well be meant.
    """
    from lmql_like.language.findings import check_query

    name, text = read_given(file, code)
    program, found = check_query(text, name=name)
    for finding in found:
        click.echo(json.dumps(finding.to_json()) if as_json else finding.render() + "\n")
    counts = {kind: sum(f.severity == kind for f in found) for kind in ("warning", "note")}
    if not as_json:
        shown = [f"{n} {kind}{'s' * (n > 1)}" for kind, n in counts.items() if n]
        click.echo(f"{name}: {', '.join(shown) or 'ok'}")
        _show_facts(program)
    sys.exit(INCOMPLETE if strict and counts["warning"] else COMPLETE)


def _show_facts(program: Program) -> None:
    from lmql_like.language.listing import own_conditions, own_types

    for parameter in program.parameters:
        kind = getattr(parameter.annotation, "__name__", None) or parameter.annotation or "str"
        default = "required" if parameter.is_required else f"default {parameter.default!r}"
        click.echo(f"  argument {parameter.name}: {kind} ({default})")
    for hole in program.holes:
        click.echo(f"  hole {hole}")
    for condition in own_conditions(program):
        click.echo(
            f"  condition {condition} (a function's: checked when the hole ends, not masked)"
        )
    for kind in own_types(program):
        click.echo(f"  type {kind} (read when its hole begins: validators are checked, not masked)")
    if program.decoder:
        click.echo(f"  decoder {program.decoder.name}")


# -- fmt -------------------------------------------------------------------------------------


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit with 1 if any.")
@click.option("--diff", is_flag=True, help="Change nothing; show what would be.")
@reports_errors
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
                write_text(file, written, "the query file")
    sys.exit(INCOMPLETE if only_check and changed else COMPLETE)


# -- trace -----------------------------------------------------------------------------------


@click.command()
@click.argument("file", required=False)
@click.option("-c", "code", metavar="CODE", help="The query itself, instead of a file.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: NAME.trace.html.")
@click.option("--arg", "args", multiple=True, metavar="NAME=VALUE", help="An argument.")
@model_options
@reports_errors
def trace(
    file: str | None,
    code: str | None,
    output: Path | None,
    args: tuple[str, ...],
    decoder: str | None,
    seed: int | None,
    **options: Any,
) -> None:
    """Run the query in FILE and write an HTML page of how it went.

    The page shows the prompt with the probability of each token, what each mask allowed, the
    tree of hypotheses and the times. It needs no network.
    """
    program = compile_given(file, code)
    arguments = read_arguments(program, args)
    check_decoder(decoder)
    model = load_given(program, options)
    from lmql_like.runtime.run import run_program
    from lmql_like.trace_page import write_page

    results = run_program(program, arguments, model=model, decoder=decoder, seed=seed, trace=True)
    stem = Path(file).stem if file not in (None, "-") else "query"
    path = output or Path(f"{stem}.trace.html")
    write_text(path, write_page(program, results, model.name), "the page")
    ends = ", ".join(dict.fromkeys(result.status for result in results))
    click.echo(f"{path}: {len(results)} result{'s' * (len(results) > 1)}, {ends}")
    sys.exit(COMPLETE if all(result.status == "complete" for result in results) else INCOMPLETE)


# -- repl ------------------------------------------------------------------------------------


@click.command()
@model_options
@reports_errors
def repl(decoder: str | None, seed: int | None, model: str | None, **options: Any) -> None:
    """Write a program piece by piece and see what it says.

    Every input goes on behind the ones before it. `:help` lists the commands.
    """
    check_decoder(decoder)
    announce_compiling()
    from lmql_like.repl.app import converse
    from lmql_like.repl.session import Session
    from lmql_like.runtime.transformers_model import load_model

    load = functools.lru_cache(maxsize=4)(lambda name: load_model(name, **options))
    converse(Session(load, model=model, decoder=decoder, seed=seed))
