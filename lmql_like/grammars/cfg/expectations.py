"""What the rules of a grammar expect behind a text: Earley's recognizer (CACM 1970).

Masks come from automata that know no rules any more; this reads a text once more, slowly,
to say in which rules it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from lmql_like.grammars.cfg.rules import RuleSet
from lmql_like.grammars.regex.charsets import Ranges, single
from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Choice,
    Concat,
    Node,
    Reference,
    Repeat,
)

__all__ = ["Expectation", "find_expectations"]

_MOST_SYMBOLS = 200_000
_MOST_ITEMS = 500_000


@dataclass(frozen=True)
class Expectation:
    """A set of characters that may come next, and the rules it belongs to.

    Attributes:
        path: names of open rules, the start rule first.
        ranges: the characters.
    """

    path: tuple[str, ...]
    ranges: Ranges


class _TooLarge(Exception):  # noqa: N818 - never leaves this module
    """The grammar or the text is too large to be read here."""


def find_expectations(rules: RuleSet, text: str) -> list[Expectation] | None:
    """Return what may come behind a text; None where grammar or text are too large for that.

    Args:
        rules: a grammar without a lexer.
        text: some sentence begins with it, or the list is empty.
    """
    try:
        return list(_Chart(_Productions(rules), text).expectations())
    except _TooLarge:
        return None


class _Productions:
    """The grammar as numbered symbols: characters, and symbols with alternatives."""

    def __init__(self, rules: RuleSet) -> None:
        self.ranges: list[Ranges | None] = []
        self.options: list[list[tuple[int, ...]]] = []
        self.names: list[str] = []
        self.of_rule = {name: self._symbol(_shown(name)) for name in rules.rules}
        for name, node in rules.rules.items():
            self.options[self.of_rule[name]] = self._alternatives(node)
        self.start = self.of_rule[rules.start]
        self.nullable = self._nullable()

    def _symbol(self, name: str = "", ranges: Ranges | None = None) -> int:
        if len(self.names) == _MOST_SYMBOLS:
            raise _TooLarge
        self.names.append(name)
        self.ranges.append(ranges)
        self.options.append([])
        return len(self.names) - 1

    def _alternatives(self, node: Node) -> list[tuple[int, ...]]:
        if isinstance(node, Alternation):
            return [self._sequence(option) for option in node.options]
        if isinstance(node, Choice):
            return [tuple(self._symbol("", single(char)) for char in text) for text in node.texts]
        return [self._sequence(node)]

    def _sequence(self, node: Node) -> tuple[int, ...]:
        parts = node.parts if isinstance(node, Concat) else (node,)
        return tuple(symbol for part in parts for symbol in self._symbols(part))

    def _symbols(self, node: Node) -> tuple[int, ...]:
        if isinstance(node, Reference):
            return (self.of_rule[node.name],)
        if isinstance(node, CharSet):
            return (self._symbol("", node.ranges),)
        if isinstance(node, Repeat):
            return self._repeat(node)
        symbol = self._symbol()
        self.options[symbol] = self._alternatives(node)
        return (symbol,)

    def _repeat(self, node: Repeat) -> tuple[int, ...]:
        item = self._symbol()
        self.options[item] = self._alternatives(node.item)
        if node.low > _MOST_SYMBOLS:
            raise _TooLarge
        least = (item,) * node.low
        if node.high is None:
            loop = self._symbol()
            self.options[loop] = [(), (loop, item)]
            return (*least, loop)
        more: tuple[int, ...] = ()
        for _ in range(node.high - node.low):
            symbol = self._symbol()
            self.options[symbol] = [(), (item, *more)]
            more = (symbol,)
        return least + more

    def _nullable(self) -> set[int]:
        found: set[int] = set()
        users: dict[int, list[int]] = {}
        for symbol, options in enumerate(self.options):
            for option in options:
                for part in option:
                    users.setdefault(part, []).append(symbol)
        waiting = list(range(len(self.names)))
        while waiting:
            symbol = waiting.pop()
            if symbol not in found and any(found.issuperset(o) for o in self.options[symbol]):
                found.add(symbol)
                waiting += users.get(symbol, [])
        return found


_Item: TypeAlias = "tuple[int, int, int, int]"  # symbol, option, how much of it is read, begin


class _Chart:
    """Earley's sets, one for each place in a text."""

    def __init__(self, grammar: _Productions, text: str) -> None:
        self.grammar = grammar
        self.waiting: list[dict[int, list[_Item]]] = []  # next symbol -> items
        self.n_items = 0
        begin = [(grammar.start, i, 0, 0) for i in range(len(grammar.options[grammar.start]))]
        self._add_set(begin)
        for char in text:
            code = ord(char)
            moved = [
                (symbol, option, dot + 1, origin)
                for expected, items in self.waiting[-1].items()
                if any(a <= code <= b for a, b in grammar.ranges[expected] or ())
                for symbol, option, dot, origin in items
            ]
            self._add_set(moved)

    def _add_set(self, items: list[_Item]) -> None:
        grammar, place = self.grammar, len(self.waiting)
        waiting: dict[int, list[_Item]] = {}
        self.waiting.append(waiting)
        seen = set(items)
        stack = list(items)
        while stack:
            symbol, option, dot, origin = stack.pop()
            body = grammar.options[symbol][option]
            fresh: list[_Item] = []
            if dot == len(body):
                fresh = [(s, o, d + 1, k) for s, o, d, k in self.waiting[origin].get(symbol, ())]
            else:
                expected = body[dot]
                waiting.setdefault(expected, []).append((symbol, option, dot, origin))
                count = len(grammar.options[expected])
                fresh = [(expected, i, 0, place) for i in range(count)]
                if expected in grammar.nullable:
                    fresh.append((symbol, option, dot + 1, origin))
            for item in fresh:
                if item not in seen:
                    seen.add(item)
                    stack.append(item)
        self.n_items += len(seen)
        if self.n_items > _MOST_ITEMS:
            raise _TooLarge

    def expectations(self) -> Iterator[Expectation]:
        """Yield what the last set expects, once for each path of rules."""
        place = len(self.waiting) - 1
        found: dict[tuple[tuple[str, ...], Ranges], None] = {}
        for expected, items in self.waiting[place].items():
            ranges = self.grammar.ranges[expected]
            for item in items if ranges else ():
                found.setdefault((self._path(item), ranges or ()))
        for path, ranges in found:
            yield Expectation(path, ranges)

    def _path(self, item: _Item) -> tuple[str, ...]:
        """Return the named rules above an item: a shortest way to the start rule."""
        steps: list[tuple[_Item, int]] = [(item, -1)]
        seen = {item}
        at = 0
        while at < len(steps):
            (symbol, _, _, origin), _ = steps[at]
            if symbol == self.grammar.start and origin == 0:
                break
            for above in self.waiting[origin].get(symbol, ()):
                if above not in seen:
                    seen.add(above)
                    steps.append((above, at))
            at += 1
        names: list[str] = []
        while 0 <= at < len(steps):
            name = self.grammar.names[steps[at][0][0]]
            names += [name] if name and (not names or names[-1] != name) else []
            at = steps[at][1]
        return tuple(names)


def _shown(name: str) -> str:
    """Return a rule's name as its author knows it; empty for rules that have none."""
    if name.startswith("%") or "(" in name:
        return ""
    return name.partition("{")[0]
