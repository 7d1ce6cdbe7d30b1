"""Small rules that call no others -> what they match, wherever they are used.

One pass in the order of the calls: a rule is looked at again only when the last of the
rules it calls is known. What is left calls each other, or is large.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Choice,
    Concat,
    Node,
    Reference,
    Repeat,
)
from lmql_like.grammars.regex.spelling import children

__all__ = ["inline_small_rules"]

_SMALL = 64  # about as many states a rule may need that is put in place


def inline_small_rules(rules: Mapping[str, Node], start: str) -> dict[str, Node]:
    """Return the rules that a start rule needs once small rules stand in place of their names."""
    calls = {name: set(_names(node)) & rules.keys() for name, node in rules.items()}
    users: dict[str, list[str]] = {name: [] for name in rules}
    for name, called in calls.items():
        for other in called:
            users[other].append(name)
    left = {name: len(called) for name, called in calls.items()}
    plain: dict[str, Node] = {}
    waiting = [name for name, count in left.items() if count == 0]
    while waiting:
        name = waiting.pop()
        node = _replaced(rules[name], plain)
        if _size(node) > _SMALL:
            continue
        plain[name] = node
        for user in users[name]:
            left[user] -= 1
            if left[user] == 0:
                waiting.append(user)
    found = {start: plain.get(start) or _replaced(rules[start], plain)}
    needed = [start]
    while needed:
        for name in _names(found[needed.pop()]):
            if name not in found:
                found[name] = _replaced(rules[name], plain)
                needed.append(name)
    return found


def _names(node: Node) -> Iterator[str]:
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, Reference):
            yield current.name
        stack += children(current)


def _replaced(node: Node, plain: Mapping[str, Node]) -> Node:
    if isinstance(node, Reference):
        return plain.get(node.name, node)
    if isinstance(node, Concat):
        return replace(node, parts=tuple(_replaced(part, plain) for part in node.parts))
    if isinstance(node, Alternation):
        return replace(node, options=tuple(_replaced(option, plain) for option in node.options))
    return replace(node, item=_replaced(node.item, plain)) if isinstance(node, Repeat) else node


def _size(node: Node) -> int:
    """Return about how many states a node needs."""
    if isinstance(node, Choice):
        return sum(map(len, node.texts))
    if isinstance(node, CharSet):
        return 1 if not node.ranges or node.ranges[-1][1] < 0x80 else 8
    inner = 1 + sum(map(_size, children(node)))
    return inner * max(node.low, node.high or 1, 1) if isinstance(node, Repeat) else inner
