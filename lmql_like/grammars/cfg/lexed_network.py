"""Smaller networks for parsers over terminals: fewer rules, each a least automaton.

A parser over terminals asks only whether a text is a sentence. So a rule may stand in the
place of its calls, and what it matches may be read by any automaton that reads the same
terminals and calls. `python.lark` climbs fifteen rules from an operand to an expression, one
for each rank of operators; put in place, they are one loop, `operand (operator operand)*`,
which is a few states. A parser state is then a few items instead of dozens, and places that
no text can tell apart are one.

Three steps, the last two as long as they gain something:

* each rule becomes the least deterministic automaton whose moves read terminals and calls
  of rules alike;
* a call of the rule itself behind which nothing is left is a move back to its start;
* the rule that costs least is put in place of its calls, while the whole grows little.
"""

from __future__ import annotations

from contextlib import suppress
from graphlib import TopologicalSorter
from typing import TypeAlias

import numpy as np

from lmql_like.grammars.automata.nfa import Network

__all__ = ["minimized"]

# Moves of a state: symbol -> target. Terminal t is the symbol t, a call of rule r is -1 - r.
_Moves: TypeAlias = "dict[int, int]"

_MOST_ITEMS = 200_000  # that all subset constructions of a network may visit together
_GROWTH = 1.5  # of all states together, by putting rules in place
_SMALL = 64  # states of all rules that are always allowed
_ITSELF = -(1 << 40)  # in comparisons of rules, a call of the rule itself


class _TooLargeError(Exception):
    """A subset construction visited too many items."""


class _Rule:
    """A deterministic automaton; state 0 is the start."""

    def __init__(self, moves: list[_Moves], accepting: frozenset[int]) -> None:
        self.moves = moves
        self.accepting = accepting
        self.returns: dict[int, set[int]] = {}  # rule called -> states behind its calls
        for row in moves:
            for symbol, target in row.items():
                if symbol < 0:
                    self.returns.setdefault(-1 - symbol, set()).add(target)

    def renamed(self, names: dict[int, int]) -> dict[int, list[tuple[int, int]]]:
        """Return the moves by state, with other symbols for some."""
        return {
            state: [(names.get(symbol, symbol), to) for symbol, to in row.items()]
            for state, row in enumerate(self.moves)
        }


class _Nfa:
    """An automaton with empty moves; `least` makes the least deterministic one of it.

    Args:
        moves: (symbol, target) by state.
        jumps: empty moves by state.
        ends: the accepting states.
        is_live: every state is known to lead to one.
    """

    def __init__(
        self,
        moves: dict[int, list[tuple[int, int]]],
        jumps: dict[int, list[int]],
        ends: set[int],
        *,
        is_live: bool = True,
    ) -> None:
        self.moves = moves
        self.jumps = jumps
        self.ends = ends
        self.is_live = is_live

    def least(self, start: int, budget: list[int]) -> _Rule:
        """Return the least deterministic automaton from a state on.

        Raises:
            _TooLargeError: it takes more than `budget[0]` items, which are counted down.
        """
        first = self._closed({start})
        number, sets, rows = {first: 0}, [first], []
        for items in sets:
            found: dict[int, set[int]] = {}
            for state in items:
                for symbol, target in self.moves.get(state, ()):
                    found.setdefault(symbol, set()).add(target)
            row = {}
            for symbol in sorted(found):
                behind = self._closed(found[symbol])
                budget[0] -= len(behind)
                if behind not in number:
                    number[behind] = len(sets)
                    sets.append(behind)
                row[symbol] = number[behind]
            rows.append(row)
            if budget[0] < 0:
                raise _TooLargeError
        ends = self.ends
        return _least(rows, [not items.isdisjoint(ends) for items in sets], is_live=self.is_live)

    def _closed(self, states: set[int]) -> frozenset[int]:
        stack = [state for state in states if state in self.jumps]
        while stack:
            for target in self.jumps.get(stack.pop(), ()):
                if target not in states:
                    states.add(target)
                    stack.append(target)
        return frozenset(states)


def _least(rows: list[_Moves], ends: list[bool], *, is_live: bool = False) -> _Rule:
    """Return the least automaton of a deterministic one: by Moore's refinement (1956)."""
    if not is_live:
        live = _live(rows, ends)
        rows = [{symbol: to for symbol, to in row.items() if live[to]} for row in rows]
    block, n = [int(end) for end in ends], 0
    while True:
        known: dict[tuple[int, ...], int] = {}
        refined = []
        for state, row in enumerate(rows):
            key = [block[state]]
            for symbol, target in row.items():
                key += (symbol, block[target])
            refined.append(known.setdefault(tuple(key), len(known)))
        block = refined
        if len(known) == n:
            break
        n = len(known)
    # Numbers in the order in which the start leads to them: equal rules look equal.
    number, order = {block[0]: 0}, [0]
    for state in order:
        for target in rows[state].values():
            if block[target] not in number:
                number[block[target]] = len(order)
                order.append(target)
    moves = [{symbol: number[block[to]] for symbol, to in rows[s].items()} for s in order]
    return _Rule(moves, frozenset(i for i, state in enumerate(order) if ends[state]))


def _live(rows: list[_Moves], ends: list[bool]) -> list[bool]:
    """Tell which states lead to an accepting one."""
    before: dict[int, list[int]] = {}
    for state, row in enumerate(rows):
        for target in row.values():
            before.setdefault(target, []).append(state)
    live = list(ends)
    stack = [state for state, end in enumerate(ends) if end]
    while stack:
        for state in before.get(stack.pop(), ()):
            if not live[state]:
                live[state] = True
                stack.append(state)
    return live


def minimized(network: Network) -> Network:
    """Return a network of the same sentences over terminals, mostly a smaller one.

    A network without calls, without sentences, or of rules that are too large to be made
    deterministic is returned as it is.
    """
    if not len(network.calls):
        return network
    budget = [_MOST_ITEMS]
    try:
        rules = _rules_of(network, budget)
    except _TooLargeError:
        return network
    rules = _productive(rules)
    whole = len(network.rule_starts)
    if whole not in rules:
        return network
    limit = max(_SMALL, int(_GROWTH * sum(len(rule.moves) for rule in rules.values())))
    with suppress(_TooLargeError):  # between two steps, `rules` are as good as before them
        _put_in_place(rules, whole, limit, budget)
    return _network_of(rules, whole)


def _rules_of(network: Network, budget: list[int]) -> dict[int, _Rule]:
    """Return the automata of all rules by number; behind them, that of whole texts."""
    moves: dict[int, list[tuple[int, int]]] = {}
    for source, low, high, target in network.edges.tolist():
        moves.setdefault(source, []).extend((symbol, target) for symbol in range(low, high + 1))
    for source, rule, target in network.calls.tolist():
        moves.setdefault(source, []).append((-1 - rule, target))
    jumps: dict[int, list[int]] = {}
    for source, target in network.jumps.tolist():
        jumps.setdefault(source, []).append(target)
    nfa = _Nfa(moves, jumps, {*network.rule_ends, network.accept}, is_live=False)
    starts = [*network.rule_starts, network.start]
    return {rule: nfa.least(start, budget) for rule, start in enumerate(starts)}


def _productive(rules: dict[int, _Rule]) -> dict[int, _Rule]:
    """Return the rules that match some text, without the calls of others."""
    found: set[int] = set()
    while True:
        more = {r for r, rule in rules.items() if r not in found and _has_text(rule, found)}
        if not more:
            break
        found |= more
    kept = {}
    for number in sorted(found):
        rule = rules[number]
        if not rule.returns.keys() <= found:
            rows = [
                {symbol: to for symbol, to in row.items() if symbol >= 0 or -1 - symbol in found}
                for row in rule.moves
            ]
            rule = _least(rows, [state in rule.accepting for state in range(len(rows))])
        kept[number] = rule
    return kept


def _has_text(rule: _Rule, productive: set[int]) -> bool:
    seen, stack = {0}, [0]
    while stack:
        state = stack.pop()
        if state in rule.accepting:
            return True
        for symbol, target in rule.moves[state].items():
            if target not in seen and (symbol >= 0 or -1 - symbol in productive):
                seen.add(target)
                stack.append(target)
    return False


# -- fewer rules -----------------------------------------------------------------------------


def _put_in_place(rules: dict[int, _Rule], whole: int, limit: int, budget: list[int]) -> None:
    """Put rules in the place of their calls, the cheapest first; `rules` is rewritten.

    Args:
        rules: the automata by number.
        whole: the number of the automaton of whole texts, which nothing calls.
        limit: of the states of all automata together.
        budget: items that subset constructions may still visit.
    """
    for number in rules:
        _loop_back(rules, number, budget)
    _join_equal(rules, whole, budget)
    while True:
        best, least = -1, limit - sum(len(rule.moves) for rule in rules.values())
        callers = _callers(rules, whole)
        for number, copies in callers.items():
            if number not in rules[number].returns:
                growth = (sum(copies.values()) - 1) * len(rules[number].moves)
                if growth <= least and (best < 0 or growth < least):
                    best, least = number, growth
        if best < 0:
            break
        changed = {c: _with_rule(rules[c], best, rules[best], budget) for c in callers[best]}
        rules.update(changed)
        del rules[best]
        for number in changed:
            _loop_back(rules, number, budget)
    _join_equal(rules, whole, budget)


def _callers(rules: dict[int, _Rule], whole: int) -> dict[int, dict[int, int]]:
    """Drop rules that no other calls; return who calls each, from how many places."""
    while True:
        found: dict[int, dict[int, int]] = {number: {} for number in rules if number != whole}
        for caller, rule in rules.items():
            for callee, targets in rule.returns.items():
                found[callee][caller] = len(targets)
        unused = [number for number, by in found.items() if by.keys() <= {number}]
        if not unused:
            return found
        for number in unused:
            del rules[number]


def _loop_back(rules: dict[int, _Rule], number: int, budget: list[int]) -> None:
    """Turn calls of the rule itself behind which nothing is left into moves to its start."""
    rule, symbol = rules[number], -1 - number
    last = {s for s in rule.accepting if not rule.moves[s]}
    if last.isdisjoint(rule.returns.get(number, ())):
        return
    moves = {
        state: [(by, to) for by, to in row.items() if by != symbol or to not in last]
        for state, row in enumerate(rule.moves)
    }
    jumps = {state: [0] for state, row in enumerate(rule.moves) if row.get(symbol) in last}
    rules[number] = _Nfa(moves, jumps, set(rule.accepting)).least(0, budget)


def _with_rule(caller: _Rule, number: int, callee: _Rule, budget: list[int]) -> _Rule:
    """Return the caller with a copy of the callee for each place that its calls return to."""
    symbol = -1 - number
    moves = {
        state: [(by, to) for by, to in row.items() if by != symbol]
        for state, row in enumerate(caller.moves)
    }
    jumps: dict[int, list[int]] = {}
    first = len(caller.moves)
    for behind in sorted(caller.returns[number]):
        for state, row in enumerate(caller.moves):
            if row.get(symbol) == behind:
                jumps[state] = [first]
        for state, row in enumerate(callee.moves):
            moves[first + state] = [(by, first + to) for by, to in row.items()]
        for state in callee.accepting:
            jumps[first + state] = [behind]
        first += len(callee.moves)
    return _Nfa(moves, jumps, set(caller.accepting)).least(0, budget)


def _join_equal(rules: dict[int, _Rule], whole: int, budget: list[int]) -> None:
    """Let one rule stand for all that read the same terminals and calls."""
    while True:
        known: dict[tuple[object, ...], int] = {}
        names = {}
        for number, rule in rules.items():
            if number != whole:
                rows = rule.renamed({-1 - number: _ITSELF}).values()
                first = known.setdefault((rule.accepting, *map(tuple, rows)), number)
                if first != number:
                    names[-1 - number] = -1 - first
        if not names:
            return
        for number, rule in list(rules.items()):
            if any(-1 - callee in names for callee in rule.returns):
                # Two calls of a state may have become one.
                nfa = _Nfa(rule.renamed(names), {}, set(rule.accepting))
                rules[number] = nfa.least(0, budget)
        for symbol in names:
            del rules[-1 - symbol]


def _network_of(rules: dict[int, _Rule], whole: int) -> Network:
    """Return the automata as one network; a rule stands before those it begins with."""
    order: TopologicalSorter[int] = TopologicalSorter()
    for number, rule in rules.items():
        order.add(number)
        for symbol in rule.moves[0]:
            if symbol < 0:
                order.add(-1 - symbol, number)
    ranked = [number for number in order.static_order() if number != whole]
    rank = {number: place for place, number in enumerate(ranked)}
    first, n = {}, 0
    for number in (*ranked, whole):
        first[number] = n
        n += len(rules[number].moves)
    edges, calls, ends = [], [], []
    for number, rule in rules.items():
        base = first[number]
        for state, row in enumerate(rule.moves):
            for symbol, target in row.items():
                if symbol < 0:
                    calls.append((base + state, rank[-1 - symbol], base + target))
                else:
                    edges.append((base + state, symbol, symbol, base + target))
        if number != whole:
            ends += [base + state for state in sorted(rule.accepting)]
    jumps = [(first[whole] + state, n) for state in sorted(rules[whole].accepting)]
    return Network(
        n_states=n + 1,
        edges=np.array(edges, np.int32).reshape(-1, 4),
        jumps=np.array(jumps, np.int32).reshape(-1, 2),
        calls=np.array(calls, np.int32).reshape(-1, 3),
        rule_starts=tuple(first[number] for number in ranked),
        rule_ends=tuple(ends) if calls else (),
        start=first[whole],
        accept=n,
    )
