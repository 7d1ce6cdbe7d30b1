"""What follows from a grammar's rules, each found in time linear in the grammar."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet

from lmql_like.grammars.lint.written import WrittenGrammar, references
from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Choice,
    Concat,
    Node,
    Reference,
    Repeat,
)

__all__ = ["Facts", "components", "some_text"]


class Facts:
    """Which rules may be empty, match any text, and are reached.

    Attributes:
        users: rule -> rules that name it.
        nullable: rules and terminals that match the empty text.
        productive: rules, and terminals in rules, that match some text.
        textless: terminals that match no text.
        reached: rules that the start rules need.
    """

    def __init__(self, grammar: WrittenGrammar) -> None:
        self.grammar = grammar
        self.names = {
            name: tuple(dict.fromkeys(r.name for r in references(node)))
            for name, node in grammar.rules.items()
        }
        self.users: dict[str, list[str]] = defaultdict(list)
        for name, used in self.names.items():
            for other in used:
                self.users[other].append(name)
        alive = {n for n, t in grammar.terminals.items() if t.node is None or some_text(t.node)}
        self.textless = grammar.terminals.keys() - alive
        alive -= grammar.never_found
        self.productive = self._closed(alive, some_text)
        self.nullable = self._closed(set(), _is_empty)
        self.reached = self._reached()

    def may_be_empty(self, node: Node) -> bool:
        """Tell whether a node matches the empty text; terminals never do."""
        return _is_empty(node, self.nullable)

    def has_text(self, node: Node) -> bool:
        """Tell whether a node matches any text."""
        return some_text(node, self.productive)

    def _closed(self, found: set[str], test: Callable[[Node, set[str]], bool]) -> set[str]:
        """Return the least set of rules that pass a test which asks for that very set."""
        waiting = list(self.grammar.rules)
        while waiting:
            name = waiting.pop()
            if name not in found and test(self.grammar.rules[name], found):
                found.add(name)
                waiting += self.users[name]
        return found

    def _reached(self) -> set[str]:
        stack = [name for name in self.grammar.starts if name in self.grammar.rules]
        seen = set(stack)
        while stack:
            fresh = [n for n in self.names[stack.pop()] if n in self.names and n not in seen]
            seen.update(fresh)
            stack += fresh
        return seen


def _is_empty(node: Node, nullable: set[str]) -> bool:
    if isinstance(node, Reference):
        return node.name in nullable
    if isinstance(node, Concat):
        return all(_is_empty(part, nullable) for part in node.parts)
    if isinstance(node, Alternation):
        return any(_is_empty(option, nullable) for option in node.options)
    if isinstance(node, Repeat):
        return node.low == 0 or _is_empty(node.item, nullable)
    return isinstance(node, Choice) and "" in node.texts


def some_text(node: Node, productive: AbstractSet[str] = frozenset()) -> bool:
    """Tell whether a node matches any text, given the names that do."""
    if isinstance(node, Reference):
        return node.name in productive
    if isinstance(node, Concat):
        return all(some_text(part, productive) for part in node.parts)
    if isinstance(node, Alternation):
        return any(some_text(option, productive) for option in node.options)
    if isinstance(node, Repeat):
        is_possible = node.high is None or node.high >= node.low
        return is_possible and (node.low == 0 or some_text(node.item, productive))
    if isinstance(node, CharSet):
        return bool(node.ranges)
    return not isinstance(node, Choice) or bool(node.texts)


def components(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the strongly connected parts of a graph that have a cycle (Kosaraju's way)."""
    backward: dict[str, list[str]] = {name: [] for name in graph}
    for name, others in graph.items():
        for other in others:
            backward[other].append(name)
    parts: list[list[str]] = []
    seen: set[str] = set()
    for root in reversed(_finishing_order(graph)):
        if root in seen:
            continue
        part, stack = [], [root]
        seen.add(root)
        while stack:
            name = stack.pop()
            part.append(name)
            fresh = [other for other in dict.fromkeys(backward[name]) if other not in seen]
            seen.update(fresh)
            stack += fresh
        if len(part) > 1 or root in graph[root]:
            parts.append(part)
    return parts


def _finishing_order(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the names in the order in which a walk in depth leaves them."""
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
    return order
