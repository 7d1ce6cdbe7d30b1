"""How nodes were written: their parts, their places, and texts that could be a trie."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Choice,
    Concat,
    Node,
    Repeat,
)
from lmql_like.source import Span

__all__ = ["children", "covering", "merged", "place_of"]

_EMPTY: Node = Concat(())
_MANY = 16  # options of an alternation worth a trie


def children(node: Node) -> tuple[Node, ...]:
    """Return the nodes that a node is made of."""
    if isinstance(node, Concat):
        return node.parts
    if isinstance(node, Alternation):
        return node.options
    return (node.item,) if isinstance(node, Repeat) else ()


def covering(nodes: Iterable[Node]) -> Span | None:
    """Return the smallest span that covers nodes, of those whose place is known."""
    spans = [span for node in nodes if (span := place_of(node)) is not None]
    return Span(min(s.start for s in spans), max(s.end for s in spans)) if spans else None


def place_of(node: Node) -> Span | None:
    """Return the place of a node; the span of a repeat is only its sign's."""
    span: Span | None = getattr(node, "span", None)
    if isinstance(node, Repeat) and span is not None:
        inner = place_of(node.item)
        return span if inner is None else inner.to(span)
    return span


def merged(node: Node) -> Node:
    """Return a node of the same language whose long alternations of texts are `Choice`s.

    Texts with one and the same node behind them (as a lexer's ignored text) become one
    choice in front of it. Parts that stood in several places still are one object.
    """
    return _merged(node, {})


def _merged(node: Node, done: dict[int, Node]) -> Node:
    if id(node) not in done:
        done[id(node)] = _merged_anew(node, done)
    return done[id(node)]


def _merged_anew(node: Node, done: dict[int, Node]) -> Node:
    if isinstance(node, Concat):
        return Concat(tuple(_merged(part, done) for part in node.parts), node.span)
    if isinstance(node, Repeat):
        return replace(node, item=_merged(node.item, done))
    if not isinstance(node, Alternation):
        return node
    options = tuple(_merged(option, done) for option in node.options)
    if len(options) < _MANY:
        return Alternation(options, node.span)
    groups: dict[int, list[tuple[str, Node]]] = {}
    others: list[Node] = []
    for option in options:
        head, tail = _head_and_tail(option)
        text = _text(head)
        if text is None:
            others.append(option)
        else:
            groups.setdefault(id(tail), []).append((text, tail))
    found: list[Node] = []
    for pairs in groups.values():
        choice = Choice(tuple(text for text, _ in pairs), node.span)
        tail = pairs[0][1]
        found.append(choice if tail is _EMPTY else Concat((choice, tail), node.span))
    found += others
    return found[0] if len(found) == 1 else Alternation(tuple(found), node.span)


def _head_and_tail(node: Node) -> tuple[Node, Node]:
    """Return what stands first, and what stands behind it if it is no plain text."""
    if isinstance(node, Concat) and len(node.parts) == 2 and _text(node.parts[1]) is None:
        return node.parts
    return node, _EMPTY


def _text(node: Node) -> str | None:
    """Return the one text that a node matches, None where that is not plain to see."""
    if isinstance(node, Choice) and len(node.texts) == 1:
        return node.texts[0]
    if isinstance(node, CharSet) and len(node.ranges) == 1:
        low, high = node.ranges[0]
        return chr(low) if low == high else None
    if isinstance(node, Concat):
        texts = [_text(part) for part in node.parts]
        return "".join(t for t in texts if t is not None) if None not in texts else None
    return None
