"""A grammar and what stands beside it that it cannot say itself; see `automata.beside`."""

from __future__ import annotations

import re

from lmql_like.grammars.automata.beside import Beside, make_table
from lmql_like.grammars.automata.lazy_dfa import LazyDfa
from lmql_like.grammars.automata.lexed_dfa import LexedDfa
from lmql_like.grammars.automata.paired_dfa import PairedDfa, ProductVerdicts, Verdicts
from lmql_like.grammars.automata.verdicts import LexedVerdicts
from lmql_like.grammars.automaton import Automaton
from lmql_like.grammars.formula_automaton import FormulaAutomaton, cut_phrase
from lmql_like.grammars.formulas import TokenCount
from lmql_like.grammars.lexed_automaton import LexedAutomaton

__all__ = ["PairedAutomaton"]


class PairedAutomaton(Automaton):
    """The texts of a grammar for which other conditions hold, too.

    Args:
        grammar: lexed; or not, and and-ed to the regular conditions.
        beside: a regular condition (beside a lexed grammar), or-ed patterns, stops.
        counts: tests of the token count, all of which must hold.
        finders: phrases of STOPS_BEFORE.
    """

    def __init__(
        self,
        grammar: LexedAutomaton | FormulaAutomaton,
        beside: Beside,
        counts: tuple[TokenCount, ...] = (),
        finders: tuple[re.Pattern[str], ...] = (),
    ) -> None:
        low = max((count.low for count in counts), default=0)
        highs = [count.high for count in counts if count.high is not None]
        high = min(highs) if highs else None
        super().__init__(tuple(sorted({low, *([] if high is None else [high + 1])} - {0})))
        self._grammar = grammar
        self._beside = beside
        self._finders = finders
        self._low, self._high = low, high

    @property
    def highest_count(self) -> int | None:
        """The highest token count at which any text can be accepted, None if unbounded."""
        return self._high

    @property
    def lowest_count(self) -> int:
        """The lowest token count at which a text can be accepted."""
        return self._low

    def value(self, raw: bytes) -> bytes:
        """Return the hole's text: `raw` without a STOPS_BEFORE phrase at its end."""
        return cut_phrase(self.dfa(), raw, self._finders) if self._finders else raw

    def _make_dfa(self, alphabet: bytes) -> PairedDfa:
        base = self._grammar.dfa(alphabet)
        table, condition = make_table(self._beside, alphabet)
        verdicts: Verdicts
        if isinstance(base, LexedDfa):
            verdicts = LexedVerdicts(base, condition, alphabet)
        elif isinstance(base, LazyDfa):
            verdicts = ProductVerdicts(base, condition.accepts.size)
        else:
            raise TypeError("no automaton of a grammar")
        return PairedDfa(base, table, verdicts, alphabet, self._regimes())

    def _regimes(self) -> int:
        """Return the regimes (bits) of the token count in which texts count."""
        first = (0, *self.count_bounds)
        return sum(
            1 << regime
            for regime, count in enumerate(first)
            if self._low <= count and (self._high is None or count <= self._high)
        )
