"""Statements that are never reached."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from lmql_like.grammars.lint.findings import Finding
from lmql_like.language.nodes import If, Jump, Python, Query, Return, Statement
from lmql_like.language.scopes import blocks_of

__all__ = ["find_unreachable"]


def find_unreachable(query: Query) -> Iterator[Finding]:
    """Yield Q605 for the first statement behind one that always leaves its block."""
    yield from _in_block(query, query.statements)


def _in_block(query: Query, statements: Sequence[Statement]) -> Iterator[Finding]:
    for i, statement in enumerate(statements):
        for block in blocks_of(statement):
            yield from _in_block(query, block)
        word = _leaves(statement)
        if word and i + 1 < len(statements):
            line = query.source.position(statement.span.start)[0]
            yield Finding(
                "Q605",
                "this statement is never reached",
                query.source,
                statements[i + 1].span,
                label=f"the {word} of line {line} leaves the block before it",
                help="remove it, or put it in front",
                severity="warning",
            )
            return


def _leaves(statement: Statement) -> str:
    """Return the word with which a statement always leaves its block; "" if it may not."""
    if isinstance(statement, Return):
        return "'return'"
    if isinstance(statement, Jump):
        return f"'{statement.word}'"
    if isinstance(statement, Python) and isinstance(statement.tree, ast.Raise):
        return "'raise'"
    if isinstance(statement, If) and statement.body and statement.orelse:
        words = [_leaves(block[-1]) for block in (statement.body, statement.orelse)]
        return words[0] if all(words) else ""
    return ""
