"""Values that nothing reads, and names that hide others."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from lmql_like.grammars.lint.findings import Finding
from lmql_like.language.names import collect_names
from lmql_like.language.nodes import For, Hole, Prompt, Python, Query, Statement, While
from lmql_like.language.operators import OPERATORS, UNITS
from lmql_like.language.program import Program
from lmql_like.language.scopes import blocks_of, prompts_of, statements_in
from lmql_like.source import Span

__all__ = ["find_hidden_names", "find_unread_values"]

# What may read any name without naming it.
_READERS = frozenset(("locals", "globals", "vars", "eval", "exec", "dir"))


def find_unread_values(query: Query, program: Program) -> Iterator[Finding]:
    """Yield Q601, Q602 and Q607 for values of holes and arguments that nothing reads.

    A name that begins with `_` says that this is meant.
    """
    read = {name for part in (*query.statements, *_clauses(query)) for name in _read_in(part)}
    if read & _READERS:
        return
    yield from _unread_arguments(query, program, read)
    yield from _overwritten(query, query.statements)
    for loop in statements_in(query.statements):
        if isinstance(loop, While | For):
            for prompt in prompts_of(loop.body):
                yield from (_lost(query, h) for h in prompt.holes if _counts(h.name, read))


def _clauses(query: Query) -> tuple[Any, ...]:
    return (*query.where, *query.distributions)


def _counts(name: str, read: set[str]) -> bool:
    return name not in read and not name.startswith("_")


def _lost(query: Query, hole: Hole) -> Finding:
    return Finding(
        "Q601",
        f"the value of '{hole.name}' is never used",
        query.source,
        hole.span,
        label="each round of the loop overwrites it",
        help=f"collect it, as in values.append({hole.name}), or call it _{hole.name}",
        severity="note",
    )


def _unread_arguments(query: Query, program: Program, read: set[str]) -> Iterator[Finding]:
    for name, span in _declared(query, program):
        if _counts(name, read):
            yield Finding(
                "Q607",
                f"the argument '{name}' is never used",
                query.source,
                span,
                label="every caller has to give it",
                help=f"remove it, or call it _{name}",
                severity="warning",
            )


def _declared(query: Query, program: Program) -> Iterator[tuple[str, Span]]:
    """Yield the arguments that a file declares at its top, and the places of their names."""
    names = {parameter.name for parameter in program.parameters}
    for statement in query.statements[: query.prologue]:
        tree = statement.tree if isinstance(statement, Python) else None
        if isinstance(tree, ast.AnnAssign) and isinstance(tree.target, ast.Name):
            start = statement.span.start
            if tree.target.id in names:
                yield tree.target.id, Span(start, start + len(tree.target.id))


# Reading


def _read_in(node: Any) -> set[str]:
    """Return the names that a node may read, functions inside it included.

    That a condition is about a hole does not read it, unless it is about others too.
    """
    if isinstance(node, ast.AST):
        return {
            inner.id
            for inner in ast.walk(node)
            if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Store)
        } | {t.target.id for t in ast.walk(node) if _reads_target(t)}  # type: ignore[attr-defined]
    if isinstance(node, Prompt):
        own = {hole.name for hole in node.holes}
        return _read_in(node.parts).union(*(_read_by(clause, own) for clause in _said(node)))
    if isinstance(node, list | tuple):
        return set().union(*map(_read_in, node))
    if is_dataclass(node) and not isinstance(node, type):
        return set().union(*(_read_in(getattr(node, f.name)) for f in fields(node)))
    return set()


def _reads_target(node: ast.AST) -> bool:
    return isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)


def _said(prompt: Prompt) -> Iterator[Any]:
    """Yield the clauses behind a prompt string."""
    for field in fields(prompt):
        if field.name not in ("parts", "span"):
            yield from getattr(prompt, field.name)


def _read_by(clause: Any, own: set[str]) -> set[str]:
    """Return what a clause reads, holes that it is about alone left out."""
    found: set[str] = set()
    for part in _conjuncts(getattr(clause, "condition", None) or getattr(clause, "values", None)):
        names = _read_in(part)
        about = names & own
        found |= names - about if len(about) == 1 else names
    return found


def _conjuncts(tree: ast.expr | None) -> Iterator[ast.expr]:
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        for value in tree.values:
            yield from _conjuncts(value)
    elif tree is not None:
        yield tree


# Overwriting


def _overwritten(query: Query, statements: Sequence[Statement]) -> Iterator[Finding]:
    """Yield Q602 where a hole is filled twice in a row of statements and not read between."""
    filled: dict[str, Hole] = {}
    for statement in statements:
        blocks = list(blocks_of(statement))
        for block in blocks:
            yield from _overwritten(query, block)
        if isinstance(statement, Prompt):
            yield from _overwritten_in(query, statement, filled)
            continue
        known = _read_in(statement) | {
            hole.name for block in blocks for prompt in prompts_of(block) for hole in prompt.holes
        }
        for name in known.intersection(filled):
            del filled[name]


def _overwritten_in(query: Query, prompt: Prompt, filled: dict[str, Hole]) -> Iterator[Finding]:
    own = {hole.name for hole in prompt.holes}
    by_clauses: set[str] = set().union(*(_read_by(clause, own) for clause in _said(prompt)))
    for part in prompt.parts:
        for name in (_read_in(part) | by_clauses).intersection(filled):
            del filled[name]
        if not isinstance(part, Hole):
            continue
        first = filled.get(part.name)
        if first is not None and not part.name.startswith("_"):
            line = query.source.position(part.span.start)[0]
            yield Finding(
                "Q602",
                f"the value of '{part.name}' is overwritten before it is used",
                query.source,
                first.span,
                label=f"filled again on line {line}",
                help="give one of the two holes another name",
                severity="warning",
            )
        filled[part.name] = part


# Hiding


def find_hidden_names(query: Query, program: Program) -> Iterator[Finding]:
    """Yield Q603 for holes, variables and arguments that hide what has their name."""
    arguments = {parameter.name for parameter in program.parameters}
    defined = _defined(query.statements)
    for prompt in prompts_of(query.statements):
        for hole in prompt.holes:
            what = _hidden(hole.name, arguments, defined)
            if what:
                yield _hides(query, hole.name, "hole", what, hole.name_span)
    for name, span in (*_bound(query), *_declared(query, program)):
        if name in OPERATORS or name in UNITS:
            yield _hides(query, name, "name", "an operator of conditions", span)
        elif name in ("len", "type"):
            yield _hides(query, name, "name", "what conditions call by this name", span)


def _hidden(name: str, arguments: set[str], defined: set[str]) -> str:
    if name in arguments:
        return "an argument"
    if name in defined:
        return "a function, class or module"
    if name in OPERATORS or name in UNITS:
        return "an operator of conditions"
    return "a built-in name" if hasattr(builtins, name) else ""


def _hides(query: Query, name: str, kind: str, what: str, span: Span) -> Finding:
    return Finding(
        "Q603",
        f"the {kind} '{name}' hides {what}",
        query.source,
        span,
        label="from here on the name means this",
        help="give it another name",
        severity="warning",
    )


def _defined(statements: Iterable[Statement]) -> set[str]:
    """Return the names of functions, classes and modules of a program."""
    names: set[str] = set()
    for statement in statements_in(statements):
        tree = statement.tree if isinstance(statement, Python) else None
        if isinstance(
            tree,
            ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom,
        ):
            names |= collect_names([tree]).bound
    return names


def _bound(query: Query) -> Iterator[tuple[str, Span]]:
    """Yield the names that plain statements bind, with the statements' places."""
    for statement in statements_in(query.statements):
        if isinstance(statement, Python):
            for name in collect_names([statement.tree]).bound:
                yield name, statement.span
