"""White space inside a line: which two lexemes have a blank between them.

Python's usual style, decided from the lexemes alone: one blank around operators and
behind commas, none inside brackets, none around the `=` of an argument.
"""

from __future__ import annotations

import keyword as python
from collections.abc import Collection, Sequence

from lmql_like.language.lexemes import Kind, Lexeme

__all__ = ["blanks_before"]

_OPENING, _CLOSING = ("(", "[", "{"), (")", "]", "}")
_PREFIXES = ("+", "-", "~", "*", "**")
_CONSTANTS = ("True", "False", "None")


def blanks_before(lexemes: Sequence[Lexeme], words: Collection[int]) -> list[str]:
    """Return what stands in front of each lexeme of a line: a blank or nothing.

    Args:
        lexemes: of one logical line.
        words: indices of names that are words of the query language, such as `where`.
    """
    spacer = _Spacer(lexemes, words)
    return [spacer.before(i) for i in range(len(lexemes))]


class _Bracket:
    """An open bracket: what kind it is and what was seen in it."""

    def __init__(self, text: str, *, is_applied: bool) -> None:
        self.is_subscript = text == "[" and is_applied
        self.is_group = text == "("
        self.is_annotated = False
        self.lambdas = 0


class _Spacer:
    """Walks over a line once, from left to right."""

    def __init__(self, lexemes: Sequence[Lexeme], words: Collection[int]) -> None:
        self._lexemes = lexemes
        self._words = words
        self._open = [_Bracket("", is_applied=False)]
        self._is_prefix = [False] * len(lexemes)
        self._is_tight = [False] * len(lexemes)  # nothing follows: `=` of arguments, slices

    def before(self, i: int) -> str:
        """Return what stands in front of lexeme `i`; call it for each in order."""
        blank = " " if i and self._needs_blank(i) else ""
        self._note(i)
        return blank

    def _ends_operand(self, i: int) -> bool:
        """Tell whether lexeme `i` ends an operand, so that an operator behind it is binary."""
        if i < 0 or i in self._words:
            return False
        lexeme = self._lexemes[i]
        if lexeme.kind is Kind.NAME:
            return not python.iskeyword(lexeme.text) or lexeme.text in _CONSTANTS
        return lexeme.kind is not Kind.OPERATOR or lexeme.text in (*_CLOSING, "...")

    def _needs_blank(self, i: int) -> bool:
        left, right = self._lexemes[i - 1], self._lexemes[i]
        if left.is_operator(*_OPENING) or right.is_operator(*_CLOSING, ",", ";"):
            return False
        if self._is_prefix[i - 1] or self._is_tight[i - 1]:
            return False
        if right.is_operator(":"):
            return left.is_operator(",")
        if left.is_operator(".") or right.is_operator("."):
            return self._needs_blank_at_dot(i)
        if right.is_operator("(", "["):
            return not self._ends_operand(i - 1) or left.kind is Kind.NUMBER
        if right.is_operator("="):
            return not self._is_argument()
        return True

    def _needs_blank_at_dot(self, i: int) -> bool:
        left, right = self._lexemes[i - 1], self._lexemes[i]
        if left.is_operator("."):
            return right.is_word("import")
        return left.kind is Kind.NUMBER or not (self._ends_operand(i - 1) or left.is_operator("."))

    def _is_argument(self) -> bool:
        """Tell whether an `=` that comes now belongs to an argument or a default."""
        bracket = self._open[-1]
        return (bracket.is_group and not bracket.is_annotated) or bracket.lambdas > 0

    def _note(self, i: int) -> None:
        lexeme, bracket = self._lexemes[i], self._open[-1]
        if lexeme.text == "lambda":
            bracket.lambdas += 1
        if lexeme.kind is not Kind.OPERATOR:
            return
        if lexeme.text in _OPENING:
            self._open.append(_Bracket(lexeme.text, is_applied=self._ends_operand(i - 1)))
        elif lexeme.text in _CLOSING and len(self._open) > 1:
            self._open.pop()
        elif lexeme.text in _PREFIXES:
            self._is_prefix[i] = not self._ends_operand(i - 1)
        elif lexeme.text == "@":
            self._is_prefix[i] = i == 0
        elif lexeme.text == ":":
            self._note_colon(i, bracket)
        elif lexeme.text == "=":
            self._is_tight[i] = self._is_argument()
        elif lexeme.text in (",", ";"):
            bracket.is_annotated = False

    def _note_colon(self, i: int, bracket: _Bracket) -> None:
        if bracket.lambdas:
            bracket.lambdas -= 1
        elif bracket.is_subscript:
            self._is_tight[i] = True
        else:
            bracket.is_annotated = True
