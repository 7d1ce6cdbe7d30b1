"""Programs: what a query does, as data.

A program is a list of instructions with jumps between them; the run time steps through
it. Python stays Python (`Code`); what concerns the query is an instruction: text for the
prompt, holes, and every branch, loop, handler or block that has one of them inside.

Values that live longer than an instruction, such as a loop's iterator or a caught
exception, live in numbered *slots* of the program state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from lmql_like.language.code import Code
from lmql_like.language.constraints import Constraint
from lmql_like.language.decoders import DecoderClause
from lmql_like.language.parameters import Parameter
from lmql_like.source import Source, Span

__all__ = [
    "Advance",
    "Ask",
    "Assign",
    "Branch",
    "Catch",
    "Enter",
    "Goto",
    "Handler",
    "HoleCall",
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
class HoleCall:
    """One occurrence of a hole in the text.

    Attributes:
        name: the hole.
        type: of its value: str, int, float or bool.
        constraints: every conjunct that names it here or names no hole.
        follow: the literal text right behind it in the same prompt string.
        span: its brackets.
    """

    name: str
    type: str
    constraints: tuple[Constraint, ...]
    follow: str
    span: Span


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

    parts: tuple[str | Inset, ...]


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
    """

    instructions: tuple[Instruction, ...]
    handlers: tuple[Handler, ...]
    parameters: tuple[Parameter, ...]
    captured: tuple[str, ...]
    holes: tuple[str, ...]
    decoder: DecoderClause | None
    model: str | None
    source: Source

    def listing(self) -> str:
        """Return the program in a form for people: one instruction a line."""
        lines = [f"parameter {_parameter(parameter)}" for parameter in self.parameters]
        if self.decoder is not None:
            arguments = ", ".join(f"{k}={v!r}" for k, v in self.decoder.arguments.items())
            lines.append(f"decoder {self.decoder.name}({arguments})")
        if self.model is not None:
            lines.append(f"model {self.model!r}")
        lines += [f"{i:3} {_instruction(step)}" for i, step in enumerate(self.instructions)]
        lines += [
            f"handler {i}: to {handler.target}, exception in slot {handler.slot}"
            for i, handler in enumerate(self.handlers)
        ]
        return "\n".join(lines)


def _parameter(parameter: Parameter) -> str:
    kind = getattr(parameter.annotation, "__name__", str(parameter.annotation))
    shown = parameter.name + (f": {kind}" if parameter.annotation is not None else "")
    return shown if parameter.is_required else f"{shown} = {parameter.default!r}"


def _instruction(step: Instruction) -> str:
    word = type(step).__name__.lower()
    own = [f.name for f in fields(step) if f.name not in ("span", "handler", "handling")]
    words = [word, *(_operand(name, getattr(step, name)) for name in own)]
    around = [(name, getattr(step, name)) for name in ("handler", "handling")]
    return " ".join(
        [*words, *(f"[{name} {number}]" for name, number in around if number is not None)]
    )


def _operand(name: str, value: Any) -> str:
    if isinstance(value, Code):
        return f"`{' '.join(value.text.split())}`"
    if isinstance(value, HoleCall):
        demands = " and ".join(sorted(_demands(value)))
        ends = f" before {value.follow!r}" if value.follow else ""
        return f"[{value.name}: {value.type}]{f' where {demands}' if demands else ''}{ends}"
    if name == "parts":
        return " ".join(_piece(part) for part in value)
    if name in ("target", "targets"):
        return f"else {value}" if name == "target" else f"to {', '.join(map(str, value))}"
    return f"{name}={value}" if name.endswith("slot") else str(value)


def _piece(part: str | Inset) -> str:
    if isinstance(part, str):
        return repr(part)
    conversion = f"!{part.conversion}" if part.conversion else ""
    spec = f":{' '.join(_piece(p) for p in part.format)}" if part.format else ""
    return f"{{{part.code.text}{conversion}{spec}}}"


def _demands(hole: HoleCall) -> Iterator[str]:
    for constraint in hole.constraints:
        yield _constraint(constraint)


def _constraint(constraint: Constraint) -> str:
    name = type(constraint).__name__
    if constraint.parts:
        return f"{name}({', '.join(_constraint(part) for part in constraint.parts)})"
    values = [getattr(constraint, item.name) for item in fields(constraint)]  # type: ignore[arg-type]
    details = [
        f"`{v.text}`" if isinstance(v, Code) else v for v in values if isinstance(v, str | Code)
    ]
    return f"{name}({', '.join(details)})"
