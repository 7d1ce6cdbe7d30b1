"""Smaller networks of rules over terminals: the same sentences, and the same terminals next."""

import itertools
from pathlib import Path

import lark
import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive_lexed import Contexts

from lmql_like.errors import GrammarError
from lmql_like.grammars.automata.nfa import Network, NfaBuilder
from lmql_like.grammars.cfg.lexed_grammar import read_lexed
from lmql_like.grammars.cfg.lexed_network import minimized
from lmql_like.grammars.cfg.network import build_network
from lmql_like.grammars.cfg.rules import RuleSet
from lmql_like.grammars.formula_automaton import FormulaAutomaton
from lmql_like.grammars.limits import DEFAULT_LIMITS
from lmql_like.kernels import formula as ops

LETTERS = "abc"
SEQUENCES = [s for length in range(6) for s in itertools.product(LETTERS, repeat=length)]


@st.composite
def grammars(draw):
    """A small grammar of rules that call each other as they like."""
    names = ["start", "r", "s", "t"]
    symbol = st.sampled_from([*(f'"{letter}"' for letter in LETTERS), "r", "s", "t", '"a"'])
    item = st.tuples(symbol, st.sampled_from(["", "", "", "?", "*", "+", "~2"])).map("".join)
    sequence = st.lists(item, min_size=1, max_size=4).map(" ".join)
    lines = []
    for name in names:
        options = draw(st.lists(sequence, min_size=1, max_size=3))
        lines.append(f"{name}: {' | '.join(options)}")
    return "\n".join(lines) + "\n"


def network_of(grammar):
    return build_network(RuleSet(grammar.rules, grammar.start, grammar.source), DEFAULT_LIMITS)


def parser(network, n_symbols):
    builder = NfaBuilder(DEFAULT_LIMITS)
    component = builder.add_network(network)
    automaton = FormulaAutomaton(
        graph=builder.finish(),
        running=(component,),
        program=(ops.COMPONENT, component),
        limits=DEFAULT_LIMITS,
        n_symbols=n_symbols,
    )
    return automaton.new_dfa()


@settings(max_examples=60)
@given(grammars())
def test_the_smaller_network_takes_what_earley_takes(text):
    try:
        grammar = read_lexed(text)
    except GrammarError:
        assume(False)
    names = {terminal.name: i for i, terminal in enumerate(grammar.terminals)}
    dfa = parser(minimized(network_of(grammar)), len(grammar.terminals))
    contexts = Contexts(grammar)
    for letters in SEQUENCES:
        symbols = [names.get(letter.upper()) for letter in letters]
        if None in symbols:
            continue
        state = dfa.start
        for symbol in symbols:
            state = state and dfa.advance(state, bytes([symbol]))
        expected = contexts.candidates(tuple(symbols))
        assert (state and bool(dfa.accepting(state))) == contexts.is_sentence(tuple(symbols))
        found = [s for s in range(len(names)) if state and dfa.advance(state, bytes([s]))]
        assert set(found) == expected, letters


def test_python_becomes_a_few_rules():
    path = Path(lark.__file__).parent / "grammars" / "python.lark"
    network = network_of(read_lexed(path.read_text(encoding="utf-8"), start="file_input"))
    smaller = minimized(network)
    assert len(network.rule_starts) > 100
    assert len(smaller.rule_starts) < 5
    assert smaller.n_states < network.n_states


def test_rules_too_large_for_subsets_stay_as_they_are():
    states = range(20_000)  # any number of symbols may be left out: each set is all that follow
    jumps = np.array([(s, s + 1) for s in states], np.int32)
    edges = np.array([(s, 0, 0, s + 1) for s in states], np.int32)
    call = np.array([(20_001, 0, 20_002)], np.int32)
    network = Network(20_003, edges, jumps, call, (0,), (20_000,), 20_001, 20_002)
    assert minimized(network) is network
