r"""Patterns as pydantic matches them -> patterns of ECMA-262 with the same texts.

pydantic searches with Rust's `regex`, or with Python's `re` where it is asked to. The three
dialects differ in what their classes hold: `\d` is every decimal digit of Unicode in both of
these and ten digits in ECMA-262. Whatever differs is written out, and what has no counterpart
is refused. `\w` of Rust is the Unicode standard's (UTS 18, annex C), of `re` what `isalnum`
says.
"""

from __future__ import annotations

import re

from lmql_like.errors import SchemaError

__all__ = ["to_ecma"]

_RUST_SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_RUST_OTHER = (
    r"\u{0}-\u{8}\u{e}-\u{1f}\u{21}-\u{84}\u{86}-\u{9f}\u{a1}-\u{167f}\u{1681}-\u{1fff}"
    r"\u{200b}-\u{2027}\u{202a}-\u{202e}\u{2030}-\u{205e}\u{2060}-\u{2fff}\u{3001}-\u{10ffff}"
)
_PYTHON_SPACE = r"\x1c-\x1f" + _RUST_SPACE
_PYTHON_OTHER = _RUST_OTHER.replace(r"\u{e}-\u{1f}", r"\u{e}-\u{1b}")
# Alphabetic is letters, letter numbers, marks and these symbols; join controls count too.
_RUST_WORD = (
    r"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\u{24b6}-\u{24e9}\u{1f130}-\u{1f149}\u{1f150}-\u{1f169}"
    r"\u{1f170}-\u{1f189}\u{200c}\u{200d}"
)
_PYTHON_WORD = r"\p{L}\p{N}_"
_SYNTAX = set("^$\\.*+?()[]{}|/")
_QUANTIFIER = re.compile(r"\{(\d*)(,?)(\d*)\}")
_HEX = re.compile(r"x\{([0-9A-Fa-f]+)\}|x([0-9A-Fa-f]{2})|u\{([0-9A-Fa-f]+)\}|u([0-9A-Fa-f]{4})")
_GROUP = re.compile(r"\(\?(?::|P?<[A-Za-z_]\w*>)")
_LOOK = re.compile(r"\(\?<?[=!]")
_PROPERTY = re.compile(r"[pP]\{\w+\}")


def to_ecma(pattern: str | re.Pattern[str], *, python: bool) -> str:
    """Return the pattern of ECMA-262 that matches in the same texts.

    Args:
        pattern: in Rust's syntax, or in Python's.
        python: whether it is Python's.

    Raises:
        SchemaError: S402 for what has no counterpart.
    """
    if isinstance(pattern, re.Pattern):
        if pattern.flags & ~re.UNICODE:
            raise _refused("flags", pattern.pattern)
        pattern = pattern.pattern
    return _Translator(pattern, python=python).run()


def _refused(what: str, pattern: str) -> SchemaError:
    shown = pattern if len(pattern) <= 60 else pattern[:57] + "..."
    return SchemaError(
        "S402",
        f"{what} in the pattern {shown!r} of a type",
        help="write it with character sets, groups and repetitions",
    )


class _Translator:
    """Walks a pattern once; `_at` is the next character."""

    def __init__(self, pattern: str, *, python: bool) -> None:
        self._pattern = pattern
        self._python = python
        self._at = 0
        self._space = _PYTHON_SPACE if python else _RUST_SPACE
        self._other = _PYTHON_OTHER if python else _RUST_OTHER
        self._word = _PYTHON_WORD if python else _RUST_WORD

    def run(self) -> str:
        """Return the translated pattern."""
        pieces = []
        while self._at < len(self._pattern):
            pieces.append(self._piece())
        return "".join(pieces)

    def _refuse(self, what: str) -> SchemaError:
        return _refused(what, self._pattern)

    def _piece(self) -> str:
        char = self._pattern[self._at]
        if char == "\\":
            return self._escape(in_set=False)
        if char == "[":
            return self._set()
        if char == "(":
            return self._group()
        if char == "{":
            return self._braces()
        self._at += 1
        if char in "*+?":
            return char + self._lazy()
        if char == ".":
            return r"[^\n]"
        if char == "$" and self._python:
            return r"(?=\n?$)"
        return "\\" + char if char in "]}/" else char

    def _lazy(self) -> str:
        """Read what follows a quantifier; which match is found first makes no difference."""
        following = self._pattern[self._at : self._at + 1]
        if following == "?":
            self._at += 1
            return ""
        if following and following in "*+":
            raise self._refuse("a second quantifier")
        return ""

    def _braces(self) -> str:
        found = _QUANTIFIER.match(self._pattern, self._at)
        if found is None or not (found[1] or found[3]):
            if not self._python:
                raise self._refuse("'{' that repeats nothing")
            self._at += 1
            return r"\{"
        self._at = found.end()
        return f"{{{found[1] or '0'}{found[2]}{found[3]}}}{self._lazy()}"

    def _group(self) -> str:
        if self._pattern[self._at + 1 : self._at + 2] != "?":
            self._at += 1
            return "(?:"
        found = _GROUP.match(self._pattern, self._at)
        if found is not None:
            self._at = found.end()
            return "(?:"
        look = _LOOK.match(self._pattern, self._at)
        if look is None or not self._python:
            raise self._refuse(f"'{self._pattern[self._at : self._at + 3]}'")
        self._at = look.end()
        return look[0]

    def _escape(self, *, in_set: bool) -> str:
        found = _HEX.match(self._pattern, self._at + 1)
        if found is not None:
            self._at = found.end()
            return self._character(chr(int(next(filter(None, found.groups())), 16)), in_set)
        found = _PROPERTY.match(self._pattern, self._at + 1)
        if found is not None and not self._python:
            self._at = found.end()
            return "\\" + found[0]
        char = self._pattern[self._at + 1 : self._at + 2]
        self._at += 2
        if char in "dDsSwW" and char:
            return self._class(char, in_set)
        if char in "nrtfv" and char:
            return "\\" + char
        if char == "a":
            return r"\x07"
        if not in_set and char == "A":
            return "^"
        if not in_set and char == ("Z" if self._python else "z"):
            return "$"
        if not char or char.isalnum():
            raise self._refuse(f"'\\{char}'")
        return self._character(char, in_set)

    def _class(self, char: str, in_set: bool) -> str:
        if char in "dD":
            return r"\p{Nd}" if char == "d" else r"\P{Nd}"
        inner = {"s": self._space, "S": self._other, "w": self._word}.get(char)
        if in_set:
            if inner is None:
                raise self._refuse(r"'\W' in a set")
            return inner
        return f"[^{self._word}]" if inner is None else f"[{inner}]"

    @staticmethod
    def _character(char: str, in_set: bool) -> str:
        special = char in _SYNTAX or (in_set and char == "-")
        return "\\" + char if special else f"\\u{{{ord(char):x}}}" if not char.isalnum() else char

    def _set(self) -> str:
        self._at += 1
        pieces = ["["]
        if self._pattern.startswith("^", self._at):
            pieces.append("^")
            self._at += 1
        first = True
        while first or not self._pattern.startswith("]", self._at):
            if self._at >= len(self._pattern):
                raise self._refuse("a set that does not end")
            pieces.append(self._member())
            first = False
        self._at += 1
        return "".join([*pieces, "]"])

    def _member(self) -> str:
        char = self._pattern[self._at]
        if char == "\\":
            return self._escape(in_set=True)
        if self._pattern.startswith(("&&", "--", "~~", "||"), self._at):
            raise self._refuse("an operation on sets")
        if char == "[" and not self._python:
            raise self._refuse("a set in a set")
        self._at += 1
        if char == "-":
            following = self._pattern[self._at : self._at + 1]
            before = self._pattern[self._at - 2]
            return r"\-" if following == "]" or before in "[^" else "-"
        return self._character(char, in_set=True) if char in _SYNTAX else char
