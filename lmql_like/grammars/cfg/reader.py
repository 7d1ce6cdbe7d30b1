"""Grammar text in any of three syntaxes -> rules over characters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from lmql_like.errors import GrammarError, did_you_mean
from lmql_like.grammars.cfg.ebnf import read_ebnf
from lmql_like.grammars.cfg.gbnf import read_gbnf
from lmql_like.grammars.cfg.inlining import inline_small_rules
from lmql_like.grammars.cfg.rule_sizes import check_sizes
from lmql_like.grammars.cfg.rules import LexedGrammar, RuleSet
from lmql_like.grammars.limits import DEFAULT_LIMITS, Limits

__all__ = ["START_RULES", "check_choices", "read_grammar"]

START_RULES: Mapping[str, str] = {"lark": "start", "gbnf": "root", "ebnf": "root"}
_LEXINGS = ("lexed", "scannerless")


def read_grammar(
    text: str,
    *,
    start: str | None = None,
    syntax: str = "lark",
    lexing: str = "lexed",
    limits: Limits = DEFAULT_LIMITS,
) -> RuleSet | LexedGrammar:
    """Return the rules of a grammar; over terminals where it is read with a lexer.

    Args:
        text: the grammar.
        start: the rule that whole texts match; by default `start` in Lark's syntax and
            `root` in the others.
        syntax: "lark", "gbnf" (llama.cpp) or "ebnf" (XGrammar).
        lexing: "scannerless" or "lexed". GBNF and EBNF have no lexer and only one
            reading, whatever is asked for.
        limits: `max_nesting` bounds groups inside groups, `max_words` what a Lark grammar is
            made of, `max_nfa_states` what is written out.

    Raises:
        GrammarError: G401 to G406 and G409 for the grammar, G408 no such syntax or reading,
            G410 too long, G202 too large when written out, G101, G102 and G203 for a
            pattern in it.
    """
    rules = _read(text, start, syntax, lexing, limits)
    if isinstance(rules, LexedGrammar):
        return rules
    check_sizes(rules, limits)
    return replace(rules, rules=inline_small_rules(rules.rules, rules.start))


def _read(
    text: str, start: str | None, syntax: str, lexing: str, limits: Limits
) -> RuleSet | LexedGrammar:
    check_choices(syntax, lexing)
    start = START_RULES[syntax] if start is None else start
    if syntax != "lark":
        read: Callable[..., RuleSet] = read_gbnf if syntax == "gbnf" else read_ebnf
        return read(text, start=start, limits=limits)
    # Lark takes a while to import.
    if lexing == "lexed":
        from lmql_like.grammars.cfg.lexed_grammar import read_lexed

        return read_lexed(text, start=start, limits=limits)
    from lmql_like.grammars.cfg.lark_grammar import read_lark

    return read_lark(text, start=start, limits=limits)


def check_choices(syntax: str, lexing: str) -> None:
    """Refuse a syntax or a reading that there is not: G408."""
    _check(syntax, START_RULES, "syntax")
    _check(lexing, _LEXINGS, "lexing")


def _check(value: str, known: Mapping[str, str] | tuple[str, ...], argument: str) -> None:
    if value not in known:
        names = ", ".join(f'"{name}"' for name in known)
        raise GrammarError(
            "G408",
            f'found {argument}="{value}", expected one of {names}',
            help=did_you_mean(value, known),
        )
