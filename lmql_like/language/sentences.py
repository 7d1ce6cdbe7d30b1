"""Operators on whole texts that patterns cannot say: sentences of a grammar, quotations.

GRAMMAR(X, text, start=, syntax=, lexing=)     GBNF(X, text, start=)
GRAMMAR(X, file="json.lark", ...)              the text of a file beside the query's
SUBSTRING_OF(X, text)
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from lmql_like.errors import GrammarError
from lmql_like.files import read_text
from lmql_like.grammars.cfg.reader import START_RULES, read_grammar
from lmql_like.grammars.formulas import Derives, Formula, Matches
from lmql_like.grammars.regex.nodes import ANY_TEXT, Finite
from lmql_like.language.code import Code
from lmql_like.language.constraints import Test
from lmql_like.source import Source, Span

__all__ = ["GRAMMAR_OPERATORS", "IsQuotation", "IsSentence", "read_sentence"]

GRAMMAR_OPERATORS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "GRAMMAR": ("lark", ("start", "syntax", "lexing", "file")),
    "GBNF": ("gbnf", ("start", "file")),
}
"""Each operator's syntax and its keywords."""


@dataclass(frozen=True)
class IsSentence(Test):
    """`GRAMMAR(X, text)`, `GBNF(X, text)`: the whole text is a sentence of a grammar.

    `options` are those of `read_grammar`; `file` is the grammar's file, if it has one.
    """

    options: Mapping[str, Any] = field(hash=False)
    file: str

    operator = "GRAMMAR"

    def formula(self, value: Any) -> Formula:
        """Return the sentences of the operand, the text of a grammar."""
        text = self.text(value)
        try:
            return _derives(text, tuple(sorted(self.options.items())))
        except GrammarError as error:
            if self.file and error.span is not None:
                error.source = Source(text, self.file)
            raise


@lru_cache(maxsize=256)
def _derives(text: str, options: tuple[tuple[str, Any], ...]) -> Formula:
    """Return the formula of a grammar; the same one for the same text."""
    return Derives(read_grammar(text, **dict(options)))


def read_sentence(call: ast.Call, subject: str, span: Span, source: Source) -> IsSentence | str:
    """Return what a call of GRAMMAR or GBNF demands, or what is wrong with its arguments.

    Raises:
        QueryError: Q007, the grammar's file cannot be read.
    """
    name = call.func.id.upper() if isinstance(call.func, ast.Name) else ""
    syntax, keywords = GRAMMAR_OPERATORS[name]
    options: dict[str, Any] = {"syntax": syntax}
    for keyword in call.keywords:
        if keyword.arg not in keywords:
            return f"'{keyword.arg}' is none of {', '.join(keywords)}"
        if not isinstance(keyword.value, ast.Constant) or not isinstance(keyword.value.value, str):
            return f"the value of '{keyword.arg}' is not written out as a string"
        options[keyword.arg] = keyword.value.value
    file = options.pop("file", "")
    if options["syntax"] not in START_RULES:
        return f"the syntax is none of {', '.join(START_RULES)}"
    if len(call.args) != (1 if file else 2):
        return "expected a hole and the text of a grammar, or a hole and file="
    if not file:
        operand = Code.of(source, call.args[1])
        return IsSentence(subject, operand, frozenset(), span, options, "")
    path = Path(source.name).parent / file
    tree = ast.copy_location(ast.Constant(read_text(path, "the grammar file")), call)
    return IsSentence(subject, Code.of(source, tree, span), frozenset(), span, options, str(path))


class IsQuotation(Test):
    """`SUBSTRING_OF(X, text)`: the text occurs in another one."""

    operator = "SUBSTRING_OF"

    def formula(self, value: Any) -> Formula:
        """Return the substrings of the operand, the empty one included."""
        return Matches(_substrings(self.text(value))) & Matches(ANY_TEXT)


@lru_cache(maxsize=64)
def _substrings(text: str) -> Finite:
    """Return the automaton of a text's substrings, by Blumer et al. (1985): at most 2 n states.

    Of substrings of the bytes those are texts that begin and end between characters.
    """
    following: list[dict[int, int]] = [{}]
    link, length = [-1], [0]
    last = 0
    for byte in text.encode():
        current = len(following)
        following.append({})
        link.append(0)
        length.append(length[last] + 1)
        state = last
        while state >= 0 and byte not in following[state]:
            following[state][byte] = current
            state = link[state]
        if state >= 0:
            link[current] = _split(state, byte, following, link, length)
        last = current
    edges = [
        (source, byte, byte, target)
        for source, moves in enumerate(following)
        for byte, target in sorted(moves.items())
    ]
    sources, lows, highs, targets = ([edge[i] for edge in edges] for i in range(4))
    every = tuple(range(len(following)))
    return Finite(len(following), (sources, lows, highs, targets), every)


def _split(
    state: int, byte: int, following: list[dict[int, int]], link: list[int], length: list[int]
) -> int:
    """Return the state of the longest suffix that was there before; make it where it is none."""
    target = following[state][byte]
    if length[target] == length[state] + 1:
        return target
    clone = len(following)
    following.append(dict(following[target]))
    link.append(link[target])
    length.append(length[state] + 1)
    while state >= 0 and following[state].get(byte) == target:
        following[state][byte] = clone
        state = link[state]
    link[target] = clone
    return clone
