"""Naive twin of grammars: Earley's recognizer (CACM 1970) over characters, plain sets.

A grammar is {name: [[symbol, ...], ...]}; a symbol is a rule's name or a one-byte string.
"""

from __future__ import annotations


def productive(grammar):
    """The grammar without rules and alternatives that derive no text."""
    good = set()
    while True:
        more = {
            name
            for name, options in grammar.items()
            if name not in good
            and any(all(s in good or s not in grammar for s in option) for option in options)
        }
        if not more:
            break
        good |= more
    return {
        name: [o for o in options if all(s in good or s not in grammar for s in o)]
        for name, options in grammar.items()
        if name in good
    }


def items_after(grammar, start, data):
    """The Earley set behind some bytes, of a grammar all of whose rules are productive."""
    if start not in grammar:
        return set()
    sets = [_closed(grammar, {("", ((start,)), 0, 0)}, [], 0)]
    for position, byte in enumerate(data):
        symbol = bytes([byte])
        moved = {
            (name, option, dot + 1, origin)
            for name, option, dot, origin in sets[-1]
            if dot < len(option) and option[dot] == symbol
        }
        sets.append(_closed(grammar, moved, sets, position + 1))
    return sets[-1]


def _closed(grammar, items, sets, position):
    items = set(items)
    while True:
        before = len(items)
        for name, option, dot, origin in list(items):
            if dot == len(option):
                source = items if origin == position else sets[origin]
                items |= {
                    (n, o, d + 1, k) for n, o, d, k in list(source) if d < len(o) and o[d] == name
                }
            elif option[dot] in grammar:
                items |= {(option[dot], tuple(o), 0, position) for o in grammar[option[dot]]}
        if len(items) == before:
            return items


def is_viable(grammar, start, data):
    """Whether some text of the language begins with these bytes."""
    return bool(items_after(productive(grammar), start, data))


def is_sentence(grammar, start, data):
    """Whether the bytes are a text of the language."""
    return ("", (start,), 1, 0) in items_after(productive(grammar), start, data)
