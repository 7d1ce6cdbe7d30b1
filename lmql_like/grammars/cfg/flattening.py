"""A node as one automaton without empty moves: what many grammars share is put in order once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from lmql_like.grammars.automata.nfa import NfaBuilder
from lmql_like.grammars.cfg.network import references
from lmql_like.grammars.limits import DEFAULT_LIMITS
from lmql_like.grammars.regex.nodes import Finite, Node, Reference

__all__ = ["flattened"]

_Row = TypeVar("_Row")


def flattened(node: Node) -> Finite:
    """Return the automaton of a node; none of the rules it calls may match the empty text.

    Raises:
        GrammarError: G202 where it writes out to too many states.
    """
    rules = {reference.name: reference for reference in references(node)}
    builder = NfaBuilder(DEFAULT_LIMITS)
    builder.add(node)
    (part,) = builder.components
    moves = _by_source((a, (low, high, b)) for a, low, high, b in builder.edges)
    calls = _by_source((a, (name, b)) for a, name, b in zip(*builder.references, strict=True))
    jumps = _by_source(builder.jumps)
    order = [part.start]
    known = {part.start: 0}

    def number(state: int) -> int:
        if state not in known:
            known[state] = len(order)
            order.append(state)
        return known[state]

    rows: list[tuple[int, int, int, int]] = []
    called: list[tuple[int, Reference, int]] = []
    accepting = []
    for source, state in enumerate(order):
        closure = _closure(state, jumps)
        if part.accept in closure:
            accepting.append(source)
        for inner in closure:
            rows += [(source, low, high, number(b)) for low, high, b in moves.get(inner, ())]
            called += [(source, rules[name], number(b)) for name, b in calls.get(inner, ())]
    sources, lows, highs, targets = map(list, zip(*rows, strict=True))
    return Finite(len(order), (sources, lows, highs, targets), tuple(accepting), tuple(called))


def _by_source(rows: Iterable[tuple[int, _Row]]) -> dict[int, list[_Row]]:
    found: dict[int, list[_Row]] = {}
    for source, row in rows:
        found.setdefault(source, []).append(row)
    return found


def _closure(state: int, jumps: Mapping[int, list[int]]) -> dict[int, None]:
    """Return a state and those that empty moves lead to."""
    seen = {state: None}
    stack = [state]
    while stack:
        for target in jumps.get(stack.pop(), ()):
            if target not in seen:
                seen[target] = None
                stack.append(target)
    return seen
