"""Typing: what completes a word, and whether Enter ends an input."""

from __future__ import annotations

import builtins
import keyword as python
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from lmql_like.errors import QueryError
from lmql_like.language.decoders import DECODERS
from lmql_like.language.holes import HOLE_TYPES
from lmql_like.language.lexemes import Kind
from lmql_like.language.lexer import Lexer
from lmql_like.language.lines import CLAUSE_WORDS
from lmql_like.language.operators import OPERATOR_NAMES, UNITS
from lmql_like.source import Source

__all__ = ["QueryCompleter", "indent_behind", "is_complete"]

_WORD = re.compile(r"[^\W\d]\w*$")
_OPEN_HOLE = re.compile(r"\[\s*[^\W\d]\w*\s*:\s*\w*$")
_JOINING_WORDS = ("and", "or", "not", "in", "is", *CLAUSE_WORDS)


def is_complete(text: str) -> bool:
    """Tell whether an input is whole, so that Enter runs it.

    An input of one line is, unless a bracket, a string of several lines or a clause is
    open, or it begins a block or a decorated function. One of several lines is when its
    last line is empty.
    """
    if text.startswith(":") or not text.strip():
        return True
    if text.rstrip(" ").endswith("\\"):
        return False
    try:
        lexemes = [x for x in Lexer(Source(text)) if x.kind is not Kind.NEWLINE]
    except QueryError as error:
        is_open = error.code in ("Q001", "Q002") and "never closed" in error.message
        return not (is_open and (error.code == "Q002" or _is_long_string(text, error)))
    if not lexemes:
        return True
    lines = text.split("\n")
    if len(lines) > 1:
        return not lines[-1].strip()
    last = lexemes[-1]
    if lexemes[0].is_operator("@"):
        return False
    return not last.is_word(*_JOINING_WORDS) and not (
        last.kind is Kind.OPERATOR and not last.is_operator(")", "]", "}", ";", "...")
    )


def _is_long_string(text: str, error: QueryError) -> bool:
    """Tell whether an open string may go on in the next line."""
    opening = text[error.span.start : error.span.end] if error.span else ""
    return opening.endswith(('"""', "'''"))


def indent_behind(line: str) -> str:
    """Return the white space that the line behind a line begins with."""
    blank = line[: len(line) - len(line.lstrip())]
    return blank + "    " if line.rstrip().endswith(":") else blank


class QueryCompleter(Completer):
    """Completes commands, their arguments, and the words of a query.

    Args:
        commands: name of each command with its meaning, and what its argument is:
            "file", "decoder" or "".
        names: returns the names that have a value, with their values.
        holes: returns the names of the holes.
    """

    def __init__(
        self,
        commands: Mapping[str, tuple[str, str]],
        names: Callable[[], Mapping[str, Any]],
        holes: Callable[[], Iterable[str]],
    ) -> None:
        self._commands = commands
        self._names = names
        self._holes = holes
        self._paths = PathCompleter(expanduser=True)

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        """Yield what the word before the cursor may become."""
        before = document.text_before_cursor
        if before.startswith(":"):
            yield from self._of_command(before, complete_event)
            return
        found = _WORD.search(before)
        word = found[0] if found else ""
        if not word and not complete_event.completion_requested:
            return
        hole = _OPEN_HOLE.search(before)
        known = dict.fromkeys(HOLE_TYPES, "type") if hole else self._known()
        for name, meaning in sorted(known.items()):
            if name.startswith(word) and name != word:
                yield Completion(name, -len(word), display_meta=meaning)

    def _of_command(self, before: str, event: CompleteEvent) -> Iterator[Completion]:
        name, blank, argument = before.partition(" ")
        if not blank:
            for command, (meaning, _) in self._commands.items():
                if command.startswith(name):
                    yield Completion(command, -len(name), display_meta=meaning)
            return
        kind = self._commands.get(name, ("", ""))[1]
        if kind == "file":
            yield from self._paths.get_completions(Document(argument), event)
        elif kind == "decoder":
            for decoder in DECODERS:
                if decoder.startswith(argument):
                    yield Completion(decoder, -len(argument), display_meta="decoder")

    def _known(self) -> dict[str, str]:
        known = {name: "built in" for name in dir(builtins) if not name.startswith("_")}
        known |= dict.fromkeys(python.kwlist, "word")
        known |= dict.fromkeys(CLAUSE_WORDS, "clause")
        known |= dict.fromkeys((*sorted(OPERATOR_NAMES), *UNITS), "operator")
        known |= {
            name: type(value).__name__
            for name, value in self._names().items()
            if name.isidentifier() and not name.startswith("__")
        }
        return known | dict.fromkeys(self._holes(), "hole")
