"""The decoder table: which decoders the language has, and which parameters each takes.

The table checks what an author writes; what a decoder does is the run time's business.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lmql_like.errors import QueryError, did_you_mean
from lmql_like.language.embedded import span_of
from lmql_like.source import Source, Span

__all__ = ["DECODERS", "LATER_DECODERS", "DecoderClause", "read_decoder_arguments"]


@dataclass(frozen=True)
class DecoderClause:
    """How a program wants to be decoded: the decoder's name and its arguments."""

    name: str
    arguments: Mapping[str, Any]
    span: Span


@dataclass(frozen=True)
class _Parameter:
    """What a decoder parameter accepts, as a check and in words."""

    accepts: Callable[[Any], bool]
    described: str


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_COUNT = _Parameter(lambda value: _is_int(value) and value >= 1, "a whole number from 1 on")
_SEED = _Parameter(_is_int, "a whole number")
_TEMPERATURE = _Parameter(lambda value: _is_number(value) and value >= 0, "a number from 0 on")
_PROBABILITY = _Parameter(
    lambda value: _is_number(value) and 0 < value <= 1, "a number above 0 and up to 1"
)

DECODERS: dict[str, dict[str, _Parameter]] = {
    "argmax": {"max_len": _COUNT},
    "sample": {
        "n": _COUNT,
        "temperature": _TEMPERATURE,
        "top_k": _COUNT,
        "top_p": _PROBABILITY,
        "seed": _SEED,
        "max_len": _COUNT,
    },
    "beam": {"n": _COUNT, "max_len": _COUNT},
}

LATER_DECODERS = ("beam_sample", "best_k", "beam_var", "var", "grid")


def read_decoder_arguments(source: Source, name: str, call: ast.Call | None) -> dict[str, Any]:
    """Return a decoder's arguments as values.

    Raises:
        QueryError: Q303 unknown parameter, Q304 value a parameter does not accept.
    """
    arguments: dict[str, Any] = {}
    if call is None:
        return arguments
    for positional in call.args:
        raise QueryError(
            "Q303",
            f"a parameter of {name} without a name",
            source=source,
            span=span_of(source, positional),
            label="which parameter is this?",
            help=_parameter_list(name),
        )
    for argument in call.keywords:
        arguments[argument.arg or "**"] = _read_argument(source, name, argument, arguments)
    return arguments


def _read_argument(
    source: Source, name: str, argument: ast.keyword, seen: Mapping[str, Any]
) -> Any:
    """Return the checked value of one `parameter=value`."""
    parameters = DECODERS[name]
    whole = span_of(source, argument)
    word = argument.arg or "**"
    if word not in parameters or word in seen:
        problem = "given twice" if word in seen else "unknown"
        hint = did_you_mean(word, parameters)
        raise QueryError(
            "Q303",
            f"{name} has no parameter '{word}'" if word not in seen else f"'{word}' given twice",
            source=source,
            span=Span(whole.start, whole.start + len(word)),
            label=f"{problem} parameter",
            help=f"{hint} {_parameter_list(name)}".strip(),
        )
    try:
        value = ast.literal_eval(argument.value)
    except (ValueError, TypeError):
        raise QueryError(
            "Q304",
            f"the value of '{word}' is not a constant",
            source=source,
            span=span_of(source, argument.value),
            label=f"expected {parameters[word].described}",
            help="write the value itself; a caller can override it when the program is run",
        ) from None
    if not parameters[word].accepts(value):
        raise QueryError(
            "Q304",
            f"'{word}' cannot be {value!r}",
            source=source,
            span=span_of(source, argument.value),
            label=f"expected {parameters[word].described}",
        )
    return value


def _parameter_list(name: str) -> str:
    return f"{name} has the parameters {', '.join(DECODERS[name])}."
