"""The commands about structured text: `check-schema`, and `generate` for it without a query."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmql_like.cli_common import (
    COMPLETE,
    INCOMPLETE,
    check_decoder,
    load_given,
    model_options,
    reports_errors,
)
from lmql_like.files import read_text, write_text

if TYPE_CHECKING:
    from lmql_like.grammars.json_schema.survey import Survey
    from lmql_like.language.program import Program
    from lmql_like.runtime.results import Result

__all__ = ["check_schema", "generate"]

_WHITESPACE = click.option(
    "--whitespace",
    type=click.Choice(["line", "compact", "pretty", "flexible"]),
    default="line",
    show_default=True,
    help="Between the symbols of JSON.",
)


# -- check-schema ----------------------------------------------------------------------------


@click.command("check-schema")
@click.argument("file")
@click.option("--strict", is_flag=True, help="Let ignored keywords fail the check too.")
@click.option("--json", "as_json", is_flag=True, help="Print findings as JSON, one per line.")
@reports_errors
def check_schema(file: str, strict: bool, as_json: bool) -> None:
    """List what becomes of the JSON Schema in FILE ("-" reads standard input).

    Refused keywords keep a schema from being used; the exit code is 1 where there are any, or
    where no value is valid. Ignored ones are no conditions: unknown, or of another draft.
    """
    from lmql_like.grammars.json_schema.survey import survey_schema

    text = sys.stdin.read() if file == "-" else read_text(file, "the schema file")
    name = "<stdin>" if file == "-" else file
    survey = survey_schema(text)
    shown = [note for note in survey.notes if as_json or note.kind != "annotation"]
    for note in shown:
        if as_json:
            click.echo(json.dumps(asdict(note)))
            continue
        code = f"[{note.code}]" if note.code else ""
        click.echo(f"{note.kind}{code} #{note.pointer}\n  {note.reason}")
        if note.help:
            click.echo(f"  = help: {note.help}")
    if not as_json:
        _print_counts(name, survey)
    failed = survey.of("refused") or survey.is_empty or (strict and survey.of("ignored"))
    sys.exit(INCOMPLETE if failed else COMPLETE)


def _print_counts(name: str, survey: Survey) -> None:
    counts = [(len(survey.of(kind)), kind) for kind in ("refused", "ignored")]
    shown = [f"{count} {kind}" for count, kind in counts if count]
    shown += ["no value is valid"] if survey.is_empty else []
    click.echo(f"{name}: {', '.join(shown) or 'ok'}")
    annotations = Counter(note.keyword for note in survey.of("annotation"))
    for kind, words in (("enforced", survey.enforced), ("annotations", annotations)):
        if words:
            listed = ", ".join(f"{word} ({count})" for word, count in sorted(words.items()))
            click.echo(f"  {kind}: {listed}")


# -- generate --------------------------------------------------------------------------------


@click.command()
@click.option("--prompt", required=True, metavar="P", help='What comes before it; "-" reads stdin.')
@click.option("--json-schema", "schema", metavar="FILE", help="JSON that satisfies this schema.")
@click.option("--regex", metavar="R", help="Text that matches a pattern.")
@click.option("--grammar", metavar="FILE", help="A sentence of a grammar (.lark, .gbnf, .ebnf).")
@_WHITESPACE
@click.option("--max-tokens", type=click.IntRange(1), help="It closes within so many tokens.")
@click.option("--chat", is_flag=True, help="Ask as a user, in the model's own chat format.")
@model_options
@click.option("--output", type=click.Path(path_type=Path), help="Write the texts there.")
@click.option("--json", "as_json", is_flag=True, help="Print results as JSON, one per line.")
@reports_errors
def generate(
    prompt: str,
    schema: str | None,
    regex: str | None,
    grammar: str | None,
    whitespace: str,
    max_tokens: int | None,
    chat: bool,
    decoder: str | None,
    seed: int | None,
    output: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Let a model write one text that satisfies a schema, a pattern or a grammar.

    Prints the text alone; several of a decoder such as "sample(n=3)" behind each other.
    """
    given = [kind for kind, value in _kinds(schema, regex, grammar).items() if value is not None]
    if len(given) != 1:
        raise click.UsageError("give one of --json-schema FILE, --regex R and --grammar FILE")
    check_decoder(decoder)
    program, arguments = _program(schema, regex, grammar, whitespace, max_tokens, chat=chat)
    arguments["prompt"] = sys.stdin.read() if prompt == "-" else prompt
    from lmql_like.runtime.run import run_program

    model = load_given(program, options)
    results = run_program(program, arguments, model=model, decoder=decoder, seed=seed)
    lines = [_shown(result, as_json=as_json, is_json=schema is not None) for result in results]
    if output is None:
        click.echo("\n".join(lines))
    else:
        write_text(output, "\n".join(lines) + "\n", "the output file")
    for result in results:
        if result.status != "complete":
            click.secho(f"-- {result.status}", fg="red", err=True)
    sys.exit(COMPLETE if all(result.status == "complete" for result in results) else INCOMPLETE)


def _kinds(schema: str | None, regex: str | None, grammar: str | None) -> dict[str, str | None]:
    return {"JSON": schema, "REGEX": regex, "GRAMMAR": grammar}


def _program(
    schema: str | None,
    regex: str | None,
    grammar: str | None,
    whitespace: str,
    max_tokens: int | None,
    *,
    chat: bool,
) -> tuple[Program, dict[str, Any]]:
    """Return the query that asks for one text, and its argument; wrong ones are refused now."""
    from lmql_like.language.compiler import compile_query

    if schema is not None:
        given = read_text(schema, "the schema file")
        condition = f'JSON(TEXT, given, whitespace="{whitespace}")'
        _check_schema(given, whitespace)
    elif grammar is not None:
        given = read_text(grammar, "the grammar file")
        ending = Path(grammar).suffix.removeprefix(".")
        syntax = ending if ending in ("gbnf", "ebnf") else "lark"
        condition = f'GRAMMAR(TEXT, given, syntax="{syntax}", lexing="scannerless")'
    else:
        given = regex or ""
        condition = "REGEX(TEXT, given)"
    if max_tokens is not None:
        condition += f" and len(TOKENS(TEXT)) <= {max_tokens}"
    before = "{:user}{prompt}{:assistant}" if chat else "{prompt}"
    text = f'"{before}[TEXT: str]" where {condition}'
    return compile_query(text, name="<generate>"), {"given": given}


def _check_schema(text: str, whitespace: str) -> None:
    """Refuse a schema before a model is loaded for it, with its pointer."""
    from lmql_like.grammars.json_schema import read_json_schema

    read_json_schema(text, whitespace=whitespace)


def _shown(result: Result, *, as_json: bool, is_json: bool) -> str:
    if as_json:
        return json.dumps(result.to_json(), allow_nan=False)
    text = result.variables.get("TEXT")
    if text is None:  # cut off: what there is of it
        written = b"".join(piece.data for piece in result.segments if piece.hole == "TEXT")
        text = written.decode(errors="replace")
    return str(text).strip() if is_json else str(text)
