"""A lexed grammar's automaton: a parser over terminals, and the terminals over bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmql_like.errors import GrammarError
from lmql_like.grammars.automata.lexed_dfa import LexedDfa, LexerTables
from lmql_like.grammars.automata.nfa import Network, NfaBuilder, NfaGraph
from lmql_like.grammars.automaton import Automaton
from lmql_like.grammars.cfg.lexed_network import minimized
from lmql_like.grammars.cfg.lexed_terminals import TerminalAutomaton
from lmql_like.grammars.cfg.network import build_network
from lmql_like.grammars.cfg.rules import LexedGrammar, RuleSet
from lmql_like.grammars.dead_ends import has_no_dead_ends
from lmql_like.grammars.formula_automaton import FormulaAutomaton, byte_classes, row_starts
from lmql_like.grammars.limits import Limits
from lmql_like.kernels import formula as ops
from lmql_like.kernels.layouts import MOST_TERMINALS

__all__ = ["LexedAutomaton", "parser_network"]


class LexedAutomaton(Automaton):
    """The texts of a lexed grammar.

    Args:
        grammar: rules over terminals.
        limits: bounds.

    Raises:
        GrammarError: G202 where there are too many terminals.
    """

    def __init__(self, grammar: LexedGrammar, limits: Limits) -> None:
        super().__init__()
        if len(grammar.terminals) > MOST_TERMINALS:
            raise GrammarError(
                "G202",
                f"the grammar has {len(grammar.terminals)} terminals, more than {MOST_TERMINALS}",
                source=grammar.source,
                help='write alternatives of texts as one terminal: NAMES: "a" | "b" | ...',
            )
        self._grammar = grammar
        self._limits = limits
        network, self._proven = parser_network(grammar, limits)
        graph, component = _graph(network, limits)
        self._parser = FormulaAutomaton(
            graph=graph,
            running=(component,),
            program=(ops.COMPONENT, component),
            limits=limits,
            n_symbols=max(1, len(grammar.terminals)),
        )

    def _make_dfa(self, alphabet: bytes) -> LexedDfa:
        parser = self._parser.new_dfa()
        automata = [terminal.automaton for terminal in self._grammar.terminals]
        tables = _tables(automata, self._grammar.ignored, alphabet)
        return LexedDfa(parser, tables, self._limits, proven=self._proven)


def parser_network(grammar: LexedGrammar, limits: Limits) -> tuple[Network, bool]:
    """Return the network that a parser reads the rules by, and whether it has no dead ends.

    Raises:
        GrammarError: G202 for a network of more than `limits.max_nfa_states`.
    """
    if grammar.network is not None:
        return grammar.network, bool(grammar.proven)
    rules = RuleSet(grammar.rules, grammar.start, grammar.source)
    network = minimized(build_network(rules, limits))
    automata = [terminal.automaton for terminal in grammar.terminals]
    graph, _ = _graph(network, limits)
    return network, has_no_dead_ends(automata, grammar.ignored, graph)


def _graph(network: Network, limits: Limits) -> tuple[NfaGraph, int]:
    """Return a network as the only component of an nfa, and the component's number."""
    builder = NfaBuilder(limits)
    component = builder.add_network(network)
    return builder.finish(), component


def _tables(
    automata: Sequence[TerminalAutomaton], ignored: frozenset[int], alphabet: bytes
) -> LexerTables:
    """Put terminals into one numbering of states, over classes of an alphabet's bytes."""
    sizes = np.array([automaton.n_states for automaton in automata], np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    n = int(offsets[-1])
    parts = [np.zeros((0, 4), np.int32)]
    for automaton, offset in zip(automata, offsets, strict=False):
        parts.append(automaton.edges.reshape(-1, 4) + np.array([offset, 0, 0, offset], np.int32))
    edges = np.concatenate(parts)
    class_of_byte, low, high, kept = byte_classes(edges, alphabet)
    rows = np.column_stack([edges[kept, 0], low, high, edges[kept, 3]]).astype(np.int32)
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    accepts, guard_accepts = np.zeros(n, np.int8), np.zeros(n, np.int8)
    guards = []
    for automaton, offset in zip(automata, offsets.tolist(), strict=False):
        accepts[[offset + state for state in automaton.accepts]] = 1
        guard_accepts[[offset + state for state in automaton.guard_accepts]] = 1
        guards += [(offset + accept, offset + guard) for accept, guard in automaton.guards]
    guard_rows = np.array(sorted(guards), np.int32).reshape(-1, 2)
    marks = np.zeros(len(automata), np.int8)
    marks[list(ignored)] = 1
    starts = [
        automaton.start + offset for automaton, offset in zip(automata, offsets, strict=False)
    ]
    return LexerTables(
        class_of_byte=class_of_byte,
        edge_start=row_starts(rows[:, 0], n),
        edge_low=np.ascontiguousarray(rows[:, 1]),
        edge_high=np.ascontiguousarray(rows[:, 2]),
        edge_to=np.ascontiguousarray(rows[:, 3]),
        terminal=np.repeat(np.arange(len(automata), dtype=np.int32), sizes),
        accepts=accepts,
        guard_start=row_starts(guard_rows[:, 0], n),
        guards=np.ascontiguousarray(guard_rows[:, 1]),
        guard_accepts=guard_accepts,
        first=np.array(starts, np.int32),
        ignored=marks,
    )
