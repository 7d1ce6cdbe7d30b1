"""Grammars as plain data and back: what a cache on disk can hold without pickle.

Nodes become rows of JSON, parts before wholes, each naming its parts by their row numbers:
a node that stands in several places is written once, and deep nesting costs no recursion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmql_like.grammars.automata.nfa import Network
from lmql_like.grammars.cfg.lexed_terminals import TerminalAutomaton
from lmql_like.grammars.cfg.rules import LexedGrammar, LexedTerminal, RuleSet
from lmql_like.grammars.regex.nodes import (
    Alternation,
    AnyByte,
    CharSet,
    Choice,
    Concat,
    Node,
    Reference,
    Repeat,
    Symbol,
)
from lmql_like.grammars.regex.spelling import children
from lmql_like.source import Source, Span

__all__ = ["NotRecordableError", "grammar_of", "record_of"]

Arrays = dict[str, NDArray[np.int32]]


class NotRecordableError(Exception):
    """A grammar holds a node that only its reader can make."""


def record_of(grammar: RuleSet | LexedGrammar) -> tuple[dict[str, Any], Arrays]:
    """Return a grammar as JSON data and arrays.

    Raises:
        NotRecordableError: it holds an automaton in place of a pattern.
    """
    writer = _NodeWriter()
    rules = {name: writer.add(node) for name, node in grammar.rules.items()}
    source = grammar.source
    record: dict[str, Any] = {
        "rules": rules,
        "nodes": writer.rows,
        "start": grammar.start,
        "source": [source.text, source.name, source.first_line],
    }
    if isinstance(grammar, RuleSet):
        record["places"] = {name: _pair(span) for name, span in grammar.places.items()}
        record["inlined"] = grammar.inlined
        return record, {}
    automata = [terminal.automaton for terminal in grammar.terminals]
    record["ignored"] = sorted(grammar.ignored)
    record["terminals"] = [
        [t.name, t.priority, t.is_text, _pair(t.span), t.automaton.n_states, t.automaton.start]
        for t in grammar.terminals
    ]
    arrays: Arrays = {}
    for name, width in _PER_TERMINAL.items():
        parts = [np.array(getattr(a, name), np.int32).reshape(-1, width) for a in automata]
        arrays[name] = np.concatenate([np.zeros((0, width), np.int32), *parts])
        arrays[f"{name}_end"] = np.cumsum([len(part) for part in parts], dtype=np.int32)
    if grammar.network is not None:
        network = grammar.network
        record["proven"] = grammar.proven
        record["network"] = [network.n_states, network.start, network.accept]
        for name, width in _PER_NETWORK.items():
            rows = np.array(getattr(network, name), np.int32).reshape(-1, width)
            arrays[f"network_{name}"] = rows
    return record, arrays


def grammar_of(record: Mapping[str, Any], arrays: Mapping[str, Any]) -> RuleSet | LexedGrammar:
    """Return the grammar of what `record_of` gave."""
    nodes: list[Node] = []
    for kind, span, value in record["nodes"]:
        nodes.append(_READERS[kind](value, nodes, _span(span)))
    rules = {name: nodes[index] for name, index in record["rules"].items()}
    source = Source(*record["source"])
    if "terminals" not in record:
        spans = {name: _span(pair) for name, pair in record["places"].items()}
        places = {name: span for name, span in spans.items() if span is not None}
        return RuleSet(rules, record["start"], source, places, record["inlined"])
    split = {name: np.split(arrays[name], arrays[f"{name}_end"][:-1]) for name in _PER_TERMINAL}
    terminals = []
    for i, (name, priority, is_text, span, n_states, first) in enumerate(record["terminals"]):
        automaton = TerminalAutomaton(
            n_states,
            first,
            split["edges"][i],
            accepts=tuple(split["accepts"][i].ravel().tolist()),
            guards=tuple((accept, guard) for accept, guard in split["guards"][i].tolist()),
            guard_accepts=tuple(split["guard_accepts"][i].ravel().tolist()),
        )
        terminals.append(LexedTerminal(name, automaton, priority, is_text, _span(span)))
    ignored = frozenset(record["ignored"])
    grammar = LexedGrammar(rules, record["start"], tuple(terminals), ignored, source)
    if "network" not in record:
        return grammar
    return replace(grammar, network=_network(record, arrays), proven=record["proven"])


def _network(record: Mapping[str, Any], arrays: Mapping[str, Any]) -> Network:
    n_states, start, accept = record["network"]
    rows = {name: arrays[f"network_{name}"] for name in _PER_NETWORK}
    return Network(
        n_states=n_states,
        edges=rows["edges"],
        jumps=rows["jumps"],
        calls=rows["calls"],
        rule_starts=tuple(rows["rule_starts"].ravel().tolist()),
        rule_ends=tuple(rows["rule_ends"].ravel().tolist()),
        start=start,
        accept=accept,
    )


# Fields of `Network` and `TerminalAutomaton` that are rows of so many numbers.
_PER_NETWORK = {"edges": 4, "jumps": 2, "calls": 3, "rule_starts": 1, "rule_ends": 1}
_PER_TERMINAL = {"edges": 4, "accepts": 1, "guards": 2, "guard_accepts": 1}


class _NodeWriter:
    """Rows of nodes: kind, span, and what the kind needs."""

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        self._index: dict[int, int] = {}  # by identity: equal nodes may differ in their spans

    def add(self, root: Node) -> int:
        """Add a node and all it is made of; return its row number."""
        stack = [root]
        while stack:
            node = stack[-1]
            waiting = [part for part in children(node) if id(part) not in self._index]
            if waiting and id(node) not in self._index:
                stack += waiting
                continue
            stack.pop()
            if id(node) not in self._index:
                self._index[id(node)] = len(self.rows)
                self.rows.append(self._row(node))
        return self._index[id(root)]

    def _row(self, node: Node) -> list[Any]:
        kind = type(node).__name__
        if kind not in _READERS:
            raise NotRecordableError(kind)
        parts = [self._index[id(part)] for part in children(node)]
        return [kind, _pair(getattr(node, "span", None)), _value(node, parts)]


def _value(node: Node, parts: list[int]) -> Any:
    if isinstance(node, CharSet):
        return [list(pair) for pair in node.ranges]
    if isinstance(node, Repeat):
        return [*parts, node.low, node.high]
    if isinstance(node, Choice):
        return list(node.texts)
    if isinstance(node, Reference):
        return node.name
    return node.index if isinstance(node, Symbol) else parts


def _parts(value: Iterable[int], nodes: list[Node]) -> tuple[Node, ...]:
    return tuple(nodes[index] for index in value)


_READERS: dict[str, Callable[[Any, list[Node], Span | None], Node]] = {
    "CharSet": lambda value, _, span: CharSet(tuple((a, b) for a, b in value), span),
    "AnyByte": lambda _value, _nodes, _span: AnyByte(),
    "Concat": lambda value, nodes, span: Concat(_parts(value, nodes), span),
    "Alternation": lambda value, nodes, span: Alternation(_parts(value, nodes), span),
    "Repeat": lambda value, nodes, span: Repeat(nodes[value[0]], value[1], value[2], span),
    "Choice": lambda value, _, span: Choice(tuple(value), span),
    "Reference": lambda value, _, span: Reference(value, span),
    "Symbol": lambda value, _nodes, _span: Symbol(value),
}


def _pair(span: Span | None) -> list[int] | None:
    return None if span is None else [span.start, span.end]


def _span(pair: list[int] | None) -> Span | None:
    return None if pair is None else Span(*pair)
