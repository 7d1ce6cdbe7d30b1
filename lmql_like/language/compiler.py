"""The pipeline from text to program, one pass after the other."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from dataclasses import replace

from lmql_like.errors import QueryError, did_you_mean
from lmql_like.language.code import Code
from lmql_like.language.conditions import ConditionReader
from lmql_like.language.constraints import Constraint, Given
from lmql_like.language.decoders import DECODERS
from lmql_like.language.embedded import span_of
from lmql_like.language.holecalls import resolve_hole_calls
from lmql_like.language.lowering import lower
from lmql_like.language.names import is_built_in, reads
from lmql_like.language.nodes import Query
from lmql_like.language.parameters import Parameter, split_declarations
from lmql_like.language.parser import parse_query
from lmql_like.language.program import HoleCall, Program
from lmql_like.language.satisfiability import check_satisfiable
from lmql_like.language.scopes import Scopes, Use, resolve_scopes
from lmql_like.language.typed_operands import check_typed_operands
from lmql_like.source import Source

__all__ = ["compile_query"]


def compile_query(
    text: str,
    *,
    name: str = "<query>",
    first_line: int = 1,
    parameters: Sequence[Parameter] | None = None,
    scope: Collection[str] = (),
) -> Program:
    """Compile the text of a query.

    Args:
        text: the query, in either syntax.
        name: what errors call it, such as its file.
        first_line: the number of its first line in that file.
        parameters: the arguments it takes; if not given, they are those it declares at
            its top and its free names.
        scope: names that have a value in the scope it was written in; the run time is
            given the values.

    Raises:
        QueryError: Q0 to Q3, at a place in the text.
        GrammarError: for a pattern that is none, outside the dialect or over a limit.
    """
    source = Source(text, name, first_line)
    outside = frozenset(scope) | {parameter.name for parameter in parameters or ()}
    query, declared = _declare(parse_query(source, outside), parameters)
    given = outside | {parameter.name for parameter in declared}
    scopes = resolve_scopes(query, given)
    reader = ConditionReader(source, scopes.holes, scopes.known | given)
    hole_calls = resolve_hole_calls(query, reader, scopes.assigned)
    check_typed_operands(hole_calls.values(), scopes.assigned, source)
    operands = [name for call in hole_calls.values() for name in _names_in(call)]
    free = _free_names(scopes, operands, source, given)
    if parameters is not None and free:
        raise _unknown_name(source, free[0], scopes.bound | given)
    check_satisfiable(hole_calls.values(), source)
    instructions, handlers = lower(query.statements, hole_calls, source)
    return Program(
        instructions=instructions,
        handlers=handlers,
        parameters=(*declared, *(Parameter(name) for name in _in_order(free))),
        captured=_captured(scopes, operands, frozenset(scope) - {p.name for p in declared}),
        holes=tuple(scopes.holes),
        decoder=query.decoder,
        model=query.model.name if query.model else None,
        source=source,
    )


def _declare(query: Query, parameters: Sequence[Parameter] | None) -> tuple[Query, list[Parameter]]:
    """Return the query without its declarations, and the parameters that are known."""
    if parameters is not None:
        return query, list(parameters)
    declared, others = split_declarations(query)
    return replace(query, statements=tuple(others)), declared


def _in_order(uses: Sequence[Use]) -> list[str]:
    return list(dict.fromkeys(use.name for use in sorted(uses, key=lambda use: use.span.start)))


def _captured(
    scopes: Scopes, operands: Sequence[ast.Name], scope: frozenset[str]
) -> tuple[str, ...]:
    """Return the names of the outer scope that the program reads."""
    read = scopes.outer | {name.id for name in operands}
    return tuple(sorted(read & scope))


def _free_names(
    scopes: Scopes, operands: Sequence[ast.Name], source: Source, given: Collection[str]
) -> list[Use]:
    """Return the free names, those that only operands of constraints read included."""
    known = scopes.known | frozenset(given)
    free = list(scopes.free)
    free += [
        Use(node.id, span_of(source, node))
        for node in operands
        if node.id not in known and not is_built_in(node)
    ]
    for use in free:
        _check_decoder(use, source)
    return free


def _names_in(call: HoleCall) -> list[ast.Name]:
    """Return the names that the constraints of a hole read."""
    codes = [code for constraint in call.constraints for code in _operands(constraint)]
    if call.distribution is not None:
        codes.append(call.distribution.values.operand)
    return [name for code in codes for name in reads(code.tree)]


def _operands(constraint: Constraint) -> list[Code]:
    if isinstance(constraint, Given):
        return [constraint.condition]
    inner = [code for part in constraint.parts for code in _operands(part)]
    return inner if constraint.parts else [test.operand for test in constraint.tests()]


def _check_decoder(use: Use, source: Source) -> None:
    """Raise where a free name is a decoder clause at a place where none can be."""
    if use.name in DECODERS:
        raise QueryError(
            "Q307",
            f"the decoder clause '{use.name}' is not at the beginning",
            source=source,
            span=use.span,
            label="read as a variable here, and it has no value",
            help="put it before the first prompt string, or give the variable a value",
        )


def _unknown_name(source: Source, use: Use, known: Collection[str]) -> QueryError:
    return QueryError(
        "Q102",
        f"the name '{use.name}' has no value",
        source=source,
        span=use.span,
        label="no argument, variable or hole has this name",
        help=did_you_mean(use.name, known),
    )
