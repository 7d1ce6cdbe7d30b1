"""Nodes whose order of trying counts -> a program of prioritized moves over bytes.

The program is Pike's (see Cox, "Regular Expression Matching: the Virtual Machine Approach",
2009): a fork lists its targets, the preferred one first. What follows `re` beyond that: in
a repeat, an iteration that took no character ends the repeat. So an item that can be empty
is written twice, once for the way on which it has taken nothing so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from lmql_like.errors import GrammarError
from lmql_like.grammars.cfg.lexed_terminals import check_size
from lmql_like.grammars.limits import Limits
from lmql_like.grammars.regex.nodes import Alternation, CharSet, Choice, Concat, Node, Repeat
from lmql_like.grammars.regex.ordered_nodes import LazyRepeat, Lookahead, Lookbehind
from lmql_like.grammars.utf8 import utf8_automaton
from lmql_like.source import Span

__all__ = ["MATCH", "Ahead", "Behind", "Fork", "Move", "Program", "Read", "build_program"]

_SHARE = 10  # of Limits.max_nfa_states: a move costs more than a state
MATCH = 0  # the move at which the text has matched


@dataclass(frozen=True)
class Read:
    """One byte: (first byte, last byte, next move)."""

    edges: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Fork:
    """Any of some moves, the preferred one first."""

    targets: tuple[int, ...]


@dataclass(frozen=True)
class Ahead:
    """Go on where a lookahead, given by its index, holds or, if negative, does not."""

    index: int
    is_negative: bool
    target: int


@dataclass(frozen=True)
class Behind:
    """Go on behind a character of a set."""

    test: Lookbehind
    target: int


Move: TypeAlias = Read | Fork | Ahead | Behind


@dataclass(frozen=True)
class Program:
    """Moves by number; 0 is the end and does nothing."""

    moves: tuple[Move, ...]
    start: int
    lookaheads: tuple[Lookahead, ...]


def build_program(node: Node, limits: Limits) -> Program:
    """Return the program of a node.

    Raises:
        GrammarError: G202 it has more moves than a tenth of `limits.max_nfa_states`.
    """
    check_size(node, limits.max_nfa_states // _SHARE)
    builder = _Builder(limits)
    start = builder.after(node, MATCH)
    return Program(tuple(builder.moves), start, tuple(builder.lookaheads))


class _Builder:
    """Writes a program from its end: what comes next is known when a node is written."""

    def __init__(self, limits: Limits) -> None:
        self.limit = limits.max_nfa_states // _SHARE
        self.moves: list[Move] = [Read(())]
        self.lookaheads: list[Lookahead] = []
        self._loops: dict[int, int] = {}  # from the fork of a repeat to its copy
        self.repeat: Span | None = None  # the repeat that is written

    def add(self, move: Move) -> int:
        if len(self.moves) >= self.limit:
            raise GrammarError(
                "G202",
                f"the terminal writes out to more than {self.limit} moves",
                span=self.repeat,
                help="make the counted repeats smaller, or raise Limits.max_nfa_states",
            )
        self.moves.append(move)
        return len(self.moves) - 1

    def after(self, node: Node | Lookahead | Lookbehind, following: int) -> int:
        """Return the move that reads a node and goes on with the following one."""
        if isinstance(node, CharSet):
            return self._read(node, following)
        if isinstance(node, (Lookahead, Lookbehind)):
            return self._look(node, following)
        if isinstance(node, Concat):
            for part in reversed(node.parts):
                following = self.after(part, following)
            return following
        if isinstance(node, Alternation):
            return self.add(Fork(tuple(self.after(item, following) for item in node.options)))
        if isinstance(node, Choice):
            return self.add(Fork(tuple(self._spell(text, following) for text in node.texts)))
        if not isinstance(node, Repeat):
            raise _unexpected(node)
        self.repeat = node.span
        state, low = self._optional(node, following), node.low
        if low and node.high is None and not _may_be_empty(node.item):
            # The copy that is read again is also the last of those that have to be read.
            state, low = self._loops[state], low - 1
        for _ in range(low):
            self.repeat = node.span
            state = self.after(node.item, state)
        return state

    def apart(self, node: Node | Lookahead | Lookbehind, empty: int, full: int) -> int:
        """Return the move that reads a node and goes on with one of two.

        Args:
            node: what is read.
            empty: the move behind the node where it took nothing.
            full: the move behind the node where it took something.
        """
        if not _may_be_empty(node):
            return self.after(node, full)
        if isinstance(node, (Lookahead, Lookbehind)):
            return self._look(node, empty)
        if isinstance(node, Alternation):
            return self.add(Fork(tuple(self.apart(item, empty, full) for item in node.options)))
        if isinstance(node, Concat):
            return self._all_apart(node.parts, empty, full)
        if not isinstance(node, Repeat):
            raise _unexpected(node)
        if node.high == node.low:
            return self._all_apart((node.item,) * node.low, empty, full)
        rest = self._optional(node, full, less=1)
        first = self._fork(node, self.apart(node.item, empty, rest), empty)
        again = self._optional(node, full) if node.low else full
        return self._all_apart((node.item,) * node.low, first, again)

    def _all_apart(self, parts: tuple[Node, ...], empty: int, full: int) -> int:
        for i, part in reversed(list(enumerate(parts))):
            empty = self.apart(part, empty, full)
            full = self.after(part, full) if i else full
        return empty

    def _optional(self, node: Repeat, following: int, less: int = 0) -> int:
        """Return the move that reads the copies of a repeat that may be left out."""
        if node.high is None:
            loop = self.add(Fork(()))
            body = self._copy(node.item, following, loop)
            self.moves[loop] = Fork(self._preferred(node, body, following))
            self._loops[loop] = body
            return loop
        state = following
        for _ in range(node.high - node.low - less):
            state = self._fork(node, self._copy(node.item, following, state), following)
        return state

    def _copy(self, item: Node, following: int, again: int) -> int:
        """Return the move that reads an item: with nothing taken, the repeat is over."""
        if _may_be_empty(item):
            return self.apart(item, following, again)
        return self.after(item, again)

    def _fork(self, node: Repeat, body: int, following: int) -> int:
        return self.add(Fork(self._preferred(node, body, following)))

    def _preferred(self, node: Repeat, body: int, following: int) -> tuple[int, int]:
        return (following, body) if isinstance(node, LazyRepeat) else (body, following)

    def _look(self, node: Lookahead | Lookbehind, following: int) -> int:
        if isinstance(node, Lookbehind):
            return self.add(Behind(node, following))
        if node not in self.lookaheads:
            self.lookaheads.append(node)
        return self.add(Ahead(self.lookaheads.index(node), node.is_negative, following))

    def _spell(self, text: str, following: int) -> int:
        for byte in reversed(text.encode()):
            following = self.add(Read(((byte, byte, following),)))
        return following

    def _read(self, node: CharSet, following: int) -> int:
        automaton = utf8_automaton(node.ranges)
        base = len(self.moves) - 2
        numbers = [base + i for i in range(len(automaton.edges))]
        for edges in automaton.edges[2:]:
            self.add(Read(self._linked(edges, numbers, following)))
        return self.add(Read(self._linked(automaton.edges[0], numbers, following)))

    def _linked(
        self, edges: tuple[tuple[int, int, int], ...], numbers: list[int], following: int
    ) -> tuple[tuple[int, int, int], ...]:
        return tuple(
            (low, high, following if target == 1 else numbers[target])
            for low, high, target in edges
        )


def _may_be_empty(node: Node | Lookahead | Lookbehind) -> bool:
    if isinstance(node, Concat):
        return all(map(_may_be_empty, node.parts))
    if isinstance(node, Alternation):
        return any(map(_may_be_empty, node.options))
    if isinstance(node, Repeat):
        return node.low == 0 or _may_be_empty(node.item)
    if isinstance(node, Choice):
        return "" in node.texts
    return isinstance(node, (Lookahead, Lookbehind))


def _unexpected(node: object) -> TypeError:
    return TypeError(f"no part of a pattern: {type(node).__name__}")
