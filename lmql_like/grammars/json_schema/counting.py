"""Counted characters: up to 1,500 copies that cost one state each, or blocks of them.

A copy of all spellings of a character is some twenty states. Most text is ASCII, so a
counted copy is one state that reads a plain ASCII character by itself and leaves the rest to a
rule shared by all copies. Above `_MOST_COPIES`, blocks of characters are counted, by rules that
call themselves twice: which block it is is then kept by the stack, and costs the bound's logarithm.
A mask has to ask the stack only where a token may reach over the end of a block.
"""

from __future__ import annotations

from functools import lru_cache

from lmql_like.errors import GrammarError
from lmql_like.grammars.automata.finite import FiniteAutomaton
from lmql_like.grammars.cfg.network import size
from lmql_like.grammars.json_schema.sharing import Shared, shared
from lmql_like.grammars.json_schema.spelling import (
    spell_character,
    spell_rest,
    spell_small_automaton,
    spell_texts,
)
from lmql_like.grammars.regex.charsets import Ranges, intersect
from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Choice,
    Concat,
    Diagram,
    Finite,
    Layered,
    Node,
    Reference,
    Repeat,
)

__all__ = [
    "repeat_character",
    "repeat_node",
    "spell_automaton",
    "spell_counted",
    "spell_node",
]

_ASCII: Ranges = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7F))
_FEW_COPIES = 3
_FEW_STATES = 8
_MOST_WHOLE = 200  # states of an automaton that holds all spellings itself
_MOST_COPIES = 1_500  # of a character
_BLOCK = 512  # characters that are counted together above that
_MOST_ITEMS = 4_000  # copies of anything else
_MOST_COUNTED = 400_000  # states of an automaton for each number of characters


def repeat_character(ranges: Ranges, low: int, high: int | None) -> Node:
    """Return the spellings of `low` to `high` characters of a set; None means no bound."""
    whole = spell_character(ranges)
    bound = low if high is None else high
    if bound <= _FEW_COPIES or (whole.n_states <= _FEW_STATES and bound <= _MOST_COPIES):
        return Repeat(whole, low, high)
    if bound > _MOST_COPIES:
        return _by_blocks(ranges, low, high)
    copy = _light(ranges)
    if high is None:
        return Concat((Repeat(copy, low, low), Repeat(whole, 0, None)))
    return Repeat(copy, low, high)


def _by_blocks(ranges: Ranges, low: int, high: int | None) -> Node:
    """Return `low` to `high` characters of a set, in blocks and what is less than a block."""
    copy, block = _light(ranges), _block(ranges)
    first = (repeat_node(block, low // _BLOCK, low // _BLOCK), _copies(copy, low % _BLOCK))
    if high is None:
        return Concat((*first, Repeat(spell_character(ranges), 0, None)))
    blocks, more = divmod(high - low, _BLOCK)
    last = Concat((repeat_node(block, blocks, blocks), Repeat(copy, 0, more)))
    if not blocks:
        return Concat((*first, last))
    fewer = Concat((repeat_node(block, 0, blocks - 1), Repeat(copy, 0, _BLOCK - 1)))
    return Concat((*first, Alternation((fewer, last))))


def _copies(node: Node, count: int) -> Node:
    return Repeat(node, count, count)


@lru_cache(maxsize=256)
def _block(ranges: Ranges) -> Shared:
    """Return the rule of a whole block of characters."""
    return shared(lambda: _copies(_light(ranges), _BLOCK))


def spell_node(node: Node) -> Node:
    """Return the spellings of the texts that a node without references matches."""
    if isinstance(node, CharSet):
        return spell_character(node.ranges)
    if isinstance(node, Concat):
        return Concat(tuple(map(spell_node, node.parts)))
    if isinstance(node, Alternation):
        return Alternation(tuple(map(spell_node, node.options)))
    if isinstance(node, Choice):
        return spell_texts(node.texts)
    if isinstance(node, Repeat):
        if isinstance(node.item, CharSet):
            return repeat_character(node.item.ranges, node.low, node.high)
        item = spell_node(node.item)
        copies = node.low if node.high is None else node.high
        if copies > _FEW_COPIES and size(item) > _FEW_STATES:
            item = _shared(item)
        return Repeat(item, node.low, node.high)
    return node


def spell_automaton(automaton: FiniteAutomaton) -> Node:
    """Return the spellings of the texts that an automaton accepts."""
    if len(automaton.table) <= _MOST_WHOLE:
        return spell_small_automaton(automaton)
    moves = tuple((a, _light(ranges), b) for a, b, ranges in automaton.moves())
    ends = tuple(state for state, accept in enumerate(automaton.accepting) if accept)
    return Diagram(len(automaton.table), moves, ends)


def spell_counted(automaton: FiniteAutomaton, low: int, high: int) -> Node:
    """Return the spellings of an automaton's texts of `low` to `high` characters.

    Raises:
        GrammarError: G201 where states times characters go over a limit.
    """
    n = len(automaton.table)
    if n * high > _MOST_COUNTED:
        raise GrammarError(
            "G201",
            f"a pattern or format of {n} states and a length of {high} need more than "
            f"{_MOST_COUNTED} states together",
            help="make the length bound smaller, or leave out one of the two",
        )
    edges: tuple[list[int], list[int], list[int], list[int]] = ([], [], [], [])
    calls: list[tuple[int, Reference, int]] = []
    for source, target, ranges in automaton.moves():
        plain, rest = _cut(ranges)
        for low_, high_ in plain:
            for column, value in zip(edges, (source, low_, high_, n + target), strict=True):
                column.append(value)
        calls.append((source, rest, n + target))
    accepting = tuple(state for state, accept in enumerate(automaton.accepting) if accept)
    return Layered(n, Finite(2 * n, edges, (), tuple(calls)), accepting, low, high)


@lru_cache(maxsize=1024)
def _cut(ranges: Ranges) -> tuple[Ranges, Shared]:
    """Return the characters of a set that are one byte, and the rule of all other spellings."""
    plain = intersect(ranges, _ASCII)
    return plain, shared(lambda: spell_rest(ranges, plain))


@lru_cache(maxsize=1024)
def _light(ranges: Ranges) -> Node:
    plain, rest = _cut(ranges)
    return Alternation((CharSet(plain), rest)) if plain else rest


def _shared(node: Node) -> Node:
    return shared(lambda: node)


def repeat_node(item: Node, low: int, high: int | None) -> Node:
    """Return `low` to `high` copies of a node that matches no empty text."""
    if max(low, high or 0) <= _MOST_ITEMS:
        return Repeat(item, low, high)
    return _Doubling(item).repeat(low, high, item)


class _Doubling:
    """The rules that count one item."""

    def __init__(self, item: Node) -> None:
        self._powers = [_shared(item)]
        self._up_to: dict[int, Node] = {}

    def repeat(self, low: int, high: int | None, item: Node) -> Node:
        """Return `low` to `high` items; `item` is what to loop on without an upper bound."""
        exactly = [self._power(n) for n in range(low.bit_length()) if low >> n & 1]
        if high is None:
            return Concat((*exactly, Repeat(item, 0, None)))
        if high == low:
            return Concat(tuple(exactly))
        return Concat((*exactly, Repeat(self._some(high - low), 0, 1)))

    def _power(self, power: int) -> Node:
        """Return the rule of 2 ** power items."""
        while len(self._powers) <= power:
            half = self._powers[-1]
            self._powers.append(_shared(Concat((half, half))))
        return self._powers[power]

    def _some(self, count: int) -> Node:
        """Return the rule of 1 to `count` items."""
        if count not in self._up_to:
            power = count.bit_length() - 1
            options = [self._power(power)]
            if power:
                options.append(self._some((1 << power) - 1))
            if count > 1 << power:
                options.append(Concat((options[0], self._some(count - (1 << power)))))
            self._up_to[count] = _shared(Alternation(tuple(options)))
        return self._up_to[count]
