"""Terminals with lazy repeats or lookaround: refused."""

from __future__ import annotations

from lmql_like.errors import GrammarError
from lmql_like.grammars.cfg.lexed_terminals import TerminalAutomaton

__all__ = ["ordered_automaton"]


def ordered_automaton() -> TerminalAutomaton:
    """Refuse: G102."""
    raise GrammarError("G102", "the terminal uses a lazy repeat, a lookahead or a lookbehind")
