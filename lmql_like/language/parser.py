"""Text to nodes: the clauses by `query.lark`, the rest by Python's own parser."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import partial

from lark import Token, Tree, UnexpectedInput, UnexpectedToken

from lmql_like.errors import QueryError, did_you_mean
from lmql_like.language.clauses import Clauses, read_clauses
from lmql_like.language.definitions import DefinitionReader
from lmql_like.language.embedded import parse_body
from lmql_like.language.grammar_files import parse_terminals
from lmql_like.language.layout import lay_out
from lmql_like.language.lexemes import Kind, Lexeme
from lmql_like.language.lexer import Lexer
from lmql_like.language.lines import CLAUSE_WORDS, clause_words_bound, read_lines
from lmql_like.language.nodes import DistributionClause, Query, WhereClause
from lmql_like.language.statements import StatementReader
from lmql_like.source import Source, Span

__all__ = ["parse_query"]

_PROLOGUE = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
)


def parse_query(source: Source, bound: frozenset[str] = frozenset()) -> Query:
    """Return the nodes of a program.

    Args:
        source: the program's text.
        bound: names that have a value before it begins; they are no decoder clauses.

    Raises:
        QueryError: Q0.. where the text cannot be read, Q3.. for decoder and clauses.
    """
    lexemes = list(Lexer(source))
    names = bound | clause_words_bound(lexemes)
    lines = read_lines(lexemes, source, names)
    clauses = read_clauses(source, _parse_layout(source, lay_out(lines, source, names)))
    statements, prologue = _open_decoder(clauses, parse_body(source, clauses.python_text))
    strings = [lexeme for lexeme in lexemes if lexeme.kind is Kind.STRING]
    definitions = DefinitionReader(source, partial(parse_query, bound=bound))
    reader = StatementReader(source, strings, clauses.of_prompts, definitions)
    nodes = reader.read_block(statements)
    before = len(reader.read_block(statements[:prologue]))
    return Query(
        statements=nodes,
        prologue=before,
        decoder=clauses.decoder,
        model=clauses.model,
        where=tuple(c for c in clauses.where if isinstance(c, WhereClause)),
        source=source,
        distributions=tuple(c for c in clauses.where if isinstance(c, DistributionClause)),
    )


def _parse_layout(source: Source, terminals: object) -> Tree[Token]:
    """Return lark's tree of a program; blame what stands behind a prompt string."""
    try:
        return parse_terminals("query.lark", terminals)  # type: ignore[arg-type]
    except UnexpectedInput as error:
        found: Lexeme | None = None
        if isinstance(error, UnexpectedToken):
            found = getattr(error.token, "value", None)
        if not isinstance(found, Lexeme):
            end = Span(len(source.text), len(source.text))
            found = Lexeme(Kind.DEDENT, "", end)
        raise QueryError(
            "Q006",
            f"{found.described} stands behind a complete statement"
            if found.text.strip()
            else f"{found.described} is not expected here",
            source=source,
            span=found.span,
            label="expected 'where', or the end of the line",
            help=_hint(source, found),
        ) from None


def _hint(source: Source, found: Lexeme) -> str:
    if source.text[found.span.start - 1 : found.span.start] in ("'", '"'):
        return "inside a prompt string, write the other kind of quote"
    return did_you_mean(found.text.lower(), CLAUSE_WORDS)


def _open_decoder(clauses: Clauses, statements: Sequence[ast.stmt]) -> tuple[list[ast.stmt], int]:
    """Return the program's statements, the decoder's body in place, and the prologue's length."""
    if clauses.decoder is None:
        count = 0
        while count < len(statements) and isinstance(statements[count], _PROLOGUE):
            count += 1
        return list(statements), count
    source = clauses.source
    line = source.position(clauses.decoder.span.start)[0]
    at = [i for i, stmt in enumerate(statements) if stmt.lineno == line]
    prologue = at[0] if at else sum(stmt.lineno < line for stmt in statements)
    before, after = list(statements[:prologue]), list(statements[prologue:])
    if clauses.has_block and after and isinstance(after[0], ast.If):
        body, behind = after[0].body, after[1:]
        for stmt in behind:
            _blame_behind(clauses, stmt)
        return before + body, prologue
    body = after[1:] if at else after
    if not body:
        raise QueryError(
            "Q307",
            f"the decoder '{clauses.decoder.name}' has no body",
            source=source,
            span=clauses.decoder.span,
            help="write the program below it, indented",
        )
    return before + body, prologue


def _blame_behind(clauses: Clauses, stmt: ast.stmt) -> None:
    start = clauses.source.offset(stmt.lineno, stmt.col_offset + 1)
    raise QueryError(
        "Q307",
        "a statement behind the decoder's body",
        source=clauses.source,
        span=Span(start, start + 1),
        label="only 'from' and 'where' may follow",
        help="indent it like the body, if it belongs to the program",
    )
