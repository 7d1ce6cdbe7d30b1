"""The words of a Lark grammar and where they stand, found before Lark reads it.

Lark's own errors mostly have no position, and its lexer takes exponential time over a
string that is never closed. One linear pass mends both: it refuses what is unclosed or
nested too deep, and notes where every name is defined and used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lmql_like.errors import GrammarError
from lmql_like.grammars.limits import Limits
from lmql_like.source import Source, Span

__all__ = ["Names", "check_terminals", "refuse_declared", "scan_names"]

_WORD = re.compile(
    r"(?P<blank>[ \t\r\f\v]+)"
    r"|(?P<comment>//[^\n]*|\#[^\n]*)"
    r"|(?P<line>\n)"
    r'|(?P<string>"(?:[^"\\\n]|\\[^\n])*"i?)'
    r"|(?P<regexp>/(?:[^/\\]|\\.)*/[imslux]*)"
    r"|(?P<directive>%[a-z]+)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>[+-]?[0-9]+)"
    r"|(?P<open>[(\[{])"
    r"|(?P<close>[)\]}])"
    r"|(?P<other>.)",
    re.DOTALL,
)
_DEFINING = ("", "%override", "%extend")
_MAX_DIGITS = 18
_MAX_BLANK_LINES = 1000
_MAX_WRITTEN_OUT = 20_000


@dataclass
class Names:
    """Where each name is defined and where it is used, in order.

    Attributes:
        source: the grammar.
        defined: name -> its definitions.
        used: name -> its uses; behind `%override` and `%extend` it is used as well.
        parts: terminal -> the names in its definition.
        imports: the directives `%import`.
        declared: name -> where `%declare` names it.
    """

    source: Source
    defined: dict[str, list[Span]] = field(default_factory=dict)
    used: dict[str, list[Span]] = field(default_factory=dict)
    parts: dict[str, list[str]] = field(default_factory=dict)
    imports: list[Span] = field(default_factory=list)
    declared: dict[str, Span] = field(default_factory=dict)

    @property
    def elsewhere(self) -> Span:
        """Return the span for what stands in an imported grammar."""
        return self.imports[0] if self.imports else Span(0, 1)

    def place(self, name: str) -> Span | None:
        """Return a span for messages about a name: its first use, or its definition."""
        spans = self.used.get(name) or self.defined.get(name)
        return spans[0] if spans else None


def scan_names(source: Source, limits: Limits) -> Names:
    """Return the names of a Lark grammar.

    Raises:
        GrammarError: G401 something is never closed or a number is too long, G405
            brackets nest too deep, G410 too long.
    """
    names = Names(source)
    depth, line, at_start, directive, current = 0, 0, True, "", ""
    for match in _words(source, limits):
        kind, span = match.lastgroup, Span(*match.span())
        if kind in ("blank", "comment"):
            line = 0 if kind == "comment" else line
            continue
        if kind == "line":
            line, at_start, directive = line + 1, True, ""
            if line > _MAX_BLANK_LINES:
                raise _error(source, span, f"found more than {_MAX_BLANK_LINES} empty lines")
            continue
        line = 0
        if kind == "directive":
            directive = match.group()
            current = ""
            if directive == "%import":
                names.imports.append(span)
            continue
        if kind == "name":
            _note(names, match.group(), span, directive, defined=at_start)
            current = match.group() if at_start and directive in _DEFINING else current
            names.parts.setdefault(current, []).extend([] if at_start else [match.group()])
        elif kind in ("open", "close"):
            depth = max(0, depth + (1 if kind == "open" else -1))
            _check_depth(source, span, depth, limits)
        elif kind in ("other", "number"):
            _check_word(source, match.group(), span)
        at_start = at_start and match.group() in "?!"
    return names


def _words(source: Source, limits: Limits) -> Iterator[re.Match[str]]:
    """Yield the words of a grammar; refuse one that has too many."""
    count = 0
    for match in _WORD.finditer(source.text):
        count += match.lastgroup in ("name", "string", "regexp")
        if count > limits.max_words:
            raise GrammarError(
                "G410",
                f"the grammar has more than {limits.max_words} names, texts and patterns",
                source=source,
                span=Span(*match.span()),
                label="one too many",
                help="write it in GBNF, which is read much faster, or raise Limits.max_words",
            )
        yield match


def _note(names: Names, name: str, span: Span, directive: str, *, defined: bool) -> None:
    if directive == "%declare":
        names.declared.setdefault(name, span)
    elif directive != "%import":
        known = names.defined if defined and not directive else names.used
        known.setdefault(name, []).append(span)


def refuse_declared(names: Names) -> None:
    """Refuse `%declare`: G406."""
    for name, span in names.declared.items():
        raise GrammarError(
            "G406",
            f"the grammar declares '{name}', which a program would have to find in the text",
            source=names.source,
            span=span,
            label="not supported",
            help="define it: a terminal is a pattern or a text",
        )


def check_terminals(names: Names) -> None:
    """Refuse terminals that are made of themselves (G401) or write out too long (G405)."""
    sizes: dict[str, int] = {}
    total = 0
    for name in names.parts:
        if name.isupper():
            total += _measure(name, names, sizes)
        if total > _MAX_WRITTEN_OUT:
            raise _terminal_error(
                name,
                names,
                "G405",
                f"and those before it write out to more than {_MAX_WRITTEN_OUT} names",
            )


def _measure(name: str, names: Names, sizes: dict[str, int]) -> int:
    """Return how many names a terminal is made of when all terminals in it are written out."""
    stack, is_open = [name], set()
    while stack:
        current = stack[-1]
        parts = [part for part in names.parts.get(current, []) if part.isupper()]
        missing = [part for part in parts if part not in sizes]
        if not missing:
            sizes[current] = 1 + sum(sizes[part] for part in parts)
            is_open.discard(stack.pop())
        elif is_open.intersection(missing) or current in missing:
            raise _terminal_error(current, names, "G401", "is made of itself")
        else:
            is_open.add(current)
            stack.append(missing[0])
    return sizes[name]


def _terminal_error(name: str, names: Names, code: str, what: str) -> GrammarError:
    return GrammarError(
        code,
        f"the terminal '{name}' {what}",
        source=names.source,
        span=names.defined.get(name, [Span(0, 1)])[0],
        help="make a rule of it: write its name in small letters",
    )


def _check_depth(source: Source, span: Span, depth: int, limits: Limits) -> None:
    if depth > limits.max_nesting:
        raise GrammarError(
            "G405",
            f"the grammar nests more than {limits.max_nesting} groups",
            source=source,
            span=span,
            label="one group too many",
            help="make a rule of an inner group, or raise Limits.max_nesting",
        )


def _check_word(source: Source, word: str, span: Span) -> None:
    if word == '"':
        raise _error(source, span, "found the end of the line, expected '\"'", "never closed")
    if word == "/":
        raise _error(source, span, "found the end of the grammar, expected '/'", "never closed")
    if len(word) > _MAX_DIGITS:
        raise _error(source, span, f"found a number of more than {_MAX_DIGITS} digits")


def _error(source: Source, span: Span, message: str, label: str = "") -> GrammarError:
    return GrammarError("G401", message, source=source, span=span, label=label)
