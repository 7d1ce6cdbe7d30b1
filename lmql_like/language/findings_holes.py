"""Holes that do not end, and conditions that say nothing.

Only what is written out is looked at: a condition that reads a variable may do anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from lmql_like.errors import GrammarError
from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.formulas import Formula, Matches, Not, TokenCount, all_of
from lmql_like.grammars.lint.findings import Finding
from lmql_like.language.constraints import Binding, Constraint
from lmql_like.language.program import (
    Ask,
    Goto,
    HoleCall,
    Instruction,
    Program,
    Reraise,
    Return,
    Say,
    Select,
)
from lmql_like.language.satisfiability import is_known

__all__ = ["find_idle_conditions", "find_open_holes"]

_MOST_STATES = 2000


def find_open_holes(program: Program, *, is_nested: bool = False) -> Iterator[Finding]:
    """Yield Q604 for holes in the midst of a program that only the model may end.

    Literal text behind a hole in its prompt string ends it too, so those are left out, and
    so is what ends the program, unless it is a query inside another one.
    """
    for at, step in enumerate(program.instructions):
        if not isinstance(step, Ask) or step.hole.follow:
            continue
        hole = step.hole
        if (is_nested or _goes_on(program, at)) and _is_open(hole):
            yield Finding(
                "Q604",
                f"the hole '{hole.name}' ends only where the model ends its text",
                program.source,
                hole.span,
                label="the program goes on behind it",
                help=f'say where it ends, as in STOPS_BEFORE({hole.name}, "\\n"), '
                f"or how long it is, as in len(TOKENS({hole.name})) <= 40",
                severity="warning",
            )


def _goes_on(program: Program, at: int) -> bool:
    """Tell whether text or a hole may come behind the hole of an instruction."""
    seen, todo = {at}, [at + 1]
    while todo:
        at = todo.pop()
        if at in seen or at >= len(program.instructions):
            continue
        seen.add(at)
        step = program.instructions[at]
        if isinstance(step, Ask | Say):
            return True
        todo += _following(program, at, step)
    return False


def _following(program: Program, at: int, step: Instruction) -> Iterator[int]:
    """Yield the indices of the instructions that may come behind one."""
    if not isinstance(step, Goto | Return | Select | Reraise):
        yield at + 1
    target = getattr(step, "target", None)
    if target is not None:
        yield target
    yield from getattr(step, "targets", ())
    if step.handler is not None:
        yield program.handlers[step.handler].target


def _is_open(hole: HoleCall) -> bool:
    """Tell whether a hole may come to a text that only the model ends."""
    if hole.distribution is not None or hole.call is not None:
        return False
    if not all(is_known(constraint, hole.name) for constraint in hole.constraints):
        return False
    formulas = [_bound(constraint, hole) for constraint in hole.constraints]
    if any(_counts_tokens(formula) for formula in formulas):
        return False
    try:
        return not _always_closes(all_of(formulas))
    except GrammarError:
        return False


def _bound(constraint: Constraint, hole: HoleCall) -> Formula:
    binding = Binding(hole.name, lambda code: code.literal, lambda name: name)
    return constraint.bind(binding)


def _counts_tokens(formula: Formula) -> bool:
    if isinstance(formula, TokenCount):
        return True
    parts = getattr(formula, "parts", ()) or filter(None, [getattr(formula, "part", None)])
    return any(_counts_tokens(part) for part in parts)


def _always_closes(formula: Formula) -> bool:
    """Tell whether every beginning leads to some text behind which nothing may follow.

    True where that takes too many states to find out.
    """
    dfa = compile_formula(formula).dfa()
    following: dict[int, list[int]] = {}
    todo = [dfa.start]
    while todo:
        state = todo.pop()
        if state in following:
            continue
        if len(following) == _MOST_STATES:
            return True
        following[state] = dfa.successors(state)
        todo += following[state]
    leading: dict[int, list[int]] = {state: [] for state in following}
    for state, targets in following.items():
        for target in targets:
            leading[target].append(state)
    closing: set[int] = set()
    todo = [state for state, targets in following.items() if not targets]
    while todo:
        state = todo.pop()
        if state not in closing:
            closing.add(state)
            todo += leading[state]
    return len(closing) == len(following)


def find_idle_conditions(program: Program) -> Iterator[Finding]:
    """Yield Q606 for conditions that every text satisfies."""
    for step in program.instructions:
        if not isinstance(step, Ask):
            continue
        for constraint in step.hole.constraints:
            if is_known(constraint, step.hole.name) and _is_idle(_bound(constraint, step.hole)):
                yield Finding(
                    "Q606",
                    "every text satisfies this condition",
                    program.source,
                    constraint.span,
                    label="it says nothing",
                    help="remove it, or say what was meant",
                    severity="warning",
                )


def _is_idle(formula: Formula) -> bool:
    if not _is_plain(formula):
        return False
    try:
        return compile_formula(~formula).is_empty()
    except GrammarError:
        return False


def _is_plain(formula: Formula) -> bool:
    """Tell whether a formula is made of patterns only, so that it can be negated."""
    if isinstance(formula, Not):
        return _is_plain(formula.part)
    parts = getattr(formula, "parts", None)
    if parts is not None:
        return all(_is_plain(part) for part in parts)
    return isinstance(formula, Matches)
