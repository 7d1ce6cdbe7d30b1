"""A grammar as data: what every grammar language is read into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lmql_like.grammars.automata.nfa import Network
from lmql_like.grammars.cfg.lexed_terminals import TerminalAutomaton
from lmql_like.grammars.regex.nodes import Node
from lmql_like.source import Source, Span

__all__ = ["LexedGrammar", "LexedTerminal", "RuleSet"]


@dataclass(frozen=True)
class RuleSet:
    """Rules over characters, read without a lexer in between.

    Attributes:
        rules: name -> what it matches; `Reference` nodes name other rules.
        start: the rule that whole texts match.
        source: the text the rules came from; spans of references point into it.
        places: name -> where it is defined, as far as the reader knows.
        inlined: small rules stand in place already where that is wanted, and there are no rules
            but those that the start rule, which stands first, needs.
    """

    rules: Mapping[str, Node]
    start: str
    source: Source
    places: Mapping[str, Span] = field(default_factory=dict)
    inlined: bool = False


@dataclass(frozen=True)
class LexedTerminal:
    """One kind of lexeme.

    Attributes:
        name: as the grammar names it, or as Lark does.
        automaton: what it matches, at least one byte.
        priority: the number behind its name, 0 without one.
        is_text: whether it is a plain string.
        span: where it is defined, or first used; None in an imported grammar.
    """

    name: str
    automaton: TerminalAutomaton
    priority: int
    is_text: bool
    span: Span | None


@dataclass(frozen=True)
class LexedGrammar:
    """Rules over terminals.

    Attributes:
        rules: name -> what it matches; `Symbol` leaves are indexes of terminals, `Reference`
            nodes name other rules. The empty set of characters stands for what no text has.
        start: the rule that whole texts match.
        terminals: by rank; of several that match the same text the first counts.
        ignored: indexes of the terminals that may stand anywhere.
        source: the text the rules came from; spans point into it.
        network: the rules as a parser reads them, if that was made already.
        proven: whether the network surely has no dead ends; None if it was not made.
    """

    rules: Mapping[str, Node]
    start: str
    terminals: tuple[LexedTerminal, ...]
    ignored: frozenset[int]
    source: Source
    network: Network | None = field(default=None, compare=False)
    proven: bool | None = field(default=None, compare=False)
