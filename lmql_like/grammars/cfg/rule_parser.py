"""`name ::= ...` text -> rules; what GBNF and EBNF differ in is a `Dialect`.

White space, line ends and comments (`#` to the end of the line) mean nothing anywhere
between symbols. A rule ends where the next one begins: at a name, the first on its line,
with `::=` behind it. Groups are kept on a stack of our own, so no nesting can exhaust
Python's; every few levels the inside of a group becomes a rule of its own, so that
whoever walks the nodes recursively is safe as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lmql_like.errors import GrammarError, did_you_mean
from lmql_like.grammars.cfg.rules import RuleSet
from lmql_like.grammars.limits import DEFAULT_LIMITS, Limits
from lmql_like.grammars.regex import charsets
from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Choice,
    Concat,
    Node,
    Reference,
    Repeat,
)
from lmql_like.source import Source, Span

__all__ = ["Dialect", "literal", "parse_rules"]

_BLANKS = re.compile(r"[ \t\r\n]*")
_COMMENT = re.compile(r"#[^\r\n]*")
_COUNT = re.compile(r"\{\s*([0-9]+)\s*(?:(,)\s*([0-9]+)?\s*)?\}")
_SIGNS: Mapping[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_MAX_DIGITS = 18
_LEVELS_PER_RULE = 20
_CODE_DIGITS = {"u": re.compile("[0-9a-fA-F]{4}"), "U": re.compile("[0-9a-fA-F]{8}")}


@dataclass(frozen=True)
class Dialect:
    r"""What one notation has that another has not.

    Attributes:
        name: how messages call it.
        word: a rule's name.
        hex_digits: what may follow `\x`.
        escapes: letter behind a backslash -> character, in strings and in classes.
        class_escapes: more of them, in classes only.
        any_character: whether `.` is any character.
        empty_options: whether nothing at all is the empty text, as in `(a | )`.
        lines_in_strings: whether strings and classes may hold line ends as they are.
        refused: beginnings of features that are not supported -> what they are.
    """

    name: str
    word: re.Pattern[str]
    hex_digits: re.Pattern[str]
    escapes: Mapping[str, str]
    class_escapes: Mapping[str, str]
    any_character: bool
    empty_options: bool
    lines_in_strings: bool
    refused: tuple[tuple[re.Pattern[str], str], ...]


def parse_rules(
    text: str, dialect: Dialect, *, start: str = "root", limits: Limits = DEFAULT_LIMITS
) -> RuleSet:
    """Return the rules of a grammar text.

    Raises:
        GrammarError: G401 not a grammar, G402 a rule is not defined, G403 a rule is
            defined twice, G404 no start rule, G405 nested too deep, G406 not supported.
    """
    return _RuleParser(Source(text, "<grammar>"), dialect, limits).parse(start)


def literal(text: str) -> Node:
    """Return the node of one text."""
    if not text:
        return Concat(())
    return CharSet(charsets.single(text)) if len(text) == 1 else Choice((text,))


@dataclass
class _Group:
    """What has been read between brackets, or of a rule, so far."""

    opened: Span
    options: list[Node] = field(default_factory=list)
    parts: list[Node] = field(default_factory=list)
    is_repeated: bool = False  # the last part has its repeat

    def add(self, part: Node) -> None:
        self.parts.append(part)
        self.is_repeated = False

    def end_option(self) -> None:
        parts = self.parts
        self.options.append(parts[0] if len(parts) == 1 else Concat(tuple(parts)))
        self.parts, self.is_repeated = [], False

    def node(self) -> Node:
        self.end_option()
        return self.options[0] if len(self.options) == 1 else Alternation(tuple(self.options))


class _RuleParser:
    """Reads one grammar; `self.at` is the next character."""

    def __init__(self, source: Source, dialect: Dialect, limits: Limits) -> None:
        self.source = source
        self.text = source.text
        self.dialect = dialect
        self.limits = limits
        self.at = 0
        self.rules: dict[str, Node] = {}
        self.places: dict[str, Span] = {}
        self.references: list[Reference] = []

    def parse(self, start: str) -> RuleSet:
        self._skip()
        while self.at < len(self.text):
            self._rule()
        self._check_names(start)
        return RuleSet(self.rules, start, self.source)

    def _check_names(self, start: str) -> None:
        known = list(self.places)
        for reference in self.references:
            if reference.name not in self.places:
                raise self._error(
                    f"the rule '{reference.name}' is used but not defined",
                    reference.span or Span(0, 1),
                    code="G402",
                    label="no rule has this name",
                    help_=did_you_mean(reference.name, known),
                )
        if start not in self.places:
            found = "no rule of this name" if known else "no rules at all"
            raise self._error(
                f"found {found}, expected the start rule '{start}'",
                next(iter(self.places.values()), Span(0, 1)),
                code="G404",
                help_=did_you_mean(start, known) or f"define '{start} ::= ...' or pass start=",
            )

    # -- structure -----------------------------------------------------------------

    def _rule(self) -> None:
        span = self._head_at(self.at)
        if span is None:
            raise self._unexpected("the name of a rule and '::='")
        name = self.source.slice(span)
        if name in self.places:
            line, _ = self.source.position(self.places[name].start)
            raise self._error(
                f"the rule '{name}' is defined twice",
                span,
                code="G403",
                label="defined again",
                help_=f"the first definition is on line {line}; join the two with '|'",
            )
        self.places[name] = span
        self.at = self._after_blanks(span.end) + len("::=")
        self.rules[name] = self._body(name, span)

    def _head_at(self, at: int) -> Span | None:
        """Return the name of the rule that begins here, if one does."""
        match = self.dialect.word.match(self.text, at)
        if match is None or not self.text.startswith("::=", self._after_blanks(match.end())):
            return None
        return Span(*match.span())

    def _body(self, name: str, span: Span) -> Node:
        stack = [_Group(span)]
        while True:
            self._skip()
            char = self.text[self.at : self.at + 1]
            head = self._head_at(self.at)
            if not char or head is not None:
                return self._end_of_rule(stack, head)
            if (feature := self._refused()) is not None:
                raise feature
            if char == "(":
                self._open(stack)
            elif char == ")":
                self._close(stack, name)
            elif char == "|":
                self._check_option(stack[-1])
                self.at += 1
                stack[-1].end_option()
            elif char in "*+?{":
                self._repeat(stack[-1])
            else:
                stack[-1].add(self._item(char))

    def _end_of_rule(self, stack: list[_Group], head: Span | None) -> Node:
        if len(stack) > 1:
            found = "the end of the grammar" if head is None else "the next rule"
            raise self._error(
                f"found {found}, expected ')'", stack[-1].opened, label="never closed"
            )
        if head is not None:
            line, column = self.source.position(head.start)
            if self.source.line_text(line)[: column - 1].strip():
                raise self._error(
                    f"found the rule '{self.source.slice(head)}' in the middle of a line, "
                    "expected it on a line of its own",
                    head,
                )
        self._check_option(stack[0])
        return stack[0].node()

    def _open(self, stack: list[_Group]) -> None:
        span = Span(self.at, self.at + 1)
        if len(stack) > self.limits.max_nesting:
            raise self._error(
                f"the grammar nests more than {self.limits.max_nesting} groups",
                span,
                code="G405",
                label="one group too many",
                help_="make a rule of an inner group, or raise Limits.max_nesting",
            )
        self.at += 1
        stack.append(_Group(span))

    def _close(self, stack: list[_Group], rule: str) -> None:
        if len(stack) == 1:
            raise self._error(
                "found ')', expected the end of the rule or more of it",
                Span(self.at, self.at + 1),
                label="closes no bracket",
            )
        group = stack[-1]
        if group.options or group.parts:
            self._check_option(group)
        self.at += 1
        stack.pop()
        node = group.node()
        if len(stack) % _LEVELS_PER_RULE == 0 and isinstance(node, (Alternation, Concat, Repeat)):
            name = f"{rule}({len(self.rules)}"  # no name that a grammar can spell
            self.rules[name] = node
            node = Reference(name, group.opened)
        stack[-1].add(node)

    def _check_option(self, group: _Group) -> None:
        if not group.parts and not self.dialect.empty_options:
            raise self._unexpected("an expression", 'write "" for the empty text')

    def _repeat(self, group: _Group) -> None:
        char = self.text[self.at]
        if not group.parts:
            raise self._unexpected("something to repeat in front of it")
        if group.is_repeated:
            raise self._unexpected(
                "one repeat at most", "put what is to be repeated again into brackets"
            )
        start = self.at
        low, high = _SIGNS[char] if char in _SIGNS else self._bounds()
        self.at = max(self.at, start + 1)
        group.parts[-1] = Repeat(group.parts[-1], low, high, span=Span(start, self.at))
        group.is_repeated = True

    def _bounds(self) -> tuple[int, int | None]:
        match = _COUNT.match(self.text, self.at)
        if match is None:
            raise self._unexpected(
                "a repeat such as {2}, {2,} or {2,5}",
                "begin at 0: {0,5}" if self.text.startswith("{,", self.at) else "",
            )
        span = Span(*match.span())
        low, comma, high = match.groups()
        if max(len(low), len(high or "")) > _MAX_DIGITS:
            raise self._error(f"found a count of more than {_MAX_DIGITS} digits", span)
        bounds = (int(low), int(high) if high else None if comma else int(low))
        if bounds[1] is not None and bounds[1] < bounds[0]:
            raise self._error(f"found {{{low},{high}}}, expected the smaller count first", span)
        self.at = match.end()
        return bounds

    # -- items ---------------------------------------------------------------------

    def _item(self, char: str) -> Node:
        if char == '"':
            return self._string()
        if char == "[":
            return self._char_class()
        if char == "." and self.dialect.any_character:
            self.at += 1
            return CharSet(charsets.ALL_CHARACTERS)
        match = self.dialect.word.match(self.text, self.at)
        if match is None:
            raise self._unexpected("a string, a class, a rule's name or '('")
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
                raise self._error(
                    "found half of a surrogate pair, expected a character",
                    Span(start, self.at),
                    help_="write the character itself, or \\U and eight digits",
                )
            chars.append(chr(code))
        return literal("".join(chars))

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
                raise self._error(f"found the range {found}, expected the smaller end first", span)
            pairs.append((low, high))
        if not pairs:
            raise self._error(
                "found an empty class, expected characters",
                Span(opened, self.at),
                help_='write "" for the empty text, [\\]] for a bracket',
            )
        ranges = charsets.union([tuple(pairs)])
        return CharSet(charsets.complement(ranges) if negated else ranges)

    def _closes(self, sign: str, opened: int, what: str) -> bool:
        """Step over the closing sign if it is next; refuse an end in front of it."""
        char = self.text[self.at : self.at + 1]
        if not char or (char in "\r\n" and not self.dialect.lines_in_strings):
            found = "the end of the line" if char else "the end of the grammar"
            raise self._error(
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
            raise self._error(
                f"found the escape {self.source.slice(span)}, expected one that "
                f"{self.dialect.name} has",
                span,
                help_="such as \\n, \\\\, \\x41, \\u0041 or \\U00000041",
            )
        self.at = match.end()
        return code

    # -- white space and errors ------------------------------------------------------

    def _after_blanks(self, at: int) -> int:
        while True:
            blanks = _BLANKS.match(self.text, at)
            at = blanks.end() if blanks else at
            comment = _COMMENT.match(self.text, at)
            if comment is None:
                return at
            at = comment.end()

    def _skip(self) -> None:
        self.at = self._after_blanks(self.at)

    def _refused(self) -> GrammarError | None:
        for pattern, what in self.dialect.refused:
            match = pattern.match(self.text, self.at)
            if match is not None:
                return self._error(
                    f"the grammar uses {what}, which is not supported",
                    Span(*match.span()),
                    code="G406",
                    label="not supported",
                )
        return None

    def _unexpected(self, expected: str, help_: str = "") -> GrammarError:
        char = self.text[self.at : self.at + 1]
        if not char:
            end = max(len(self.text.rstrip()) - 1, 0)
            return self._error(
                f"found the end of the grammar, expected {expected}", Span(end, end + 1)
            )
        span = Span(self.at, self.at + 1)
        if self.text.startswith("::=", self.at):
            span = Span(self.at, self.at + 3)
        word = self.dialect.word.match(self.text, self.at)
        if word is not None:
            span = Span(*word.span())
        return self._error(f"found '{self.source.slice(span)}', expected {expected}", span, help_)

    def _error(
        self, message: str, span: Span, help_: str = "", *, code: str = "G401", label: str = ""
    ) -> GrammarError:
        return GrammarError(code, message, source=self.source, span=span, label=label, help=help_)
