"""Naive twin of the lexed reading: maximal munch and Earley sets, plain loops and sets."""

from __future__ import annotations

from itertools import product

from naive_earley import _closed, productive

from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Concat,
    Reference,
    Repeat,
    Symbol,
)


def lexeme_ends(automaton, data, at=0):
    """Where lexemes of a terminal that begin at a place may end, the shortest first."""
    ends, states = [], {automaton.start}
    for position in range(at, len(data) + 1):
        if any(_may_end(automaton, state, data[position:]) for state in states):
            ends.append(position)
        states = _stepped(automaton, states, data[position : position + 1])
    return ends


def _may_end(automaton, state, behind):
    guards = {guard for accept, guard in automaton.guards if accept == state}
    return state in automaton.accepts and not any(_meets(automaton, {g}, behind) for g in guards)


def _meets(automaton, states, data):
    for i in range(len(data) + 1):
        if states & set(automaton.guard_accepts):
            return True
        states = _stepped(automaton, states, data[i : i + 1])
    return False


def _stepped(automaton, states, data):
    edges = automaton.edges.tolist()
    return {to for s, low, high, to in edges if data and s in states and low <= data[0] <= high}


def flat_rules(grammar):
    """Rules as {name: [[symbol, ...], ...]}; terminals are ints, helper rules are tuples."""
    rules = {}

    def name_of(node, key):
        if isinstance(node, Reference):
            return node.name
        if isinstance(node, Symbol):
            return node.index
        if isinstance(node, Alternation):
            rules[key] = [[name_of(o, (*key, i))] for i, o in enumerate(node.options)]
        elif isinstance(node, Concat):
            rules[key] = [[name_of(part, (*key, i)) for i, part in enumerate(node.parts)]]
        elif isinstance(node, CharSet):
            assert not node.ranges, "rules hold terminals, not characters"
            rules[key] = []
        else:
            rules[key] = _repeated(node, name_of(node.item, (*key, 0)), rules, key)
        return key

    for name, node in grammar.rules.items():
        rules[name] = [[name_of(node, (name,))]]
    return rules


def _repeated(node, item, rules, key):
    assert isinstance(node, Repeat)
    if node.high is not None:
        return [[item] * count for count in range(node.low, node.high + 1)]
    more = (*key, "more")
    rules[more] = [[], [item, more]]
    return [[item] * node.low + [more]]


class Contexts:
    """Earley sets of a grammar behind sequences of its terminals, each made once."""

    def __init__(self, grammar):
        self.grammar = grammar
        self.rules = productive(flat_rules(grammar))
        first = {("", (grammar.start,), 0, 0)} if grammar.start in self.rules else set()
        self.sets = {(): [_closed(self.rules, first, [], 0)]}

    def behind(self, terminals):
        if terminals not in self.sets:
            *before, last = terminals
            sets = self.behind(tuple(before))
            moved = {(n, o, d + 1, k) for n, o, d, k in sets[-1] if d < len(o) and o[d] == last}
            self.sets[terminals] = [*sets, _closed(self.rules, moved, sets, len(sets))]
        return self.sets[terminals]

    def candidates(self, terminals):
        """The terminals that may come next in some sentence."""
        items = self.behind(terminals)[-1]
        return frozenset(o[d] for _, o, d, _ in items if d < len(o) and isinstance(o[d], int))

    def is_sentence(self, terminals):
        return ("", (self.grammar.start,), 1, 0) in self.behind(terminals)[-1]


def _next_lexeme(grammar, following, data, at):
    """The end and the terminal of the next lexeme: the longest, then the first by rank."""
    found = []
    for index in following | grammar.ignored:
        ends = [
            end for end in lexeme_ends(grammar.terminals[index].automaton, data, at) if end > at
        ]
        found += [(-end, index) for end in ends]
    return min(found, default=None)


def lexemes(grammar, data, contexts=None):
    """The terminals that a text is cut into, or None where it is no text of the grammar."""
    contexts = contexts or Contexts(grammar)
    terminals, at = (), 0
    while at < len(data):
        best = _next_lexeme(grammar, contexts.candidates(terminals), data, at)
        if best is None:
            return None
        at, index = -best[0], best[1]
        terminals += () if index in grammar.ignored else (index,)
    return terminals if contexts.is_sentence(terminals) else None


def lex_and_parse(grammar, data):
    """Whether a text belongs to a grammar, read with a contextual lexer."""
    return lexemes(grammar, data) is not None


def texts_of(grammar, alphabet, longest):
    """All texts of a grammar over an alphabet, up to a length."""
    contexts = Contexts(grammar)
    texts = (bytes(t) for n in range(longest + 1) for t in product(alphabet, repeat=n))
    return [text for text in texts if lexemes(grammar, text, contexts) is not None]


def completions_exist(grammar, prefix, alphabet, max_length):
    """Whether a text of the grammar begins with a prefix and adds few pieces of an alphabet."""
    return any(
        lex_and_parse(grammar, prefix + b"".join(more))
        for length in range(max_length + 1)
        for more in product(alphabet, repeat=length)
    )
