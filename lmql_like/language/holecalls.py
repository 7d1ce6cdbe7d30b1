"""Holes and their constraints: what each occurrence of a hole has to satisfy."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from lmql_like.errors import QueryError, did_you_mean
from lmql_like.language.code import Code, invocation
from lmql_like.language.conditions import ConditionReader
from lmql_like.language.constraints import Constraint, Test
from lmql_like.language.nodes import (
    Annotation,
    DistributionClause,
    For,
    Hole,
    Prompt,
    Query,
    Text,
    While,
)
from lmql_like.language.operators import IsBoolean, IsDecimal, IsInteger
from lmql_like.language.program import Distributed, HoleCall
from lmql_like.language.scopes import prompts_of, statements_in
from lmql_like.language.typed import Typed
from lmql_like.source import Source, Span

__all__ = ["resolve_hole_calls"]

_VALUE_TYPES: dict[type[Constraint], str] = {
    IsInteger: "int",
    IsDecimal: "float",
    IsBoolean: "bool",
}


def resolve_hole_calls(
    query: Query, reader: ConditionReader, assigned: Collection[str]
) -> Mapping[Span, HoleCall]:
    """Return what every occurrence of a hole means, by its place.

    The program's own `where` is split at its top-level `and`; each part holds at every
    occurrence of the holes it names. The `where` of a prompt string holds in it, and for
    a later hole that it names.

    Args:
        query: the program.
        reader: reads its conditions.
        assigned: names that it binds by other statements than prompt strings.

    Raises:
        QueryError: Q2.. and Q104 for conditions.
    """
    everywhere = [part for clause in query.where for part in reader.read(clause.condition)]
    asked = _Distributions(query, reader)
    calls: dict[Span, HoleCall] = {}
    order: list[str] = []
    in_order = not any(isinstance(node, For | While) for node in statements_in(query.statements))
    for prompt in prompts_of(query.statements):
        here = _conjuncts(prompt, reader, query.source)
        asked.enter(prompt)
        order += [hole.name for hole in prompt.holes]
        for constraint in here if in_order else ():
            _check_order(constraint, order, assigned, query.source)
        for i, part in enumerate(prompt.parts):
            if isinstance(part, Hole):
                follow = _follow(prompt.parts[i + 1 :])
                call = _hole_call(part, [*here, *everywhere], follow, reader)
                decorators = tuple(Code.of(reader.source, tree) for tree in part.decorators)
                call = replace(call, decorators=decorators)
                calls[part.span] = _asked(call, asked.of(part.name), reader)
    for constraint in everywhere if in_order else ():
        _check_order(constraint, order, assigned, query.source)
    return calls


class _Distributions:
    """Which hole each `distribution` clause of a program is about.

    Args:
        query: the program; its own clauses hold at every occurrence of their holes.
        reader: reads the values.
    """

    def __init__(self, query: Query, reader: ConditionReader) -> None:
        self._reader = reader
        self._here: dict[str, Distributed] = {}
        self._everywhere = self._read(query.distributions, reader.holes)

    def enter(self, prompt: Prompt) -> None:
        """Go on to the next prompt string."""
        self._here = self._read(prompt.distributions, {hole.name for hole in prompt.holes})
        for clause in prompt.distributions:
            if clause.hole in self._everywhere:
                self._reader.refuse.distribution(
                    clause.span, f"a second distribution of the hole '{clause.hole}'"
                )

    def of(self, hole: str) -> Distributed | None:
        """Return the values that a hole of the current prompt string is asked for."""
        return self._here.get(hole) or self._everywhere.get(hole)

    def _read(
        self, clauses: Sequence[DistributionClause], holes: Collection[str]
    ) -> dict[str, Distributed]:
        found: dict[str, Distributed] = {}
        for clause in clauses:
            refuse = self._reader.refuse.distribution
            if clause.hole not in holes:
                hint = did_you_mean(clause.hole, holes)
                refuse(clause.hole_span, f"there is no hole '{clause.hole}' here", hint)
            if clause.hole in found:
                refuse(clause.span, f"a second distribution of the hole '{clause.hole}'")
            found[clause.hole] = self._reader.read_distribution(clause)
        return found


def _conjuncts(prompt: Prompt, reader: ConditionReader, source: Source) -> list[Constraint]:
    """Return the conjuncts behind a prompt string; raise for those that are not about it."""
    names = {hole.name for hole in prompt.holes}
    found: list[Constraint] = []
    for clause in prompt.where:
        if not names:
            raise QueryError(
                "Q206",
                "a where-clause behind a prompt string without a hole",
                source=source,
                span=Span(clause.span.start, clause.span.start + len("where")),
                label="nothing here is filled",
                help="put it behind the prompt string whose hole it is about",
            )
        for constraint in reader.read(clause.condition):
            if constraint.holes and not constraint.holes & names:
                raise _foreign(constraint, names, source)
            found.append(constraint)
    return found


def _foreign(constraint: Constraint, names: Iterable[str], source: Source) -> QueryError:
    other = min(constraint.holes)
    return QueryError(
        "Q207",
        f"this condition is about '{other}', which is no hole of the prompt string",
        source=source,
        span=constraint.span,
        label=f"expected a condition on {', '.join(sorted(names))}",
        help=f"put it behind the prompt string that fills '{other}', or below the program",
    )


def _hole_call(
    hole: Hole, conjuncts: Iterable[Constraint], follow: str, reader: ConditionReader
) -> HoleCall:
    constraints = [c for c in conjuncts if not c.holes or hole.name in c.holes]
    reader.check_grammars(constraints, hole.name)
    annotation = hole.annotation
    call = HoleCall(hole.name, "str", tuple(constraints), follow, hole.span)
    if annotation is not None and (annotation.call or annotation.kind) is not None:
        return _annotated(call, annotation, reader)
    typed = next((c for c in constraints if isinstance(c, Typed)), None)
    kind = next((_VALUE_TYPES[type(c)] for c in constraints if type(c) in _VALUE_TYPES), "")
    if annotation is not None:
        kind = annotation.type or kind
        constraints = [*reader.read_annotation(hole.name, annotation), *constraints]
    if kind or typed is None:
        return replace(call, type=kind or "str", constraints=tuple(constraints))
    return replace(call, type=typed.operand.text, constraints=tuple(constraints), typed=typed)


def _annotated(call: HoleCall, annotation: Annotation, reader: ConditionReader) -> HoleCall:
    """Return a hole with a type that is none of the four, or with a query, or with either.

    A name may be a type or a query; where that is not known yet, the hole has both.
    """
    types, kind, query = reader.types, annotation.kind, annotation.call
    typed = nested = None
    if kind is not None and not (types and types.is_query(kind)):
        typed = reader.read_type(call.name, kind, annotation.span)
    if query is not None and not (kind is not None and types and types.is_type(kind)):
        nested = invocation(reader.source, query)
    if nested is None and typed is not None:
        constraints = (typed, *call.constraints)
        return replace(call, type=typed.operand.text, constraints=constraints, typed=typed)
    if typed is None:
        for constraint in call.constraints:
            reader.check_whole(constraint, call.name)
    return replace(call, call=nested, typed=typed)


def _asked(call: HoleCall, asked: Distributed | None, reader: ConditionReader) -> HoleCall:
    """Return a hole with the values of a `distribution` clause about it."""
    if asked is not None and call.call is not None and call.typed is None:
        reader.refuse.distribution(asked.span, f"a query fills the hole '{call.name}'")
    return replace(call, distribution=asked)


def _follow(parts: Sequence[object]) -> str:
    """Return the literal text right behind a hole."""
    return parts[0].text if parts and isinstance(parts[0], Text) else ""


def _check_order(
    constraint: Constraint, order: Sequence[str], assigned: Collection[str], source: Source
) -> None:
    """Raise where an operand reads a hole that is only filled behind its subject.

    Args:
        constraint: a conjunct.
        order: the holes filled by the time its subjects are, in the order of the text.
        assigned: names that have a value for another reason.
        source: the program.
    """
    subjects = {test.subject for test in constraint.tests()}
    for test in constraint.tests():
        for read in sorted(test.reads - subjects - set(assigned)):
            last = max(i for i, name in enumerate(order) if name == test.subject)
            if read not in order[:last]:
                raise _unordered(test, read, source)


def _unordered(test: Test, read: str, source: Source) -> QueryError:
    return QueryError(
        "Q209",
        f"this condition on '{test.subject}' reads '{read}', which is filled later",
        source=source,
        span=test.operand.span,
        label=f"'{read}' has no value when '{test.subject}' begins",
        help=f"write the condition as one on '{read}'",
    )
