"""What the commands share: exit codes, errors, the query, its arguments and its model."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from lmql_like.errors import LmqlLikeError, ModelError, QueryError, did_you_mean
from lmql_like.files import read_text

if TYPE_CHECKING:
    from lmql_like.language.program import Program
    from lmql_like.runtime.model import LanguageModel

__all__ = [
    "COMPLETE",
    "INCOMPLETE",
    "MODEL_WRONG",
    "QUERY_WRONG",
    "announce_compiling",
    "check_decoder",
    "compile_given",
    "load_given",
    "model_options",
    "read_arguments",
    "read_given",
    "reports_errors",
]

COMPLETE, INCOMPLETE, QUERY_WRONG, MODEL_WRONG = range(4)

_Command = TypeVar("_Command", bound=Callable[..., Any])


def reports_errors(command: _Command) -> _Command:
    """Print an error of ours without a traceback, and exit with its code."""

    @functools.wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except LmqlLikeError as error:
            click.echo(error.render(), err=True)
            sys.exit(MODEL_WRONG if isinstance(error, ModelError) else QUERY_WRONG)

    return cast("_Command", guarded)


def _read_size(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """Return the bytes that an option names."""
    from lmql_like.runtime.sizes import parse_size

    try:
        return None if text is None else parse_size(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


_MODEL_OPTIONS = (
    click.option("--model", metavar="PATH_OR_NAME", help="A folder or hub name; else embedded."),
    click.option("--device", metavar="NAME", help="Such as cpu or cuda:0."),
    click.option("--dtype", metavar="NAME", help="Of the weights: float32, bfloat16, float16."),
    click.option("--device-map", metavar="MAP", help="Spread it over devices, such as auto."),
    click.option("--trust-remote-code", is_flag=True, help="Run the model's own Python code."),
    click.option(
        "--expert-budget",
        metavar="SIZE",
        callback=_read_size,
        help="Keep so much of a mixture's experts on the device, such as 2GiB.",
    ),
    click.option(
        "--adaptive-gate",
        type=float,
        metavar="P",
        help="Use a token's first expert alone where it leads by P; changes results.",
    ),
    click.option("--routing", is_flag=True, help="Report which experts a mixture uses."),
    click.option("--decoder", metavar="CALL", help='Such as "beam(n=4)" or "sample(n=2)".'),
    click.option("--seed", type=int, help="Makes sampling repeatable."),
)


def model_options(command: _Command) -> _Command:
    """Give a command the options that choose and load a model, the decoder and the seed."""
    for option in reversed(_MODEL_OPTIONS):
        command = option(command)
    return command


def compile_given(file: str | None, code: str | None) -> Program:
    """Return the program of a file, of standard input ("-") or of a text."""
    from lmql_like.language.compiler import compile_query

    name, text = read_given(file, code)
    return compile_query(text, name=name)


def read_given(file: str | None, code: str | None) -> tuple[str, str]:
    """Return what a query is called and its text: of a file, standard input or a text."""
    if code is not None and file is None:
        return "<command line>", code
    if file is None or code is not None:
        raise click.UsageError("give a query: a FILE, '-' for standard input, or -c CODE")
    if file == "-":
        return "<stdin>", sys.stdin.read()
    return file, read_text(file, "the query file")


def read_arguments(program: Program, args: Sequence[str]) -> dict[str, Any]:
    """Return the values of arguments given as NAME=VALUE."""
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


def check_decoder(decoder: str | None) -> None:
    """Find what is wrong with a decoder call before a model is loaded for it."""
    from lmql_like.runtime.search.decoders import parse_decoder

    if decoder is not None:
        parse_decoder(decoder)


def load_given(program: Program, options: dict[str, Any]) -> LanguageModel:
    """Return the model that the options name, else the program's own, else the embedded one."""
    announce_compiling()
    from lmql_like.runtime.transformers_model import load_model

    return load_model(options.pop("model") or program.model, **options)


def announce_compiling() -> None:
    """Say so where the kernels have to be compiled first."""
    from lmql_like.kernels import is_kernel_cache_empty, kernel_cache_folder

    if is_kernel_cache_empty():
        click.echo(
            f"First run on this machine: compiling kernels into {kernel_cache_folder()} "
            "(up to a minute, once).",
            err=True,
        )
