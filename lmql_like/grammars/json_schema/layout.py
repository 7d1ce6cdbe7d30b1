"""The pieces of JSON text that every schema shares, and where white space may stand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from lmql_like.errors import SchemaError, did_you_mean
from lmql_like.grammars.json_schema.numbers import ANY_NUMBER, INTEGER
from lmql_like.grammars.json_schema.spelling import ANY_STRING
from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Choice,
    Concat,
    Diagram,
    Node,
    Reference,
    Repeat,
)

__all__ = ["LAYOUTS", "NOTHING", "Layout", "layout", "quoted", "shared_rules"]

NOTHING: Node = CharSet(())
_EMPTY: Node = Concat(())
_SPACE: Node = Repeat(CharSet(((0x09, 0x0A), (0x0D, 0x0D), (0x20, 0x20))), 0, None)
_LINE: Node = Concat((Choice(("\n",)), Repeat(CharSet(((0x09, 0x09), (0x20, 0x20))), 0, None)))


@dataclass(frozen=True)
class Layout:
    """Where white space may stand.

    Attributes:
        opened: behind an opening bracket that something follows.
        comma: the comma, and the space around it.
        colon: the colon, and the space around it.
        closing: before the bracket that closes something.
        empty: between the brackets of nothing.
    """

    opened: Node
    comma: Node
    colon: Node
    closing: Node
    empty: Node


def _text(text: str) -> Node:
    return Choice((text,))


LAYOUTS = {
    "compact": Layout(_EMPTY, _text(","), _text(":"), _EMPTY, _EMPTY),
    "flexible": Layout(
        _SPACE,
        Concat((_SPACE, _text(","), _SPACE)),
        Concat((_SPACE, _text(":"), _SPACE)),
        _SPACE,
        _SPACE,
    ),
    "pretty": Layout(_LINE, Concat((_text(","), _LINE)), _text(": "), _LINE, _EMPTY),
}


def layout(name: str) -> Layout:
    """Return a layout by its name.

    Raises:
        SchemaError: S106.
    """
    if name not in LAYOUTS:
        raise SchemaError(
            "S106",
            f'found whitespace="{name}", expected one of '
            + ", ".join(f'"{known}"' for known in LAYOUTS),
            help=did_you_mean(str(name), LAYOUTS),
        )
    return LAYOUTS[name]


def quoted(contents: Node) -> Node:
    """Return a string literal of some spelled contents."""
    return Concat((_QUOTE, contents, _QUOTE))


_QUOTE = _text('"')


@lru_cache(maxsize=8)
def shared_rules(where: Layout) -> dict[str, Node]:
    """Return the rules of JSON itself: value, object, array, string, number, integer."""
    value, string = Reference("value"), Reference("string")
    member = Concat((string, where.colon, value))
    return {
        "value": Alternation(
            (
                Choice(("null", "true", "false")),
                Reference("number"),
                string,
                Reference("array"),
                Reference("object"),
            )
        ),
        "object": _listing("{", member, "}", where),
        "array": _listing("[", value, "]", where),
        "string": quoted(ANY_STRING),
        "number": ANY_NUMBER,
        "integer": INTEGER,
    }


def _listing(opening: str, item: Node, closing: str, where: Layout) -> Node:
    moves = (
        (0, _text(opening), 1),
        (1, where.empty, 2),
        (1, where.opened, 3),
        (3, item, 4),
        (4, where.comma, 3),
        (4, where.closing, 2),
        (2, _text(closing), 5),
    )
    return Diagram(6, moves, (5,))
