"""The clauses of a query: which condition, model and decoder belongs where.

What is left when they are blanked is Python, line by line and column by column where
it was.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lark import Token, Tree

from lmql_like.errors import QueryError
from lmql_like.language.decoders import DecoderClause, read_decoder_arguments
from lmql_like.language.embedded import parse_expression, span_of
from lmql_like.language.lexemes import Kind, Lexeme, keyword
from lmql_like.language.nodes import DistributionClause, ModelClause, WhereClause
from lmql_like.source import Source, Span

__all__ = ["Clauses", "read_clauses"]

_CONDITION_WORDS = ("and", "or", "not", "in", "is")
_EXPECTED = {
    "where": "a condition",
    "from": "a model's name",
    "distribution": "a hole and its values: X in [...]",
}


@dataclass
class Clauses:
    """Everything of a program that is no Python, and the Python that is left.

    Attributes:
        source: the program.
        of_prompts: the `where` and `distribution` clauses behind each prompt string, by
            the offset of its first literal.
        where: the `where` and `distribution` clauses of the whole program.
        model: the `from` clause.
        decoder: the decoder clause.
        has_block: whether the decoder clause is followed by an indented body.
    """

    source: Source
    of_prompts: dict[int, list[WhereClause | DistributionClause]] = field(default_factory=dict)
    where: list[WhereClause | DistributionClause] = field(default_factory=list)
    model: ModelClause | None = None
    decoder: DecoderClause | None = None
    has_block: bool = False
    _blanks: list[tuple[Span, str]] = field(default_factory=list)

    @property
    def python_text(self) -> str:
        """The source's text with all clauses blanked; a decoder becomes a block's header."""
        chars = list(self.source.text)
        for span, header in self._blanks:
            for i in range(span.start, span.end):
                chars[i] = chars[i] if chars[i] == "\n" else " "
            # A header longer than a short decoder's name only lengthens its own line.
            width = min(len(header), span.end - span.start)
            chars[span.start : span.start + width] = [*header[: width - 1], header[width - 1 :]]
        return "".join(chars)

    def blank(self, span: Span, header: str = "") -> None:
        """Leave these characters out of the Python text; put `header` in their place."""
        if header:
            self._blanks.append((span, header))
        else:
            self._blanks.append((span, " "))


def read_clauses(source: Source, tree: Tree[Token]) -> Clauses:
    """Return the clauses of a program from lark's tree of it.

    Raises:
        QueryError: Q018 and Q05x for clauses, Q30x for decoder and model.
    """
    clauses = Clauses(source)
    for marker in tree.children[:1]:
        if isinstance(marker, Token) and marker.type == "MARKER":
            clauses.blank(marker.value.span)
    _read_block(clauses, tree.children, at_top=True)
    return clauses


def _read_block(clauses: Clauses, children: Sequence[Tree[Token] | Token], *, at_top: bool) -> None:
    """Read the clauses of one block: of its prompt strings, and those on lines of their own."""
    for i, child in enumerate(children):
        if isinstance(child, Token):
            continue
        if child.data == "block":
            _read_block(clauses, child.children, at_top=False)
        elif child.data == "decoder":
            _read_decoder(clauses, child)
        elif child.data == "prompt":
            _attach(clauses, child, child.find_data("clause"))
        elif child.data == "clauses":
            is_last = all(_is_clauses(other) for other in children[i:])
            before = children[i - 2] if i >= 2 else None
            if at_top and is_last:
                _attach(clauses, None, child.find_data("clause"))
            elif isinstance(before, Tree) and before.data == "prompt":
                _attach(clauses, before, child.find_data("clause"))
            else:
                _blame_place(clauses.source, child)


def _is_clauses(child: Tree[Token] | Token) -> bool:
    return isinstance(child, Tree) and child.data == "clauses"


def _attach(clauses: Clauses, prompt: Tree[Token] | None, trees: Iterable[Tree[Token]]) -> None:
    """Read clauses that stand behind a prompt string, or behind the whole program."""
    target = clauses.where
    if prompt is not None:
        literals = [token.value for token in prompt.children if isinstance(token, Token)]
        first = next(literal for literal in literals if literal.kind is Kind.STRING)
        target = clauses.of_prompts.setdefault(first.span.start, [])
    for tree in sorted(trees, key=lambda tree: _first_lexeme(tree).span.start):
        word = _first_lexeme(tree)
        if clauses.model is not None and word.is_word("where"):
            target = clauses.where  # behind `from` it is the whole program's
        _read_clause(clauses, tree, target)


def _first_lexeme(tree: Tree[Token]) -> Lexeme:
    lexeme: Lexeme = next(iter(tree.scan_values(lambda _: True))).value
    return lexeme


def _read_clause(
    clauses: Clauses, tree: Tree[Token], target: list[WhereClause | DistributionClause]
) -> None:
    word, *code = [token.value for token in tree.children if isinstance(token, Token)]
    source = clauses.source
    kind = keyword(word.text)
    if kind == "scoring":
        raise QueryError(
            "Q051",
            "there is no clause 'scoring'",
            source=source,
            span=word.span,
            help="call score([...]) in the program, or write `distribution X in [...]`",
        )
    if not code:
        raise QueryError(
            "Q018",
            f"nothing stands behind '{word.text}'",
            source=source,
            span=word.span,
            label=f"expected {_EXPECTED[kind]}",
        )
    span = Span(word.span.start, code[-1].span.end)
    inner = Span(word.span.end, span.end)
    value = parse_expression(source, inner, _lowered(source, inner, code))
    clauses.blank(span)
    if kind == "where":
        target.append(WhereClause(value, span))
        return
    if kind == "distribution":
        target.append(_read_distribution(source, value, span))
        return
    if clauses.model is not None:
        raise _repeated(source, word, "model")
    clauses.model = ModelClause(_read_model(source, value, inner), span)


def _lowered(source: Source, span: Span, code: Iterable[Lexeme]) -> str:
    """Return the code of a clause, its keywords in lower case."""
    chars = list(source.slice(span))
    for lexeme in code:
        if lexeme.is_word(*_CONDITION_WORDS):
            at = lexeme.span.start - span.start
            chars[at : at + len(lexeme.text)] = lexeme.text.lower()
    return "".join(chars)


def _read_distribution(source: Source, value: ast.expr, span: Span) -> DistributionClause:
    """Read `X in values`, where X may be `TOKENIZATIONS(X)`."""
    found = None
    if isinstance(value, ast.Compare) and len(value.ops) == 1 and isinstance(value.ops[0], ast.In):
        found = value.left
    is_call = isinstance(found, ast.Call)
    if isinstance(found, ast.Call) and _is_tokenizations(found):
        found = found.args[0]
    if not isinstance(value, ast.Compare) or not isinstance(found, ast.Name):
        raise QueryError(
            "Q056",
            "this is no hole and its values",
            source=source,
            span=span_of(source, value),
            label="expected X in [...], or TOKENIZATIONS(X) in [...]",
            help="other conditions go into a `where` in front of 'distribution'",
        )
    hole_span = span_of(source, found)
    return DistributionClause(found.id, value.comparators[0], is_call, hole_span, span)


def _is_tokenizations(call: ast.Call) -> bool:
    name = call.func.id.lower() if isinstance(call.func, ast.Name) else ""
    return name == "tokenizations" and len(call.args) == 1 and not call.keywords


def _read_model(source: Source, value: ast.expr, span: Span) -> str:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    raise QueryError(
        "Q306",
        "the model is not given by its name",
        source=source,
        span=span,
        label="expected a string",
        help='write the name or folder of a model, as in from "distilgpt2"',
    )


def _read_decoder(clauses: Clauses, tree: Tree[Token]) -> None:
    """Read the decoder clause, and the clauses of its body."""
    source = clauses.source
    word: Lexeme = _first_lexeme(tree)
    name = keyword(word.text)
    if clauses.decoder is not None:
        raise _repeated(source, word, "decoder")
    span, call = word.span, None
    for arguments in tree.find_data("arguments"):
        span = word.span.to(arguments.children[-1].value.span)  # type: ignore[union-attr]
        code = name + source.text[word.span.end : span.end]
        call = parse_expression(source, span, code)
    values = read_decoder_arguments(source, name, call if isinstance(call, ast.Call) else None)
    clauses.decoder = DecoderClause(name, values, span)
    body = tree.children[-1]
    if not isinstance(body, Tree):  # pragma: no cover - the grammar always makes a body
        return
    has_line = not isinstance(body.children[0], Token) or body.children[0].type != "NEWLINE"
    clauses.has_block = any(isinstance(c, Tree) and c.data == "block" for c in body.children)
    if has_line and clauses.has_block:
        raise QueryError(
            "Q307",
            "the body stands beside the decoder and below it",
            source=source,
            span=span,
            help="write the whole body below the decoder clause, indented",
        )
    clauses.blank(span, "1;" if has_line else "if 1:" if clauses.has_block else "")
    _read_block(clauses, body.children, at_top=False)


def _repeated(source: Source, word: Lexeme, what: str) -> QueryError:
    return QueryError(
        "Q305",
        f"a second {what} clause",
        source=source,
        span=word.span,
        label=f"a program has one {what}",
    )


def _blame_place(source: Source, tree: Tree[Token]) -> None:
    word = _first_lexeme(tree)
    raise QueryError(
        "Q307",
        f"'{word.text}' stands behind no prompt string and not at the end of the program",
        source=source,
        span=word.span,
        help="put it behind the prompt string it is about, or below the whole body",
    )
