"""Text to lexemes: Python's own lexical rules, with a place for every symbol.

The lexer drops comments and white space, joins lines inside brackets and behind a
backslash, and leaves indentation to `layout`, which knows where clauses go on.
A string literal is one lexeme, prefix and quotes included; in an f-string, strings
nested inside braces belong to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lmql_like.errors import QueryError
from lmql_like.language.lexemes import Kind, Lexeme
from lmql_like.source import Source, Span

__all__ = ["NAME", "NUMBER", "OPERATOR", "Lexer", "end_of_string"]

_BLANK = re.compile(r"(?:[ \t\f\r]|\\\r?\n|#[^\n]*)+")
_STRING_START = re.compile(r"(?i:\b(?:[rbu]|br|rb|f|fr|rf))?('''|\"\"\"|'|\")")
NUMBER = re.compile(
    r"(?i:0x[0-9a-f_]+|0o[0-7_]+|0b[01_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:e[+-]?\d[\d_]*)?j?)"
)
NAME = re.compile(r"[^\W\d]\w*")
OPERATOR = re.compile(
    r"\*\*=|//=|>>=|<<=|\.\.\.|!=|->|:=|==|<=|>=|\*\*|//|>>|<<|[-+*/%@&|^]=|[-+*/%@&|^~<>=.,:;()\[\]{}]"
)
_PAIRS = {")": "(", "]": "[", "}": "{"}


class Lexer:
    """Reads the lexemes of one stretch of a source.

    Args:
        source: the whole text, for errors.
        span: the stretch to read; the whole text if not given.
        text: the same characters as `source.text`, with some of them replaced.
    """

    def __init__(self, source: Source, span: Span | None = None, text: str | None = None) -> None:
        self.source = source
        self.text = source.text if text is None else text
        self.span = span or Span(0, len(self.text))
        self._open: list[Lexeme] = []

    def __iter__(self) -> Iterator[Lexeme]:
        """Yield the lexemes; a NEWLINE ends every logical line that is not empty."""
        offset, seen = self.span.start, False
        while True:
            if blank := _BLANK.match(self.text, offset, self.span.end):
                offset = blank.end()
            if offset >= self.span.end:
                break
            if self.text[offset] == "\n":
                if seen and not self._open:
                    yield Lexeme(Kind.NEWLINE, "\n", Span(offset, offset + 1))
                    seen = False
                offset += 1
                continue
            lexeme = self._lexeme(offset)
            self._match_brackets(lexeme)
            yield lexeme
            seen, offset = True, lexeme.span.end
        if self._open:
            self._blame_open_bracket()
        if seen:
            yield Lexeme(Kind.NEWLINE, "", Span(self.span.end, self.span.end))

    def _lexeme(self, offset: int) -> Lexeme:
        """Return the lexeme that begins at `offset`."""
        if start := _STRING_START.match(self.text, offset, self.span.end):
            end = end_of_string(self.text, start, self.span.end)
            if end is None:
                self._blame_open_string(start)
            return self._cut(Kind.STRING, offset, end or offset)
        for kind, pattern in (
            (Kind.NAME, NAME),
            (Kind.NUMBER, NUMBER),
            (Kind.OPERATOR, OPERATOR),
        ):
            if found := pattern.match(self.text, offset, self.span.end):
                return self._cut(kind, offset, found.end())
        char = self.text[offset]
        raise QueryError(
            "Q003",
            f"'{char}' means nothing here",
            source=self.source,
            span=Span(offset, offset + 1),
            label="a character that no statement contains",
            help="put it into a string if it is prompt text",
        )

    def _cut(self, kind: Kind, start: int, end: int) -> Lexeme:
        return Lexeme(kind, self.text[start:end], Span(start, end))

    def _match_brackets(self, lexeme: Lexeme) -> None:
        """Keep the stack of open brackets; raise where one closes another's."""
        if lexeme.is_operator("(", "[", "{"):
            self._open.append(lexeme)
        elif lexeme.is_operator(")", "]", "}"):
            if self._open and self._open[-1].text == _PAIRS[lexeme.text]:
                self._open.pop()
                return
            found = f"'{lexeme.text}' closes no bracket"
            if self._open:
                line = self.source.position(self._open[-1].span.start)[0]
                found = f"'{lexeme.text}' closes the '{self._open[-1].text}' of line {line}"
            raise QueryError("Q002", found, source=self.source, span=lexeme.span)

    def _blame_open_bracket(self) -> None:
        opened = self._open[-1]
        raise QueryError(
            "Q002",
            f"'{opened.text}' is never closed",
            source=self.source,
            span=opened.span,
            label="opened here",
        )

    def _blame_open_string(self, start: re.Match[str]) -> None:
        quote = start[1]
        hint = f"end it with {quote}"
        if len(quote) == 1:
            hint += f", or use {quote * 3} for a text of several lines"
        raise QueryError(
            "Q001",
            "a string is never closed",
            source=self.source,
            span=Span(start.start(), start.end()),
            label="it begins here",
            help=hint,
        )


def end_of_string(text: str, start: re.Match[str], limit: int) -> int | None:
    """Return the offset behind a string's closing quote; None if it is never closed.

    Args:
        text: the characters.
        start: match of the prefix and the opening quote.
        limit: the offset the string has to end before.
    """
    quote, nested = start[1], "f" in start[0].lower()
    if nested and (end := _end_of_fstring(text, start.end(), quote, limit)) is not None:
        return end
    return _end_of_plain_string(text, start.end(), quote, limit)


def _end_of_plain_string(text: str, offset: int, quote: str, limit: int) -> int | None:
    stop = re.compile(rf"\\(?:\r\n|.)|{quote}|\n", re.DOTALL)
    while found := stop.search(text, offset, limit):
        if found[0] == quote:
            return found.end()
        if found[0] == "\n" and len(quote) == 1:
            return None
        offset = found.end()
    return None


def _end_of_fstring(text: str, offset: int, quote: str, limit: int) -> int | None:
    """Return the end of an f-string, skipping the strings inside its braces."""
    outside = re.compile(rf"\\.|{{{{|}}}}|[{{}}]|{quote}|\n", re.DOTALL)
    inside = re.compile(rf"\\.|[{{}}]|{quote}|\n", re.DOTALL)
    depth = 0
    while offset < limit:
        if depth and (start := _STRING_START.match(text, offset, limit)):
            end = end_of_string(text, start, limit)
            if end is None:
                return None
            offset = end
            continue
        found = (inside if depth else outside).match(text, offset, limit)
        if found is None:
            offset += 1
            continue
        if found[0] == quote and not depth:
            return found.end()
        if found[0] == "\n" and len(quote) == 1:
            return None
        depth = max(0, depth + {"{": 1, "}": -1}.get(found[0], 0))
        offset = found.end()
    return None
