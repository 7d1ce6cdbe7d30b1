r"""ECMA-262 patterns -> nodes, or trees with assertions.

Patterns are read as with JavaScript's flag `u` off and on at once: what both readings share
means the same, `\p{...}` is a property, braces that are no repeat stand for themselves, and
an escaped punctuation mark is itself. Where readings differ (`\a`, `\Z`, `(?i)`), the
pattern is refused. `\d` and `\w` are ASCII, `\s` is Unicode white space, `.` stops at line ends.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from lmql_like.errors import SchemaError
from lmql_like.grammars.regex import charsets
from lmql_like.grammars.regex.charsets import Ranges
from lmql_like.grammars.regex.nodes import Alternation, CharSet, Concat, Node, Repeat

__all__ = ["Assertion", "Tree", "parse_ecma"]

_MOST_GROUPS = 100
_MOST_COUNT = 100_000
_DIGITS: Ranges = ((0x30, 0x39),)
_WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACE: Ranges = (
    (0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A),
    (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
)  # fmt: skip
_LINE_ENDS: Ranges = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_COUNT = re.compile(r"\{(\d+)(,?)(\d*)\}")
_CODES = (
    re.compile(r"u\{([0-9a-fA-F]{1,6})\}"),
    re.compile(r"u([0-9a-fA-F]{4})"),
    re.compile(r"x([0-9a-fA-F]{2})"),
)
_LOW_SURROGATE = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_PROPERTY = re.compile(r"([pP])\{(?:(?:General_Category|gc)=)?(\w+)\}")
_GROUP_NAME = re.compile(r"<[A-Za-z_$][\w$]*>")


@dataclass(frozen=True)
class Assertion:
    """Something true between two characters.

    Attributes:
        kind: "start", "end", "word" (boundary), "not word", "ahead", "not ahead",
            "behind" or "not behind".
        body: the tree of the last four.
    """

    kind: str
    body: Tree = Concat(())  # noqa: RUF009 - nodes are values


Tree: TypeAlias = "Node | Assertion"  # assertions may stand wherever a node may
_GROUPS = (
    ("?:", ""),
    ("?=", "ahead"),
    ("?!", "not ahead"),
    ("?<=", "behind"),
    ("?<!", "not behind"),
)
_CATEGORIES = {
    "Letter": "L", "Cased_Letter": "LC", "Uppercase_Letter": "Lu", "Lowercase_Letter": "Ll",
    "Titlecase_Letter": "Lt", "Modifier_Letter": "Lm", "Other_Letter": "Lo", "Mark": "M",
    "Nonspacing_Mark": "Mn", "Spacing_Mark": "Mc", "Enclosing_Mark": "Me", "Number": "N",
    "Decimal_Number": "Nd", "digit": "Nd", "Letter_Number": "Nl", "Other_Number": "No",
    "Punctuation": "P", "punct": "P", "Connector_Punctuation": "Pc", "Dash_Punctuation": "Pd",
    "Open_Punctuation": "Ps", "Close_Punctuation": "Pe", "Initial_Punctuation": "Pi",
    "Final_Punctuation": "Pf", "Other_Punctuation": "Po", "Symbol": "S", "Math_Symbol": "Sm",
    "Currency_Symbol": "Sc", "Modifier_Symbol": "Sk", "Other_Symbol": "So", "Separator": "Z",
    "Space_Separator": "Zs", "Line_Separator": "Zl", "Paragraph_Separator": "Zp", "Other": "C",
    "Control": "Cc", "cntrl": "Cc", "Format": "Cf", "Private_Use": "Co", "Unassigned": "Cn",
}  # fmt: skip


def parse_ecma(pattern: str) -> Tree:
    """Return what a pattern means: a node, with `Assertion` where it has some.

    Raises:
        SchemaError: S201 no pattern, S202 a feature that is no regular language, or whose
            meaning depends on flags.
    """
    parser = _Parser(pattern)
    tree = parser.alternation(0)
    if parser.at < len(pattern):
        raise parser.bad("a ')' that closes nothing")
    return tree


class _Parser:
    """Recursive descent; `self.at` is the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def bad(self, what: str) -> SchemaError:
        return SchemaError(
            "S201", f"found {what} at character {self.at + 1} of the pattern {_shown(self.text)}"
        )

    def refuse(self, what: str, help_: str = "") -> SchemaError:
        return SchemaError(
            "S202",
            f"the pattern {_shown(self.text)} uses {what} at character {self.at + 1}, "
            "which is not supported",
            help=help_,
        )

    def take(self, text: str) -> bool:
        if self.text.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    # -- structure -----------------------------------------------------------------

    def alternation(self, depth: int) -> Tree:
        if depth > _MOST_GROUPS:
            raise self.refuse(f"more than {_MOST_GROUPS} groups inside groups")
        options = [self.sequence(depth)]
        while self.take("|"):
            options.append(self.sequence(depth))
        return options[0] if len(options) == 1 else Alternation(tuple(options))  # type: ignore[arg-type]

    def sequence(self, depth: int) -> Tree:
        parts: list[Tree] = []
        while self.at < len(self.text) and self.peek() not in "|)":
            parts.append(self.quantified(self.item(depth)))
        return parts[0] if len(parts) == 1 else Concat(tuple(parts))  # type: ignore[arg-type]

    def quantified(self, item: Tree) -> Tree:
        char = self.peek()
        if char and char in "*+?":
            self.at += 1
            low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        elif char == "{" and (match := _COUNT.match(self.text, self.at)):
            if max(len(match[1]), len(match[3])) > len(str(_MOST_COUNT)):
                raise self.refuse(f"a count over {_MOST_COUNT}")
            low = int(match[1])
            high = int(match[3]) if match[3] else None if match[2] else low
            if high is not None and high < low:
                raise self.bad("a repeat whose bounds are exchanged")
            self.at = match.end()
        else:
            return item
        self.take("?")  # a lazy repeat has the same language
        if self.peek() and (self.peek() in "*+?" or _COUNT.match(self.text, self.at)):
            raise self.bad("a repeat of a repeat")
        if isinstance(item, Assertion):
            return item if low else Concat(())  # an assertion holds as often as once
        return Repeat(item, low, high)

    def item(self, depth: int) -> Tree:
        char = self.peek()
        if char == "(":
            return self.group(depth)
        if char == "[":
            return CharSet(self.char_class())
        if char == "\\":
            return self.escape()
        if char in "*+?" or (char == "{" and _COUNT.match(self.text, self.at)):
            raise self.bad("a repeat of nothing")
        self.at += 1
        if char == "^":
            return Assertion("start")
        if char == "$":
            return Assertion("end")
        if char == ".":
            return CharSet(charsets.complement(_LINE_ENDS))
        return CharSet(charsets.single(char))

    def group(self, depth: int) -> Tree:
        self.at += 1
        kind = ""
        if self.peek() == "?":
            match = _GROUP_NAME.match(self.text, self.at + 1)
            known = next((k for k in _GROUPS if self.text.startswith(k[0], self.at)), None)
            if known is None and match is None:
                raise self.refuse(f"the group '({self.text[self.at : self.at + 3]}'")
            if match is not None:
                self.at = match.end()
            elif known is not None:
                self.at += len(known[0])
                kind = known[1]
        body = self.alternation(depth + 1)
        if not self.take(")"):
            raise self.bad("a group that is never closed")
        return Assertion(kind, body) if kind else body

    # -- characters ----------------------------------------------------------------

    def escape(self) -> Tree:
        following = self.text[self.at + 1 : self.at + 2]
        if following in ("b", "B"):
            self.at += 2
            return Assertion("word" if following == "b" else "not word")
        if following.isdigit() and following != "0":
            raise self.refuse("a back reference")
        if following == "k":
            raise self.refuse("a back reference")
        return CharSet(charsets.intersect(self.escaped_set(), charsets.ALL_CHARACTERS))

    def escaped_set(self) -> Ranges:
        self.at += 1
        char = self.peek()
        if not char:
            raise self.bad("a backslash at the end")
        if char.lower() in _CLASSES:
            self.at += 1
            ranges = _CLASSES[char.lower()]
            return charsets.complement(ranges) if char.isupper() else ranges
        if char in "pP":
            return self.property()
        code = self.escaped_code()
        return ((code, code),)

    def escaped_code(self) -> int:
        char = self.peek()
        if char in _CONTROLS:
            self.at += 1
            return _CONTROLS[char]
        for code in _CODES:
            match = code.match(self.text, self.at)
            if match is not None:
                self.at = match.end()
                return self.with_surrogate(int(match[1], 16))
        if char == "0" and not self.text[self.at + 1 : self.at + 2].isdigit():
            self.at += 1
            return 0
        letter = self.text[self.at + 1 : self.at + 2]
        if char == "c" and letter.isascii() and letter.isalpha():
            self.at += 2
            return ord(letter) % 32
        if char.isalnum() and char.isascii():
            raise self.refuse(f"the escape '\\{char}'")
        self.at += 1
        return ord(char)

    def with_surrogate(self, code: int) -> int:
        """Join the escape of a high surrogate with the low one behind it."""
        low = _LOW_SURROGATE.match(self.text, self.at)
        if 0xD800 <= code < 0xDC00 and low is not None:
            self.at = low.end()
            return 0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00
        if code > sys.maxunicode:
            raise self.bad("a code point that is none")
        return code

    def property(self) -> Ranges:
        match = _PROPERTY.match(self.text, self.at)
        name = match[2] if match else ""
        name = _CATEGORIES.get(name, name)
        if match is None or not _is_property(name):
            raise self.refuse("a property other than a general category")
        self.at = match.end()
        ranges = _property_set(name)
        return charsets.complement(ranges) if match[1] == "P" else ranges

    def char_class(self) -> Ranges:
        self.at += 1
        negated = self.take("^")
        sets: list[Ranges] = []
        while not self.take("]"):
            low = self.class_item()
            nearer = self.text[self.at : self.at + 2]
            if nearer[:1] == "-" and nearer != "-]" and len(nearer) == 2 and _is_point(low):
                back = self.at
                self.at += 1
                high = self.class_item()
                if not _is_point(high):  # [a-\d]: the hyphen is itself
                    self.at = back
                elif high[0][0] < low[0][0]:
                    raise self.bad("a range whose ends are exchanged")
                else:
                    low = ((low[0][0], high[0][0]),)
            sets.append(low)
        ranges = charsets.union(sets)
        return charsets.complement(ranges) if negated else ranges

    def class_item(self) -> Ranges:
        char = self.peek()
        if not char:
            raise self.bad("a class that is never closed")
        if char != "\\":
            self.at += 1
            return ((ord(char), ord(char)),)
        if self.text[self.at + 1 : self.at + 2] == "b":
            self.at += 2
            return ((8, 8),)
        return self.escaped_set()


def _is_point(ranges: Ranges) -> bool:
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]


@lru_cache(maxsize=1)
def _categories() -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for code in range(sys.maxunicode + 1):
        runs = found.setdefault(unicodedata.category(chr(code)), [])
        if runs and runs[-1][1] == code - 1:
            runs[-1] = (runs[-1][0], code)
        else:
            runs.append((code, code))
    return found


_SPECIAL = {
    "Any": charsets.ALL_CHARACTERS,
    "ASCII": ((0, 0x7F),),
    "ASCII_Hex_Digit": ((0x30, 0x39), (0x41, 0x46), (0x61, 0x66)),
    "White_Space": charsets.union([_SPACE, ((0x85, 0x85),)]),
}


def _is_property(name: str) -> bool:
    if name in _SPECIAL or name == "LC":
        return True
    return len(name) <= 2 and any(c.startswith(name) for c in _categories() if name)


@lru_cache(maxsize=64)
def _property_set(name: str) -> Ranges:
    if name in _SPECIAL:
        return _SPECIAL[name]
    names = ("Lu", "Ll", "Lt") if name == "LC" else (name,)
    return charsets.union(
        [tuple(runs) for key, runs in _categories().items() if key.startswith(names)]
    )


def _shown(pattern: str) -> str:
    return repr(pattern if len(pattern) <= 60 else pattern[:57] + "...")
