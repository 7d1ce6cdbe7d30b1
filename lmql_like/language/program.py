"""Programs: what a query does, as data.

A program is a list of instructions with jumps between them; the run time steps through
it. Python stays Python (`Code`); what concerns the query is an instruction: text for the
prompt, holes, and every branch, loop, handler or block that has one of them inside.

Values that live longer than an instruction, such as a loop's iterator or a caught
exception, live in numbered *slots* of the program state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lmql_like.language.code import Code
from lmql_like.language.constraints import Constraint
from lmql_like.language.decoders import DecoderClause
from lmql_like.language.operators import Listing
from lmql_like.language.parameters import Parameter
from lmql_like.language.typed import Typed
from lmql_like.source import Source, Span

__all__ = [
    "Advance",
    "Ask",
    "Assign",
    "Branch",
    "Catch",
    "Define",
    "Distributed",
    "Enter",
    "Goto",
    "Handler",
    "HoleCall",
    "ImportQueries",
    "Inset",
    "Instruction",
    "Iterate",
    "Keep",
    "Leave",
    "LeaveFailed",
    "NameException",
    "Program",
    "Reraise",
    "Return",
    "RoleTag",
    "Run",
    "Say",
    "Select",
    "Unname",
]


@dataclass(frozen=True)
class Inset:
    """A value put into a text: expression, conversion, format."""

    code: Code
    conversion: str
    format: tuple[str | Inset, ...]


@dataclass(frozen=True)
class RoleTag:
    """A message of a role begins; the model's chat template writes it."""

    role: str
    span: Span


@dataclass(frozen=True)
class Distributed:
    """The values whose probabilities a hole is asked for.

    Attributes:
        values: gives them.
        all_tokenizations: sum over every way to spell a value in tokens, not the
            tokenizer's own alone.
        span: the clause.
    """

    values: Listing
    all_tokenizations: bool
    span: Span


@dataclass(frozen=True)
class HoleCall:
    """One occurrence of a hole in the text.

    Attributes:
        name: the hole.
        type: of its value: str, int, float, bool, or how another type is written.
        constraints: every conjunct that names it here or names no hole.
        follow: the literal text right behind it in the same prompt string.
        span: its brackets.
        distribution: the values of a `distribution` clause about it, if there is one.
        call: gives the `Invocation` of the query that fills it, or, where `typed` is there
            too, perhaps its type; None where the model fills it.
        typed: gives its value where that is of another type than those four.
        decorators: the functions that see it, the outermost first.
    """

    name: str
    type: str
    constraints: tuple[Constraint, ...]
    follow: str
    span: Span
    distribution: Distributed | None = None
    call: Code | None = None
    typed: Typed | None = None
    decorators: tuple[Code, ...] = ()


@dataclass(frozen=True)
class Handler:
    """Where an instruction that raises goes on, and the slot that keeps the exception."""

    target: int
    slot: int


@dataclass(frozen=True)
class Instruction:
    """One step of a program.

    Attributes:
        span: the place of the statement or expression it comes from.
        handler: index of the handler that catches what it raises; None for none.
        handling: slot of the exception that is being handled around it, if any.
    """

    span: Span
    handler: int | None = field(default=None, kw_only=True)
    handling: int | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Run(Instruction):
    """Execute a statement of Python's."""

    code: Code


@dataclass(frozen=True)
class Say(Instruction):
    """Append text to the prompt."""

    parts: tuple[str | Inset | RoleTag, ...]


@dataclass(frozen=True)
class Ask(Instruction):
    """Let a hole be filled."""

    hole: HoleCall


@dataclass(frozen=True)
class Goto(Instruction):
    """Go on at `target`."""

    target: int


@dataclass(frozen=True)
class Branch(Instruction):
    """Go on here if the test holds, at `target` otherwise."""

    test: Code
    target: int


@dataclass(frozen=True)
class Iterate(Instruction):
    """Begin an iteration; its position lives in a slot."""

    iterable: Code
    slot: int


@dataclass(frozen=True)
class Advance(Instruction):
    """Take the next item and assign it, or go on at `target` if there is none."""

    assign: Code
    slot: int
    target: int


@dataclass(frozen=True)
class Enter(Instruction):
    """Enter a context manager; it lives in `slot`, what it gave in `value_slot`."""

    manager: Code
    slot: int
    value_slot: int


@dataclass(frozen=True)
class Assign(Instruction):
    """Assign what a slot holds; `code` assigns the name `.item`."""

    code: Code
    slot: int


@dataclass(frozen=True)
class Leave(Instruction):
    """Leave a context manager."""

    slot: int


@dataclass(frozen=True)
class LeaveFailed(Instruction):
    """Leave a context manager with an exception; raise it again unless the manager agrees."""

    slot: int
    error_slot: int


@dataclass(frozen=True)
class Catch(Instruction):
    """Go on here if the exception in `slot` is of this kind, at `target` otherwise."""

    kind: Code | None
    slot: int
    target: int


@dataclass(frozen=True)
class NameException(Instruction):
    """Give the exception in `slot` a name."""

    name: str
    slot: int


@dataclass(frozen=True)
class Unname(Instruction):
    """Forget the name of an exception."""

    name: str


@dataclass(frozen=True)
class Reraise(Instruction):
    """Raise the exception in `slot` again."""

    slot: int


@dataclass(frozen=True)
class Keep(Instruction):
    """Evaluate an expression into a slot."""

    code: Code
    slot: int


@dataclass(frozen=True)
class Select(Instruction):
    """Run a `match` whose cases assign their number to `.case`; go on at that target.

    The last target is that of no case.
    """

    code: Code
    targets: tuple[int, ...]


@dataclass(frozen=True)
class Define(Instruction):
    """Give a query of the program's own its name.

    `signature` defines a function of that name, with the query's parameters and defaults.
    """

    name: str
    signature: Code
    program: Program
    options: Mapping[str, Any]


@dataclass(frozen=True)
class ImportQueries(Instruction):
    """Give names to what another query file defines, or to the file as a query.

    `names` are (name in the file, name here); the first is None for the file itself.
    """

    program: Program
    names: tuple[tuple[str | None, str], ...]


@dataclass(frozen=True)
class Return(Instruction):
    """End the program with the value in `slot`, or with None."""

    slot: int | None


@dataclass(frozen=True)
class Program:
    """A compiled query.

    Attributes:
        instructions: what it does; it ends behind the last one.
        handlers: what `Instruction.handler` refers to.
        parameters: the arguments it takes.
        captured: names that it reads from the scope it was written in.
        holes: the names of its holes, in the order of the text.
        decoder: its decoder clause, if it has one.
        model: the name its `from` clause gives, if it has one.
        source: its text.
        prologue: how many of its first instructions a file that imports it runs.
        defined: names that these instructions give values to.
    """

    instructions: tuple[Instruction, ...]
    handlers: tuple[Handler, ...]
    parameters: tuple[Parameter, ...]
    captured: tuple[str, ...]
    holes: tuple[str, ...]
    decoder: DecoderClause | None
    model: str | None
    source: Source
    prologue: int = 0
    defined: frozenset[str] = frozenset()

    @property
    def returns_value(self) -> bool:
        """Whether some `return` of it gives a value."""
        return any(isinstance(i, Return) and i.slot is not None for i in self.instructions)
