"""Terminals of a lexed grammar -> automata over bytes without empty moves.

Thompson's construction writes the node out; then each state that a byte leads to takes
over the edges of the states behind its empty moves. Counted repeats stay linear in size:
where an item can be empty, the count has no lower bound and the item is not empty.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lmql_like.errors import GrammarError
from lmql_like.grammars.automata.nfa import NfaBuilder
from lmql_like.grammars.limits import Limits
from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Choice,
    Concat,
    Node,
    Repeat,
    is_nullable,
)
from lmql_like.grammars.regex.spelling import children, merged

__all__ = ["TerminalAutomaton", "check_size", "node_automaton", "text_automaton", "trim_automaton"]

_FEW = 12  # parts of a sequence of which each may be the first that is not empty
_EDGES_PER_STATE = 4  # of the limit on states: empty moves that are skipped multiply edges


@dataclass(frozen=True)
class TerminalAutomaton:
    """What one terminal matches; states count from 0 and there are no empty moves.

    Every state lies on a way from the start to an accept or a guard accept. A lexeme ends
    in an accept; where guards belong to the accept, the bytes behind the lexeme are read
    from each guard's start, and the lexeme may not end where they reach a guard accept.

    Attributes:
        n_states: how many states there are.
        start: where lexemes begin.
        edges: [n, 4] source, first byte, last byte, target; several may fit one byte.
        accepts: where lexemes may end.
        guards: (accept, first state of a guard).
        guard_accepts: states of guards that forbid the end.
    """

    n_states: int
    start: int
    edges: NDArray[np.int32]
    accepts: tuple[int, ...]
    guards: tuple[tuple[int, int], ...] = ()
    guard_accepts: tuple[int, ...] = ()

    @property
    def matches_empty(self) -> bool:
        """Whether a lexeme may be empty."""
        return self.start in self.accepts


def text_automaton(text: str) -> TerminalAutomaton:
    """Return the automaton of one text."""
    data = text.encode()
    edges = np.array([(i, byte, byte, i + 1) for i, byte in enumerate(data)], np.int32)
    return TerminalAutomaton(len(data) + 1, 0, edges, (len(data),))


def node_automaton(node: Node, limits: Limits) -> TerminalAutomaton:
    """Return the automaton of all texts that a node matches.

    Raises:
        GrammarError: G202 it writes out to too many states or edges.
    """
    check_size(node, limits.max_nfa_states)
    builder = NfaBuilder(limits)
    builder.add(_with_linear_repeats(merged(node)))
    graph = builder.finish()
    begin, end = graph.components[0].start, graph.components[0].accept
    edges = graph.edges.reshape(-1, 4)
    jumps = graph.jumps.reshape(-1, 2)
    is_kept = np.zeros(builder.n_states, np.bool_)
    is_kept[begin] = True
    is_kept[edges[:, 3]] = True
    behind = _closures(jumps, is_kept, limits)
    accepts = behind[behind[:, 1] == end, 0].tolist()
    accepts += [end] if is_kept[end] else []
    edges = np.concatenate([edges[is_kept[edges[:, 0]]], _moved_back(edges, behind, limits)])
    number = np.cumsum(is_kept, dtype=np.int32) - 1
    edges[:, 0], edges[:, 3] = number[edges[:, 0]], number[edges[:, 3]]
    automaton = TerminalAutomaton(
        int(is_kept.sum()),
        int(number[begin]),
        _without_copies(edges) if len(behind) else edges,
        tuple(sorted({int(number[state]) for state in accepts})),
    )
    return trim_automaton(automaton) if _has_empty_set(node) else automaton


def check_size(node: Node, limit: int) -> None:
    """Refuse a node that certainly writes out to more states, before any is written: G202."""
    sizes: dict[int, int] = {}
    stack = [node]
    while stack:
        current = stack[-1]
        parts = children(current)
        waiting = [part for part in parts if id(part) not in sizes]
        stack += waiting
        if waiting:
            continue
        size = sum(sizes[id(part)] for part in parts) if parts else 1
        if isinstance(current, Repeat):
            size *= max(current.low, current.high or 0, 1)
        sizes[id(stack.pop())] = size
        if size > limit:
            raise GrammarError(
                "G202",
                f"the terminal writes out to more than {limit} states",
                span=getattr(current, "span", None),
                help="make the counted repeats smaller, or raise Limits.max_nfa_states",
            )


def _closures(
    jumps: NDArray[np.int32], is_kept: NDArray[np.bool_], limits: Limits
) -> NDArray[np.int64]:
    """Return all pairs (kept state, other state behind it by empty moves alone)."""
    targets: dict[int, list[int]] = {}
    for source, target in jumps.tolist():
        targets.setdefault(source, []).append(target)
    sources: list[int] = []
    reached: list[int] = []
    for state in targets:
        if not is_kept[state]:
            continue
        seen = {state}
        stack = [state]
        while stack:
            fresh = [target for target in targets.get(stack.pop(), ()) if target not in seen]
            seen.update(fresh)
            stack += fresh
        seen.discard(state)
        reached += seen
        sources += [state] * len(seen)
        _check_edges(len(reached), limits)
    return np.array([sources, reached], np.int64).T


def _moved_back(
    edges: NDArray[np.int32], behind: NDArray[np.int64], limits: Limits
) -> NDArray[np.int32]:
    """Return the edges of the states behind empty moves as edges of those before."""
    by_source = edges[np.argsort(edges[:, 0], kind="stable")]
    first = np.searchsorted(by_source[:, 0], behind[:, 1], side="left")
    counts = np.searchsorted(by_source[:, 0], behind[:, 1], side="right") - first
    total = int(counts.sum())
    _check_edges(total, limits)
    within = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    moved: NDArray[np.int32] = by_source[np.repeat(first, counts) + within]
    moved[:, 0] = np.repeat(behind[:, 0], counts)
    return moved


def _without_copies(edges: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return edges in order, each once."""
    source, low, high, target = edges.T.astype(np.int64)
    n_states = int(target.max(initial=0)) + 1
    _, first = np.unique(((source * 256 + low) * 256 + high) * n_states + target, return_index=True)
    once: NDArray[np.int32] = edges[first]
    return once


def _check_edges(count: int, limits: Limits) -> None:
    if count > _EDGES_PER_STATE * limits.max_nfa_states:
        raise GrammarError(
            "G202",
            f"a terminal needs more than {_EDGES_PER_STATE} edges for each of the "
            f"{limits.max_nfa_states} states that are allowed",
            help="repeat items that cannot be empty, or raise Limits.max_nfa_states",
        )


def trim_automaton(automaton: TerminalAutomaton) -> TerminalAutomaton:
    """Return an automaton without states that lie on no way to an accept or guard accept."""
    forward: dict[int, list[int]] = {}
    backward: dict[int, list[int]] = {}
    for source, _, _, target in automaton.edges.tolist():
        forward.setdefault(source, []).append(target)
        backward.setdefault(target, []).append(source)
    ends = _reach([*automaton.accepts, *automaton.guard_accepts], backward)
    guards = [(accept, guard) for accept, guard in automaton.guards if guard in ends]
    begins = _reach([automaton.start, *(guard for _, guard in guards)], forward)
    useful = sorted(begins & ends | {automaton.start})
    number = np.full(automaton.n_states, -1, np.int32)
    number[useful] = np.arange(len(useful))
    edges = automaton.edges.copy()
    edges[:, 0], edges[:, 3] = number[edges[:, 0]], number[edges[:, 3]]
    return TerminalAutomaton(
        len(useful),
        int(number[automaton.start]),
        edges[(edges[:, 0] >= 0) & (edges[:, 3] >= 0)],
        tuple(int(number[state]) for state in automaton.accepts if number[state] >= 0),
        tuple((int(number[a]), int(number[g])) for a, g in guards if number[a] >= 0),
        tuple(int(number[state]) for state in automaton.guard_accepts if number[state] >= 0),
    )


def _reach(begin: Iterable[int], targets: dict[int, list[int]]) -> set[int]:
    seen = set(begin)
    stack = list(seen)
    while stack:
        fresh = [target for target in targets.get(stack.pop(), ()) if target not in seen]
        seen.update(fresh)
        stack += fresh
    return seen


def _with_linear_repeats(node: Node) -> Node:
    """Return the node with `(x?){m,n}` as `x{0,n}`: no copy has empty moves past many others."""
    if isinstance(node, Concat):
        return Concat(tuple(map(_with_linear_repeats, node.parts)))
    if isinstance(node, Alternation):
        return Alternation(tuple(map(_with_linear_repeats, node.options)))
    if not isinstance(node, Repeat):
        return node
    item = _with_linear_repeats(node.item)
    if node.high == 1 or not is_nullable(item):
        return replace(node, item=item)
    return replace(node, item=_not_empty(item), low=0)


def _not_empty(node: Node) -> Node:
    """Return what a node matches but the empty text; a long sequence stays as it is."""
    if not is_nullable(node):
        return node
    if isinstance(node, Alternation):
        return Alternation(tuple(map(_not_empty, node.options)))
    if isinstance(node, Choice):
        return Choice(tuple(filter(None, node.texts)))
    if isinstance(node, Repeat) and not is_nullable(node.item):
        return node.item if node.high == 1 else replace(node, low=1)
    if isinstance(node, Concat) and len(node.parts) <= _FEW:
        # The first part that is not empty, and what may follow it.
        rests = [node.parts[i + 1 :] for i in range(len(node.parts))]
        first = map(_not_empty, node.parts)
        return Alternation(tuple(Concat((f, *rest)) for f, rest in zip(first, rests, strict=True)))
    return node


def _has_empty_set(node: Node) -> bool:
    seen: set[int] = set()
    stack = [node]
    while stack:
        current = stack.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, CharSet) and not current.ranges:
            return True
        if isinstance(current, Concat):
            stack += current.parts
        elif isinstance(current, Alternation):
            stack += current.options
        elif isinstance(current, Repeat):
            stack.append(current.item)
    return False
