"""What may be a mistake in a query that can be run: `lmql-like check`.

    findings_names    values that nothing reads, names that hide others
    findings_holes    holes that do not end, conditions that say nothing
    findings_flow     statements that are never reached

A finding is a warning where it is hardly ever meant, a note where it may well be.
"""

from __future__ import annotations

from collections.abc import Iterator

from lmql_like.grammars.lint.findings import Finding
from lmql_like.language.compiler import compile_query
from lmql_like.language.findings_flow import find_unreachable
from lmql_like.language.findings_holes import find_idle_conditions, find_open_holes
from lmql_like.language.findings_names import find_hidden_names, find_unread_values
from lmql_like.language.nodes import Query, QueryDefinition
from lmql_like.language.parser import parse_query
from lmql_like.language.program import Define, Program
from lmql_like.language.scopes import statements_in
from lmql_like.source import Source

__all__ = ["check_query"]


def check_query(text: str, *, name: str = "<query>") -> tuple[Program, list[Finding]]:
    """Compile a query and look for mistakes in it.

    Returns:
        The program, and the findings in the order of the text.

    Raises:
        QueryError: what keeps the query from being run, as `compile_query`.
        GrammarError: likewise.
    """
    program = compile_query(text, name=name)
    found = _findings(parse_query(Source(text, name)), program, is_nested=False)
    unique = {(f.code, f.span): f for f in found}
    return program, sorted(unique.values(), key=lambda f: (f.span.start if f.span else 0, f.code))


def _findings(query: Query, program: Program, *, is_nested: bool) -> Iterator[Finding]:
    """Yield what is found in a program and in the queries that it defines."""
    yield from find_unread_values(query, program)
    yield from find_hidden_names(query, program)
    yield from find_open_holes(program, is_nested=is_nested)
    yield from find_idle_conditions(program)
    yield from find_unreachable(query)
    inner = {step.span: step.program for step in program.instructions if isinstance(step, Define)}
    for statement in statements_in(query.statements):
        if isinstance(statement, QueryDefinition) and statement.span in inner:
            yield from _findings(statement.body, inner[statement.span], is_nested=True)
