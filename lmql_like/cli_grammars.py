"""The commands about grammars: `check-grammar` finds mistakes, `mask` shows what may follow."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from lmql_like.cli_common import COMPLETE, INCOMPLETE, reports_errors
from lmql_like.files import read_text

__all__ = ["check_grammar", "mask"]

_SYNTAX = click.option(
    "--syntax",
    type=click.Choice(["lark", "gbnf", "ebnf"]),
    help="Of the grammar; default: by the file's ending, else Lark's.",
)
_START = click.option("--start", metavar="RULE", help="The grammar's rule for whole texts.")


_LEXING = click.option(
    "--lexing",
    type=click.Choice(["lexed", "scannerless"]),
    default="lexed",
    show_default=True,
    help="How a Lark grammar is read: with a lexer or without.",
)


def _syntax_of(file: str, chosen: str | None) -> str:
    ending = Path(file).suffix.removeprefix(".")
    return chosen or (ending if ending in ("gbnf", "ebnf") else "lark")


@click.command("check-grammar")
@click.argument("file")
@_SYNTAX
@_START
@_LEXING
@click.option("--strict", is_flag=True, help="Let warnings fail the check too.")
@click.option("--json", "as_json", is_flag=True, help="Print findings as JSON, one per line.")
@reports_errors
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


@click.command()
@click.option("--regex", "regexes", multiple=True, metavar="R", help="A pattern; all must match.")
@click.option("--grammar", metavar="FILE", help="A grammar that the text must follow.")
@_SYNTAX
@_START
@_LEXING
@click.option("--json-schema", "schema", metavar="FILE", help="A schema that the text satisfies.")
@click.option("--text", default="", metavar="T", help="The text so far.")
@click.option("--explain", "token", metavar="TOKEN", help="Why may it follow or not? Text or #id.")
@click.option("--tokenizer", metavar="PATH", help="A tokenizer folder; default: the embedded one.")
@click.option("--limit", default=20, show_default=True, help="How many tokens to list.")
@reports_errors
def mask(
    regexes: tuple[str, ...],
    grammar: str | None,
    syntax: str | None,
    start: str | None,
    lexing: str,
    schema: str | None,
    text: str,
    token: str | None,
    tokenizer: str | None,
    limit: int,
) -> None:
    """Show what may follow a text, in bytes and in tokens of a vocabulary.

    With --explain it says why one token may follow or may not; the exit code is 1 where it
    may not.
    """
    from rich.console import Console

    from lmql_like.mask_constraint import MaskConstraint
    from lmql_like.mask_report import load_vocabulary, make_report, print_report

    if not regexes and grammar is None and schema is None:
        raise click.UsageError("give a constraint: --regex R, --grammar FILE or --json-schema FILE")
    chosen = _syntax_of(grammar, syntax) if grammar else "lark"
    source = read_text(grammar, "the grammar file") if grammar else None
    constraint = MaskConstraint(
        regexes,
        source,
        grammar or "",
        chosen,
        start,
        lexing,
        None if schema is None else read_text(schema, "the schema file"),
        schema or "",
    )
    if token is not None:
        from lmql_like.mask_explanation import explain_token, print_explanation

        explanation = explain_token(constraint, load_vocabulary(tokenizer), text, token)
        print_explanation(explanation, Console())
        sys.exit(COMPLETE if explanation.is_allowed else INCOMPLETE)
    report = make_report(constraint.compile, text, tokenizer)
    print_report(report, Console(), limit=limit)
    sys.exit(COMPLETE if report.is_prefix else INCOMPLETE)
