"""Search for a completion, nearest first: A* (Hart, Nilsson and Raphael, 1968) over bytes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from heapq import heappop, heappush
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Way", "nearest_first"]

_Node = TypeVar("_Node", bound=Hashable)


class Way(NamedTuple, Generic[_Node]):
    """What a search found.

    Attributes:
        nodes: from the start to the goal, one more than bytes; without a goal, all there are.
        data: the bytes between them; None where no goal can be reached.
    """

    nodes: list[_Node]
    data: bytes | None


def nearest_first(
    start: _Node,
    behind: Callable[[_Node], Iterable[tuple[int, _Node]]],
    ahead: Callable[[_Node], int | None],
    is_goal: Callable[[_Node], bool],
    most: int,
) -> Way[_Node] | None:
    """Return a way to a goal; the shortest, if `ahead` never says more than there is.

    Args:
        start: where it begins.
        behind: the nodes behind one more byte, each with a byte that leads to it.
        ahead: estimates the bytes to a goal; None where there surely is none.
        is_goal: tells goals.
        most: nodes to look at; beyond, None is returned.
    """
    came: dict[_Node, tuple[_Node, int]] = {}
    depth = {start: 0}
    heap: list[tuple[int, int, int, _Node]] = [(0, 0, 0, start)]
    done: set[_Node] = set()
    pushed = 0
    while heap:
        _, _, _, current = heappop(heap)
        if current in done:
            continue
        done.add(current)
        if is_goal(current):
            return _way(came, start, current)
        if len(done) > most:
            return None
        length = depth[current] + 1
        for byte, target in behind(current):
            known = depth.get(target)
            if known is not None and known <= length:
                continue
            estimate = ahead(target)
            if estimate is None:
                continue
            pushed += 1
            depth[target], came[target] = length, (current, byte)
            heappush(heap, (length + estimate, -length, pushed, target))
    return Way(list(depth), None)


def _way(came: dict[_Node, tuple[_Node, int]], start: _Node, end: _Node) -> Way[_Node]:
    nodes, data = [end], bytearray()
    while nodes[-1] != start:
        before, byte = came[nodes[-1]]
        nodes.append(before)
        data.append(byte)
    return Way(nodes[::-1], bytes(reversed(data)))
