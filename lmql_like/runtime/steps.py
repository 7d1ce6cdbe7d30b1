"""Where a program stands when it needs the model: steps, holes, and what it wrote.

    Fill    it waits for a hole's text
    Done    it ended

    DeadEnd it met a condition that a text which is there already does not satisfy

Between two holes a program writes text. Where queries are nested it also goes back to
where one began; `edits` then says, in order, what it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from lmql_like.grammars.formulas import TRUE, Formula
from lmql_like.runtime.distributions import Distribution
from lmql_like.runtime.program_state import ProgramState
from lmql_like.source import Span

__all__ = [
    "Begin",
    "DeadEnd",
    "Done",
    "Edit",
    "End",
    "Fill",
    "Hole",
    "Host",
    "Options",
    "Step",
    "Write",
    "edits_of",
    "preceded",
]


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
        is_observed: a decorator sees its text grow.
        followed: what conditions of the author's own demand beside it.
        conditions: what `formula` is made of, each with its place in the program.
    """

    name: str
    formula: Formula
    follow: str
    span: Span
    options: Options | None = None
    conditions: tuple[tuple[Formula, Span], ...] = ()
    is_observed: bool = False
    followed: Formula = TRUE


@dataclass(frozen=True)
class Write:
    """Text is appended: literal text, or, of a hole that a query filled, its value."""

    text: str
    hole: str | None = None


@dataclass(frozen=True)
class Begin:
    """A query begins whose text may have to go again."""


@dataclass(frozen=True)
class End:
    """The query that began last ended; where it returned a value, its text goes."""

    removes_text: bool


Edit = Write | Begin | End


@dataclass(frozen=True)
class Fill:
    """The program waits: `text` comes before the hole in the prompt, or `edits` if any."""

    state: ProgramState
    text: str
    hole: Hole
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True)
class Done:
    """The program ended: `text`, or `edits`, comes behind the last hole."""

    state: ProgramState
    text: str
    value: Any
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True)
class DeadEnd:
    """The program cannot go on: a text that no model writes breaks a condition."""

    state: ProgramState
    text: str
    edits: tuple[Edit, ...] = ()


Step = Fill | Done | DeadEnd


def edits_of(step: Step) -> tuple[Edit, ...]:
    """Return what a step does to the prompt, in order."""
    return step.edits or ((Write(step.text),) if step.text else ())


def preceded(step: Step, edits: tuple[Edit, ...]) -> Step:
    """Return a step that does some more to the prompt first; literal texts are joined."""
    every: list[Edit] = []
    for edit in (*edits, *edits_of(step)):
        last = every[-1] if every else None
        if isinstance(edit, Write) and isinstance(last, Write) and edit.hole is last.hole is None:
            every[-1] = Write(last.text + edit.text)
        else:
            every.append(edit)
    text = "".join(edit.text for edit in every if isinstance(edit, Write))
    return replace(step, text=text, edits=() if every == [Write(text)] else tuple(every))


class Host(Protocol):
    """What a program may ask of the run it is in, between two holes."""

    def score(self, written: Sequence[Edit], options: Options) -> Distribution:
        """Return how likely some texts are behind the prompt and what was written since."""
        ...
