"""The decoders by name: how to start a search; and decoders that users write.

A `DecoderSpec` is a checked decoder call such as `beam(n=4)`: a value that a query's
decoder clause, the command line and Python code all come down to. What parameters there
are stands in `language.decoders`.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmql_like.errors import RunError, did_you_mean
from lmql_like.language.decoders import DECODERS, MAX_LEN, Decoder, Parameter
from lmql_like.runtime.search.beam import Beam
from lmql_like.runtime.search.beam_sample import BeamSample
from lmql_like.runtime.search.beam_var import BeamVar
from lmql_like.runtime.search.best_k import BestK, BestKRules
from lmql_like.runtime.search.diverse_beam import DiverseBeam
from lmql_like.runtime.search.greedy import Greedy
from lmql_like.runtime.search.grid import Grid
from lmql_like.runtime.search.penalties import Penalties
from lmql_like.runtime.search.ranking import Ranking
from lmql_like.runtime.search.sampling import Sampling
from lmql_like.runtime.search.strategy import Strategy
from lmql_like.runtime.search.truncation import Truncation
from lmql_like.runtime.search.var import Var, VarRules

__all__ = [
    "DECODERS",
    "DecoderSpec",
    "SearchContext",
    "decoder",
    "make_decoder",
    "parse_decoder",
]


@dataclass(frozen=True)
class SearchContext:
    """What a search is told of the run it belongs to.

    Attributes:
        input_index: number of the input.
        seed: the call's own, else the run's.
        max_rows: rows that a search should not exceed where it can be split.
        max_len: tokens of a whole prompt, after which a hypothesis is truncated.
    """

    input_index: int
    seed: int
    max_rows: int
    max_len: int


Start = Callable[[SearchContext, Mapping[str, Any]], "Strategy | Sequence[Strategy]"]


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
        known = {parameter.name: parameter for parameter in DECODERS[self.name].parameters}
        given = [
            f"{key}={value!r}"
            for key, value in self.arguments.items()
            if value != known[key].default
        ]
        return f"{self.name}({', '.join(given)})" if given else self.name

    def searches(self, input_index: int, *, seed: int, max_rows: int) -> list[Strategy]:
        """Return the searches over one input; independent samples may be split over several.

        Args:
            input_index: number of the input, part of a sample's seed.
            seed: of the run, where the call gives none.
            max_rows: rows that a search should not exceed where it can be split.
        """
        own_seed = self.arguments.get("seed")
        context = SearchContext(
            input_index, seed if own_seed is None else own_seed, max_rows, self.max_len
        )
        started = _STARTS[self.name](context, self.arguments)
        return list(started) if isinstance(started, Sequence) else [started]


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
            help=f"{did_you_mean(name, DECODERS)} The decoders are {', '.join(DECODERS)}.".strip(),
        )
    values = {parameter.name: parameter.default for parameter in known.parameters}
    for key, value in arguments.items():
        parameter = known.find(key)
        if parameter is None:
            raise RunError(
                "R202",
                f"{name} has no parameter '{key}'",
                help=did_you_mean(key, known.names) or f"it takes {', '.join(known.names)}",
            )
        if not parameter.accepts(value):
            raise RunError("R203", f"{key}={value!r} of {name} is not {parameter.wants}")
        values[parameter.name] = value
    if name == "beam" and values["n"] % values["groups"]:
        raise RunError(
            "R203",
            f"n={values['n']} of beam is not a multiple of groups={values['groups']}",
            help="the beam is divided into groups of equal size",
        )
    return DecoderSpec(name, values)


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


# -- decoders that users write ---------------------------------------------------------


def decoder(start: Callable[..., Strategy]) -> Callable[..., Strategy]:
    """Add a decoder to the language, under the name of the function that starts it.

    The function gets a `SearchContext` and the call's parameters, and returns a new
    `Strategy`. Its own parameters, behind the context, are the decoder's: each has a
    default, and takes values of the default's type. `max_len` is every decoder's; a `seed`
    that is not given is the run's. The first line of the docstring is its help.

    Raises:
        TypeError: the function has no context, or a parameter without a default.
    """
    context, *own = inspect.signature(start).parameters.values()
    if context.default is not inspect.Parameter.empty:
        raise TypeError("the first parameter of a decoder takes the search's context")
    for parameter in own:
        if parameter.default is inspect.Parameter.empty:
            raise TypeError(f"the parameter '{parameter.name}' of a decoder needs a default")
    names = [parameter.name for parameter in own]
    parameters = [_own_parameter(parameter.name, parameter.default) for parameter in own]
    if MAX_LEN.name not in names:
        parameters.append(MAX_LEN)
    help_ = (inspect.getdoc(start) or "").partition("\n")[0]
    DECODERS[start.__name__] = Decoder(start.__name__, help_, tuple(parameters))
    _STARTS[start.__name__] = lambda search, values: start(
        search, **{name: search.seed if name == "seed" else values[name] for name in names}
    )
    return start


def _own_parameter(name: str, default: Any) -> Parameter:
    """Return a parameter that takes what is of its default's type; any value for None."""
    if default is None:
        return Parameter(name, None, "a value", lambda _: True, "")
    kinds = (int, float) if type(default) is float else (type(default),)

    def accepts(value: Any) -> bool:
        return isinstance(value, kinds) and isinstance(value, bool) == isinstance(default, bool)

    return Parameter(name, default, f"of type {type(default).__name__}", accepts, "")


# -- the language's own ----------------------------------------------------------------


def _ranking(context: SearchContext, values: Mapping[str, Any]) -> Ranking:
    early = values.get("early_stopping", False)
    return Ranking(float(values["length_penalty"]), early, context.max_len)


def _truncation(values: Mapping[str, Any]) -> Truncation:
    return Truncation(
        float(values["temperature"]),
        values["top_k"],
        float(values["top_p"]),
        float(values["min_p"]),
        float(values["typical_p"]),
    )


def _penalties(values: Mapping[str, Any]) -> Penalties:
    return Penalties(
        *(float(values[f"{kind}_penalty"]) for kind in ("repetition", "frequency", "presence"))
    )


def _argmax(_context: SearchContext, values: Mapping[str, Any]) -> Strategy:
    return Greedy(_penalties(values))


def _sample(context: SearchContext, values: Mapping[str, Any]) -> list[Strategy]:
    lanes = range(values["n"])
    return [
        Sampling(
            lanes[first : first + context.max_rows],
            seed=context.seed,
            input_index=context.input_index,
            truncation=_truncation(values),
            penalties=_penalties(values),
        )
        for first in range(0, len(lanes), context.max_rows)
    ]


def _beam(context: SearchContext, values: Mapping[str, Any]) -> Strategy:
    n, groups, ranking = values["n"], values["groups"], _ranking(context, values)
    if groups > 1:
        return DiverseBeam(n, groups, float(values["diversity_penalty"]), ranking)
    return Beam(n, ranking)


def _beam_sample(context: SearchContext, values: Mapping[str, Any]) -> Strategy:
    truncation, ranking = _truncation(values), _ranking(context, values)
    if truncation.temperature == 0:
        return Beam(values["n"], ranking)
    return BeamSample(
        values["n"],
        seed=context.seed,
        input_index=context.input_index,
        truncation=truncation,
        ranking=ranking,
    )


def _best_k(context: SearchContext, values: Mapping[str, Any]) -> Strategy:
    own = {name: values[name] for name in BestKRules.__dataclass_fields__}
    return BestK(BestKRules(**own), _ranking(context, values))


def _var(context: SearchContext, values: Mapping[str, Any]) -> Strategy:
    own = {name: values[name] for name in VarRules.__dataclass_fields__}
    own["n"] = own["n"] or own["b"]
    ranking = _ranking(context, values)
    return Var(VarRules(**own), ranking, seed=context.seed, input_index=context.input_index)


def _beam_var(context: SearchContext, values: Mapping[str, Any]) -> Strategy:
    penalty = float(values["length_penalty"])
    return BeamVar(
        values["n"],
        Ranking(penalty, "heuristic", context.max_len),
        prune=values["prune"],
        return_first=values["return_first"],
    )


def _grid(context: SearchContext, values: Mapping[str, Any]) -> Strategy:
    is_dynamic = values["banks"] == "dynamic"
    return Grid(values["n"], _ranking(context, values), is_dynamic=is_dynamic)


_STARTS: dict[str, Start] = {
    "argmax": _argmax,
    "sample": _sample,
    "beam": _beam,
    "beam_sample": _beam_sample,
    "best_k": _best_k,
    "var": _var,
    "beam_var": _beam_var,
    "grid": _grid,
}
