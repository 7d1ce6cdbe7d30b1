"""Programs in a form for people: one instruction a line."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from lmql_like.language.code import Code
from lmql_like.language.constraints import Constraint
from lmql_like.language.custom import Applied
from lmql_like.language.parameters import Parameter
from lmql_like.language.program import (
    Ask,
    HoleCall,
    Inset,
    Instruction,
    Program,
    RoleTag,
    Run,
)
from lmql_like.language.typed import IsOfType

__all__ = ["list_program", "own_conditions", "own_types"]


def list_program(program: Program) -> str:
    """Return what a program does: parameters, clauses, instructions and handlers."""
    lines = [f"parameter {_parameter(parameter)}" for parameter in program.parameters]
    if program.decoder is not None:
        arguments = ", ".join(f"{k}={v!r}" for k, v in program.decoder.arguments.items())
        lines.append(f"decoder {program.decoder.name}({arguments})")
    if program.model is not None:
        lines.append(f"model {program.model!r}")
    lines += [f"{i:3} {_instruction(step)}" for i, step in enumerate(program.instructions)]
    lines += [
        f"handler {i}: to {handler.target}, exception in slot {handler.slot}"
        for i, handler in enumerate(program.handlers)
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
    words = [text for text in words if text != "{}"]
    around = [(name, getattr(step, name)) for name in ("handler", "handling")]
    return " ".join(
        [*words, *(f"[{name} {number}]" for name, number in around if number is not None)]
    )


def _code(code: Code) -> str:
    return f"`{' '.join(code.text.split())}`"


def _operand(name: str, value: Any) -> str:
    if isinstance(value, Code):
        return _code(value)
    if isinstance(value, Program):
        return "\n" + textwrap.indent(list_program(value), " " * 6)
    if isinstance(value, HoleCall):
        demands = " and ".join(sorted(_demands(value)))
        kind = value.type if value.call is None else _code(value.call)
        ends = f" before {value.follow!r}" if value.follow else ""
        before = "".join(f"@{_code(code)} " for code in value.decorators)
        return f"[{before}{value.name}: {kind}]{f' where {demands}' if demands else ''}{ends}"
    if name == "parts":
        return " ".join(_piece(part) for part in value)
    if name in ("target", "targets"):
        return f"else {value}" if name == "target" else f"to {', '.join(map(str, value))}"
    return f"{name}={value}" if name.endswith("slot") else str(value)


def _piece(part: str | Inset | RoleTag) -> str:
    if isinstance(part, str):
        return repr(part)
    if isinstance(part, RoleTag):
        return f"{{:{part.role}}}"
    conversion = f"!{part.conversion}" if part.conversion else ""
    spec = f":{' '.join(_piece(p) for p in part.format)}" if part.format else ""
    return f"{{{' '.join(part.code.text.split())}{conversion}{spec}}}"


def _demands(hole: HoleCall) -> Iterator[str]:
    for constraint in hole.constraints:
        yield _constraint(constraint)


def _constraint(constraint: Constraint) -> str:
    name = type(constraint).__name__
    if constraint.parts:
        return f"{name}({', '.join(_constraint(part) for part in constraint.parts)})"
    values = [getattr(constraint, item.name) for item in fields(constraint)]  # type: ignore[arg-type]
    details = [_code(v) if isinstance(v, Code) else v for v in values if isinstance(v, str | Code)]
    return f"{name}({', '.join(details)})"


def own_conditions(program: Program) -> list[str]:
    """Return the calls of functions of the author's that conditions hold, each once.

    Classes that the program itself puts under `@constraint` are operators, no functions.
    """
    operators = {
        node.name
        for step in program.instructions
        if isinstance(step, Run) and isinstance(node := step.code.tree, ast.ClassDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Name) and decorator.id == "constraint"
    }
    calls = [
        call
        for step in program.instructions
        if isinstance(step, Ask)
        for constraint in step.hole.constraints
        for call in _applied(constraint)
    ]
    shown = [
        _code(call.call)
        for call in calls
        if call.function is None or call.function.text not in operators
    ]
    return list(dict.fromkeys(shown))


def own_types(program: Program) -> list[str]:
    """Return the types of holes that are not known before the program runs, each once."""
    holes = [step.hole for step in program.instructions if isinstance(step, Ask)]
    shown = [
        _code(hole.typed.operand)
        for hole in holes
        if isinstance(hole.typed, IsOfType) and not hole.typed.operand.is_literal
    ]
    return list(dict.fromkeys(shown))


def _applied(constraint: Constraint) -> Iterator[Applied]:
    if isinstance(constraint, Applied):
        yield constraint
    for part in constraint.parts:
        yield from _applied(part)
