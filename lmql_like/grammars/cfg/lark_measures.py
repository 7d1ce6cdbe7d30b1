"""What Lark's lexer sorts terminals by: how long they can be, and how long they are written.

Lark joins the parts of a terminal into one pattern; only that pattern's measures count, so
they are added up here without writing it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lark.lexer import Pattern

from lmql_like.grammars.cfg.lark_terminals import LarkTree
from lmql_like.grammars.regex.nodes import Alternation, Concat, Node, Repeat
from lmql_like.grammars.regex.ordered_nodes import Lookahead, Lookbehind

__all__ = ["Measure", "combine_measures", "literal_measure", "range_measure"]

_UNBOUNDED = 1 << 64
_FLAG = len("(?i:)")
_GROUP = len("(?:)")


@dataclass(frozen=True)
class Measure:
    """A terminal's pattern as Lark would write it.

    Attributes:
        least: characters of the shortest text.
        most: characters of the longest one.
        written: characters of the pattern.
        flags: how many flags it has.
        escapes: how many characters more a string has when written as a pattern.
        is_text: whether it is a plain string.
    """

    least: int
    most: int
    written: int
    flags: int = 0
    escapes: int = 0
    is_text: bool = False

    @property
    def inside(self) -> int:
        """Characters of the pattern when it is part of another."""
        return self.written + self.escapes + _FLAG * self.flags

    @property
    def sort_key(self) -> tuple[int, int, int]:
        """What Lark orders options of a terminal by."""
        return (-self.most, -self.least, -self.written)


def literal_measure(pattern: Pattern, node: Node) -> Measure:
    """Return the measure of a string or a pattern."""
    value, flags = pattern.value, len(pattern.flags)
    if pattern.type == "str":
        escapes = len(re.escape(value)) - len(value)
        return Measure(len(value), len(value), len(value), flags, escapes, is_text=True)
    return Measure(*_widths(node), len(value), flags)


def range_measure(low: Any, high: Any) -> Measure:
    """Return the measure of a range of characters, given as they are written."""
    return Measure(1, 1, len(low) + len(high) - 1)


def combine_measures(tree: LarkTree, parts: list[Measure], low: int, high: int | None) -> Measure:
    """Return the measure of `value`, `expansion`, `expansions`, `maybe` or `expr`."""
    if tree.data in ("maybe", "expr"):
        inner = parts[0]
        sign, *counts = ("?",) if tree.data == "maybe" else tree.children[1:]
        suffix = len(str(sign)) if not counts else len(",".join(map(str, counts))) + 2
        least, most = _repeated((inner.least, inner.most), low, high)
        return Measure(least, most, inner.inside + _GROUP + suffix, inner.flags)
    if len(parts) == 1:
        return parts[0]
    written = sum(part.inside for part in parts)
    if tree.data == "expansion":
        least, most = sum(part.least for part in parts), sum(part.most for part in parts)
        return Measure(least, min(most, _UNBOUNDED), written, is_text=not parts)
    least, most = min(part.least for part in parts), max(part.most for part in parts)
    return Measure(least, most, written + len(parts) - 1 + _GROUP)


def _repeated(item: tuple[int, int], low: int, high: int | None) -> tuple[int, int]:
    most = item[1] * (_UNBOUNDED if high is None else high)
    return min(item[0] * low, _UNBOUNDED), min(most, _UNBOUNDED)


def _widths(node: Node) -> tuple[int, int]:
    """Return how many characters a pattern matches, at least and at most."""
    if isinstance(node, Concat):
        parts = [_widths(part) for part in node.parts]
        least, most = sum(low for low, _ in parts), sum(high for _, high in parts)
        return least, min(most, _UNBOUNDED)
    if isinstance(node, Alternation):
        parts = [_widths(option) for option in node.options]
        return min(low for low, _ in parts), max(high for _, high in parts)
    if isinstance(node, Repeat):
        return _repeated(_widths(node.item), node.low, node.high)
    return (0, 0) if isinstance(node, (Lookahead, Lookbehind)) else (1, 1)
