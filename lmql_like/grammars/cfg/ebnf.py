"""EBNF as XGrammar writes it: text -> rules, text -> quoted string."""

from __future__ import annotations

import re

from lmql_like.grammars.cfg.dialect import Dialect
from lmql_like.grammars.cfg.gbnf import quote_gbnf
from lmql_like.grammars.cfg.rule_parser import parse_rules
from lmql_like.grammars.cfg.rules import RuleSet
from lmql_like.grammars.limits import DEFAULT_LIMITS, Limits

__all__ = ["EBNF", "quote_ebnf", "read_ebnf"]

_CONTROL = {
    "0": "\0",
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
_MACRO = re.compile(r"(?:TagDispatch|TokenTagDispatch|Token|ExcludeToken|Regex)[ \t]*\(")

EBNF = Dialect(
    name="EBNF",
    word=re.compile(r"[a-zA-Z_.-][a-zA-Z0-9_.-]*"),
    hex_digits=re.compile("[0-9a-fA-F]{1,16}"),
    escapes={**_CONTROL, **{char: char for char in "'\"?\\"}},
    class_escapes={char: char for char in "^$.*+()[]{}|/-"},
    any_character=False,
    empty_options=False,
    lines_in_strings=False,
    refused=(
        (re.compile(r"\(="), "a lookahead assertion"),
        (_MACRO, "a macro"),
    ),
)


def read_ebnf(text: str, *, start: str = "root", limits: Limits = DEFAULT_LIMITS) -> RuleSet:
    """Return the rules of an EBNF grammar; raise GrammarError G401 to G406."""
    return parse_rules(text, EBNF, start=start, limits=limits)


def quote_ebnf(text: str) -> str:
    """Return a string of EBNF, quotes included, that matches the text and nothing else."""
    return quote_gbnf(text)  # which keeps to the escapes that both have
