"""Which terminals may stand at the same places of a lexed grammar.

`first` and `last` are the terminals that a rule's texts begin and end with. `always` holds,
for a terminal, others that may stand wherever it may; `ever` others that may somewhere.
The first is never too large, the second never too small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lmql_like.grammars.lint.facts import Facts
from lmql_like.grammars.regex.nodes import Concat, Node, Reference, Repeat
from lmql_like.grammars.regex.spelling import children

__all__ = ["Contexts"]

_Names = frozenset[str]
_NONE: _Names = frozenset()


class Contexts:
    """First and last terminals of every rule, and who stands beside whom."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.grammar = facts.grammar
        self.rules = {
            name: node
            for name, node in self.grammar.rules.items()
            if name in facts.reached and name in facts.productive
        }
        self._first: dict[str, _Names] = {}
        self._last: dict[str, _Names] = {}
        self._close(self._first, self.first)
        self._close(self._last, self.last)
        self.always: dict[str, _Names] = {}
        self.ever: dict[str, _Names] = {}
        self._collect()

    def first(self, node: Node) -> _Names:
        """Return the terminals that texts of a node begin with."""
        return self._edge(node, self._first, is_first=True)

    def last(self, node: Node) -> _Names:
        """Return the terminals that texts of a node end with."""
        return self._edge(node, self._last, is_first=False)

    def _edge(self, node: Node, known: dict[str, _Names], *, is_first: bool) -> _Names:
        if isinstance(node, Reference):
            if node.name in self.grammar.terminals:
                return frozenset([node.name] if node.name in self.facts.productive else [])
            return known.get(node.name, _NONE)
        if isinstance(node, Concat):
            if not self.facts.has_text(node):
                return _NONE
            parts = node.parts if is_first else tuple(reversed(node.parts))
            return self._edge_of_parts(parts, known, is_first=is_first)
        if isinstance(node, Repeat) and node.high == 0:
            return _NONE
        return _NONE.union(*(self._edge(c, known, is_first=is_first) for c in children(node)))

    def _edge_of_parts(
        self, parts: tuple[Node, ...], known: dict[str, _Names], *, is_first: bool
    ) -> _Names:
        found = _NONE
        for part in parts:
            found |= self._edge(part, known, is_first=is_first)
            if not self.facts.may_be_empty(part):
                break
        return found

    def _close(self, known: dict[str, _Names], edge: Callable[[Node], _Names]) -> None:
        waiting = list(self.rules)
        queued = set(waiting)
        while waiting:
            name = waiting.pop()
            queued.discard(name)
            found = edge(self.rules[name])
            if found != known.get(name, _NONE):
                known[name] = found
                fresh = [u for u in self.facts.users[name] if u in self.rules and u not in queued]
                waiting += fresh
                queued.update(fresh)

    # -- who stands beside whom --------------------------------------------------------

    def _collect(self) -> None:
        """Walk the rules until what stands beside each of them is settled."""
        surely: dict[str, _Names] = {n: _NONE for n in self.grammar.starts if n in self.rules}
        maybe: dict[str, _Names] = dict(surely)
        waiting = list(surely)
        while waiting:
            name = waiting.pop()
            for reference, always, ever in self._places(name, surely[name], maybe[name]):
                inner = reference.name
                if inner in self.grammar.terminals:
                    self._note(inner, always, ever)
                if inner not in self.rules:
                    continue
                before = surely.get(inner), maybe.get(inner)
                surely[inner] = always if before[0] is None else before[0] & always
                maybe[inner] = ever | (before[1] or _NONE)
                if before != (surely[inner], maybe[inner]):
                    waiting.append(inner)
        ignored = frozenset(self.grammar.ignored)
        everything = frozenset(self.always)
        for name in ignored:
            self.always[name] = self.always.get(name, ignored) & ignored
            self.ever[name] = everything | ignored
        for name in everything:
            self.always[name] |= ignored
            self.ever[name] |= ignored

    def _note(self, name: str, always: _Names, ever: _Names) -> None:
        self.always[name] = self.always.get(name, always) & always
        self.ever[name] = self.ever.get(name, _NONE) | ever

    def _places(
        self, name: str, surely: _Names, maybe: _Names
    ) -> Iterable[tuple[Reference, _Names, _Names]]:
        """Yield the references in a rule with what surely and maybe stands beside each."""
        node = self.rules[name]
        first = self.first(node)
        stack: list[tuple[Node, _Names, _Names]] = [(node, surely | first, maybe | first)]
        while stack:
            current, always, ever = stack.pop()
            if isinstance(current, Reference):
                yield current, always, ever
            elif isinstance(current, Concat):
                stack += self._parts(current, always, ever)
            elif isinstance(current, Repeat) and current.high != 1:
                first = self.first(current.item)
                stack.append((current.item, first, ever | first))
            else:
                stack += [(child, always, ever) for child in children(current)]

    def _parts(
        self, node: Concat, always: _Names, ever: _Names
    ) -> Iterable[tuple[Node, _Names, _Names]]:
        if not self.facts.has_text(node):
            return
        is_edge = True
        for index, part in enumerate(node.parts):
            rest = self._edge_of_parts(node.parts[index:], self._first, is_first=True)
            if isinstance(before := node.parts[index - 1] if index else None, Repeat):
                rest |= self.first(before.item) if before.high is None else _NONE
            yield part, (always | rest if index == 0 else rest), (ever | rest if is_edge else rest)
            is_edge = is_edge and self.facts.may_be_empty(part)
