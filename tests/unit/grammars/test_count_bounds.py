"""Ranges of token counts are bits of one machine word: too many are refused, not wrapped."""

import pytest

from lmql_like.errors import GrammarError
from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.formulas import any_of, token_count


def test_sixty_numbers_are_compared_to_exactly():
    automaton = compile_formula(any_of(token_count(n, n) for n in range(2, 62, 2)))
    assert len(automaton.count_bounds) == 60
    start = automaton.dfa().start
    accepting = automaton.dfa().accepting(start)
    for count in range(70):
        assert bool(accepting >> automaton.regime(count) & 1) == (count in range(2, 62, 2))


def test_more_numbers_are_refused():
    with pytest.raises(GrammarError, match="different numbers") as caught:
        compile_formula(any_of(token_count(n, n) for n in range(2, 64, 2)))
    assert caught.value.code == "G202"
