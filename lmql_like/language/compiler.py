"""The pipeline from text to program, one pass after the other."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from dataclasses import replace

from lmql_like.errors import QueryError, did_you_mean
from lmql_like.language.code import Code
from lmql_like.language.conditions import ConditionReader
from lmql_like.language.constraints import Constraint, Given
from lmql_like.language.custom import Applied
from lmql_like.language.decoders import DECODERS
from lmql_like.language.embedded import span_of
from lmql_like.language.holecalls import resolve_hole_calls
from lmql_like.language.known_types import KnownTypes, import_hint
from lmql_like.language.libraries import LibraryReader
from lmql_like.language.lowering import lower
from lmql_like.language.names import is_built_in, parameters_of, reads
from lmql_like.language.nodes import LibraryImport, Query, QueryDefinition
from lmql_like.language.parameters import Parameter, split_declarations
from lmql_like.language.parser import parse_query
from lmql_like.language.program import HoleCall, Program
from lmql_like.language.satisfiability import check_satisfiable
from lmql_like.language.scopes import (
    Scopes,
    Use,
    names_bound_by,
    resolve_scopes,
    statements_in,
)
from lmql_like.language.typed_operands import check_typed_operands
from lmql_like.source import Source, Span

__all__ = ["compile_nodes", "compile_query"]


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
            given the values. A mapping gives them here too, to check types by.

    Raises:
        QueryError: Q0 to Q3, at a place in the text.
        GrammarError: for a pattern that is none, outside the dialect or over a limit.
    """
    source = Source(text, name, first_line)
    outside = frozenset(scope) | {parameter.name for parameter in parameters or ()}
    return compile_nodes(parse_query(source, outside), parameters, scope)


def compile_nodes(
    query: Query, parameters: Sequence[Parameter] | None = None, scope: Collection[str] = ()
) -> Program:
    """Compile the nodes of a query; arguments and errors as of `compile_query`."""
    source = query.source
    outside = frozenset(scope) | {parameter.name for parameter in parameters or ()}
    query, declared = _declare(query, parameters)
    compiled, free, known = _compile(query, declared, outside, scope)
    if parameters is not None and free:
        raise _unknown_name(source, free[0], known)
    return replace(compiled, parameters=(*declared, *(Parameter(name) for name in _in_order(free))))


def _compile(
    query: Query,
    parameters: Sequence[Parameter],
    outside: frozenset[str],
    around: Collection[str] = (),
    outer: KnownTypes | None = None,
) -> tuple[Program, list[Use], frozenset[str]]:
    """Return a program, the free names that no parameter gives, and all names it knows.

    Args:
        query: the program, declarations left out.
        parameters: those it declares.
        outside: names that have a value in the scope around it.
        around: those of them whose values may be known.
        outer: the types of the program that defines it.
    """
    source = query.source
    given = outside | {parameter.name for parameter in parameters}
    scopes = resolve_scopes(query, given)
    if scopes.types:
        raise _unknown_name(source, scopes.types[0], scopes.known | given)
    types = KnownTypes(query, around, outer)
    reader = ConditionReader(source, scopes.holes, scopes.known | given, types)
    hole_calls = resolve_hole_calls(query, reader, scopes.assigned)
    check_typed_operands(hole_calls.values(), scopes.assigned, source)
    operands = [name for call in hole_calls.values() for name in _names_in(call)]
    free = _free_names(scopes, operands, source, given)
    definitions, inner_free = _compile_definitions(query, scopes.known | given, types)
    free += [use for use in inner_free if use.name not in scopes.known | given]
    check_satisfiable(hole_calls.values(), source)
    instructions, handlers, prologue = lower(query, hole_calls, definitions)
    read = scopes.outer | {name.id for name in operands}
    read |= {name for inner in definitions.values() for name in inner.captured}
    own = {parameter.name for parameter in parameters}
    compiled = Program(
        instructions=instructions,
        handlers=handlers,
        parameters=tuple(parameters),
        captured=tuple(sorted(read & (outside - own))),
        holes=tuple(scopes.holes),
        decoder=query.decoder,
        model=query.model.name if query.model else None,
        source=source,
        prologue=prologue,
        defined=names_bound_by(query.statements[: query.prologue]),
    )
    return compiled, free, scopes.bound | given


def _compile_definitions(
    query: Query, known: frozenset[str], types: KnownTypes
) -> tuple[dict[Span, Program], list[Use]]:
    """Return the queries that a program defines or imports, and the free names of the former.

    A free name of a query is the program's, which may have it from its caller.
    """
    programs: dict[Span, Program] = {}
    free: list[Use] = []
    libraries = LibraryReader(lambda text, name: compile_query(text, name=name))
    for statement in statements_in(query.statements):
        if isinstance(statement, LibraryImport):
            programs[statement.span] = libraries.read(statement, query.source)
        if not isinstance(statement, QueryDefinition):
            continue
        names = parameters_of(statement.signature)
        inner, unbound, _ = _compile(
            statement.body,
            [Parameter(name) for name in names],
            known - frozenset(names),
            outer=types,
        )
        captured = {*inner.captured, *(use.name for use in unbound)}
        programs[statement.span] = replace(inner, captured=tuple(sorted(captured)))
        free += unbound
    return programs, free


def _declare(query: Query, parameters: Sequence[Parameter] | None) -> tuple[Query, list[Parameter]]:
    """Return the query without its declarations, and the parameters that are known."""
    if parameters is not None:
        return query, list(parameters)
    declared, others = split_declarations(query)
    left = query.prologue - len(declared)
    return replace(query, statements=tuple(others), prologue=left), declared


def _in_order(uses: Sequence[Use]) -> list[str]:
    return list(dict.fromkeys(use.name for use in sorted(uses, key=lambda use: use.span.start)))


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
    if isinstance(constraint, Applied):
        return [constraint.call]
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
        help=import_hint(use.name) or did_you_mean(use.name, set(known) - {use.name}),
    )
