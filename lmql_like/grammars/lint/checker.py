"""Grammar text -> findings: what keeps it from being used, and what is seldom meant."""

from __future__ import annotations

from collections.abc import Iterator

from lmql_like.errors import GrammarError
from lmql_like.grammars.cfg.ebnf import EBNF
from lmql_like.grammars.cfg.gbnf import GBNF
from lmql_like.grammars.cfg.lark_grammar import read_lark
from lmql_like.grammars.cfg.lexed_grammar import LexedGrammar, read_lexed
from lmql_like.grammars.cfg.reader import START_RULES, check_choices
from lmql_like.grammars.cfg.rule_parser import RuleParser
from lmql_like.grammars.limits import DEFAULT_LIMITS, Limits
from lmql_like.grammars.lint.facts import Facts
from lmql_like.grammars.lint.findings import Finding, of_error
from lmql_like.grammars.lint.lark_source import read_written_lark
from lmql_like.grammars.lint.loop_checks import find_cycles, find_hidden_recursion, find_loops
from lmql_like.grammars.lint.terminal_checks import find_terminal_troubles
from lmql_like.grammars.lint.use_checks import (
    find_dead,
    find_never_found,
    find_repeated,
    find_unused,
)
from lmql_like.grammars.lint.written import WrittenGrammar
from lmql_like.source import Source

__all__ = ["check_grammar"]

_CHECKS = (
    find_unused,
    find_dead,
    find_never_found,
    find_repeated,
    find_loops,
    find_cycles,
    find_hidden_recursion,
)
_RANKS = {"error": 0, "warning": 1, "note": 2}


def check_grammar(
    text: str,
    *,
    start: str | None = None,
    syntax: str = "lark",
    lexing: str = "lexed",
    name: str = "<grammar>",
    limits: Limits = DEFAULT_LIMITS,
) -> list[Finding]:
    """Return what is to say about a grammar: errors first, each kind in the text's order.

    Args:
        text: the grammar.
        start: the rule that whole texts match. Without it, a grammar that has no rule of
            the usual name is taken for a library: all of its rules may be used elsewhere.
        syntax: "lark", "gbnf" or "ebnf".
        lexing: how a Lark grammar is going to be read, "lexed" or "scannerless".
        name: what findings call the grammar.
        limits: bounds, see `Limits`.

    Raises:
        GrammarError: G408 there is no such syntax or reading.
    """
    check_choices(syntax, lexing)
    source = Source(text, name)
    try:
        grammar = _read(source, start, syntax, lexing, limits)
    except GrammarError as error:
        return [of_error(error, source)]
    found = list(dict.fromkeys(_findings(grammar, syntax, limits)))
    return sorted(found, key=lambda f: (_RANKS[f.severity], f.span.start if f.span else 0))


def _read(
    source: Source, start: str | None, syntax: str, lexing: str, limits: Limits
) -> WrittenGrammar:
    if syntax == "lark":
        return read_written_lark(source, start=start, lexing=lexing, limits=limits)
    parser = RuleParser(source, GBNF if syntax == "gbnf" else EBNF, limits)
    parser.read()
    first = start or START_RULES[syntax]
    is_library = start is None and bool(parser.places) and first not in parser.places
    parser.check_names(next(iter(parser.places)) if is_library else first)
    starts = tuple(parser.rules) if is_library else (first,)
    return WrittenGrammar(source, parser.rules, parser.places, starts, is_library=is_library)


def _findings(grammar: WrittenGrammar, syntax: str, limits: Limits) -> Iterator[Finding]:
    ranks: dict[str, int] = {}
    if grammar.is_library:
        usual = START_RULES[syntax]
        first = next(iter(grammar.places.values()), None)
        yield Finding(
            "G514",
            f"the grammar has no rule '{usual}': it is checked as a library",
            grammar.source,
            first,
            help=f"name the rule of whole texts '{usual}', or pass start=" if first else "",
        )
    elif syntax == "lark":
        try:
            ranks = _read_again(grammar, limits)
        except GrammarError as error:
            yield of_error(error, grammar.source)
            if error.code == "G404":
                return
    facts = Facts(grammar)
    for find in _CHECKS:
        yield from find(grammar, facts)
    if grammar.is_lexed:
        yield from find_terminal_troubles(grammar, facts, ranks)


def _read_again(grammar: WrittenGrammar, limits: Limits) -> dict[str, int]:
    """Read a Lark grammar as it will be used; return the ranks of its terminals, if any.

    Raises:
        GrammarError: it cannot be used.
    """
    text, start = grammar.source.text, grammar.starts[0]
    if not grammar.is_lexed:
        read_lark(text, start=start, limits=limits)
        return {}
    lexed: LexedGrammar = read_lexed(text, start=start, limits=limits)
    ranks: dict[str, int] = {}
    for rank, terminal in enumerate(lexed.terminals):
        written = grammar.source.slice(terminal.span) if terminal.span else terminal.name
        ranks[terminal.name if terminal.name in grammar.terminals else written] = rank
    return ranks
