"""Ambiguities without end, and those that only cost: loops of what may be empty, and the like.

Masks are exact all the same: what counts is whether a text can be read, not in how many
ways. But every way is followed, and such a place is seldom meant.
"""

from __future__ import annotations

from collections.abc import Iterator

from lmql_like.grammars.lint.facts import Facts, components
from lmql_like.grammars.lint.findings import Finding
from lmql_like.grammars.lint.written import WrittenGrammar
from lmql_like.grammars.regex import charsets
from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Choice,
    Concat,
    Node,
    Reference,
    Repeat,
)
from lmql_like.grammars.regex.spelling import children, place_of
from lmql_like.source import Span

__all__ = ["find_cycles", "find_hidden_recursion", "find_loops"]

_FARTHEST = 100  # rules that are looked into for what stands at an edge


def find_loops(grammar: WrittenGrammar, facts: Facts) -> Iterator[Finding]:
    """Yield G510 for endless repeats of what may be empty, G512 for repeats in a row."""
    for node in grammar.rules.values():
        stack = [node]
        while stack:
            current = stack.pop()
            stack.extend(reversed(children(current)))
            if isinstance(current, Repeat) and current.high is None:
                yield from _loop(grammar, facts, current)
            elif isinstance(current, Concat):
                yield from _rows(grammar, facts, current)


def _loop(grammar: WrittenGrammar, facts: Facts, node: Repeat) -> Iterator[Finding]:
    if facts.may_be_empty(node.item):
        yield Finding(
            "G510",
            "something that may be empty is repeated without end",
            grammar.source,
            place_of(node),
            "there is no end to the ways to read a text here",
            "repeat only what is not empty: write `(a b)*` for `(a* b?)*` where that is meant",
        )


def _rows(grammar: WrittenGrammar, facts: Facts, node: Concat) -> Iterator[Finding]:
    for left, right in zip(node.parts, node.parts[1:], strict=False):
        before = _edge_loops(grammar, left, last=True)
        behind = _edge_loops(grammar, right, last=False)
        if any(_overlap(a, b, facts) for a in before for b in behind):
            span = place_of(right)
            yield Finding(
                "G512",
                "two repeats in a row match the same texts",
                grammar.source,
                span,
                "this and what stands before it take turns at will",
                "one repeat is enough",
            )


def _edge_loops(grammar: WrittenGrammar, node: Node, *, last: bool) -> list[Node]:
    """Return what is repeated without end at the end of a node, or at its beginning."""
    found: list[Node] = []
    seen: set[str] = set()
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, Reference) and current.name in grammar.rules:
            if current.name not in seen and len(seen) < _FARTHEST:
                seen.add(current.name)
                stack.append(grammar.rules[current.name])
        elif isinstance(current, Concat) and current.parts:
            stack.append(current.parts[-1 if last else 0])
        elif isinstance(current, Repeat):
            if current.high is None:
                found.append(current.item)
            stack.append(current.item)
    return found


def _overlap(left: Node, right: Node, facts: Facts) -> bool:
    """Tell whether some text of one byte or more surely matches both of two nodes."""
    if left == right and not isinstance(left, Repeat):
        return facts.has_text(left) and not (isinstance(left, Concat) and not left.parts)
    if isinstance(left, Alternation):
        return any(_overlap(option, right, facts) for option in left.options)
    if isinstance(right, Alternation):
        return _overlap(right, left, facts)
    if isinstance(left, CharSet) and isinstance(right, CharSet):
        return bool(charsets.intersect(left.ranges, right.ranges))
    if isinstance(left, Choice) and isinstance(right, Choice):
        return any(text for text in set(left.texts) & set(right.texts))
    return False


def find_cycles(grammar: WrittenGrammar, facts: Facts) -> Iterator[Finding]:
    """Yield G511 for rules that can stand for themselves alone."""
    alone = {
        name: [other for other in _alone(node, facts) if other in grammar.rules]
        for name, node in grammar.rules.items()
    }
    for ring in components(alone):
        members = set(ring)
        named = [name for name in grammar.places if name in members]
        if named:
            way = f"through {_listed(named[1:])}" if named[1:] else "alone"
            yield Finding(
                "G511",
                f"the rule '{named[0]}' can stand for itself {way}",
                grammar.source,
                grammar.places[named[0]],
                "there is no end to the ways to read a text here",
                "delete the alternative that adds nothing",
            )


def find_hidden_recursion(grammar: WrittenGrammar, facts: Facts) -> Iterator[Finding]:
    """Yield G513 for rules that begin with themselves behind what may be empty."""
    begins: dict[str, list[str]] = {}
    hidden: dict[str, dict[str, Span]] = {}
    for name, node in grammar.rules.items():
        found = [pair for pair in _beginnings(node, facts) if pair[0].name in grammar.rules]
        begins[name] = [reference.name for reference, _ in found]
        hidden[name] = {r.name: r.span for r, is_hidden in found if is_hidden and r.span}
    for ring in components(begins):
        members = set(ring)
        for name, other in ((one, two) for one in ring for two in hidden[one]):
            if other in members:
                yield Finding(
                    "G513",
                    f"the rule '{other}' begins with itself behind what may be empty",
                    grammar.source,
                    hidden[name][other],
                    "reached again without reading anything",
                    "put what may be empty behind it, or write an alternative without it",
                )


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _alone(node: Node, facts: Facts) -> Iterator[str]:
    """Yield the rules that may be all there is of a node."""
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, Reference):
            yield current.name
        elif isinstance(current, Repeat) and (current.high == 0 or current.low > 1):
            stack += [current.item] if current.high and facts.may_be_empty(current.item) else []
        elif isinstance(current, Concat):
            full = [part for part in current.parts if not facts.may_be_empty(part)]
            stack += current.parts if not full else full if len(full) == 1 else []
        else:
            stack += children(current)


def _beginnings(node: Node, facts: Facts) -> Iterator[tuple[Reference, bool]]:
    """Yield the references that a node may begin with, and whether anything stands before."""
    stack = [(node, False)]
    while stack:
        current, is_hidden = stack.pop()
        if isinstance(current, Reference):
            yield current, is_hidden
        elif isinstance(current, Concat):
            for index, part in enumerate(current.parts):
                stack.append((part, is_hidden or index > 0))
                if not facts.may_be_empty(part):
                    break
        else:
            stack += [(child, is_hidden) for child in children(current)]
