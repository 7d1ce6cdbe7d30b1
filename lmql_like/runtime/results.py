"""What a run returns."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from lmql_like.errors import LmqlLikeError
from lmql_like.runtime.distributions import Distribution
from lmql_like.runtime.hypotheses import Segment
from lmql_like.runtime.trace import Trace

__all__ = ["Result", "ResultStatus", "Usage"]

# What typed holes hold beside containers and dataclasses.
_OF_TYPES = (BaseModel, Enum, dt.date, dt.time, dt.timedelta, UUID, Decimal)

ResultStatus = Literal["complete", "truncated", "dead-end", "error"]


@dataclass(frozen=True)
class Usage:
    """What a result cost.

    Attributes:
        prompt_tokens: of this result: tokens of literal text, and start tokens.
        generated_tokens: of this result: hole tokens that the model chose.
        forced_tokens: of this result: hole tokens that could not be otherwise and were
            appended without asking the model.
        unscored_tokens: of this result: forced tokens whose log-probability was never
            read and is missing from `Result.logprob`: those behind the last choice, and
            those of a stop phrase that was taken back. Beams of more than one hypothesis
            score them too.
        forward_passes: of the whole run, which all its results share.
        rows: of the whole run: rows with tokens, summed over the forward passes.
        mask_seconds: of the whole run: time to fill bitmasks.
        model_seconds: of the whole run: time inside the model.
        note: how the model is run where that is unusual, such as without a cache.
        experts: of the model since it was loaded, where that was asked for: which experts
            were used, what their buffer did.
    """

    prompt_tokens: int = 0
    generated_tokens: int = 0
    forced_tokens: int = 0
    unscored_tokens: int = 0
    forward_passes: int = 0
    rows: int = 0
    mask_seconds: float = 0.0
    model_seconds: float = 0.0
    note: str = ""
    experts: Mapping[str, Any] | None = None


@dataclass(frozen=True, repr=False)
class Result:
    """One result of a run: a finished hypothesis of one input.

    Attributes:
        text: the whole prompt with its holes filled, or the beginning that was reached.
        variables: the values of the holes, in the order they were filled.
        value: what the program returned, else None.
        logprob: sum of the log-probabilities of the hole tokens, in nats: the model's
            own, before masking, at temperature 1. Ends of holes and stop phrases count
            where the model was asked, tokens of literal text do not. NaN for an error.
        status: "complete"; "truncated" at a length limit; "dead-end" where nothing could
            satisfy a hole's constraints; "error" where the query's own code failed.
        usage: what it cost.
        decoder: the decoder call.
        input_index: number of the input.
        segments: the text in pieces, literal ones and holes.
        token_ids: the tokens that spell the text, start tokens included.
        distributions: what `distribution` clauses asked for, by the hole's name.
        error: what failed, where the status is "error".
        others: the run's further results, where one was asked for and several came.
        trace: how it came about, where the run was traced.
    """

    text: str
    variables: Mapping[str, Any]
    value: Any
    logprob: float
    status: ResultStatus
    usage: Usage
    decoder: str
    input_index: int = 0
    segments: tuple[Segment, ...] = ()
    token_ids: tuple[int, ...] = field(default=(), compare=False)
    distributions: Mapping[str, Distribution] = field(default_factory=dict)
    error: LmqlLikeError | None = None
    others: tuple[Result, ...] = field(default=(), compare=False)
    trace: Trace | None = field(default=None, compare=False)

    @property
    def prompt(self) -> str:
        """The text, by its other name: the prompt as it stands after the run."""
        return self.text

    def __repr__(self) -> str:
        """Return a short form: status, variables, log-probability."""
        variables = ", ".join(f"{name}={value!r}" for name, value in self.variables.items())
        returned = "" if self.value is None else f" value={self.value!r}"
        return f"<Result {self.status}: {variables or '(no holes)'}{returned} {self.logprob:.3f}>"

    def _repr_html_(self) -> str:
        """Return the result as notebooks show it: holes coloured, probabilities on hover."""
        from lmql_like.runtime.result_view import result_html  # rich is slow to import

        return result_html(self)

    def __rich__(self) -> Any:
        """Return the result as rich prints it: holes coloured."""
        from lmql_like.runtime.result_view import result_text

        return result_text(self)

    def to_json(self) -> dict[str, Any]:
        """Return the result as a dictionary of plain values that strict JSON has.

        Values of typed holes are what they are in JSON: objects of their fields, dates as
        texts, sets as lists. Values that JSON does not have, infinite floats among them, are
        given as their `repr`; a log-probability that is no finite number, as an error's, is
        None.
        """
        return {
            "input": self.input_index,
            "status": self.status,
            "text": self.text,
            "variables": {name: _plain(value) for name, value in self.variables.items()},
            "value": _plain(self.value),
            "distributions": {name: d.to_json() for name, d in self.distributions.items()},
            "logprob": self.logprob if math.isfinite(self.logprob) else None,
            "decoder": self.decoder,
            "error": None if self.error is None else self.error.render(),
            "usage": asdict(self.usage),
        }


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return [_plain(item) for item in sorted(value, key=repr)]
    if isinstance(value, _OF_TYPES) or is_dataclass(value):
        return _plain(to_jsonable_python(value, fallback=repr))
    return repr(value)
