r"""Pattern text -> nodes, by recursive descent.

`re.compile` reads the pattern first: it decides what a well-formed pattern is and says
where one is not. This parser then gives the meaning under whole match. Refused, with
the position (G102): lookaround, back references, conditionals, atomic groups and
possessive repeats, word boundaries, `^`, `$`, `\A`, `\Z` anywhere but at the pattern's
edges, and the flag `m`.

Read as *ordered*, for terminals of a lexed grammar, the nodes keep which repeats are lazy
and what must or must not stand ahead or behind (`regex.ordered_nodes`); `$` and `\Z` mean
what they do in `re`, and `^` and `\A` are refused, because a lexeme begins anywhere.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, replace

from lmql_like.errors import GrammarError
from lmql_like.grammars.limits import DEFAULT_LIMITS, Limits
from lmql_like.grammars.regex import charsets
from lmql_like.grammars.regex.charsets import Ranges
from lmql_like.grammars.regex.nodes import Alternation, CharSet, Concat, Node, Repeat
from lmql_like.grammars.regex.ordered_nodes import (
    LazyRepeat,
    Lookbehind,
    end_of_text,
    lookahead,
)
from lmql_like.grammars.regex.spelling import merged
from lmql_like.source import Source, Span

__all__ = ["parse_pattern"]

# Plain ints: operations on re's own flags cost a microsecond each.
_ASCII, _IGNORECASE, _DOTALL = int(re.ASCII), int(re.IGNORECASE), int(re.DOTALL)
_VERBOSE, _MULTILINE = int(re.VERBOSE), int(re.MULTILINE)
_FLAGS = {
    "a": _ASCII,
    "i": _IGNORECASE,
    "s": _DOTALL,
    "u": int(re.UNICODE),
    "x": _VERBOSE,
    "m": _MULTILINE,
}
_CONTROL = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_EMPTY = Concat(())
_QUANTIFIER = re.compile(r"[*+?]|\{(\d*)(?:(,)(\d*))?\}")
_ESCAPE = re.compile(
    r"\\(?:x(?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8})"
    r"|N\{(?P<name>[^}]*)\}|(?P<octal>0[0-7]{0,2}|[0-3][0-7]{2})"
    r"|(?P<digit>[1-9][0-9]?)|(?P<char>.))",
    re.DOTALL,
)
_CLASS_OCTAL = re.compile(r"\\([0-7]{1,3})")  # in a class a number is never a back reference


@dataclass(frozen=True)
class _Anchor:
    """A start or end anchor; checked away before the nodes leave the parser."""

    kind: str
    span: Span


def parse_pattern(
    pattern: str, *, flags: int = 0, limits: Limits = DEFAULT_LIMITS, ordered: bool = False
) -> Node:
    """Return what a pattern matches as a whole, or ordered: as `re.match` tries it.

    Args:
        pattern: in Python's `re` syntax.
        flags: `re` flags that hold from the beginning.
        limits: `max_nesting` bounds the groups inside groups.
        ordered: keep lazy repeats, lookahead, and lookbehind at one character.

    Raises:
        GrammarError: G101 not a pattern, G102 outside the dialect, G203 nested too deep.
    """
    source = Source(pattern, "<pattern>")
    _check_nesting(source, limits)
    try:
        _check_well_formed(source, flags)
        return _Parser(source, flags, is_ordered=ordered).parse()
    except RecursionError as error:  # max_nesting was raised above what Python can follow
        raise GrammarError(
            "G203",
            "the pattern nests more groups than can be followed",
            source=source,
            span=Span(0, 1),
            help="write it with fewer groups inside groups",
        ) from error


def _check_well_formed(source: Source, flags: int) -> None:
    """Refuse what Python does not take for a pattern: G101."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # future set syntax: today's meaning is exact
            re.compile(source.text, flags)
    except re.error as error:
        position = min(error.pos or 0, len(source.text))
        raise GrammarError(
            "G101",
            f"the pattern is not a regular expression: {error.msg}",
            source=source,
            span=Span(position, position + 1),
        ) from error
    except (OverflowError, ValueError) as error:  # counts that are too large, or too long
        reason = str(error).partition(":")[0]
        raise GrammarError(
            "G101",
            f"the pattern cannot be read: {reason[:1].lower()}{reason[1:]}",
            source=source,
            span=_longest_number(source.text),
        ) from error


def _longest_number(pattern: str) -> Span:
    """Return where a pattern's longest number stands: a count that is too large."""
    numbers = [Span(*match.span()) for match in re.finditer("[0-9]+", pattern)]
    return max(numbers, key=lambda span: span.end - span.start, default=Span(0, 1))


def _check_nesting(source: Source, limits: Limits) -> None:
    """Refuse deep nesting before any recursive reader sees the pattern."""
    depth, in_class, i, text = 0, False, 0, source.text
    while i < len(text):
        char = text[i]
        if char == "\\":
            i += 1
        elif in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
            i += 1 if text[i + 1 : i + 2] == "]" else 2 if text[i + 1 : i + 3] == "^]" else 0
        elif char in "()":
            depth += 1 if char == "(" else -1
            if depth > limits.max_nesting:
                raise GrammarError(
                    "G203",
                    f"the pattern nests more than {limits.max_nesting} groups",
                    source=source,
                    span=Span(i, i + 1),
                    label="one group too many",
                    help="raise Limits.max_nesting",
                )
        i += 1


class _Parser:
    """Reads one well-formed pattern; `self.at` is the next character."""

    def __init__(self, source: Source, flags: int, *, is_ordered: bool) -> None:
        self.source = source
        self.text = source.text
        self.at = 0
        self.flags = int(flags)
        self.is_ordered = is_ordered

    def parse(self) -> Node:
        node = self._alternation()
        if self.is_ordered:
            return node
        return merged(self._without_anchors(node, at_start=True, at_end=True))

    def _refuse(self, span: Span, what: str, help_: str = "") -> GrammarError:
        return GrammarError(
            "G102",
            f"the pattern uses {what}, which is outside the dialect",
            source=self.source,
            span=span,
            label="not supported",
            help=help_,
        )

    def _take(self, text: str) -> bool:
        if self.text.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    # -- structure -----------------------------------------------------------------

    def _alternation(self) -> Node:
        options = [self._concat()]
        while self._take("|"):
            options.append(self._concat())
        return options[0] if len(options) == 1 else Alternation(tuple(options))

    def _concat(self) -> Node:
        parts: list[Node] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            if self.flags & _VERBOSE and self._skip_verbose():
                continue
            item = self._item()
            if item is not None:
                parts.append(self._quantified(item))
        return parts[0] if len(parts) == 1 else Concat(tuple(parts))

    def _skip_verbose(self) -> bool:
        if self.text[self.at] in " \t\n\r\v\f":
            self.at += 1
            return True
        if self.text[self.at] == "#":
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end + 1
            return True
        return False

    def _quantified(self, item: Node) -> Node:
        start = self.at
        while self.flags & _VERBOSE and self.at < len(self.text) and self._skip_verbose():
            pass
        match = _QUANTIFIER.match(self.text, self.at)
        if match is None or match.group() == "{}":
            self.at = start if match is None else self.at
            return item
        self.at = match.end()
        if self._take("+"):
            raise self._refuse(
                Span(match.start(), self.at), "a possessive repeat", "write the repeat without '+'"
            )
        is_lazy = self._take("?")
        sign, low, high = match.group(), match.group(1), match.group(3)
        if sign in ("*", "+", "?"):
            bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        else:
            bounds = (int(low or 0), int(low) if match.group(2) is None else _int_or_none(high))
        # As a set of texts a lazy repeat is like any other.
        kind = LazyRepeat if is_lazy and self.is_ordered else Repeat
        return kind(item, *bounds, span=Span(match.start(), match.end()))

    def _item(self) -> Node | None:
        char = self.text[self.at]
        if char == "(":
            return self._group()
        if char == "[":
            return self._char_class()
        if char == "\\":
            return self._escape()
        start = self.at
        self.at += 1
        if char == ".":
            newline = charsets.single("\n")
            every = charsets.ALL_CHARACTERS
            return CharSet(every if self.flags & _DOTALL else charsets.complement(newline))
        if char in "^$":
            if self.is_ordered:
                return self._ordered_anchor(char, Span(start, self.at))
            if self.flags & _MULTILINE:
                raise self._refuse(Span(start, self.at), f"'{char}' under the flag m")
            return _Anchor(char, Span(start, self.at))  # type: ignore[return-value]
        return self._literal(char)

    def _literal(self, char: str) -> Node:
        return CharSet(self._folded(charsets.single(char), re.escape(char)))

    def _folded(self, ranges: Ranges, text: str) -> Ranges:
        if not self.flags & _IGNORECASE:
            return ranges
        return charsets.fold_case(ranges, text, self.flags & (_IGNORECASE | _ASCII))

    # -- groups ----------------------------------------------------------------------

    def _group(self) -> Node | None:
        start = self.at
        self.at += 1
        outer_flags = self.flags
        if self._take("?") and not self._take(":"):
            for sign, what in (
                ("=", "a lookahead"),
                ("!", "a negative lookahead"),
                ("<=", "a lookbehind"),
                ("<!", "a negative lookbehind"),
                (">", "an atomic group"),
                ("(", "a conditional group"),
                ("P=", "a back reference"),
            ):
                if self._take(sign):
                    if self.is_ordered and sign in ("=", "!", "<=", "<!"):
                        return self._around(sign, start, outer_flags)
                    raise self._refuse(Span(start, self.at), what)
            if self._take("#"):
                self.at = self.text.index(")", self.at) + 1
                return None
            if self._take("P<"):
                self.at = self.text.index(">", self.at) + 1
            elif self._group_flags():
                return None
        node = self._alternation()
        self.at += 1  # the closing bracket
        self.flags = outer_flags
        return node

    def _around(self, sign: str, start: int, outer_flags: int) -> Node:
        node = self._alternation()
        self.at += 1  # the closing bracket
        self.flags = outer_flags
        span = Span(start, self.at)
        if "<" not in sign:
            return lookahead(node, is_negative=sign == "!", span=span)  # type: ignore[return-value]
        if isinstance(node, CharSet):
            # Where there is a character, not behind the set is behind its complement.
            ranges = charsets.complement(node.ranges) if sign == "<!" else node.ranges
            behind = Lookbehind(ranges, span)
            if behind.is_decidable:
                return behind  # type: ignore[return-value]
        raise self._refuse(span, "a lookbehind at more than one character of ASCII")

    def _ordered_anchor(self, kind: str, span: Span) -> Node:
        if kind in ("^", "A"):
            what = f"'{self.source.slice(span)}'"
            raise self._refuse(
                span, what, "a lexeme begins wherever the one before it ends: leave it out"
            )
        each_line = bool(self.flags & _MULTILINE)
        return end_of_text(kind, each_line=each_line, span=span)  # type: ignore[return-value]

    def _group_flags(self) -> bool:
        """Read `i-s:` or `i)`; tell whether the flags hold for the rest of the pattern."""
        match = re.compile(r"([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)])").match(self.text, self.at)
        if match is None:
            raise self._refuse(Span(self.at - 1, self.at), "an unknown group")
        on, off, end = match.groups()
        if "L" in on:
            raise self._refuse(Span(self.at, match.end()), "the flag L")
        for letter in on:
            if letter in "au":
                self.flags &= ~_ASCII
            self.flags |= _FLAGS[letter]
        for letter in off or "":
            self.flags &= ~_FLAGS[letter]
        self.at = match.end()
        return end == ")"

    # -- characters ------------------------------------------------------------------

    def _escape(self) -> Node:
        match = _ESCAPE.match(self.text, self.at)
        if match is None:
            raise self._refuse(Span(self.at, self.at + 1), "an unknown escape")
        span = Span(self.at, match.end())
        char = match.group("char")
        if match.group("digit"):
            raise self._refuse(span, "a back reference", "write the text out, or use two holes")
        if char in ("b", "B"):
            raise self._refuse(span, "a word boundary", "say which characters may stand there")
        self.at = match.end()
        if self.is_ordered and char in ("A", "Z", "z"):
            return self._ordered_anchor(char, span)
        if char in ("A", "Z", "z"):
            return _Anchor("^" if char == "A" else "$", span)  # type: ignore[return-value]
        ranges = charsets.union([self._escaped_set(match)])
        if char is not None and char in "dDwWsS":
            return CharSet(ranges)  # these know no case
        return CharSet(self._folded(ranges, match.group()))

    def _escaped_set(self, match: re.Match[str]) -> Ranges:
        r"""Return the set of an escape; in a class `\b` is a backspace."""
        char = match.group("char")
        if char is not None:
            if char in "dDwWsS":
                return charsets.category("\\" + char, self.flags & _ASCII)
            return charsets.point(chr(_CONTROL[char]) if char in _CONTROL else char)
        if match.group("name") is not None:
            # The name was checked by re.compile; \N{...} in a string literal says the same.
            import unicodedata

            return charsets.point(unicodedata.lookup(match.group("name")))
        if match.group("octal"):
            return charsets.point(chr(int(match.group("octal"), 8)))
        digits = match.group("x") or match.group("u") or match.group("U")
        return charsets.point(chr(int(digits, 16)))

    def _char_class(self) -> Node:
        start = self.at
        self.at += 1
        negated = self._take("^")
        sets: list[Ranges] = []
        first = True
        while first or self.text[self.at] != "]":
            first = False
            low = self._class_item()
            if self.text[self.at] == "-" and self.text[self.at + 1] != "]" and len(low) == 1:
                self.at += 1
                high = self._class_item()
                low = charsets.union([((low[0][0], high[-1][1]),)])
            sets.append(low)
        self.at += 1
        ranges = charsets.union(sets)
        ranges = charsets.complement(ranges) if negated else ranges
        return CharSet(self._folded(ranges, self.text[start : self.at]))

    def _class_item(self) -> Ranges:
        if self.text[self.at] != "\\":
            self.at += 1
            return charsets.point(self.text[self.at - 1])
        match = _CLASS_OCTAL.match(self.text, self.at) or _ESCAPE.match(self.text, self.at)
        if match is None:
            raise self._refuse(Span(self.at, self.at + 1), "an unknown escape")
        self.at = match.end()
        if match.re is _CLASS_OCTAL:
            return charsets.point(chr(int(match.group(1), 8)))
        return self._escaped_set(match)

    # -- anchors ---------------------------------------------------------------------

    def _without_anchors(self, node: Node | _Anchor, *, at_start: bool, at_end: bool) -> Node:
        """Replace anchors at the pattern's edges by nothing; refuse them anywhere else."""
        if isinstance(node, _Anchor):
            if at_start if node.kind == "^" else at_end:
                return _EMPTY
            raise self._refuse(
                node.span,
                f"'{self.source.slice(node.span)}' away from the pattern's edge",
                "a hole's pattern always matches as a whole: leave the anchor out",
            )
        if isinstance(node, Alternation):
            return Alternation(
                tuple(
                    self._without_anchors(option, at_start=at_start, at_end=at_end)
                    for option in node.options
                )
            )
        if isinstance(node, Repeat):
            once = node.high == 1
            item = self._without_anchors(
                node.item, at_start=at_start and once, at_end=at_end and once
            )
            return replace(node, item=item)
        if isinstance(node, Concat):
            return self._concat_without_anchors(node, at_start=at_start, at_end=at_end)
        return node

    def _concat_without_anchors(self, node: Concat, *, at_start: bool, at_end: bool) -> Concat:
        silent = [_matches_only_empty(part) for part in node.parts]
        first = next((i for i, quiet in enumerate(silent) if not quiet), len(silent))
        last = next((i for i in reversed(range(len(silent))) if not silent[i]), -1)
        return Concat(
            tuple(
                self._without_anchors(
                    part, at_start=at_start and i <= first, at_end=at_end and i >= last
                )
                for i, part in enumerate(node.parts)
            )
        )


def _matches_only_empty(node: Node | _Anchor) -> bool:
    if isinstance(node, _Anchor):
        return True
    if isinstance(node, Concat):
        return all(_matches_only_empty(part) for part in node.parts)
    if isinstance(node, Alternation):
        return all(_matches_only_empty(option) for option in node.options)
    if isinstance(node, Repeat):
        return node.high == 0 or _matches_only_empty(node.item)
    return False


def _int_or_none(digits: str | None) -> int | None:
    return int(digits) if digits else None
