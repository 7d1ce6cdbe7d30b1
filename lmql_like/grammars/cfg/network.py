"""Rules -> a recursive transition network: one small automaton per rule, joined by calls.

The kernels read a network byte by byte with a stack of return states. Three rewritings
make that finite and exact:

* rules without references are put in place where they are used, as long as they are small;
* every rule loses the empty text: its start state gets, by one step, all that could follow
  without a byte, and calls of a rule that can be empty get an empty way past them. Then
  each call reads at least one byte;
* left recursion is removed (`left_recursion`).

We need membership only: which derivation a text has does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from lmql_like.grammars.automata.nfa import Network, NfaBuilder
from lmql_like.grammars.cfg.left_recursion import network_with_cycles
from lmql_like.grammars.cfg.rules import RuleSet
from lmql_like.grammars.limits import Limits
from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Choice,
    Concat,
    Diagram,
    Finite,
    Layered,
    Node,
    Reference,
    Repeat,
    is_nullable,
    is_nullable_diagram,
)
from lmql_like.kernels.networks import begin_rules

__all__ = ["build_network", "references", "size"]

_SMALL = 64  # nodes of a rule that is put in place where it is used


def build_network(grammar: RuleSet, limits: Limits) -> Network:
    """Return the network of a grammar.

    Raises:
        GrammarError: G202 where it needs more states than `limits.max_nfa_states`.
    """
    rules = grammar.rules
    if not grammar.inlined:
        rules = _reachable(_inline_small(rules), grammar.start)
    nullable = _nullable(rules)
    builder = NfaBuilder(limits, nullable)
    for node in rules.values():
        builder.add_rule(node)
    names = list(rules)
    root, is_empty = names.index(grammar.start), grammar.start in nullable
    network = _without_cycles(builder, names, root, is_empty)
    return network or network_with_cycles(builder, names, root, is_empty, limits)


def _without_cycles(
    builder: NfaBuilder, names: list[str], root: int, is_empty: bool
) -> Network | None:
    """Return the network of rules of which none begins with itself; None where one does."""
    number = {name: index for index, name in enumerate(names)}
    sources, callees, targets = builder.references
    edges, calls, order = begin_rules(
        np.array(builder.edge_columns, np.int32),
        np.array(builder.jump_columns, np.int32),
        np.array([sources, [number[name] for name in callees], targets], np.int32),
        np.array([part.start for part in builder.components], np.int32),
        builder.n_states,
    )
    if not order.size:
        return None
    n = builder.n_states + len(names)
    jumps = np.array(builder.jump_columns, np.int32).T
    starts = (builder.n_states + order).tolist()
    ends = [part.accept for part in builder.components]
    if not len(calls):  # a pattern, written as rules
        start, accept = builder.n_states + root, ends[root]
        starts, ends = [], []
    else:
        start, accept, n = n, n + 1, n + 2
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        calls = np.concatenate([calls, np.array([[start, root, accept]], np.int32)])
        calls[:, 1] = rank[calls[:, 1]]
    if is_empty:
        jumps = np.concatenate([jumps, np.array([[start, accept]], np.int32)])
    return Network(n, edges, jumps, calls, tuple(starts), tuple(ends), start, accept)


# -- rules ---------------------------------------------------------------------------------


def _children(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Concat):
        return node.parts
    if isinstance(node, Alternation):
        return node.options
    if isinstance(node, Diagram):
        return tuple(part for _, part, _ in node.moves)
    return (node.item,) if isinstance(node, Repeat) else ()


def references(node: Node) -> Iterator[Reference]:
    """Yield the references to rules inside a node."""
    stack = [node]
    while stack:
        current = stack.pop()
        kind = type(current)
        if isinstance(current, Reference):
            yield current
        elif isinstance(current, Finite):
            yield from current.rules
        elif isinstance(current, Layered):
            yield from current.step.rules
        elif isinstance(current, Diagram):  # few parts on many moves
            stack += {id(part): part for _, part, _ in current.moves}.values()
        elif kind is not CharSet and kind is not Choice:
            stack += _children(current)


def _names(node: Node) -> dict[str, None]:
    return {reference.name: None for reference in references(node)}


def size(node: Node) -> int:
    """Return about how many states a node needs."""
    if isinstance(node, Choice):
        return sum(map(len, node.texts))
    if isinstance(node, Finite):
        return node.n_states
    if isinstance(node, Layered):
        return node.high * (node.step.n_states - node.n)
    if isinstance(node, CharSet):
        return 1 if not node.ranges or node.ranges[-1][1] < 0x80 else 8
    inner = 1 + sum(map(size, _children(node)))
    return inner * max(node.low, node.high or 1, 1) if isinstance(node, Repeat) else inner


def _inline_small(rules: Mapping[str, Node]) -> dict[str, Node]:
    """Put rules without references in the place of references to them, while they are small."""
    left = dict(rules)
    used = {name: _names(node) for name, node in left.items()}
    while True:
        plain = {
            name: node for name, node in left.items() if not used[name] and size(node) <= _SMALL
        }
        users = [name for name, names in used.items() if not names.keys().isdisjoint(plain)]
        if not users:
            return left
        for name in users:
            left[name] = _with_rules(left[name], plain)
            used[name] = _names(left[name])


def _with_rules(node: Node, rules: Mapping[str, Node]) -> Node:
    if isinstance(node, Reference):
        return rules.get(node.name, node)
    if isinstance(node, Concat):
        return Concat(tuple(_with_rules(part, rules) for part in node.parts))
    if isinstance(node, Alternation):
        return Alternation(tuple(_with_rules(option, rules) for option in node.options))
    if isinstance(node, Diagram):
        moves = tuple((a, _with_rules(part, rules), b) for a, part, b in node.moves)
        return replace(node, moves=moves)
    return replace(node, item=_with_rules(node.item, rules)) if isinstance(node, Repeat) else node


def _reachable(rules: Mapping[str, Node], start: str) -> dict[str, Node]:
    """Return the rules that the start rule needs, itself first."""
    found, stack = {start: rules[start]}, [start]
    while stack:
        for name in _names(found[stack.pop()]):
            if name not in found:
                found[name] = rules[name]
                stack.append(name)
    return found


def _nullable(rules: Mapping[str, Node]) -> frozenset[str]:
    """Return the rules that match the empty text, by iteration to the least fixed point."""
    found: set[str] = set()

    def is_empty(node: Node) -> bool:
        if isinstance(node, Reference):
            return node.name in found
        if isinstance(node, Concat):
            return all(map(is_empty, node.parts))
        if isinstance(node, Alternation):
            return any(map(is_empty, node.options))
        if isinstance(node, Repeat):
            return node.low == 0 or is_empty(node.item)
        if isinstance(node, Diagram):
            return is_nullable_diagram(node, is_empty)
        return is_nullable(node)

    while True:
        more = {name for name, node in rules.items() if name not in found and is_empty(node)}
        if not more:
            return frozenset(found)
        found |= more
