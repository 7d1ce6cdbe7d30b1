"""Where a program stands when it needs the model: steps, holes, and what it wrote.

    Fill    it waits for a hole's text
    Done    it ended

Between two holes a program writes text; `edits` says so in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from lmql_like.grammars.formulas import Formula
from lmql_like.runtime.distributions import Distribution
from lmql_like.runtime.program_state import ProgramState
from lmql_like.source import Span

__all__ = ["Done", "Fill", "Hole", "Host", "Options", "Step"]


@dataclass(frozen=True)
class Options:
    """The values that a `distribution` clause gives to a hole.

    Attributes:
        values: different texts, none of them empty.
        all_tokenizations: sum over every way to spell a value in tokens.
    """

    values: tuple[str, ...]
    all_tokenizations: bool = False


@dataclass(frozen=True)
class Hole:
    """A hole that waits for its text.

    Attributes:
        name: its name.
        formula: what its text has to satisfy, every constraint that applies now.
        follow: the literal text right behind it, as far as it is certain.
        span: its place in the program.
        options: its values, where a distribution over them is asked for.
        conditions: what `formula` is made of, each with its place in the program.
    """

    name: str
    formula: Formula
    follow: str
    span: Span
    options: Options | None = None
    conditions: tuple[tuple[Formula, Span], ...] = ()


@dataclass(frozen=True)
class Fill:
    """The program waits: `text` comes before the hole in the prompt."""

    state: ProgramState
    text: str
    hole: Hole


@dataclass(frozen=True)
class Done:
    """The program ended: `text` comes behind the last hole, `value` was returned."""

    state: ProgramState
    text: str
    value: Any


Step = Fill | Done


class Host(Protocol):
    """What a program may ask of the run it is in, between two holes."""

    def score(self, text: str, options: Options) -> Distribution:
        """Return how likely some texts are behind the prompt and `text`."""
        ...
