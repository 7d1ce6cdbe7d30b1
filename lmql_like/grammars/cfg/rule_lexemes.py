r"""What a rule's body is made of: strings, classes, escapes, counts, names, white space.

`LexemeReader` reads them from a text at a position; `rule_parser` reads the structure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lmql_like.errors import GrammarError
from lmql_like.grammars.cfg.dialect import Dialect
from lmql_like.grammars.regex import charsets
from lmql_like.grammars.regex.nodes import CharSet, Choice, Concat, Node, Reference
from lmql_like.source import Source, Span

__all__ = ["LexemeReader", "literal"]

_BLANKS = re.compile(r"[ \t\r\n]*")
_COMMENT = re.compile(r"#[^\r\n]*")
_COUNT = re.compile(r"\{\s*([0-9]+)\s*(?:(,)\s*([0-9]+)?\s*)?\}")
_SIGNS: Mapping[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_MAX_DIGITS = 18
_CODE_DIGITS = {"u": re.compile("[0-9a-fA-F]{4}"), "U": re.compile("[0-9a-fA-F]{8}")}


def literal(text: str, span: Span | None = None) -> Node:
    """Return the node of one text."""
    if not text:
        return Concat((), span)
    return CharSet(charsets.single(text), span) if len(text) == 1 else Choice((text,), span)


class LexemeReader:
    """Reads one grammar's lexemes; `self.at` is the next character."""

    def __init__(self, source: Source, dialect: Dialect) -> None:
        self.source = source
        self.text = source.text
        self.dialect = dialect
        self.at = 0
        self.references: list[Reference] = []

    def head_at(self, at: int) -> Span | None:
        """Return the name of the rule that begins at a place, if one does."""
        match = self.dialect.word.match(self.text, at)
        if match is None or not self.text.startswith("::=", self.after_blanks(match.end())):
            return None
        return Span(*match.span())

    def item(self, char: str) -> Node:
        """Read a string, a class, a rule's name or `.` that begins with a character."""
        if char == '"':
            return self._string()
        if char == "[":
            return self._char_class()
        if char == "." and self.dialect.any_character:
            self.at += 1
            return CharSet(charsets.ALL_CHARACTERS, Span(self.at - 1, self.at))
        match = self.dialect.word.match(self.text, self.at)
        if match is None:
            raise self.unexpected("a string, a class, a rule's name or '('")
        self.at = match.end()
        reference = Reference(match.group(), Span(*match.span()))
        self.references.append(reference)
        return reference

    def _string(self) -> Node:
        opened = self.at
        self.at += 1
        chars: list[str] = []
        while not self._closes('"', opened, "string"):
            start = self.at
            code = self._character(in_class=False)
            if 0xD800 <= code <= 0xDFFF:
                raise self.error(
                    "found half of a surrogate pair, expected a character",
                    Span(start, self.at),
                    help_="write the character itself, or \\U and eight digits",
                )
            chars.append(chr(code))
        return literal("".join(chars), Span(opened, self.at))

    def _char_class(self) -> Node:
        opened = self.at
        self.at += 1
        negated = self.text.startswith("^", self.at)
        self.at += negated
        pairs: list[tuple[int, int]] = []
        while not self._closes("]", opened, "class"):
            start = self.at
            low = high = self._character(in_class=True)
            if self.text.startswith("-", self.at) and self.text[self.at + 1 : self.at + 2] != "]":
                self.at += 1
                if self.at == len(self.text):
                    continue  # which finds the class unclosed
                high = self._character(in_class=True)
            if high < low:
                span = Span(start, self.at)
                found = self.source.slice(span)
                raise self.error(f"found the range {found}, expected the smaller end first", span)
            pairs.append((low, high))
        if not pairs:
            raise self.error(
                "found an empty class, expected characters",
                Span(opened, self.at),
                help_='write "" for the empty text, [\\]] for a bracket',
            )
        ranges = charsets.union([tuple(pairs)])
        span = Span(opened, self.at)
        return CharSet(charsets.complement(ranges) if negated else ranges, span)

    def _closes(self, sign: str, opened: int, what: str) -> bool:
        """Step over the closing sign if it is next; refuse an end in front of it."""
        char = self.text[self.at : self.at + 1]
        if not char or (char in "\r\n" and not self.dialect.lines_in_strings):
            found = "the end of the line" if char else "the end of the grammar"
            raise self.error(
                f"found {found}, expected '{sign}'",
                Span(opened, opened + 1),
                label=f"this {what} is never closed",
            )
        self.at += char == sign
        return char == sign

    def _character(self, *, in_class: bool) -> int:
        """Read one character or escape and return its code point."""
        char = self.text[self.at]
        if char != "\\":
            self.at += 1
            return ord(char)
        start, letter = self.at, self.text[self.at + 1 : self.at + 2]
        plain = self.dialect.escapes.get(letter)
        if plain is None and in_class:
            plain = self.dialect.class_escapes.get(letter)
        if plain is not None:
            self.at += 2
            return ord(plain)
        digits = self.dialect.hex_digits if letter == "x" else _CODE_DIGITS.get(letter)
        match = digits.match(self.text, start + 2) if digits else None
        code = int(match.group(), 16) if match else -1
        if match is None or code > 0x10FFFF:
            span = Span(start, match.end() if match else min(start + 2, len(self.text)))
            raise self.error(
                f"found the escape {self.source.slice(span)}, expected one that "
                f"{self.dialect.name} has",
                span,
                help_="such as \\n, \\\\, \\x41, \\u0041 or \\U00000041",
            )
        self.at = match.end()
        return code

    def repeat(self) -> tuple[int, int | None]:
        """Read one of `* + ? {...}` and return its bounds."""
        char = self.text[self.at]
        if char not in _SIGNS:
            return self._counts()
        self.at += 1
        return _SIGNS[char]

    def _counts(self) -> tuple[int, int | None]:
        match = _COUNT.match(self.text, self.at)
        if match is None:
            raise self.unexpected(
                "a repeat such as {2}, {2,} or {2,5}",
                "begin at 0: {0,5}" if self.text.startswith("{,", self.at) else "",
            )
        span = Span(*match.span())
        low, comma, high = match.groups()
        if max(len(low), len(high or "")) > _MAX_DIGITS:
            raise self.error(f"found a count of more than {_MAX_DIGITS} digits", span)
        bounds = (int(low), int(high) if high else None if comma else int(low))
        if bounds[1] is not None and bounds[1] < bounds[0]:
            raise self.error(f"found {{{low},{high}}}, expected the smaller count first", span)
        self.at = match.end()
        return bounds

    # -- white space and errors ----------------------------------------------------

    def after_blanks(self, at: int) -> int:
        """Return the place behind white space and comments."""
        while True:
            blanks = _BLANKS.match(self.text, at)
            at = blanks.end() if blanks else at
            comment = _COMMENT.match(self.text, at)
            if comment is None:
                return at
            at = comment.end()

    def skip(self) -> None:
        """Step over white space and comments."""
        self.at = self.after_blanks(self.at)

    def refused(self) -> GrammarError | None:
        """Return the error of a feature that is not supported, if one begins here."""
        for pattern, what in self.dialect.refused:
            match = pattern.match(self.text, self.at)
            if match is not None:
                return self.error(
                    f"the grammar uses {what}, which is not supported",
                    Span(*match.span()),
                    code="G406",
                    label="not supported",
                )
        return None

    def unexpected(self, expected: str, help_: str = "") -> GrammarError:
        """Return the error of what stands here in place of what was expected."""
        char = self.text[self.at : self.at + 1]
        if not char:
            end = max(len(self.text.rstrip()) - 1, 0)
            return self.error(
                f"found the end of the grammar, expected {expected}", Span(end, end + 1)
            )
        span = Span(self.at, self.at + 1)
        if self.text.startswith("::=", self.at):
            span = Span(self.at, self.at + 3)
        word = self.dialect.word.match(self.text, self.at)
        if word is not None:
            span = Span(*word.span())
        return self.error(f"found '{self.source.slice(span)}', expected {expected}", span, help_)

    def error(
        self, message: str, span: Span, help_: str = "", *, code: str = "G401", label: str = ""
    ) -> GrammarError:
        """Return an error at a place of the grammar."""
        return GrammarError(code, message, source=self.source, span=span, label=label, help=help_)
