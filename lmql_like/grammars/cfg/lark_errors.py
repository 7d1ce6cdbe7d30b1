"""Lark's own errors about a grammar -> ours, with a code and a position."""

from __future__ import annotations

import re

from lark.exceptions import GrammarError as LarkGrammarError
from lark.exceptions import UnexpectedInput, UnexpectedToken

from lmql_like.errors import GrammarError, did_you_mean
from lmql_like.grammars.cfg.lark_text import Names
from lmql_like.source import Span

__all__ = ["LARK_ERRORS", "translate_error"]

# What lark's loader raises on a bad grammar: its own errors, and checks left to Python.
LARK_ERRORS = (
    LarkGrammarError,
    UnexpectedInput,
    AssertionError,
    KeyError,
    RecursionError,
    SyntaxError,
    ValueError,
)
_UNDEFINED = re.compile(
    r"(?:(?P<kind>Rule|Terminal|Template) '(?P<name>\w+)' used but not defined"
    r"|Terminal used but not defined: (?P<name2>\w+)"
    r"|Cannot override a nonexisting (?:rule|terminal) (?P<name3>\w+)"
    r"|Can't extend (?:rule|terminal) (?P<name4>\w+) as"
    r"|Terminals \{'(?P<name5>\w+)'.*marked to ignore)"
)
_TWICE = re.compile(
    r"(?:(?:Rule|Terminal) '(?P<name>\w+)' defined more than once"
    r"|Cannot import '(?P<name2>\w+)' from .* Symbol already defined)"
)
_NAMED = re.compile(r"(?:'|[Tt]erminal |[Rr]ule |[Tt]emplate |\(|used for )(\w+)")
_SPELLED = {
    "_COLON": "':'",
    "_OR": "'|'",
    "_LPAR": "'('",
    "_RPAR": "')'",
    "_LBRA": "'['",
    "_RBRA": "']'",
    "_LBRACE": "'{'",
    "_RBRACE": "'}'",
    "_COMMA": "','",
    "_DOT": "'.'",
    "_DOTDOT": "'..'",
    "_TO": "'->'",
    "TILDE": "'~'",
    "OP": "a repeat",
    "RULE": "a rule",
    "TERMINAL": "a terminal",
    "STRING": "a string",
    "REGEXP": "a pattern",
    "NUMBER": "a number",
    "_NL": "the end of the line",
    "_NL_OR": "the end of the line",
    "$END": "the end of the grammar",
}
_MOST_EXPECTED = 5


def translate_error(error: Exception, names: Names) -> GrammarError:
    """Return the error that says the same as one of lark's."""
    cause = error if isinstance(error, UnexpectedInput) else error.__context__
    if isinstance(cause, UnexpectedInput):
        return _syntax_error(cause, str(error), names)
    if isinstance(error, RecursionError):
        return GrammarError(
            "G405",
            "the grammar nests deeper than Lark can follow",
            source=names.source,
            span=Span(0, 1),
            help="make rules of inner groups",
        )
    message = str(error)
    undefined, twice = _UNDEFINED.search(message), _TWICE.search(message)
    if undefined is not None:
        return _undefined(_name(undefined), names)
    if twice is not None:
        return _defined_twice(_name(twice), names)
    return _other(message, names)


def _name(match: re.Match[str]) -> str:
    found = (group for key, group in match.groupdict().items() if key != "kind" and group)
    return next(found)


def _syntax_error(cause: UnexpectedInput, message: str, names: Names) -> GrammarError:
    source = names.source
    start = cause.pos_in_stream if cause.pos_in_stream is not None else len(source.text)
    start = min(max(start, 0), max(len(source.text) - 1, 0))
    width = 1
    help_ = ""
    if isinstance(cause, UnexpectedToken):
        word = str(cause.token).strip()
        width = max(1, len(word))
        found = f"'{word}'" if word else _SPELLED.get(cause.token.type, "the end of the line")
        expected = sorted({_SPELLED[name] for name in cause.expected if name in _SPELLED})
        head, comma, _ = message.partition(", at line")
        help_ = f"{head[0].lower()}{head[1:]}" if comma and "\n" not in head else ""
    else:
        found, expected = f"'{source.text[start : start + 1]}'", []
    wanted = " or ".join(expected) if 0 < len(expected) <= _MOST_EXPECTED else ""
    return GrammarError(
        "G401",
        f"found {found}, expected {wanted or 'a rule, a terminal or what may stand in one'}",
        source=source,
        span=Span(start, start + width),
        help=help_,
    )


def _undefined(name: str, names: Names) -> GrammarError:
    what = "terminal" if name.isupper() else "rule"
    return GrammarError(
        "G402",
        f"the {what} '{name}' is used but not defined",
        source=names.source,
        span=names.place(name) or Span(0, 1),
        label=f"no {what} has this name",
        help=did_you_mean(name, names.defined),
    )


def _defined_twice(name: str, names: Names) -> GrammarError:
    spans = names.defined.get(name, [])
    first = names.source.position(spans[0].start)[0] if len(spans) > 1 else 0
    return GrammarError(
        "G403",
        f"'{name}' is defined twice",
        source=names.source,
        span=spans[-1] if spans else Span(0, 1),
        label="defined again",
        help=f"the first definition is on line {first}; join the two with '|'"
        if first
        else "the first is imported; '%override' replaces it, '%extend' adds to it",
    )


def _other(message: str, names: Names) -> GrammarError:
    spans = (names.place(found) for found in _NAMED.findall(message))
    line = message.strip().split("\n")[0].rstrip(".") or "it breaks a rule of Lark's own"
    return GrammarError(
        "G401",
        f"Lark cannot read the grammar: {line[0].lower() + line[1:]}",
        source=names.source,
        span=next((span for span in spans if span is not None), names.elsewhere),
    )
