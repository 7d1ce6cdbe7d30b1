"""Counted characters: up to thousands of copies that cost one state each, or rules that double.

A copy of all spellings of a character is some twenty states. Most text is ASCII, so a
counted copy is one state that reads a plain ASCII character by itself and leaves the rest to a
rule shared by all copies. Above `_MOST_COPIES`, counting goes by rules that call themselves
twice: the position is then kept by the stack, and a bound costs its logarithm.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import lru_cache

from lmql_like.grammars.cfg.network import size
from lmql_like.grammars.json_schema.spelling import (
    spell_character,
    spell_rest,
    spell_texts,
)
from lmql_like.grammars.regex.charsets import Ranges, intersect
from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Choice,
    Concat,
    Node,
    Reference,
    Repeat,
)

__all__ = ["Shared", "repeat_character", "spell_node"]

_numbers = itertools.count()


@dataclass(frozen=True)
class Shared(Reference):
    """A reference that brings its rule along: it means the same in every grammar."""

    node: Node = field(default=Concat(()), compare=False)


_ASCII: Ranges = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7F))
_FEW_COPIES = 3
_FEW_STATES = 8
_MOST_COPIES = 4_000


def repeat_character(ranges: Ranges, low: int, high: int | None) -> Node:
    """Return the spellings of `low` to `high` characters of a set; None means no bound."""
    whole = spell_character(ranges)
    bound = low if high is None else high
    if bound <= _FEW_COPIES or (whole.n_states <= _FEW_STATES and bound <= _MOST_COPIES):
        return Repeat(whole, low, high)
    if bound > _MOST_COPIES:
        return _by_doubling(ranges, low, high)
    copy = _light(ranges)
    if high is None:
        return Concat((Repeat(copy, low, low), Repeat(whole, 0, None)))
    return Repeat(copy, low, high)


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


@lru_cache(maxsize=1024)
def _light(ranges: Ranges) -> Node:
    plain = intersect(ranges, _ASCII)
    rest = _shared(spell_rest(ranges, plain))
    return Alternation((CharSet(plain), rest)) if plain else rest


def _shared(node: Node) -> Node:
    return Shared(f"shared {next(_numbers)}", node=node)


def _by_doubling(ranges: Ranges, low: int, high: int | None) -> Node:
    tail: Node = Repeat(spell_character(ranges), 0, None)
    if high is not None:
        tail = Repeat(_up_to(ranges, high - low), 0, 1) if high > low else Concat(())
    return Concat((_exactly(ranges, low), tail))


def _exactly(ranges: Ranges, count: int) -> Node:
    powers = [power for power in range(count.bit_length()) if count >> power & 1]
    return Concat(tuple(_power(ranges, power) for power in powers))


@lru_cache(maxsize=4096)
def _power(ranges: Ranges, power: int) -> Node:
    """Return the rule of 2 ** power characters."""
    half = _light(ranges) if power == 0 else _power(ranges, power - 1)
    node = half if power == 0 else Concat((half, half))
    return _shared(node)


@lru_cache(maxsize=4096)
def _up_to(ranges: Ranges, count: int) -> Node:
    """Return the rule of 1 to `count` characters."""
    power = count.bit_length() - 1
    options: list[Node] = [_power(ranges, power)]
    if power:
        options.append(_up_to(ranges, (1 << power) - 1))
    if count > 1 << power:
        options.append(Concat((options[0], _up_to(ranges, count - (1 << power)))))
    return _shared(Alternation(tuple(options)))
