"""What a distribution says: the probability of each value as the text that comes next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

__all__ = ["Distribution", "log_sum"]


@dataclass(frozen=True)
class Distribution:
    """Values and the log-probabilities with which a model goes on with each.

    A value's log-probability is that of its tokens as the next tokens, in nats; nothing is
    said about what follows them. Where one value begins with another, the two are no
    events that exclude each other.

    Attributes:
        values: the texts.
        logprobs: of each, not normalized; -inf where the hole's conditions exclude it.
        n_tokens: in how many tokens the tokenizer writes each.
    """

    values: tuple[str, ...]
    logprobs: tuple[float, ...]
    n_tokens: tuple[int, ...]

    @property
    def log_mass(self) -> float:
        """The log of the sum of all values' probabilities, in nats."""
        return log_sum(self.logprobs)

    @property
    def mass(self) -> float:
        """The sum of all values' probabilities, as the model gives them."""
        return math.exp(self.log_mass)

    @cached_property
    def probabilities(self) -> Mapping[str, float]:
        """Each value's share of the mass: they sum up to 1."""
        total = self.log_mass
        if total == -math.inf:
            return dict.fromkeys(self.values, 0.0)
        shares = [math.exp(logprob - total) for logprob in self.logprobs]
        return dict(zip(self.values, shares, strict=True))

    @property
    def best(self) -> str:
        """The likeliest value; the first of those that are equally likely."""
        return self.values[self.logprobs.index(max(self.logprobs))]

    def __getitem__(self, value: str) -> float:
        """Return a value's share of the mass."""
        return self.probabilities[value]

    def __repr__(self) -> str:
        """Return the shares, and what they are shares of."""
        shares = ", ".join(f"{v!r}: {p:.4f}" for v, p in self.probabilities.items())
        return f"<Distribution {shares} of {self.mass:.3g}>"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values that strict JSON has; an impossible value's logprob is null."""
        finite = [p if math.isfinite(p) else None for p in self.logprobs]
        return {
            "logprobs": dict(zip(self.values, finite, strict=True)),
            "probabilities": dict(self.probabilities),
            "mass": self.mass,
        }


def log_sum(logprobs: tuple[float, ...]) -> float:
    """Return the log of the sum of some probabilities; -inf of none."""
    highest = max(logprobs, default=-math.inf)
    if highest == -math.inf:
        return highest
    return highest + math.log(math.fsum(math.exp(p - highest) for p in logprobs))
