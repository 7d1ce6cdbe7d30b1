"""The decoders by name: their parameters, defaults, checks, and how to start a search.

A `DecoderSpec` is a checked decoder call such as `beam(n=4)`: a value that a query's
decoder clause, the command line and Python code all come down to.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lmql_like.errors import RunError, did_you_mean
from lmql_like.runtime.search.beam import Beam
from lmql_like.runtime.search.greedy import Greedy
from lmql_like.runtime.search.sampling import Sampling
from lmql_like.runtime.search.strategy import Strategy

__all__ = ["DECODERS", "Decoder", "DecoderSpec", "Parameter", "make_decoder", "parse_decoder"]

DEFAULT_MAX_LEN = 2048


@dataclass(frozen=True)
class Parameter:
    """A parameter of a decoder.

    Attributes:
        name: as written in the call.
        default: where the call does not give it.
        wants: what values are possible, in words.
        accepts: tells whether a value is possible.
        meaning: one line for the help.
    """

    name: str
    default: Any
    wants: str
    accepts: Callable[[Any], bool]
    meaning: str


@dataclass(frozen=True)
class Decoder:
    """A decoder: what it is called, what it takes, what it does."""

    name: str
    meaning: str
    parameters: tuple[Parameter, ...]

    def parameter(self, name: str) -> Parameter:
        """Return a parameter by its name.

        Raises:
            RunError: R202, there is none of this name.
        """
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        known = [parameter.name for parameter in self.parameters]
        raise RunError(
            "R202",
            f"{self.name} has no parameter '{name}'",
            help=did_you_mean(name, known) or f"it takes {', '.join(known)}",
        )


@dataclass(frozen=True)
class DecoderSpec:
    """A checked decoder call.

    Attributes:
        name: a key of `DECODERS`.
        arguments: every parameter with its value.
    """

    name: str
    arguments: Mapping[str, Any]

    @property
    def max_len(self) -> int:
        """Tokens of a whole prompt, after which a hypothesis is truncated."""
        return int(self.arguments["max_len"])

    def __str__(self) -> str:
        """Return the call with the arguments that differ from their defaults."""
        known = DECODERS[self.name]
        given = [
            f"{key}={value!r}"
            for key, value in self.arguments.items()
            if value != known.parameter(key).default
        ]
        return f"{self.name}({', '.join(given)})" if given else self.name

    def searches(self, input_index: int, *, seed: int, max_rows: int) -> list[Strategy]:
        """Return the searches over one input; independent samples may be split over several.

        Args:
            input_index: number of the input, part of a sample's seed.
            seed: of the run, where the call gives none.
            max_rows: rows that a search should not exceed where it can be split.
        """
        arguments = self.arguments
        if self.name == "argmax":
            return [Greedy()]
        if self.name == "beam":
            return [Beam(arguments["n"])]
        own_seed = arguments["seed"]
        lanes = range(arguments["n"])
        return [
            Sampling(
                lanes[first : first + max_rows],
                seed=seed if own_seed is None else own_seed,
                input_index=input_index,
                temperature=float(arguments["temperature"]),
                top_k=arguments["top_k"],
                top_p=float(arguments["top_p"]),
            )
            for first in range(0, len(lanes), max_rows)
        ]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_seed(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_MAX_LEN = Parameter(
    "max_len",
    DEFAULT_MAX_LEN,
    "a whole number of at least 1",
    _is_count,
    "tokens of the whole prompt; a longer run is truncated",
)


def _n(meaning: str) -> Parameter:
    return Parameter("n", 1, "a whole number of at least 1", _is_count, meaning)


DECODERS: dict[str, Decoder] = {
    "argmax": Decoder("argmax", "the likeliest token at every step", (_MAX_LEN,)),
    "sample": Decoder(
        "sample",
        "independent random samples",
        (
            _n("number of samples"),
            Parameter(
                "temperature",
                1.0,
                "a number of at least 0",
                lambda value: _is_number(value) and 0 <= value < float("inf"),
                "divides the logits; 0 takes the likeliest token",
            ),
            Parameter(
                "top_k",
                None,
                "a whole number of at least 1, or None",
                lambda value: value is None or _is_count(value),
                "keep the k likeliest candidates",
            ),
            Parameter(
                "top_p",
                1.0,
                "a number above 0 and at most 1",
                lambda value: _is_number(value) and 0 < value <= 1,
                "keep the fewest candidates that have this probability together",
            ),
            Parameter(
                "seed",
                None,
                "a whole number of at least 0, or None",
                _is_seed,
                "makes the samples repeatable",
            ),
            _MAX_LEN,
        ),
    ),
    "beam": Decoder(
        "beam",
        "beam search over the whole program",
        (_n("width of the beam and number of results"), _MAX_LEN),
    ),
}


def make_decoder(name: str, /, **arguments: Any) -> DecoderSpec:
    """Return a checked decoder call.

    Raises:
        RunError: R201, no decoder of this name; R202, an unknown parameter; R203, a value
            that the parameter does not take.
    """
    known = DECODERS.get(name)
    if known is None:
        raise RunError(
            "R201",
            f"there is no decoder '{name}'",
            help=did_you_mean(name, DECODERS) or f"there are {', '.join(DECODERS)}",
        )
    for key, value in arguments.items():
        parameter = known.parameter(key)
        if not parameter.accepts(value):
            raise RunError("R203", f"{key}={value!r} of {name} is not {parameter.wants}")
    return DecoderSpec(
        name,
        {
            parameter.name: arguments.get(parameter.name, parameter.default)
            for parameter in known.parameters
        },
    )


def parse_decoder(text: str) -> DecoderSpec:
    """Read a decoder call such as "argmax" or "beam(n=4)"; values are Python literals.

    Raises:
        RunError: R204, the text is no such call; R201 to R203 as `make_decoder`.
    """
    mistake = RunError(
        "R204",
        f"'{text}' is not a decoder call",
        help="write a name, or a name with arguments: beam(n=4)",
    )
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise mistake from None
    if isinstance(node, ast.Name):
        return make_decoder(node.id)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
        raise mistake
    try:
        arguments = {
            keyword.arg: ast.literal_eval(keyword.value)
            for keyword in node.keywords
            if keyword.arg is not None
        }
    except (ValueError, TypeError, SyntaxError):
        raise mistake from None
    if len(arguments) != len(node.keywords):
        raise mistake
    return make_decoder(node.func.id, **arguments)
