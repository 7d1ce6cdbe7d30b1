r"""Grammar text made at run time: whatever a text holds, it stays a text.

names = alternatives(["Ann", 'Bob "the \\ 2nd"'], syntax="gbnf")
grammar = grammar_text({"root": f'"Call " {names} "."'}, syntax="gbnf")
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from lmql_like.errors import GrammarError
from lmql_like.grammars.cfg.ebnf import EBNF, quote_ebnf
from lmql_like.grammars.cfg.gbnf import GBNF, quote_gbnf
from lmql_like.grammars.cfg.lark_grammar import quote_lark
from lmql_like.grammars.cfg.reader import check_choices

__all__ = ["alternatives", "grammar_text", "quote"]

_QUOTES: Mapping[str, Callable[[str], str]] = {
    "lark": quote_lark,
    "gbnf": quote_gbnf,
    "ebnf": quote_ebnf,
}
_NAMES: Mapping[str, re.Pattern[str]] = {
    "lark": re.compile("[a-z][a-z0-9_]*|[A-Z][A-Z0-9_]*"),
    "gbnf": GBNF.word,
    "ebnf": EBNF.word,
}
_DEFINES: Mapping[str, str] = {"lark": ": ", "gbnf": " ::= ", "ebnf": " ::= "}


def quote(text: str, *, syntax: str = "lark") -> str:
    """Return an expression of a grammar that matches a text and nothing else.

    Raises:
        GrammarError: G408 there is no such syntax.
    """
    check_choices(syntax, "lexed")
    return _QUOTES[syntax](text)


def alternatives(texts: Iterable[str], *, syntax: str = "lark") -> str:
    """Return an expression of a grammar that matches any of some texts and nothing else.

    It stands in brackets, so it may be repeated and be part of anything. Many thousands of
    texts are fine; texts that are given twice count once.

    Raises:
        GrammarError: G411 there are no texts: nothing could match; G408 no such syntax.
    """
    check_choices(syntax, "lexed")
    quoted = list(dict.fromkeys(map(_QUOTES[syntax], texts)))
    if not quoted:
        raise GrammarError(
            "G411",
            "found no texts, expected one alternative at least: nothing could match",
            help='leave the part out of the grammar, or pass [""] for the empty text',
        )
    return f"({' | '.join(quoted)})"


def grammar_text(rules: Mapping[str, str], *, syntax: str = "lark") -> str:
    """Return the text of a grammar, one rule for each name.

    Args:
        rules: name -> expression; texts in it come from `quote` and `alternatives`.
        syntax: "lark", "gbnf" or "ebnf".

    Raises:
        GrammarError: G411 a name cannot be that of a rule, G408 no such syntax.
    """
    check_choices(syntax, "lexed")
    for name in rules:
        if _NAMES[syntax].fullmatch(name) is None:
            raise GrammarError(
                "G411",
                f"found {name!r}, expected a name that a rule may have in {syntax}",
                help="number the rules, and keep what they are about beside them: rule_1, rule_2",
            )
    return "".join(f"{name}{_DEFINES[syntax]}{body}\n" for name, body in rules.items())
