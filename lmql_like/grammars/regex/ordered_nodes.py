r"""Nodes of patterns whose order of trying counts: lazy repeats, lookahead and lookbehind.

They stand beside the nodes of `regex.nodes` in what `parse_pattern(..., ordered=True)`
returns, and only there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lmql_like.grammars.regex import charsets
from lmql_like.grammars.regex.charsets import ALL_CHARACTERS, Ranges
from lmql_like.grammars.regex.nodes import Alternation, CharSet, Concat, Node, Repeat
from lmql_like.source import Span

__all__ = ["LazyRepeat", "Lookahead", "Lookbehind", "end_of_text", "is_ordered", "lookahead"]

_NEWLINE = charsets.single("\n")
_NO_NEWLINE = charsets.complement(_NEWLINE)
_ASCII: Ranges = ((0, 0x7F),)


@dataclass(frozen=True)
class LazyRepeat(Repeat):
    """A repeat that prefers fewer copies; as a set of texts it is a repeat like any other."""


@dataclass(frozen=True)
class Lookahead:
    """Nothing, where an item matches what follows; or, if negative, where it does not."""

    item: Node
    is_negative: bool
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Lookbehind:
    """Nothing, behind a character of a set; the set has all or no characters beyond ASCII."""

    ranges: Ranges
    span: Span | None = field(default=None, compare=False)

    @property
    def is_decidable(self) -> bool:
        """Whether the last byte of a character tells if it is in the set."""
        beyond = charsets.intersect(self.ranges, charsets.complement(_ASCII))
        return not beyond or beyond == charsets.complement(_ASCII)

    def holds_behind(self, byte: int) -> bool:
        """Tell whether a character that ends with a byte is in the set."""
        code = min(byte, 0x80)  # what is beyond ASCII ends with 0x80 or more
        return any(low <= code <= high for low, high in self.ranges)


def end_of_text(kind: str, *, each_line: bool, span: Span) -> Lookahead:
    r"""Return `$` or `\Z` as what may not follow: `$` lets one last line end follow."""
    if kind != "$":
        item: Node = CharSet(ALL_CHARACTERS)
    elif each_line:
        item = CharSet(_NO_NEWLINE)
    else:
        more = Concat((CharSet(_NEWLINE), CharSet(ALL_CHARACTERS)))
        item = Alternation((CharSet(_NO_NEWLINE), more))
    return Lookahead(item, is_negative=True, span=span)


def lookahead(item: Node, *, is_negative: bool, span: Span) -> Lookahead:
    """Return a lookahead; one for a character or the end of the text says what is forbidden."""
    options = item.options if isinstance(item, Alternation) else (item,)
    sets = [option.ranges for option in options if isinstance(option, CharSet)]
    ends = [option.item for option in options if isinstance(option, Lookahead)]
    if is_negative or len(ends) != 1 or len(sets) + 1 != len(options):
        return Lookahead(item, is_negative, span)
    allowed = charsets.union(sets)
    forbidden = [_without(part, allowed) for part in _options(ends[0])]
    return Lookahead(Alternation(tuple(forbidden)), is_negative=True, span=span)


def _options(node: Node) -> tuple[Node, ...]:
    return node.options if isinstance(node, Alternation) else (node,)


def _without(node: Node, first: Ranges) -> Node:
    """Return the texts of a node that do not begin with a character of a set."""
    if isinstance(node, Concat):
        return Concat((_without(node.parts[0], first), *node.parts[1:]))
    ranges = node.ranges if isinstance(node, CharSet) else ()
    return CharSet(charsets.intersect(ranges, charsets.complement(first)))


def is_ordered(node: Node) -> bool:
    """Tell whether a node has parts whose order of trying counts."""
    seen: set[int] = set()
    stack: list[Node] = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, (LazyRepeat, Lookahead, Lookbehind)):
            return True
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, Concat):
            stack += current.parts
        elif isinstance(current, Alternation):
            stack += current.options
        elif isinstance(current, Repeat):
            stack.append(current.item)
    return False
