"""The decoder table: which decoders the language has, and which parameters each takes.

The table checks what an author writes; what a decoder does is the run time's business
(`runtime.search.decoders`). Decoders that a user writes are added to it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lmql_like.errors import QueryError, did_you_mean
from lmql_like.language.embedded import span_of
from lmql_like.source import Source, Span

__all__ = ["DECODERS", "Decoder", "DecoderClause", "Parameter", "read_decoder_arguments"]

DEFAULT_MAX_LEN = 2048


@dataclass(frozen=True)
class DecoderClause:
    """How a program wants to be decoded: the decoder's name and its arguments."""

    name: str
    arguments: Mapping[str, Any]
    span: Span


@dataclass(frozen=True)
class Parameter:
    """A parameter of a decoder.

    Attributes:
        name: as written in the call.
        default: where the call does not give it.
        wants: what values are possible, in words.
        accepts: tells whether a value is possible.
        meaning: one line for the help.
        also: another name that is understood, from LMQL.
    """

    name: str
    default: Any
    wants: str
    accepts: Callable[[Any], bool]
    meaning: str
    also: str = ""


@dataclass(frozen=True)
class Decoder:
    """A decoder: what it is called, what it takes, what it does."""

    name: str
    meaning: str
    parameters: tuple[Parameter, ...]

    @property
    def names(self) -> list[str]:
        """The names of its parameters."""
        return [parameter.name for parameter in self.parameters]

    def find(self, name: str) -> Parameter | None:
        """Return the parameter of this name; None if there is none."""
        for parameter in self.parameters:
            if name and name in (parameter.name, parameter.also):
                return parameter
        return None


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9


def _count(name: str, default: int | None, meaning: str, also: str = "") -> Parameter:
    def accepts(value: Any) -> bool:
        return (default is None and value is None) or (_is_int(value) and value >= 1)

    wants = "a whole number from 1 on"
    return Parameter(name, default, wants, accepts, meaning, also)


def _number(name: str, default: float, meaning: str, low: float | None = 0) -> Parameter:
    def accepts(value: Any) -> bool:
        return _is_number(value) and (low is None or value >= low)

    wants = "a number" if low is None else f"a number from {low:g} on"
    return Parameter(name, default, wants, accepts, meaning)


def _probability(name: str, meaning: str) -> Parameter:
    return Parameter(
        name,
        1.0,
        "a number above 0 and up to 1",
        lambda value: _is_number(value) and 0 < value <= 1,
        meaning,
    )


def _one_of(name: str, values: tuple[Any, ...], meaning: str) -> Parameter:
    wants = "one of " + ", ".join(map(repr, values))

    def accepts(value: Any) -> bool:
        return any(value is known or (type(value) is str and value == known) for known in values)

    return Parameter(name, values[0], wants, accepts, meaning)


def _flag(name: str, meaning: str) -> Parameter:
    return Parameter(name, False, "True or False", lambda value: isinstance(value, bool), meaning)


def _max_len(default: int = DEFAULT_MAX_LEN) -> Parameter:
    return _count("max_len", default, "tokens of the whole prompt; a longer run is truncated")


MAX_LEN = _max_len()
_SEED = Parameter(
    "seed",
    None,
    "a whole number from 0 on",
    lambda value: value is None or (_is_int(value) and value >= 0),
    "makes the random choices repeatable",
)
_TEMPERATURE = _number("temperature", 1.0, "divides the logits; 0 takes the likeliest choice")
_DRAWING = (
    _TEMPERATURE,
    _count("top_k", None, "keep the k likeliest candidates"),
    _probability("top_p", "keep the fewest candidates that have this probability together"),
    Parameter(
        "min_p",
        0.0,
        "a number from 0 to 1",
        lambda value: _is_number(value) and 0 <= value <= 1,
        "drop candidates below this share of the likeliest one's probability",
    ),
    _probability("typical_p", "keep the most typical candidates that have this probability"),
)
_PENALTIES = (
    Parameter(
        "repetition_penalty",
        1.0,
        "a number above 0",
        lambda value: _is_number(value) and value > 0,
        "divides positive logits of tokens in the prompt, multiplies negative ones",
    ),
    _number(
        "frequency_penalty", 0.0, "taken from a token's logit for each time holes hold it", None
    ),
    _number("presence_penalty", 0.0, "taken from a token's logit once if a hole holds it", None),
)


def _length_penalty(default: float) -> Parameter:
    return Parameter(
        "length_penalty",
        default,
        "a number",
        _is_number,
        "results are ranked by logprob / length ** length_penalty",
        "alpha",
    )


_EARLY = _one_of(
    "early_stopping",
    (False, True, "heuristic"),
    "False ends when no better result can come, True with n results",
)


def _beams(default: int = 4) -> Parameter:
    return _count("n", default, "width of the beam and number of results", "num_beams")


_TABLE = (
    Decoder("argmax", "the likeliest token at every step", (*_PENALTIES, MAX_LEN)),
    Decoder(
        "sample",
        "independent random samples",
        (_count("n", 1, "number of samples"), *_DRAWING, *_PENALTIES, _SEED, MAX_LEN),
    ),
    Decoder(
        "beam",
        "beam search over the whole program; diverse with several groups",
        (
            _beams(),
            _length_penalty(0.0),
            _EARLY,
            _count("groups", 1, "beams that are kept different; n is divided among them"),
            _number("diversity_penalty", 0.0, "for each earlier group's beam with the same token"),
            MAX_LEN,
        ),
    ),
    Decoder(
        "beam_sample",
        "beam search that draws its candidates",
        (_beams(), *_DRAWING, _length_penalty(0.0), _EARLY, _SEED, MAX_LEN),
    ),
    Decoder(
        "best_k",
        "best-first search: the k best hypotheses of all lengths go on",
        (
            _count("k", 4, "hypotheses that go on at a time"),
            _count("budget", 30, "hypotheses that go on in all, until there is a result"),
            _number("kappa", 1.0, "weight of a hypothesis's age"),
            _number("beta", 0.5, "power of a hypothesis's age"),
            Parameter(
                "gamma",
                0.05,
                "a number from 0 to 1",
                lambda value: _is_number(value) and 0 <= value <= 1,
                "choices less likely than this are dropped",
            ),
            _count("max_heap_size", 500, "hypotheses that are kept for later"),
            _count("top_k_continuations", 5, "choices of a hypothesis that are tried"),
            _length_penalty(0.7),
            MAX_LEN,
        ),
    ),
    Decoder(
        "var",
        "a beam over the values of holes",
        (
            _count("b", 2, "values that are tried for each hole"),
            _count("n", None, "hypotheses that go on behind a hole; b where it is not given"),
            _one_of("subdecoder", ("sample", "beam", "beam_seq"), "finds the values of a hole"),
            _TEMPERATURE,
            _length_penalty(0.7),
            _flag("return_first", "end with the first result"),
            _SEED,
            _max_len(384),
        ),
    ),
    Decoder(
        "beam_var",
        "a beam for each hole that is being filled",
        (
            _beams(),
            _length_penalty(0.7),
            Parameter(
                "prune",
                None,
                "a number from 1 on, or None",
                lambda value: value is None or (_is_number(value) and value >= 1),
                "drop hypotheses below the best result's logprob times this",
            ),
            _flag("return_first", "end with the first result"),
            MAX_LEN,
        ),
    ),
    Decoder(
        "grid",
        "a beam for each number of INCLUDES phrases covered",
        (
            _beams(),
            _one_of("banks", ("full", "dynamic"), "n for each coverage, or n divided among all"),
            _length_penalty(0.0),
            _EARLY,
            MAX_LEN,
        ),
    ),
)

DECODERS: dict[str, Decoder] = {decoder.name: decoder for decoder in _TABLE}


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
        parameter = _parameter(source, name, argument, arguments)
        arguments[parameter.name] = _value(source, argument, parameter)
    return arguments


def _parameter(
    source: Source, name: str, argument: ast.keyword, seen: Mapping[str, Any]
) -> Parameter:
    """Return the parameter that one `parameter=value` gives."""
    word = argument.arg or "**"
    parameter = DECODERS[name].find(word)
    if parameter is not None and parameter.name not in seen:
        return parameter
    whole = span_of(source, argument)
    hint = did_you_mean(word, DECODERS[name].names)
    raise QueryError(
        "Q303",
        f"{name} has no parameter '{word}'" if parameter is None else f"'{word}' given twice",
        source=source,
        span=Span(whole.start, whole.start + len(word)),
        label="unknown parameter" if parameter is None else "given twice parameter",
        help=f"{hint} {_parameter_list(name)}".strip(),
    )


def _value(source: Source, argument: ast.keyword, parameter: Parameter) -> Any:
    """Return the checked value of one `parameter=value`."""
    try:
        value = ast.literal_eval(argument.value)
    except (ValueError, TypeError):
        raise QueryError(
            "Q304",
            f"the value of '{argument.arg}' is not a constant",
            source=source,
            span=span_of(source, argument.value),
            label=f"expected {parameter.wants}",
            help="write the value itself; a caller can override it when the program is run",
        ) from None
    if not parameter.accepts(value):
        raise QueryError(
            "Q304",
            f"'{argument.arg}' cannot be {value!r}",
            source=source,
            span=span_of(source, argument.value),
            label=f"expected {parameter.wants}",
        )
    return value


def _parameter_list(name: str) -> str:
    return f"{name} has the parameters {', '.join(DECODERS[name].names)}."
