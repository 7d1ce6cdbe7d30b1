"""Naive twins of the mask engine: derivatives of byte expressions, plain searches.

`Expr` is a boolean expression over byte strings with Brzozowski derivatives (JACM 1964);
no automaton, no array, no vocabulary trick. `allowed_tokens` follows tokens, one by one,
through derivatives, and asks of each whether any sequence of tokens completes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Expr:
    """kind: empty-set, epsilon, byte set, cat, or, and, not, star."""

    kind: str
    parts: tuple = ()


NOTHING = Expr("nothing")
EPSILON = Expr("epsilon")
ANYTHING = Expr("not", (NOTHING,))


def byte_set(values):
    return Expr("bytes", (frozenset(values),))


def cat(*parts):
    flat = [p for part in parts for p in (part.parts if part.kind == "cat" else (part,))]
    flat = [p for p in flat if p != EPSILON]
    if NOTHING in flat:
        return NOTHING
    return Expr("cat", tuple(flat)) if len(flat) > 1 else flat[0] if flat else EPSILON


def any_of(*parts):
    flat = {p for part in parts for p in (part.parts if part.kind == "or" else (part,))}
    flat.discard(NOTHING)
    if ANYTHING in flat:
        return ANYTHING
    if len(flat) < 2:
        return next(iter(flat), NOTHING)
    return Expr("or", tuple(sorted(flat, key=repr)))


def all_of(*parts):
    flat = {p for part in parts for p in (part.parts if part.kind == "and" else (part,))}
    flat.discard(ANYTHING)
    if NOTHING in flat:
        return NOTHING
    if len(flat) < 2:
        return next(iter(flat), ANYTHING)
    return Expr("and", tuple(sorted(flat, key=repr)))


def negate(part):
    return part.parts[0] if part.kind == "not" else Expr("not", (part,))


def star(part):
    if part in (NOTHING, EPSILON):
        return EPSILON
    return part if part.kind == "star" else Expr("star", (part,))


def literal(data: bytes):
    return cat(*(byte_set([b]) for b in data))


def repeat(part, low, high):
    copies = [part] * low
    if high is None:
        return cat(*copies, star(part))
    tail = EPSILON
    for _ in range(high - low):
        tail = any_of(EPSILON, cat(part, tail))
    return cat(*copies, tail)


def character():
    """Any one valid UTF-8 character."""
    tail = byte_set(range(0x80, 0xC0))
    return any_of(
        byte_set(range(0x80)),
        cat(byte_set(range(0xC2, 0xE0)), tail),
        cat(byte_set([0xE0]), byte_set(range(0xA0, 0xC0)), tail),
        cat(byte_set([*range(0xE1, 0xED), 0xEE, 0xEF]), tail, tail),
        cat(byte_set([0xED]), byte_set(range(0x80, 0xA0)), tail),
        cat(byte_set([0xF0]), byte_set(range(0x90, 0xC0)), tail, tail),
        cat(byte_set(range(0xF1, 0xF4)), tail, tail, tail),
        cat(byte_set([0xF4]), byte_set(range(0x80, 0x90)), tail, tail),
    )


TEXT = star(character())


@cache
def nullable(e: Expr) -> bool:
    if e.kind in ("epsilon", "star"):
        return True
    if e.kind in ("cat", "and"):
        return all(map(nullable, e.parts))
    if e.kind == "or":
        return any(map(nullable, e.parts))
    return e.kind == "not" and not nullable(e.parts[0])


@cache
def derive(e: Expr, byte: int) -> Expr:
    if e.kind == "bytes":
        return EPSILON if byte in e.parts[0] else NOTHING
    if e.kind == "cat":
        first, rest = e.parts[0], cat(*e.parts[1:])
        out = cat(derive(first, byte), rest)
        return any_of(out, derive(rest, byte)) if nullable(first) else out
    if e.kind == "or":
        return any_of(*(derive(p, byte) for p in e.parts))
    if e.kind == "and":
        return all_of(*(derive(p, byte) for p in e.parts))
    if e.kind == "not":
        return negate(derive(e.parts[0], byte))
    if e.kind == "star":
        return cat(derive(e.parts[0], byte), e)
    return NOTHING


def derive_all(e: Expr, data: bytes) -> Expr:
    for byte in data:
        e = derive(e, byte)
    return e


def accepts(e: Expr, data: bytes) -> bool:
    return nullable(derive_all(e, data))


def completable(e: Expr, tokens: list[bytes]) -> bool:
    """Whether some sequence of tokens (perhaps none) is in the language of e."""
    seen, frontier = {e}, [e]
    while frontier:
        current = frontier.pop()
        if nullable(current):
            return True
        for token in tokens:
            following = derive_all(current, token)
            if following != NOTHING and following not in seen:
                seen.add(following)
                frontier.append(following)
    return False


def allowed_tokens(e: Expr, tokens: list[bytes]) -> set[int]:
    """The ids of non-empty tokens after which the text can still be completed."""
    written = [t for t in tokens if t]
    return {
        i for i, token in enumerate(tokens) if token and completable(derive_all(e, token), written)
    }


def completable_within(e: Expr, tokens: list[bytes], low: int, high: int) -> bool:
    """Whether a sequence of low to high tokens is in the language of e."""
    layer = {e}
    for count in range(high + 1):
        if count >= low and any(map(nullable, layer)):
            return True
        layer = {derive_all(x, t) for x in layer for t in tokens} - {NOTHING}
    return False
