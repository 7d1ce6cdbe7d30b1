"""The symbols of the query language: what the lexer makes of a text.

A symbol of the query language is a *lexeme*; the word *token* is kept for models.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lmql_like.source import Span

__all__ = ["Kind", "Lexeme"]


class Kind(str, Enum):
    """What a lexeme is; the values are what error messages call it."""

    NAME = "a name"
    NUMBER = "a number"
    STRING = "a string"
    OPERATOR = "an operator"
    NEWLINE = "the end of the line"
    INDENT = "an indented block"
    DEDENT = "the end of a block"


@dataclass(frozen=True)
class Lexeme:
    """One symbol: its kind, its characters, and the place they stand at."""

    kind: Kind
    text: str
    span: Span

    def __str__(self) -> str:
        return self.text

    def is_operator(self, *texts: str) -> bool:
        """Tell whether this is one of these operators or brackets."""
        return self.kind is Kind.OPERATOR and self.text in texts

    def is_word(self, *words: str) -> bool:
        """Tell whether this is one of these lower-case words, in either case."""
        return self.kind is Kind.NAME and keyword(self.text) in words

    @property
    def described(self) -> str:
        """What an error message says was found here."""
        return f"'{self.text}'" if self.text.strip() else self.kind.value


def keyword(word: str) -> str:
    """Return a word written all in capitals in lower case, any other word as it is."""
    return word.lower() if word.isupper() else word
