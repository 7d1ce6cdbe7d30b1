r"""Prompt strings: a string literal's characters to texts, interpolations and holes.

A bracket or brace opens code. Code is read from the literal as it is written, not from
its value: `"[X: r'\d+']"` is the pattern `\d+`, whether the literal is raw or not. Only
a quote that had to be escaped because the literal itself ends with it counts as that
quote. Doubled brackets and braces are the characters; single closing ones are errors,
since an author who wrote one meant something else.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence

from lmql_like.errors import QueryError
from lmql_like.language.embedded import parse_expression
from lmql_like.language.holes import read_hole
from lmql_like.language.lexemes import Lexeme
from lmql_like.language.nodes import Hole, Interpolation, Part, Role, Text
from lmql_like.source import Source, Span, is_unicode

__all__ = ["ROLES", "holes_of", "read_template"]

_LITERAL = re.compile(r"(?P<prefix>[A-Za-z]*)(?P<quote>'''|\"\"\"|'|\")")
_ESCAPE = re.compile(
    r"\\(?:\r?\n|[0-7]{1,3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[^}]*\}|.)",
    re.DOTALL,
)
_NESTED_QUOTE = re.compile(r"'''|\"\"\"|'|\"")
_CLOSING = {"[": "]", "{": "}"}
ROLES = ("system", "user", "assistant")


def read_template(source: Source, literals: Sequence[Lexeme]) -> tuple[Part, ...]:
    """Return the parts of a prompt string, which may be several literals in a row.

    Raises:
        QueryError: Q010 to Q013 for brackets, braces and what stands inside them, Q017 for
            halves of surrogate pairs.
    """
    parts: list[Part] = []
    for literal in literals:
        parts.extend(_TemplateReader(source, literal).read())
    return tuple(_merge_texts(parts))


def holes_of(source: Source, literal: Lexeme) -> list[Hole]:
    """Return the holes of a literal; none if it cannot be read as a prompt string."""
    try:
        parts = read_template(source, [literal])
    except QueryError:
        return []
    return [part for part in parts if isinstance(part, Hole)]


def _merge_texts(parts: Sequence[Part]) -> list[Part]:
    merged: list[Part] = []
    for part in parts:
        before = merged[-1] if merged else None
        if isinstance(part, Text) and isinstance(before, Text):
            merged[-1] = Text(before.text + part.text, before.span.to(part.span))
        else:
            merged.append(part)
    return merged


def _unescaped(escape: str) -> str:
    """Return what an escape sequence of a string literal stands for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unknown escape is its own two characters
        quote = '"' if escape == "\\'" else "'"
        return str(ast.literal_eval(f"{quote * 3}{escape}{quote * 3}"))


class _TemplateReader:
    """Reads one literal from left to right; `offset` is the next character's place."""

    def __init__(self, source: Source, literal: Lexeme) -> None:
        opening = _LITERAL.match(literal.text)
        prefix, quote = (opening["prefix"], opening["quote"]) if opening else ("", '"')
        self.source = source
        self.text = source.text
        self.quote = quote[0]
        self.is_raw = "r" in prefix.lower()
        self.offset = literal.span.start + len(prefix) + len(quote)
        self.end = literal.span.end - len(quote)

    def read(self) -> list[Part]:
        """Return the literal's parts."""
        return self._read_until(stop="")

    def _read_until(self, stop: str) -> list[Part]:
        """Read parts up to the character `stop`, or to the end of the literal.

        With a `stop` this is a format specification: brackets are characters there.
        """
        parts: list[Part] = []
        while self.offset < self.end:
            char = self.text[self.offset]
            if char == stop:
                break
            doubled = self.text[self.offset + 1 : self.end].startswith(char)
            if char in ("{" if stop else "[{") and not doubled:
                parts.extend(self._read_code(char))
            elif char in "]}" and not doubled and not stop:
                self._blame_closing(char)
            else:
                parts.append(self._read_character(doubled=doubled and not stop))
        return parts

    def _read_character(self, *, doubled: bool) -> Text:
        start, char = self.offset, self.text[self.offset]
        escape = None if self.is_raw else _ESCAPE.match(self.text, start, self.end)
        if escape:
            self.offset = escape.end()
            value = _unescaped(escape[0])
            self._check_unicode(value, Span(start, self.offset))
        elif char == "\r" and self.text.startswith("\n", start + 1):
            self.offset, value = start + 2, "\n"
        else:
            self.offset += 2 if doubled and char in "[]{}" else 1
            value = char
        return Text(str(value), Span(start, self.offset))

    def _check_unicode(self, value: str, span: Span) -> None:
        if not is_unicode(value):
            raise QueryError(
                "Q017",
                "half of a surrogate pair in a prompt string",
                source=self.source,
                span=span,
                label="no character",
                help='write the whole character, as in "\\U0001f600"',
            )

    def _read_code(self, opening: str) -> list[Part]:
        """Read an interpolation or a hole, from its opening bracket on."""
        start = self.offset
        self.offset += 1
        if opening == "[":
            code, span = self._scan_code(start, "]")
            self.offset += 1
            return [read_hole(self.source, Span(start, self.offset), span, code)]
        return self._read_interpolation(start)

    def _read_interpolation(self, start: int) -> list[Part]:
        code, span = self._scan_code(start, "}!:")
        conversion = self._read_conversion()
        format_parts: list[Part] = []
        has_format = self.text[self.offset] == ":"
        if has_format:
            self.offset += 1
            format_parts = self._read_until("}")
            if self.offset >= self.end:
                self._blame_opening(start, "{")
        self.offset += 1
        whole = Span(start, self.offset)
        if role := self._read_role(code, format_parts):
            return [Role(role, whole)]
        self._check_interpolation(code, format_parts, whole)
        parts: list[Part] = []
        if self._documents_itself(code):
            parts.append(Text(code, span))
            code, span = code.rstrip()[:-1], Span(span.start, span.start + len(code.rstrip()) - 1)
            conversion = conversion or ("" if has_format else "r")
        expression = parse_expression(self.source, span, code)
        spec = tuple(p for p in _merge_texts(format_parts) if not isinstance(p, Hole | Role))
        return [*parts, Interpolation(expression, conversion, spec, whole)]

    def _read_conversion(self) -> str:
        if self.text[self.offset] != "!":
            return ""
        conversion = self.text[self.offset + 1 : self.offset + 2]
        self.offset += 2
        if conversion not in ("r", "s", "a") or self.text[self.offset] not in ":}":
            raise QueryError(
                "Q013",
                f"'!{conversion}' is no conversion",
                source=self.source,
                span=Span(self.offset - 2, self.offset),
                label="expected !r, !s or !a",
            )
        return conversion

    @staticmethod
    def _read_role(code: str, spec: list[Part]) -> str:
        """Return the role that braces without an expression name; "" if they name none."""
        named = "".join(part.text for part in spec if isinstance(part, Text))
        return named if not code.strip() and named in ROLES else ""

    def _check_interpolation(self, code: str, spec: list[Part], whole: Span) -> None:
        """Raise for braces that are rather characters of the prompt."""
        is_dictionary = bool(spec) and code.strip()[:1] in ("'", '"')
        if is_dictionary or any(isinstance(part, Text) and "[" in part.text for part in spec):
            raise QueryError(
                "Q013",
                "these braces hold no expression and format",
                source=self.source,
                span=whole,
                label="read as {expression:format}",
                help="write {{ and }} for the braces of a JSON text",
            )
        if code.strip():
            return
        raise QueryError(
            "Q013",
            "there is no expression between these braces",
            source=self.source,
            span=whole,
            help="write {{ and }} for the characters { and }, {:user} for a role",
        )

    @staticmethod
    def _documents_itself(code: str) -> bool:
        stripped = code.rstrip()
        return stripped.endswith("=") and stripped[-2:-1] not in ("=", "!", "<", ">")

    def _scan_code(self, start: int, stops: str) -> tuple[str, Span]:
        """Move behind the code that begins here; return it and its place.

        The code has the length of its place: a quote that the literal made the author
        escape is the quote and a blank.
        """
        first, depth, code = self.offset, 0, []
        while self.offset < self.end:
            if piece := self._scan_string():
                code.append(piece)
                continue
            char = self.text[self.offset]
            if not depth and char in stops and not self.text.startswith("!=", self.offset):
                return "".join(code), Span(first, self.offset)
            depth += (char in "([{") - (char in ")]}")
            code.append(char)
            self.offset += 1
        self._blame_opening(start, self.text[start])
        raise AssertionError  # pragma: no cover - the line above raises

    def _scan_string(self) -> str:
        """Move behind a string inside the code, if one begins here; return it."""
        escaped = "\\" + self.quote
        if self.text.startswith(escaped, self.offset):
            first = self.offset
            end = self.text.find(escaped, first + 2, self.end)
            self.offset = self.end if end < 0 else end + 2
            return " " + self.quote + self.text[first + 2 : self.offset - 2] + self.quote + " "
        quote = _NESTED_QUOTE.match(self.text, self.offset, self.end)
        if quote is None:
            return ""
        first = self.offset
        closing = re.compile(rf"(?:\\.|(?!{quote[0]}).)*{quote[0]}", re.DOTALL)
        found = closing.match(self.text, quote.end(), self.end)
        self.offset = found.end() if found else self.end
        return self.text[first : self.offset]

    def _blame_opening(self, start: int, char: str) -> None:
        raise QueryError(
            "Q010",
            f"'{char}' is never closed in this prompt string",
            source=self.source,
            span=Span(start, start + 1),
            label=f"expected '{_CLOSING[char]}' before the string ends",
            help=f"write {char * 2} for the character {char}",
        )

    def _blame_closing(self, char: str) -> None:
        raise QueryError(
            "Q011",
            f"a single '{char}' in a prompt string",
            source=self.source,
            span=Span(self.offset, self.offset + 1),
            label="it closes nothing",
            help=f"write {char * 2} for the character {char}",
        )
