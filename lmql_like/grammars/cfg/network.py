"""Rules -> a recursive transition network: one small automaton per rule, joined by calls.

The kernels read a network byte by byte with a stack of return states. Three rewritings
make that finite and exact:

* rules without references are put in place where they are used, as long as they are small;
* every rule loses the empty text: its start state gets, by one step, all that could follow
  without a byte, and calls of a rule that can be empty get an empty way past them. Then
  each call reads at least one byte;
* left recursion is removed on the automaton, after Paull's scheme for grammars (Moore,
  NAACL 2000): a rule that begins with a lower one of its cycle takes a copy of that one's
  automaton in its place, and a rule that begins with itself goes on, where it ends, to
  what follows that call: `a: a x | b` is `b` and then any number of `x`.

We need membership only: which derivation a text has does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter

from lmql_like.errors import GrammarError
from lmql_like.grammars.automata.nfa import Network, NfaBuilder
from lmql_like.grammars.cfg.rules import RuleSet
from lmql_like.grammars.limits import Limits
from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Choice,
    Concat,
    Diagram,
    Finite,
    Node,
    Reference,
    Repeat,
    is_nullable_diagram,
)

__all__ = ["build_network", "references"]

_SMALL = 64  # nodes of a rule that is put in place where it is used


def build_network(grammar: RuleSet, limits: Limits) -> Network:
    """Return the network of a grammar.

    Raises:
        GrammarError: G202 where it needs more states than `limits.max_nfa_states`.
    """
    rules = _reachable(_inline_small(grammar.rules), grammar.start)
    nullable = _nullable(rules)
    builder = NfaBuilder(limits, nullable)
    for node in rules.values():
        builder.add(node)
    graph = _Graph.of(builder, list(rules))
    for name in rules:
        graph.begin_with_a_byte(name)
    for cycle in _cycles({name: graph.begins_with(name) for name in rules}):
        graph.remove_left_recursion(cycle, limits)
    start, accept = graph.state(), graph.state()
    graph.calls.setdefault(start, []).append((grammar.start, accept))
    if grammar.start in nullable:
        graph.jumps.setdefault(start, []).append(accept)
    return graph.finish(start, accept)


# -- rules ---------------------------------------------------------------------------------


def _children(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Concat):
        return node.parts
    if isinstance(node, Alternation):
        return node.options
    if isinstance(node, Diagram):
        return tuple(part for _, part, _ in node.moves)
    return (node.item,) if isinstance(node, Repeat) else ()


def references(node: Node) -> Iterator[str]:
    """Yield the names of the rules that a node refers to."""
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, Reference):
            yield current.name
        stack += _children(current)


def _size(node: Node) -> int:
    """Return about how many states a node needs."""
    if isinstance(node, Choice):
        return sum(map(len, node.texts))
    if isinstance(node, Finite):
        return node.n_states
    if isinstance(node, CharSet):
        return 1 if not node.ranges or node.ranges[-1][1] < 0x80 else 8
    inner = 1 + sum(map(_size, _children(node)))
    return inner * max(node.low, node.high or 1, 1) if isinstance(node, Repeat) else inner


def _inline_small(rules: Mapping[str, Node]) -> dict[str, Node]:
    """Put rules without references in the place of references to them, while they are small."""
    left = dict(rules)
    while True:
        plain = {
            name: node
            for name, node in left.items()
            if not any(references(node)) and _size(node) <= _SMALL
        }
        users = {
            name: _with_rules(node, plain)
            for name, node in left.items()
            if any(reference in plain for reference in references(node))
        }
        if not users:
            return left
        left |= users


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
        for name in references(found[stack.pop()]):
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
        if isinstance(node, Finite):
            return 0 in node.accepting
        if isinstance(node, Diagram):
            return is_nullable_diagram(node, is_empty)
        return isinstance(node, Choice) and "" in node.texts

    while True:
        more = {name for name, node in rules.items() if name not in found and is_empty(node)}
        if not more:
            return frozenset(found)
        found |= more


def _cycles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the strongly connected parts of a graph that have a cycle (Kosaraju's way)."""
    order: list[str] = []
    seen: set[str] = set()
    for root in graph:
        stack = [(root, iter(graph[root]))] if root not in seen else []
        seen.add(root)
        while stack:
            name, following = stack[-1]
            fresh = next((other for other in following if other not in seen), None)
            if fresh is None:
                order.append(name)
                stack.pop()
            else:
                seen.add(fresh)
                stack.append((fresh, iter(graph[fresh])))
    backward: dict[str, list[str]] = {name: [] for name in graph}
    for name, others in graph.items():
        for other in others:
            backward[other].append(name)
    parts: list[list[str]] = []
    seen.clear()
    for root in reversed(order):
        part, todo = [], [root] if root not in seen else []
        seen.add(root)
        while todo:
            name = todo.pop()
            part.append(name)
            fresh_ones = [other for other in backward[name] if other not in seen]
            seen.update(fresh_ones)
            todo += fresh_ones
        if len(part) > 1 or (part and part[0] in graph[part[0]]):
            parts.append(part)
    return parts


# -- automata --------------------------------------------------------------------------------


@dataclass
class _Graph:
    """The automata of all rules, by source state, while they are rewritten."""

    n_states: int
    begin: dict[str, int]
    end: dict[str, int]
    edges: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    jumps: dict[int, list[int]] = field(default_factory=dict)
    calls: dict[int, list[tuple[str, int]]] = field(default_factory=dict)

    @classmethod
    def of(cls, builder: NfaBuilder, names: list[str]) -> _Graph:
        parts = builder.components
        graph = cls(
            builder.n_states,
            {name: part.start for name, part in zip(names, parts, strict=True)},
            {name: part.accept for name, part in zip(names, parts, strict=True)},
        )
        for source, low, high, target in builder.edges:
            graph.edges.setdefault(source, []).append((low, high, target))
        for source, target in builder.jumps:
            graph.jumps.setdefault(source, []).append(target)
        for source, name, target in zip(*builder.references, strict=True):
            graph.calls.setdefault(source, []).append((name, target))
        return graph

    def state(self) -> int:
        """Return a new state."""
        self.n_states += 1
        return self.n_states - 1

    def begins_with(self, name: str) -> list[str]:
        """Return the rules that a rule may call before it reads a byte."""
        return [callee for callee, _ in self.calls.get(self.begin[name], ())]

    def begin_with_a_byte(self, name: str) -> None:
        """Give a rule a start state that nothing leads to and that makes no empty move."""
        seen, stack, start = {self.begin[name]}, [self.begin[name]], self.state()
        while stack:
            state = stack.pop()
            self.edges.setdefault(start, []).extend(self.edges.get(state, ()))
            self.calls.setdefault(start, []).extend(self.calls.get(state, ()))
            fresh = [target for target in self.jumps.get(state, ()) if target not in seen]
            seen.update(fresh)
            stack += fresh
        self.calls[start] = list(dict.fromkeys(self.calls[start]))
        self.begin[name] = start

    def remove_left_recursion(self, cycle: list[str], limits: Limits) -> None:
        """Rewrite the rules of a cycle so that none begins with a lower one or itself."""
        for index, name in enumerate(cycle):
            lower = set(cycle[:index])
            start = self.begin[name]
            while callee := next((c for c in self.begins_with(name) if c in lower), None):
                returns = [to for c, to in self.calls[start] if c == callee]
                self.calls[start] = [call for call in self.calls[start] if call[0] != callee]
                self._insert_copy(start, callee, returns, limits)
            for callee, returns_to in self.calls[start]:
                if callee == name:
                    self.jumps.setdefault(self.end[name], []).append(returns_to)
            self.calls[start] = [call for call in self.calls[start] if call[0] != name]

    def _insert_copy(self, start: int, callee: str, returns: list[int], limits: Limits) -> None:
        """Let a start state read a copy of a rule, and go on in the return states behind it."""
        states = self._states_of(callee)
        if self.n_states + len(states) > limits.max_nfa_states:
            raise GrammarError(
                "G202",
                f"removing left recursion needs more than {limits.max_nfa_states} states",
                help="write the rules so that they do not begin with each other",
            )
        copy = {state: self.state() for state in states}
        for state, twin in copy.items():
            self.edges[twin] = [(a, b, copy[to]) for a, b, to in self.edges.get(state, ())]
            self.jumps[twin] = [copy[to] for to in self.jumps.get(state, ())]
            self.calls[twin] = [(name, copy[to]) for name, to in self.calls.get(state, ())]
        begin = copy[self.begin[callee]]
        self.edges.setdefault(start, []).extend(self.edges[begin])
        self.calls[start] = list(dict.fromkeys([*self.calls[start], *self.calls[begin]]))
        self.jumps[copy[self.end[callee]]].extend(returns)

    def _states_of(self, name: str) -> list[int]:
        """Return the states that a rule's start state leads to without entering calls."""
        seen = dict.fromkeys((self.begin[name], self.end[name]))
        stack = list(seen)
        while stack:
            state = stack.pop()
            targets = [to for _, _, to in self.edges.get(state, ())]
            targets += self.jumps.get(state, ())
            targets += [to for _, to in self.calls.get(state, ())]
            for target in targets:
                if target not in seen:
                    seen[target] = None
                    stack.append(target)
        return list(seen)

    def finish(self, start: int, accept: int) -> Network:
        """Return the network; a rule stands before those it begins with."""
        order: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(self.begin, ()))
        for name in self.begin:
            for callee in self.begins_with(name):
                order.add(callee, name)
        rank = {name: index for index, name in enumerate(order.static_order())}
        return Network(
            n_states=self.n_states,
            edges=tuple((s, *edge) for s, edges in self.edges.items() for edge in edges),
            jumps=tuple((s, to) for s, targets in self.jumps.items() for to in targets),
            calls=tuple(
                (s, rank[name], to) for s, calls in self.calls.items() for name, to in calls
            ),
            rule_starts=tuple(self.begin[name] for name in rank),
            rule_ends=tuple(self.end.values()),
            start=start,
            accept=accept,
        )
