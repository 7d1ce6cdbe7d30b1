"""The package's grammar files, read by lark over lexemes of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from lark import Lark, Token, Tree
from lark.lexer import Lexer as LarkLexer

from lmql_like.language.layout import Terminal

__all__ = ["parse_terminals"]


class _TerminalLexer(LarkLexer):
    """Hands lark the terminals that it is given instead of a text."""

    def __init__(self, lexer_conf: Any) -> None:
        pass

    def lex(self, data: Any) -> Iterator[Token]:  # type: ignore[override]
        """Yield lark's tokens, each with its lexeme as value."""
        for terminal in data:
            yield Token(terminal.type, terminal.lexeme)


@cache
def _load_grammar(file_name: str) -> Lark:
    text = (files("lmql_like.language") / file_name).read_text(encoding="utf-8")
    return Lark(text, parser="lalr", lexer=_TerminalLexer)


def parse_terminals(
    file_name: str,
    terminals: Iterable[Terminal],
) -> Tree[Any]:
    """Return lark's tree of some terminals; the leaves' values are lexemes.

    Raises:
        lark.UnexpectedInput: where the grammar allows no such terminal.
    """
    parse: Callable[[Any], Tree[Any]] = _load_grammar(file_name).parse
    return parse(list(terminals))
