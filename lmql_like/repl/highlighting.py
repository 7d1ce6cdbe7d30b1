"""Colours for queries while they are typed: from the lexemes, as far as they can be read."""

from __future__ import annotations

import keyword as python
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import Lexer as PromptLexer

from lmql_like.errors import QueryError
from lmql_like.language.decoders import DECODERS
from lmql_like.language.lexemes import Kind, Lexeme, keyword
from lmql_like.language.lexer import Lexer
from lmql_like.language.lines import CLAUSE_WORDS
from lmql_like.language.nodes import Hole, Role, Text
from lmql_like.language.operators import OPERATOR_NAMES, UNITS
from lmql_like.language.templates import read_template
from lmql_like.source import Source

__all__ = ["STYLES", "Highlighter", "Stretch", "highlight"]

STYLES = {
    "command": "bold ansimagenta",
    "comment": "ansibrightblack italic",
    "keyword": "ansiblue",
    "clause": "bold ansiblue",
    "decoder": "bold ansimagenta",
    "operator": "ansiyellow",
    "number": "ansimagenta",
    "string": "ansigreen",
    "prompt": "ansigreen",
    "hole": "bold ansicyan",
    "interpolation": "ansiyellow",
}


@dataclass(frozen=True)
class Stretch:
    """Characters of one colour: a key of `STYLES`, from `start` up to `end`."""

    start: int
    end: int
    style: str


def highlight(text: str) -> list[Stretch]:
    """Return the coloured stretches of a query, in order; what cannot be read has none."""
    if text.startswith(":"):
        return [Stretch(0, len(text.split(maxsplit=1)[0]), "command")]
    source = Source(text)
    found: list[Stretch] = []
    at, before = 0, None
    for lexeme in _readable(source):
        found += _comments(text, at, lexeme.span.start)
        found += _of_lexeme(source, lexeme, begins=_begins_statement(before))
        at, before = lexeme.span.end, lexeme
    return found + _rest(text, at)


def _readable(source: Source) -> Iterator[Lexeme]:
    """Yield lexemes up to where the text cannot be read."""
    try:
        yield from Lexer(source)
    except QueryError:
        return


def _begins_statement(before: Lexeme | None) -> bool:
    return before is None or before.kind is Kind.NEWLINE or before.is_operator(";", ":")


def _comments(text: str, start: int, end: int) -> Iterator[Stretch]:
    at = text.find("#", start, end)
    while at >= 0:
        line_end = text.find("\n", at, end)
        line_end = end if line_end < 0 else line_end
        yield Stretch(at, line_end, "comment")
        at = text.find("#", line_end, end)


def _rest(text: str, at: int) -> list[Stretch]:
    """Colour what no lexeme covers: a string that is still open, or a comment."""
    stripped = text[at:].lstrip()
    start = len(text) - len(stripped)
    if stripped.lstrip("rRbBuUfF")[:1] in ("'", '"'):
        return [Stretch(start, len(text), "string")]
    return list(_comments(text, at, len(text)))


def _of_lexeme(source: Source, lexeme: Lexeme, *, begins: bool) -> Iterator[Stretch]:
    span = lexeme.span
    if lexeme.kind is Kind.STRING:
        yield from _of_string(source, lexeme, is_prompt=begins)
    elif lexeme.kind is Kind.NUMBER:
        yield Stretch(span.start, span.end, "number")
    elif lexeme.kind is Kind.NAME:
        word = lexeme.text
        style = None
        if begins and keyword(word) in DECODERS:
            style = "decoder"
        elif keyword(word) in CLAUSE_WORDS:
            style = "clause"
        elif python.iskeyword(keyword(word)):
            style = "keyword"
        elif word in OPERATOR_NAMES or word in UNITS:
            style = "operator"
        if style:
            yield Stretch(span.start, span.end, style)


def _of_string(source: Source, lexeme: Lexeme, *, is_prompt: bool) -> Iterator[Stretch]:
    """Colour a string; in a prompt string also its holes and interpolations."""
    at, end = lexeme.span.start, lexeme.span.end
    if not is_prompt:
        yield Stretch(at, end, "string")
        return
    try:
        parts = read_template(source, [lexeme])
    except QueryError:
        parts = ()
    for part in parts:
        if isinstance(part, Text):
            continue
        yield Stretch(at, part.span.start, "prompt")
        styles = {Hole: "hole", Role: "clause"}
        style = styles.get(type(part), "interpolation")
        yield Stretch(part.span.start, part.span.end, style)
        at = part.span.end
    yield Stretch(at, end, "prompt")


class Highlighter(PromptLexer):
    """The colours as prompt_toolkit asks for them, line by line."""

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        """Return a function from a line's number to its pieces with their styles."""
        text = document.text
        styles = [""] * len(text)
        for stretch in highlight(text):
            width = stretch.end - stretch.start
            styles[stretch.start : stretch.end] = [f"class:{stretch.style}"] * width
        lines: list[StyleAndTextTuples] = []
        at = 0
        for line in text.split("\n"):
            pairs = zip(styles[at : at + len(line)], line, strict=True)
            lines.append([(style, char) for style, char in pairs])
            at += len(line) + 1
        return lambda number: lines[number] if number < len(lines) else []
