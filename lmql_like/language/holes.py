"""Holes: what stands between the brackets of `[NAME: annotation]`."""

from __future__ import annotations

import ast
import keyword as python
from collections.abc import Iterator

from lark import Token, Tree, UnexpectedInput

from lmql_like.errors import QueryError
from lmql_like.language.embedded import parse_expression
from lmql_like.language.grammar_files import parse_terminals
from lmql_like.language.layout import Terminal
from lmql_like.language.lexemes import Kind, Lexeme
from lmql_like.language.lexer import Lexer
from lmql_like.language.nodes import Annotation, Hole
from lmql_like.source import Source, Span

__all__ = ["HOLE_TYPES", "read_hole"]

HOLE_TYPES = ("str", "int", "float", "bool")

_TERMINALS = {":": "COLON", "@": "AT", ".": "DOT"} | dict.fromkeys("([{", "OPEN")
_TERMINALS |= dict.fromkeys(")]}", "CLOSE")


def read_hole(source: Source, whole: Span, inner: Span, code: str) -> Hole:
    """Return the hole between a pair of brackets.

    Args:
        source: the file.
        whole: the place of the hole, brackets included.
        inner: the place between the brackets.
        code: what stands there, of the same length.

    Raises:
        QueryError: Q012 where it is no hole; Q055 where its annotation is no type.
    """
    text = source.text[: inner.start] + code + source.text[inner.end :]
    try:
        lexemes = list(Lexer(source, inner, text))
        tree = parse_terminals("hole.lark", _terminals(lexemes))
    except (UnexpectedInput, QueryError):
        raise _no_hole(source, whole) from None
    decorators = tuple(
        _read_decorator(source, text, child)
        for child in tree.children
        if isinstance(child, Tree) and child.data == "decorator"
    )
    name = next(child.value for child in tree.children if isinstance(child, Token))
    if python.iskeyword(name.text):
        raise QueryError(
            "Q012",
            f"'{name.text}' is a word of Python, no name for a hole",
            source=source,
            span=name.span,
        )
    annotation = next(iter(tree.find_data("annotation")), None)
    if annotation is None:
        return Hole(name.text, None, name.span, whole, decorators)
    lexemes = [token.value for token in annotation.scan_values(lambda _: True)]
    span = lexemes[0].span.to(lexemes[-1].span)
    value = parse_expression(source, span, text[span.start : span.end])
    return Hole(name.text, _read_annotation(source, value, span), name.span, whole, decorators)


def _terminals(lexemes: list[Lexeme]) -> Iterator[Terminal]:
    for lexeme in lexemes:
        if lexeme.kind is Kind.NEWLINE:
            continue
        kind = "NAME" if lexeme.kind is Kind.NAME else "OTHER"
        if lexeme.kind is Kind.OPERATOR:
            kind = _TERMINALS.get(lexeme.text, "OTHER")
        yield Terminal(kind, lexeme)


def _read_annotation(source: Source, value: ast.expr, span: Span) -> Annotation:
    """Return what an annotation means: a type, a pattern or a nested query."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return Annotation(None, value.value, span)
    if isinstance(value, ast.Name) and value.id in HOLE_TYPES:
        return Annotation(value.id, None, span)
    if isinstance(value, ast.Call):
        return Annotation(None, None, span, value)
    if isinstance(value, ast.Name | ast.Attribute):
        return Annotation(None, None, span, value, value)
    if isinstance(value, ast.Subscript | ast.BinOp) or _is_none(value):
        return Annotation(None, None, span, kind=value)
    raise QueryError(
        "Q055",
        f"'{' '.join(source.slice(span).split())}' is no type of a hole",
        source=source,
        span=span,
        label="expected a type, a pattern or a query",
        help='write a type as in [X: list[int]], or a pattern as in [X: r"[0-9]{4}"]',
    )


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _no_hole(source: Source, whole: Span) -> QueryError:
    shown = source.slice(whole)
    return QueryError(
        "Q012",
        "what stands in these brackets is no hole",
        source=source,
        span=whole,
        label="expected a name, as in [ANSWER] or [ANSWER: int]",
        help=f"write [{shown}] for the characters" if "\n" not in shown else "double the brackets",
    )


def _read_decorator(source: Source, text: str, tree: Tree[Token]) -> ast.expr:
    """Return the expression behind an `@`."""
    at, *rest = [token.value for token in tree.scan_values(lambda _: True)]
    span = Span(at.span.end, rest[-1].span.end)
    return parse_expression(source, span, text[span.start : span.end])
