"""The definitions of a Lark grammar with the place of every symbol in them.

Lark's own trees do not know where names stand, so the text is read once more here. It has
to be one that Lark has read already: what is not well-formed is not looked for, and
brackets nest no deeper than `Limits.max_nesting`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from lmql_like.grammars.regex.nodes import Alternation, Concat, Node, Reference, Repeat
from lmql_like.grammars.regex.spelling import covering
from lmql_like.source import Source, Span

__all__ = ["Definition", "Use", "read_definitions"]

_LEXEME = re.compile(
    r"(?P<blank>[ \t\r\f\v]+|//[^\n]*|\#[^\n]*)"
    r"|(?P<line>\n)"
    r'|(?P<string>"(?:[^"\\\n]|\\[^\n])*"i?)'
    r"|(?P<regexp>/(?:[^/\\]|\\.)*/[imslux]*)"
    r"|(?P<directive>%[a-z]+)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>[+-]?[0-9]+)"
    r"|(?P<sign>\.\.|->|.)",
    re.DOTALL,
)
_SIGNS: Mapping[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


@dataclass(frozen=True)
class Use(Reference):
    """A template with arguments; its `name` is the template's."""

    arguments: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Definition:
    """A rule, a terminal, or what `%ignore` names.

    Attributes:
        name: empty for `%ignore`.
        span: where the name stands.
        parameters: of a template.
        priority: the number behind the name.
        body: what it is; names are references, strings and patterns too.
        adds: whether it adds to a definition (`%extend`).
    """

    name: str
    span: Span
    parameters: tuple[str, ...]
    priority: int
    body: Node
    adds: bool = False


@dataclass(frozen=True)
class _Lexeme:
    kind: str
    text: str
    span: Span


def read_definitions(source: Source) -> tuple[list[Definition], dict[str, Span]]:
    """Return the definitions in a grammar, and the imported names with their places."""
    definitions: list[Definition] = []
    imported: dict[str, Span] = {}
    for statement in _statements(source):
        directive = statement[0].text if statement[0].kind == "directive" else ""
        if directive == "%import":
            imported |= _imported(statement[1:])
        elif directive != "%declare":
            reader = _StatementReader(statement[1:] if directive else statement)
            definitions.append(reader.definition(directive))
    return definitions, imported


def _statements(source: Source) -> Iterator[list[_Lexeme]]:
    """Yield the lexemes of each statement: it ends with a line, unless '|' comes next."""
    statement: list[_Lexeme] = []
    is_ended = False
    for match in _LEXEME.finditer(source.text):
        kind = match.lastgroup or ""
        if kind == "line":
            is_ended = True
        elif kind != "blank":
            if is_ended and statement and match.group() != "|":
                yield statement
                statement = []
            is_ended = False
            statement.append(_Lexeme(kind, match.group(), Span(*match.span())))
    if statement:
        yield statement


def _imported(lexemes: list[_Lexeme]) -> dict[str, Span]:
    """Return the names that an import makes known."""
    texts = [lexeme.text for lexeme in lexemes]
    names = [lexeme for lexeme in lexemes if lexeme.kind == "name"]
    if "(" in texts:
        names = [lexeme for lexeme in lexemes[texts.index("(") :] if lexeme.kind == "name"]
    else:
        names = names[-1:]  # the last one: its own name, or the one behind '->'
    return {lexeme.text: lexeme.span for lexeme in names}


class _StatementReader:
    """Reads one statement; `self.at` is the next lexeme."""

    def __init__(self, lexemes: list[_Lexeme]) -> None:
        end = lexemes[-1].span.end if lexemes else 0
        self.lexemes = [*lexemes, _Lexeme("end", "", Span(end, end))]
        self.at = 0

    @property
    def next(self) -> _Lexeme:
        return self.lexemes[self.at]

    def take(self) -> _Lexeme:
        self.at += 1
        return self.lexemes[self.at - 1]

    def definition(self, directive: str) -> Definition:
        if directive == "%ignore":
            return Definition("", self.next.span, (), 0, self._alternation())
        while self.next.text in ("?", "!"):
            self.take()
        name = self.take()
        parameters: list[str] = []
        priority = 0
        while self.next.text != ":" and self.next.kind != "end":
            lexeme = self.take()
            if lexeme.kind == "name":
                parameters.append(lexeme.text)
            elif lexeme.kind == "number":
                priority = int(lexeme.text)
        self.take()
        adds = directive == "%extend"
        body = self._alternation()
        return Definition(name.text, name.span, tuple(parameters), priority, body, adds)

    def _alternation(self) -> Node:
        options = [self._sequence()]
        while self.next.text == "|":
            self.take()
            options.append(self._sequence())
        found = tuple(options)
        return found[0] if len(found) == 1 else Alternation(found, covering(found))

    def _sequence(self) -> Node:
        start = self.next.span.start
        parts: list[Node] = []
        while self.next.kind != "end" and self.next.text not in ("|", ")", "]", "}", ","):
            if self.next.text == "->":
                self.take()
                self.take()
                continue
            parts.append(self._repeated(self._item()))
        found = tuple(parts)
        if len(found) == 1:
            return found[0]
        return Concat(found, covering(found) or Span(start, start + 1))

    def _repeated(self, item: Node) -> Node:
        sign = self.next
        if sign.text in _SIGNS and sign.kind == "sign":
            self.take()
            return Repeat(item, *_SIGNS[sign.text], span=sign.span)
        if sign.text != "~":
            return item
        self.take()
        low = high = self.take()
        if self.next.text == "..":
            self.take()
            high = self.take()
        span = sign.span.to(high.span)
        return Repeat(item, int(low.text), int(high.text), span=span)

    def _item(self) -> Node:
        lexeme = self.take()
        if lexeme.text in ("(", "["):
            inner = self._alternation()
            close = self.take()
            span = lexeme.span.to(close.span)
            if lexeme.text == "[":
                return Repeat(inner, 0, 1, span=span)
            if isinstance(inner, (Alternation, Concat)):
                return replace(inner, span=span)
            return inner
        if lexeme.kind == "string" and self.next.text == "..":
            self.take()
            high = self.take()
            return Reference(f"{lexeme.text}..{high.text}", lexeme.span.to(high.span))
        if lexeme.kind == "name" and self.next.text == "{":
            self.take()
            arguments = [self._alternation()]
            while self.next.text == ",":
                self.take()
                arguments.append(self._alternation())
            close = self.take()
            return Use(lexeme.text, lexeme.span.to(close.span), tuple(arguments))
        return Reference(lexeme.text, lexeme.span)
