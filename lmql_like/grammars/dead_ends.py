"""Can maximal munch lead into a dead end? A proof that it cannot, for most grammars.

`start: NAME NAME` without anything ignored has no text at all: whatever letters follow a
name belong to it. So that a terminal can come next, as far as the rules go, does not yet
mean that a text exists. `has_no_dead_ends` looks at pairs:

* two terminals are *rivals* if both may come next behind the same terminal, wherever that
  stands: only then may the lexer have to choose between them;
* behind a lexeme of terminal t, only some bytes refute that it ended: those that t, or a
  rival that has read the same bytes, reads on. A byte is *free* if whatever was read of t
  can be read on to an end that this byte does not refute;
* a pair (t, u) is *safe* if u, or an ignored lexeme behind which u is safe, can begin with
  a free byte. Then whatever was read of t, some lexeme of u can follow.

Pairs that are not safe are taken out of the rules. If every place of the rules that can be
reached so still leads to an end, each lexer and parser state has a completion, and masks
need no search. Where this proof fails, `LexedDfa` searches for a completion instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from lmql_like.grammars.automata.nfa import NfaGraph
from lmql_like.grammars.cfg.lexed_terminals import TerminalAutomaton
from lmql_like.kernels.companion import reach_of_rules
from lmql_like.kernels.reach import rule_distances

__all__ = ["has_no_dead_ends"]

_MOST_REACH = 1 << 24  # places times what may be read last, twice
_EVERY_BYTE = (1 << 256) - 1
_MOST_PAIRS = 100_000  # states of two terminals side by side, before the proof is given up


def has_no_dead_ends(
    automata: Sequence[TerminalAutomaton], ignored: frozenset[int], rules: NfaGraph
) -> bool:
    """Tell whether every state of lexer and parser surely has a completion.

    Args:
        automata: the terminals.
        ignored: those that may stand anywhere.
        rules: the grammar's network; its edges are on terminals.
    """
    terminals = [_Terminal(automaton) for automaton in automata]
    rivals = _rivals(rules, len(terminals), ignored)
    free = _free_bytes(terminals, rivals)
    if free is None:
        return False
    safe = _safe_pairs(terminals, free, ignored)
    return _always_ends(rules, safe)


class _Terminal:
    """A terminal's edges by state; sets of bytes are ints, bit b for byte b."""

    def __init__(self, automaton: TerminalAutomaton) -> None:
        self.start = automaton.start
        self.edges: dict[int, list[tuple[int, int]]] = {}
        for source, low, high, target in automaton.edges.tolist():
            bits = (1 << (high + 1)) - (1 << low)
            self.edges.setdefault(source, []).append((bits, target))
        self.accepts = frozenset(automaton.accepts)
        self.first = self.read_on(self.start)
        self.guards: dict[int, int] = {}
        for accept, guard in automaton.guards:
            self.guards[accept] = self.guards.get(accept, 0) | self.read_on(guard)

    def places(self) -> list[int]:
        """Return the states that lexemes reach, the start first; those of guards are none."""
        found = {self.start: None}
        for place in (stack := [self.start]):
            for _, target in self.edges.get(place, ()):
                if target not in found:
                    found[target] = None
                    stack.append(target)
        return list(found)

    def read_on(self, state: int) -> int:
        """Return the bytes that a state reads."""
        bits = 0
        for some, _ in self.edges.get(state, ()):
            bits |= some
        return bits


def _free_bytes(terminals: Sequence[_Terminal], rivals: list[int]) -> list[int] | None:
    """Return for each terminal bytes that can end its lexemes, whatever was read of them.

    From every state, some accept can be reached behind which those bytes refute nothing.
    Where a rival leaves no such bytes, but has some itself, the rival can be read to its
    end instead: then it is left out. None where that takes too long to find out;
    `rivals` are sets of terminals as ints.
    """
    budget = [_MOST_PAIRS]
    free = []
    for index, terminal in enumerate(terminals):
        others = [other for k, other in enumerate(terminals) if rivals[index] >> k & 1]
        free.append(_free_behind(terminal, others, budget))
    for index, terminal in enumerate(terminals):
        if not free[index]:
            others = [
                other
                for k, other in enumerate(terminals)
                if rivals[index] >> k & 1 and (k == index or not free[k])
            ]
            free[index] = _free_behind(terminal, others, budget)
    return free if budget[0] > 0 else None


def _free_behind(one: _Terminal, others: Sequence[_Terminal], budget: list[int]) -> int:
    """Return the bytes that are free behind some accept, from every state of a terminal."""
    refuted = {accept: one.guards.get(accept, 0) for accept in one.accepts}
    for other in others:
        if one.first & other.first:
            _add_refuting(one, other, refuted, budget)
    good = {accept: _EVERY_BYTE & ~bits for accept, bits in refuted.items()}
    places = one.places()
    changed = True
    while changed:
        changed = False
        for place in reversed(places):
            bits = good.get(place, 0)
            for _, target in one.edges.get(place, ()):
                bits |= good.get(target, 0)
            if bits != good.get(place, 0):
                good[place] = bits
                changed = True
    common = _EVERY_BYTE
    for place in places:
        common &= good.get(place, 0)
    return common


def _add_refuting(
    one: _Terminal, other: _Terminal, refuted: dict[int, int], budget: list[int]
) -> None:
    """Add what the other terminal reads on, having read the same, to each accept's bytes."""
    seen = {(one.start, other.start)}
    stack = list(seen)
    while stack and budget[0] > 0:
        mine, its = stack.pop()
        budget[0] -= 1
        if mine in refuted:
            refuted[mine] |= other.read_on(its)
        pairs = product(one.edges.get(mine, ()), other.edges.get(its, ()))
        for (bits, target), (its_bits, its_target) in pairs:
            if bits & its_bits and (target, its_target) not in seen:
                seen.add((target, its_target))
                stack.append((target, its_target))


def _rivals(rules: NfaGraph, n: int, ignored: frozenset[int]) -> list[int]:
    """Return for each terminal, as bits, those that may come next where it may; and itself.

    The stack of calls is forgotten: behind the end of a rule comes what comes behind any
    call of it. That makes too many rivals rather than too few.
    """
    after = _after_places(rules)
    contexts = {after[component.start] for component in rules.components}
    behind = [0] * n
    for _, low, high, target in rules.edges.tolist():
        for terminal in range(low, high + 1):
            behind[terminal] |= after[target]
    contexts.update(behind)
    always = sum(1 << terminal for terminal in ignored)
    rivals = [1 << terminal | always for terminal in range(n)]
    for context in contexts:
        for terminal in range(n):
            if context >> terminal & 1 or terminal in ignored:
                rivals[terminal] |= context
    return rivals


def _after_places(rules: NfaGraph) -> list[int]:
    """Return for each place, as bits, the terminals that may come next there."""
    n = rules.component_of.size
    next_here = [0] * n
    for source, low, high, _ in rules.edges.tolist():
        next_here[source] |= (1 << (high + 1)) - (1 << low)
    jumps, calls = rules.jumps.tolist(), rules.calls.tolist()
    starts, ends = rules.rule_starts.tolist(), set(rules.rule_ends.tolist())
    # What is left behind each end of a rule: found by walking back from ends to the rules.
    owner = _owners(rules, starts)
    of_rule: dict[int, list[int]] = {}
    for end in ends:
        for rule in owner[end]:
            of_rule.setdefault(rule, []).append(end)
    links = [(source, target) for source, target in jumps]
    links += [(source, starts[rule]) for source, rule, _ in calls]
    links += [(end, back) for _, rule, back in calls for end in of_rule.get(rule, ())]
    incoming: dict[int, list[int]] = {}
    for source, target in links:
        incoming.setdefault(target, []).append(source)
    waiting = [place for place in range(n) if next_here[place]]
    while waiting:
        place = waiting.pop()
        for source in incoming.get(place, ()):
            if next_here[place] & ~next_here[source]:
                next_here[source] |= next_here[place]
                waiting.append(source)
    return next_here


def _owners(rules: NfaGraph, starts: list[int]) -> list[set[int]]:
    """Return for each place the rules whose automaton it stands in."""
    following: dict[int, list[int]] = {}
    for source, _, _, target in rules.edges.tolist():
        following.setdefault(source, []).append(target)
    for source, target in rules.jumps.tolist():
        following.setdefault(source, []).append(target)
    for source, _, target in rules.calls.tolist():
        following.setdefault(source, []).append(target)
    owners: list[set[int]] = [set() for _ in range(rules.component_of.size)]
    for rule, start in enumerate(starts):
        stack = [start]
        while stack:
            place = stack.pop()
            if rule not in owners[place]:
                owners[place].add(rule)
                stack += following.get(place, ())
    return owners


def _safe_pairs(
    terminals: Sequence[_Terminal], free: list[int], ignored: frozenset[int]
) -> NDArray[np.bool_]:
    """Return bool[n, n]: whether the second terminal can surely follow the first."""
    n = len(terminals)
    rows: dict[int, list[bool]] = {}  # many terminals leave the same bytes free
    for bits in free:
        if bits not in rows:
            rows[bits] = [bool(terminal.first & bits) for terminal in terminals]
    safe = np.array([rows[bits] for bits in free], np.bool_).reshape(n, n)
    between = sorted(ignored)
    for one in range(n):
        for space in between:
            if safe[one, space]:
                safe[one] |= safe[space]
    return safe


def _always_ends(rules: NfaGraph, safe: NDArray[np.bool_]) -> bool:
    """Tell whether all places that rules reach by safe pairs lead on to an end by them."""
    forbidden = [tuple(np.flatnonzero(~row).tolist()) for row in safe]
    number: dict[tuple[int, ...], int] = {(): 1}  # which terminals may not come next
    for row in forbidden:
        number.setdefault(row, len(number) + 1)
    moves = np.zeros((len(number) + 1, max(1, len(safe))), np.int32)
    for row, state in number.items():
        moves[state, : len(forbidden)] = [number[then] for then in forbidden]
        moves[state, list(row)] = 0
    if rules.component_of.size * len(moves) ** 2 > _MOST_REACH:
        return False
    ends = np.zeros(rules.component_of.size, np.int8)
    ends[rules.rule_ends] = 1
    ends[[component.accept for component in rules.components]] = 1
    arrays = [np.ascontiguousarray(rows) for rows in (rules.edges, rules.jumps, rules.calls)]
    productive = rule_distances(*arrays, rules.rule_starts, ends) >= 0
    reach = reach_of_rules(*arrays, rules.rule_starts, ends, moves)
    return _Places(rules, moves, reach, productive).all_lead_on()


class _Places:
    """Places of the rules, each with what was read last."""

    def __init__(
        self,
        rules: NfaGraph,
        moves: NDArray[np.int32],
        reach: NDArray[np.int64],
        productive: NDArray[np.bool_],
    ) -> None:
        self.rules = rules
        self.moves = moves.tolist()
        self.reach = reach
        self.productive = productive.tolist()
        self.edges: dict[int, list[tuple[int, int]]] = {}
        for source, low, high, target in rules.edges.tolist():
            self.edges.setdefault(source, []).extend((t, target) for t in range(low, high + 1))
        self.jumps: dict[int, list[int]] = {}
        for source, target in rules.jumps.tolist():
            self.jumps.setdefault(source, []).append(target)
        self.calls: dict[int, list[tuple[int, int]]] = {}
        for source, rule, target in rules.calls.tolist():
            self.calls.setdefault(source, []).append((int(rules.rule_starts[rule]), target))

    def all_lead_on(self) -> bool:
        """Tell whether every place that can be reached can reach its rule's end."""
        states = len(self.moves)
        leads_on: list[bool] = (self.reach != 0).max(axis=1).tolist()
        stack = [(component.start, 1) for component in self.rules.components]
        seen = set(stack)
        while stack:
            place, last = stack.pop()
            if not leads_on[place * states + last]:
                return False
            for entry in self._behind(place, last):
                if self.productive[entry[0]] and entry not in seen:
                    seen.add(entry)
                    stack.append(entry)
        return True

    def _behind(self, place: int, last: int) -> list[tuple[int, int]]:
        """Return the places behind one, each with what was read last by then."""
        states = len(self.moves)
        following = [(to, self.moves[last][t]) for t, to in self.edges.get(place, ())]
        following = [(to, then) for to, then in following if then]
        following += [(to, last) for to in self.jumps.get(place, ())]
        for first, back in self.calls.get(place, ()):
            if self.productive[first] and self.productive[back]:
                following.append((first, last))
                bits = self.reach[first * states + last].tolist()
                ways = [s for s in range(1, states) if bits[s >> 6] >> (s & 63) & 1]
                following += [(back, then) for then in ways]
        return following
