"""GBNF, the grammar notation of llama.cpp: text -> rules, text -> quoted string."""

from __future__ import annotations

import re

from lmql_like.grammars.cfg.dialect import Dialect
from lmql_like.grammars.cfg.rule_parser import parse_rules
from lmql_like.grammars.cfg.rules import RuleSet
from lmql_like.grammars.limits import DEFAULT_LIMITS, Limits

__all__ = ["GBNF", "quote_gbnf", "read_gbnf"]

_SIMPLE = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "[": "[", "]": "]", "-": "-"}

GBNF = Dialect(
    name="GBNF",
    word=re.compile(r"[a-zA-Z0-9_-]+"),
    hex_digits=re.compile("[0-9a-fA-F]{2}"),
    escapes=_SIMPLE,
    class_escapes={"^": "^"},
    any_character=True,
    empty_options=True,
    lines_in_strings=True,
    refused=((re.compile(r"!?<[^>\n]*>?"), "a token of the model's vocabulary"),),
)


def read_gbnf(text: str, *, start: str = "root", limits: Limits = DEFAULT_LIMITS) -> RuleSet:
    """Return the rules of a GBNF grammar; raise GrammarError G401 to G406."""
    return parse_rules(text, GBNF, start=start, limits=limits)


def quote_gbnf(text: str) -> str:
    """Return a string of GBNF, quotes included, that matches the text and nothing else."""
    return '"' + "".join(map(_quoted, text)) + '"'


def _quoted(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[char]
    return f"\\u{ord(char):04x}" if ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 else char
