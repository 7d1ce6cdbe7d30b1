r"""Values to the nodes of a query, and to its text: each node at its place in that text.

What `prompt` and the conditions build is what the parser would read. A `Writer` puts the
text down character by character and gives each node the place where it stands, so that
reading the text gives the very same nodes (`tests/laws/test_builder_laws.py`).

    "text"               doubled brackets and braces, escapes; never code
    a literal            is written out
    any other value      gets a name, which the program reads from its scope
"""

from __future__ import annotations

import ast
import builtins
import keyword
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmql_like.dsl.places import Place
from lmql_like.source import Span

__all__ = ["Names", "Reference", "Writer", "conjuncts", "quoted"]

_PLAIN = (str, int, bool, float, type(None))
_OR, _AND, _NOT, _COMPARE, _ATOM = range(1, 6)
_WORDS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.In: "in",
    ast.NotIn: "not in",
}
_DOUBLED = {"[": "[[", "]": "]]", "{": "{{", "}": "}}", '"': '\\"', "\\": "\\\\"}


@dataclass(frozen=True)
class Reference:
    """The value of an argument or of an earlier hole, when the program runs."""

    name: str


@dataclass
class Names:
    """The names of a query that is put together, and the values that got one.

    Attributes:
        taken: names that mean something else.
        values: what the program reads from its scope.
        places: the expressions that conditions come from, by the node they became.
    """

    taken: Collection[str] = ()
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[ast.AST, Place] = field(default_factory=dict)

    def operand(self, value: Any) -> ast.expr:
        """Return the expression of a value: written out, or by a name."""
        if isinstance(value, Reference):
            return ast.Name(value.name, ast.Load())
        return _literal(value) or ast.Name(self.capture(value), ast.Load())

    def name_of_type(self, kind: Any) -> str:
        """Return the name of a type: its own where it is built in, else one that it gets."""
        name = getattr(kind, "__name__", "")
        return name if getattr(builtins, name, None) is kind else self.capture(kind, name)

    def capture(self, value: Any, hint: str = "value") -> str:
        """Return the name that a value gets; the same one for the same object."""
        for name, known in self.values.items():
            if known is value:
                return name
        stem = hint if hint.isidentifier() and not keyword.iskeyword(hint) else "value"
        name, number = stem, 1
        while name in self.taken or name in self.values:
            number += 1
            name = f"{stem}_{number}"
        self.values[name] = value
        return name


def _literal(value: Any) -> ast.expr | None:
    """Return a value as Python would read it from a file; None if it is no such value."""
    kind = type(value)
    if kind in (int, float) and str(value).startswith("-"):
        positive = _literal(-value)
        return None if positive is None else ast.UnaryOp(ast.USub(), positive)
    if kind in _PLAIN:
        # repr of an infinite float is a name, and half a surrogate pair has no UTF-8 form.
        return ast.Constant(value) if kind is not float or repr(value)[0].isdigit() else None
    if kind is dict:
        pairs = [(_literal(key), _literal(item)) for key, item in value.items()]
        keys, items = [key for key, _ in pairs], [item for _, item in pairs]
        whole = None not in keys and None not in items
        return ast.Dict(keys, items) if whole else None  # type: ignore[arg-type]
    if kind in (list, tuple):
        listed = [_literal(item) for item in value]
        if None in listed:
            return None
        node = ast.List if kind is list else ast.Tuple
        return node(listed, ast.Load())  # type: ignore[arg-type]
    return None


class Writer:
    """Writes a query of one prompt string a line.

    Attributes:
        places: spans of what was written, and the expressions it comes from.
    """

    def __init__(self, names: Names) -> None:
        self.places: list[tuple[Span, Place]] = []
        self._names = names
        self._pieces: list[str] = []
        self._length = 0
        self._line = 1
        self._column = 0

    @property
    def text(self) -> str:
        """What has been written."""
        return "".join(self._pieces)

    @property
    def at(self) -> int:
        """The offset of the next character."""
        return self._length

    def put(self, text: str) -> Span:
        """Write some characters; return their place."""
        start = self._length
        self._pieces.append(text)
        self._length += len(text)
        if "\n" in text:
            self._line += text.count("\n")
            self._column = len(text) - text.rindex("\n") - 1
        else:
            self._column += len(text)
        return Span(start, self._length)

    def put_text(self, text: str) -> Span:
        """Write literal text of a prompt string."""
        return self.put("".join(map(_escaped, text)))

    def put_code(self, node: ast.expr, above: int = 0) -> Span:
        """Write an expression and give its nodes their places; return its own.

        Args:
            node: without places.
            above: how strongly what stands around it binds.
        """
        strength = _strength(node)
        in_parentheses = strength < above or (strength == above and strength != _NOT)
        in_parentheses = in_parentheses and strength < _ATOM
        if in_parentheses:
            self.put("(")
        line, column, start = self._line, self._column, self._length
        _WRITERS[type(node)](self, node)
        node.lineno, node.col_offset = line, column
        node.end_lineno, node.end_col_offset = self._line, self._column
        span = Span(start, self._length)
        if node in self._names.places:
            self.places.append((span, self._names.places[node]))
        if in_parentheses:
            self.put(")")
        return span

    def _row(self, opening: str, nodes: Sequence[ast.expr], closing: str) -> None:
        self.put(opening)
        for i, node in enumerate(nodes):
            if i:
                self.put(", ")
            self.put_code(node)
        self.put(closing)

    def _constant(self, node: ast.Constant) -> None:
        self.put(quoted(node.value) if isinstance(node.value, str) else repr(node.value))

    def _name(self, node: ast.Name) -> None:
        self.put(node.id)

    def _list(self, node: ast.List) -> None:
        self._row("[", node.elts, "]")

    def _tuple(self, node: ast.Tuple) -> None:
        self._row("(", node.elts, ",)" if len(node.elts) == 1 else ")")

    def _dict(self, node: ast.Dict) -> None:
        self.put("{")
        for i, (key, value) in enumerate(zip(node.keys, node.values, strict=True)):
            self.put(", " if i else "")
            if key is not None:
                self.put_code(key)
            self.put(": ")
            self.put_code(value)
        self.put("}")

    def _negative(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self.put("not ")
            self.put_code(node.operand, _NOT)
        else:
            self.put("-")
            self.put_code(node.operand, _COMPARE)

    def _joined(self, node: ast.BoolOp) -> None:
        word, strength = (" and ", _AND) if isinstance(node.op, ast.And) else (" or ", _OR)
        for i, value in enumerate(node.values):
            if i:
                self.put(word)
            self.put_code(value, strength)

    def _compared(self, node: ast.Compare) -> None:
        self.put_code(node.left, _COMPARE)
        for op, right in zip(node.ops, node.comparators, strict=True):
            self.put(f" {_WORDS[type(op)]} ")
            self.put_code(right, _COMPARE)

    def _called(self, node: ast.Call) -> None:
        self.put_code(node.func, _ATOM)
        self.put("(")
        for i, argument in enumerate(node.args):
            self.put(", " if i else "")
            self.put_code(argument)
        for i, given in enumerate(node.keywords):
            self.put(", " if i or node.args else "")
            self._keyword(given)
        self.put(")")

    def _keyword(self, node: ast.keyword) -> None:
        line, column = self._line, self._column
        self.put(f"{node.arg}=")
        self.put_code(node.value)
        node.lineno, node.col_offset = line, column
        node.end_lineno, node.end_col_offset = self._line, self._column


_WRITERS: Mapping[type[ast.expr], Callable[[Writer, Any], None]] = {
    ast.Constant: Writer._constant,  # noqa: SLF001 - the table of its own methods
    ast.Name: Writer._name,  # noqa: SLF001
    ast.List: Writer._list,  # noqa: SLF001
    ast.Tuple: Writer._tuple,  # noqa: SLF001
    ast.Dict: Writer._dict,  # noqa: SLF001
    ast.UnaryOp: Writer._negative,  # noqa: SLF001
    ast.BoolOp: Writer._joined,  # noqa: SLF001
    ast.Compare: Writer._compared,  # noqa: SLF001
    ast.Call: Writer._called,  # noqa: SLF001
}


def _strength(node: ast.expr) -> int:
    """Return how strongly an expression holds together."""
    if isinstance(node, ast.BoolOp):
        return _AND if isinstance(node.op, ast.And) else _OR
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _NOT
    return _COMPARE if isinstance(node, ast.Compare) else _ATOM


def _escaped(char: str) -> str:
    """Return a character as a prompt string has it."""
    if char in _DOUBLED:
        return _DOUBLED[char]
    return char if char.isprintable() else repr(char)[1:-1]


def quoted(text: str) -> str:
    """Return a text as a string literal in double quotes."""
    plain = {'"': '\\"', "\\": "\\\\"}
    return (
        '"'
        + "".join(
            plain.get(char) or (char if char.isprintable() else repr(char)[1:-1]) for char in text
        )
        + '"'
    )


def conjuncts(node: ast.expr) -> Sequence[ast.expr]:
    """Return what an `and` joins; the expression alone if it is none."""
    is_and = isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And)
    return node.values if isinstance(node, ast.BoolOp) and is_and else [node]
