r"""Trees with assertions -> languages: which texts contain a match of an ECMA-262 pattern.

Without assertions, or with `^` and `$` at the edges only, the language is a node: nothing is
determinized. Otherwise an automaton is explored whose states carry everything an assertion
can ask: whether the last character was a word's, how far each lookbehind has come, and, for
each way to match, what the rest of the text has still to satisfy (a lookahead is an
automaton that must accept the rest; a negative one its complement). So lookaround is exact
at any place, inside repeats too. Back references are no regular language and are refused.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from lmql_like.errors import SchemaError
from lmql_like.grammars.automata.finite import MOST_STATES, FiniteAutomaton
from lmql_like.grammars.json_schema.ecma import Assertion, Tree, parse_ecma
from lmql_like.grammars.regex.charsets import Ranges
from lmql_like.grammars.regex.nodes import ANY_TEXT, Alternation, CharSet, Concat, Node, Repeat

__all__ = ["pattern_automaton", "pattern_node"]

_EMPTY = Concat(())
_WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_NO_TEXT = CharSet(())
_MOST_COPIES = 2_000  # states of a pattern with assertions inside
_WORTH_IT = 500  # refinement may take as many rounds as there are states


@lru_cache(maxsize=2048)
def pattern_node(pattern: str) -> Node | None:
    """Return the texts in which a pattern matches somewhere; None where it takes an automaton.

    Raises:
        SchemaError: S201, S202.
    """
    tree = parse_ecma(pattern)
    options = tree.options if isinstance(tree, Alternation) else (tree,)
    nodes = [_at_edges(option) for option in options]
    if any(node is None for node in nodes):
        return None
    return Alternation(tuple(nodes)) if len(nodes) > 1 else nodes[0]  # type: ignore[arg-type]


@lru_cache(maxsize=512)
def pattern_automaton(pattern: str) -> FiniteAutomaton:
    """Return the automaton of the texts in which a pattern matches somewhere.

    Raises:
        SchemaError: S201, S202.
        GrammarError: G201, G202 over a limit.
    """
    node = pattern_node(pattern)
    if node is not None:
        return _smaller(FiniteAutomaton.of_node(node))
    return _smaller(_Explorer(parse_ecma(pattern), search=True).explore())


def _at_edges(tree: Tree) -> Node | None:
    """Return one option's texts, if it has assertions at most at its edges."""
    parts: list[Tree] = list(tree.parts) if isinstance(tree, Concat) else [tree]
    start = end = False
    while parts and parts[0] == Assertion("start"):
        start = True
        del parts[0]
    while parts and parts[-1] == Assertion("end"):
        end = True
        del parts[-1]
    if any(map(_has_assertions, parts)):
        return None
    whole = [] if start else [ANY_TEXT]
    whole += parts  # type: ignore[arg-type]
    whole += [] if end else [ANY_TEXT]
    return whole[0] if len(whole) == 1 else Concat(tuple(whole))


def _has_assertions(tree: Tree) -> bool:
    if isinstance(tree, Assertion):
        return True
    if isinstance(tree, Concat):
        return any(map(_has_assertions, tree.parts))
    if isinstance(tree, Alternation):
        return any(map(_has_assertions, tree.options))
    return isinstance(tree, Repeat) and _has_assertions(tree.item)


@dataclass
class _Nfa:
    """States with moves on characters and empty moves, some guarded by an assertion."""

    moves: list[list[tuple[Ranges, int]]] = field(default_factory=list)
    jumps: list[list[tuple[Assertion | None, int]]] = field(default_factory=list)

    def state(self) -> int:
        if len(self.moves) >= _MOST_COPIES:
            raise SchemaError(
                "S203",
                f"the pattern has assertions and writes out to more than {_MOST_COPIES} states",
                help="make its counted repeats smaller",
            )
        self.moves.append([])
        self.jumps.append([])
        return len(self.moves) - 1

    def add(self, tree: Tree, start: int) -> int:
        """Add a tree behind a state; return the state behind the tree."""
        if isinstance(tree, Concat):
            for part in tree.parts:
                start = self.add(part, start)
            return start
        end = self.state()
        if isinstance(tree, Assertion):
            self.jumps[start].append((tree, end))
        elif isinstance(tree, CharSet):
            self.moves[start].append((tree.ranges, end))
        elif isinstance(tree, Alternation):
            for option in tree.options:
                self.jumps[self.add(option, self._fresh(start))].append((None, end))
        elif isinstance(tree, Repeat):
            self._repeat(tree, start, end)
        return end

    def _fresh(self, start: int) -> int:
        state = self.state()
        self.jumps[start].append((None, state))
        return state

    def _repeat(self, tree: Repeat, start: int, end: int) -> None:
        for _ in range(tree.low):
            start = self.add(tree.item, self._fresh(start))
        if tree.high is None:
            loop = self._fresh(start)
            self.jumps[self.add(tree.item, self._fresh(loop))].append((None, loop))
            self.jumps[loop].append((None, end))
            return
        for _ in range(tree.high - tree.low):
            self.jumps[start].append((None, end))
            start = self.add(tree.item, self._fresh(start))
        self.jumps[start].append((None, end))


# A duty is (automaton's number, its state): it must accept the rest of the text.
_Duties: TypeAlias = "frozenset[tuple[int, int]]"
_Clauses: TypeAlias = "frozenset[tuple[int, _Duties]]"
_State: TypeAlias = "tuple[bool | None, tuple[int, ...], _Clauses]"


class _Explorer:
    """Explores the automaton of one tree.

    Args:
        tree: what has to match.
        search: the match may begin and end anywhere; otherwise it begins where the text
            does, and the rest of the text is free: the reading of a lookahead.
        behind: read a lookbehind: it begins anywhere and ends where the text does.
    """

    def __init__(self, tree: Tree, *, search: bool, behind: bool = False) -> None:
        self._nfa = _Nfa()
        self._first = self._nfa.state()
        self._end = self._nfa.add(tree, self._first)
        self._anywhere = search or behind
        self._free_rest = not behind
        self._duties: list[FiniteAutomaton] = []
        self._duty_of: dict[Assertion, int] = {}
        self._trackers: list[FiniteAutomaton] = []
        self._tracker_of: dict[Tree, int] = {}
        self._prepare()
        cuts = {0}
        sets = [ranges for moves in self._nfa.moves for ranges, _ in moves]
        for ranges in (*sets, _WORD):
            cuts.update(bound for low, high in ranges for bound in (low, high + 1))
        for automaton in (*self._duties, *self._trackers):
            cuts.update(automaton.starts)
        self._starts = tuple(sorted(cuts - {0x110000}))
        self._known_sets = {ranges: [_in(ranges, c) for c in self._starts] for ranges in sets}
        self._is_word = [_in(_WORD, start) for start in self._starts]

    def explore(self) -> FiniteAutomaton:
        """Return the automaton.

        A state is (was the last character a word's: None at the start, lookbehinds'
        states, clauses); a clause is (nfa state, duties), and -1 stands for a match.
        """
        trackers = (0,) * len(self._trackers)
        first: _State = (
            None,
            trackers,
            self._closure([(self._first, frozenset())], None, trackers),
        )
        return FiniteAutomaton.explore(self._starts, first, self._step, self._accepts, MOST_STATES)

    # -- automata that assertions stand for ------------------------------------------

    def _prepare(self) -> None:
        for jumps in self._nfa.jumps:
            for assertion, _ in jumps:
                if assertion is None or assertion.kind == "start":
                    continue
                if assertion.kind in ("behind", "not behind"):
                    if assertion.body not in self._tracker_of:
                        inner = _Explorer(assertion.body, search=False, behind=True)
                        self._tracker_of[assertion.body] = len(self._trackers)
                        self._trackers.append(inner.explore().complement().complement())
                elif assertion.kind in ("word", "not word"):
                    for inside in (True, False):
                        self._add_duty(Assertion(f"word {inside}"), _next_is_word(inside))
                elif assertion.kind == "end":
                    self._add_duty(assertion, FiniteAutomaton.of_node(_EMPTY))
                elif assertion not in self._duty_of:
                    automaton = _Explorer(assertion.body, search=False).explore().minimize()
                    negative = assertion.kind == "not ahead"
                    self._add_duty(assertion, automaton.complement() if negative else automaton)

    def _add_duty(self, key: Assertion, automaton: FiniteAutomaton) -> None:
        if key not in self._duty_of:
            self._duty_of[key] = len(self._duties)
            self._duties.append(automaton.minimize())

    def _duty(
        self, assertion: Assertion, last: bool | None, trackers: tuple[int, ...]
    ) -> int | None:
        """Return the number of the duty that an assertion sets, -1 for none, None for false."""
        kind = assertion.kind
        if kind == "start":
            return -1 if last is None else None
        if kind in ("behind", "not behind"):
            number = self._tracker_of[assertion.body]
            met = self._trackers[number].accepting[trackers[number]]
            return -1 if met == (kind == "behind") else None
        if kind in ("word", "not word"):
            inside = bool(last) == (kind == "not word")
            return self._duty_of[Assertion(f"word {inside}")]
        return self._duty_of[assertion]

    # -- states --------------------------------------------------------------------

    def _closure(
        self,
        clauses: list[tuple[int, _Duties]],
        last: bool | None,
        trackers: tuple[int, ...],
    ) -> _Clauses:
        seen = dict.fromkeys(clauses)
        stack = list(seen)
        while stack:
            state, duties = stack.pop()
            fresh = list(self._jumps(state, duties, last, trackers))
            if state == self._end:
                fresh.append((-1, duties))
            for clause in fresh:
                if clause not in seen:
                    seen[clause] = None
                    stack.append(clause)
        # A clause with fewer duties makes those with more needless.
        done = [duties for state, duties in seen if state == -1]
        if any(not duties for duties in done) and self._free_rest:
            return frozenset({(-1, frozenset())})
        return frozenset(
            (state, duties)
            for state, duties in seen
            if (state == -1 or self._nfa.moves[state])
            and not any(duties > other for other in (done if state == -1 else ()))
        )

    def _jumps(
        self,
        state: int,
        duties: _Duties,
        last: bool | None,
        trackers: tuple[int, ...],
    ) -> Iterator[tuple[int, _Duties]]:
        if state == -1:
            return
        for assertion, target in self._nfa.jumps[state]:
            if assertion is None:
                yield target, duties
                continue
            number = self._duty(assertion, last, trackers)
            if number is not None:
                yield target, duties if number < 0 else duties | {(number, 0)}

    def _step(self, state: _State, symbol: int) -> _State | None:
        _, trackers, clauses = state
        start = self._starts[symbol]
        moved: list[tuple[int, _Duties]] = []
        for place, duties in clauses:
            following = self._duties_behind(duties, start)
            if following is None:
                continue
            if place == -1:
                if self._free_rest:
                    moved.append((-1, following))
                continue
            moved += [
                (target, following)
                for ranges, target in self._nfa.moves[place]
                if self._known_sets[ranges][symbol]
            ]
        ahead = tuple(
            automaton.table[at][bisect_right(automaton.starts, start) - 1]
            for automaton, at in zip(self._trackers, trackers, strict=True)
        )
        if self._anywhere:
            moved.append((self._first, frozenset()))
        last = self._is_word[symbol]
        found = self._closure(moved, last, ahead)
        return (last, ahead, found) if found or self._anywhere else None

    def _duties_behind(self, duties: _Duties, start: int) -> _Duties | None:
        out = set()
        for number, at in duties:
            automaton = self._duties[number]
            target = automaton.table[at][bisect_right(automaton.starts, start) - 1]
            if target < 0:
                return None
            if automaton.accepting[target] and set(automaton.table[target]) == {target}:
                continue  # met, whatever follows
            out.add((number, target))
        return frozenset(out)

    def _accepts(self, state: _State) -> bool:
        return any(
            place == -1 and all(self._duties[n].accepting[at] for n, at in duties)
            for place, duties in state[2]
        )


def _next_is_word(inside: bool) -> FiniteAutomaton:
    """Return the automaton of texts that begin with a word's character, or of all others."""
    word = FiniteAutomaton.of_node(Concat((CharSet(_WORD), ANY_TEXT)))
    return word if inside else word.complement()


def _in(ranges: Ranges, code: int) -> bool:
    return any(low <= code <= high for low, high in ranges)


def _smaller(automaton: FiniteAutomaton) -> FiniteAutomaton:
    """Return a minimal automaton where that costs little."""
    return automaton.minimize() if len(automaton.table) <= _WORTH_IT else automaton
