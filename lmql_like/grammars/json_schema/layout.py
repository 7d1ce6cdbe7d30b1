"""The pieces of JSON text that every schema shares, and where white space may stand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from lmql_like.errors import SchemaError, did_you_mean
from lmql_like.grammars.cfg.flattening import flattened
from lmql_like.grammars.json_schema.numbers import ANY_NUMBER, INTEGER
from lmql_like.grammars.json_schema.spelling import (
    ANY_SPACE,
    ANY_STRING,
    NEW_LINE,
    punctuation,
    spell_name,
)
from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Choice,
    Concat,
    Diagram,
    Node,
    Reference,
)

__all__ = ["LAYOUTS", "NOTHING", "Layout", "layout", "quoted", "shared_rules"]

NOTHING: Node = CharSet(())


@dataclass(frozen=True)
class Layout:
    """Where white space may stand; in all fields as the marks of `spelling.punctuation`.

    Attributes:
        opened: behind an opening bracket that something follows.
        separator: the comma, and the space around it.
        colon: the colon, and the space around it.
        closing: before the bracket that closes something.
        empty: between the brackets of nothing.
        has_gap: a blank may stand behind a comma and behind a colon.
    """

    opened: str
    separator: str
    colon: str
    closing: str
    empty: str
    has_gap: bool = False

    @property
    def comma(self) -> Node:
        """Return what stands between two members or items."""
        return self._gapped(punctuation(self.separator))

    def open(self, bracket: str) -> Node:
        """Return an opening bracket that something follows."""
        return punctuation(bracket + self.opened)

    def close(self, bracket: str) -> Node:
        """Return the bracket that closes something."""
        return punctuation(self.closing + bracket)

    def nothing(self, opening: str, closing: str) -> Node:
        """Return two brackets without anything between them."""
        return punctuation(opening + self.empty + closing)

    def name(self, text: str) -> Node:
        """Return a member's name with the colon behind it."""
        return self._gapped(spell_name(text, self.colon))

    def any_name(self, literal: Node) -> Node:
        """Return the names of a string literal with the colon behind them."""
        return Concat((literal, self._gapped(punctuation(self.colon))))

    def _gapped(self, node: Node) -> Node:
        return Concat((node, _GAP)) if self.has_gap else node


_GAP: Node = Choice(("", " "))

LAYOUTS = {
    "line": Layout("", ",", ":", "", "", has_gap=True),
    "compact": Layout("", ",", ":", "", ""),
    "flexible": Layout(
        ANY_SPACE,
        "~,~".replace("~", ANY_SPACE),
        "~:~".replace("~", ANY_SPACE),
        ANY_SPACE,
        ANY_SPACE,
    ),
    "pretty": Layout(NEW_LINE, "," + NEW_LINE, ": ", NEW_LINE, ""),
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


_QUOTE = Choice(('"',))


@lru_cache(maxsize=8)
def shared_rules(where: Layout) -> dict[str, Node]:
    """Return the rules of JSON itself: value, object, array, string, number, integer."""
    value, string = Reference("value"), Reference("string")
    member = Concat((where.any_name(string), value))
    rules: dict[str, Node] = {
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
    return {name: flattened(node) for name, node in rules.items()}


def _listing(opening: str, item: Node, closing: str, where: Layout) -> Node:
    moves = (
        (0, where.nothing(opening, closing), 1),
        (0, where.open(opening), 2),
        (2, item, 3),
        (3, where.comma, 2),
        (3, where.close(closing), 1),
    )
    return Diagram(4, moves, (1,))
