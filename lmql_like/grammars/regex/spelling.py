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
    """Return a node of the same language whose long alternations of texts are `Choice`s."""
    if isinstance(node, Concat):
        return Concat(tuple(map(merged, node.parts)), node.span)
    if isinstance(node, Repeat):
        return replace(node, item=merged(node.item))
    if not isinstance(node, Alternation):
        return node
    options = tuple(map(merged, node.options))
    if len(options) < _MANY:
        return Alternation(options, node.span)
    found = [_text(option) for option in options]
    texts = tuple(text for text in found if text is not None)
    others = tuple(o for o, text in zip(options, found, strict=True) if text is None)
    if len(texts) < _MANY:
        return Alternation(options, node.span)
    choice = Choice(texts, node.span)
    return Alternation((choice, *others), node.span) if others else choice


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
