r"""Character sets -> byte automata: the minimal automaton of the set's UTF-8 forms.

A set is cut by the length of the UTF-8 form (1 to 4 bytes) and then, byte by byte, into
blocks that share a prefix. Blocks with the same tail share one node, so `.` costs eight
nodes and `\w` a few hundred.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from lmql_like.grammars.regex.charsets import Ranges, intersect

__all__ = ["ByteAutomaton", "utf8_automaton", "valid_utf8_table"]

Edges: TypeAlias = tuple[tuple[int, int, int], ...]  # (first byte, last byte, target node)

# (first code point, last code point, bytes in all, bits of the lead byte's marker)
_LENGTHS = (
    (0x00, 0x7F, 1, 0x00),
    (0x80, 0x7FF, 2, 0xC0),
    (0x800, 0xFFFF, 3, 0xE0),
    (0x10000, 0x10FFFF, 4, 0xF0),
)


@dataclass(frozen=True)
class ByteAutomaton:
    """A deterministic automaton over bytes without loops.

    Node 0 is the start and node 1 the one accepting node; `edges[node]` lists
    (first byte, last byte, target).
    """

    edges: tuple[Edges, ...]


@lru_cache(maxsize=4096)
def utf8_automaton(ranges: Ranges) -> ByteAutomaton:
    """Return the automaton of the UTF-8 forms of a set of characters."""
    builder = _Builder()
    lead: list[tuple[int, int, int]] = []
    for low, high, length, marker in _LENGTHS:
        part = intersect(ranges, ((low, high),))
        if part:
            lead.extend(builder.edges(part, length - 1, marker))
    builder.nodes[0] = tuple(lead)
    return ByteAutomaton(tuple(builder.nodes))


class _Builder:
    """Makes nodes on demand; equal nodes are made once."""

    def __init__(self) -> None:
        self.nodes: list[Edges] = [(), ()]
        self._known: dict[Edges, int] = {}

    def node(self, ranges: Ranges, tail: int) -> int:
        """Return the node that reads the last `tail` bytes of characters in the ranges."""
        if tail == 0:
            return 1
        edges = tuple(self.edges(ranges, tail - 1, 0x80))
        if edges not in self._known:
            self._known[edges] = len(self.nodes)
            self.nodes.append(edges)
        return self._known[edges]

    def edges(self, ranges: Ranges, tail: int, marker: int) -> list[tuple[int, int, int]]:
        """Return the edges on one byte, `tail` more bytes to come.

        The byte is `marker` plus the block's number; for a continuation byte the number
        counts within the block above it.
        """
        block = 64**tail
        base = 64 if marker == 0x80 else 1 << 21
        out: list[tuple[int, int, int]] = []
        done = 0  # code points below are dealt with
        for index, (range_low, high) in enumerate(ranges):
            low = max(range_low, done)
            while low <= high:
                first = low // block
                start, stop = first * block, (first + 1) * block
                if low == start and high >= stop - 1:
                    # Whole blocks, as many as there are below the next block above.
                    last = min((high + 1) // block - 1, first - first % base + base - 1)
                    target = self.node(((0, block - 1),), tail)
                else:
                    last = first
                    target = self.node(_within(ranges, index, low, start, stop), tail)
                low = done = (last + 1) * block
                _append_edge(out, marker + first % base, marker + last % base, target)
        return out


def _within(ranges: Ranges, index: int, low: int, start: int, stop: int) -> Ranges:
    """Return the part of ranges[index:] in [max(low, start), stop), counted from start."""
    inside = []
    while index < len(ranges) and ranges[index][0] < stop:
        first, last = max(ranges[index][0], low), min(ranges[index][1], stop - 1)
        inside.append((first - start, last - start))
        index += 1
    return tuple(inside)


def _append_edge(out: list[tuple[int, int, int]], low: int, high: int, target: int) -> None:
    """Append an edge, or widen the last one where it leads to the same node."""
    if out and out[-1][2] == target and out[-1][1] == low - 1:
        out[-1] = (out[-1][0], high, target)
    else:
        out.append((low, high, target))


def valid_utf8_table() -> list[list[int]]:
    """Return a table [8][256] of the states of a UTF-8 reader; 0 is between characters, -1 dead."""
    automaton = utf8_automaton(((0, 0xD7FF), (0xE000, 0x10FFFF)))
    renumber = {0: 0, 1: 0}
    for node in range(2, len(automaton.edges)):
        renumber[node] = node - 1
    table = [[-1] * 256 for _ in range(len(automaton.edges) - 1)]
    for node, edges in enumerate(automaton.edges):
        for low, high, target in edges:
            for byte in range(low, high + 1):
                table[renumber[node]][byte] = renumber[target]
    return table
