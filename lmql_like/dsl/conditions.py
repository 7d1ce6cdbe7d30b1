r"""Conditions on holes as objects, one class for each operator of the language.

    Regex(r"[a-z]+") & ~Contains("\n") & (TokenLength() <= 40)

They compose by `& | ~` and stand for the expressions that a `where` clause would hold:
`REGEX(X, "[a-z]+") and not "\n" in X and len(TOKENS(X)) <= 40`. The hole is the one whose
`gen` they are given to; `of` names another. An operand is any value: what can be written
out is, anything else gets a name. `arg` and `hole` stand for values of the run.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn

from lmql_like.dsl.places import Place, here
from lmql_like.dsl.writing import Names, Reference
from lmql_like.errors import QueryError

__all__ = [
    "Bool",
    "ByteLength",
    "Condition",
    "Contains",
    "Custom",
    "Date",
    "EndsWith",
    "Equals",
    "Excludes",
    "Float",
    "Gbnf",
    "Grammar",
    "In",
    "Includes",
    "Int",
    "Json",
    "Length",
    "OfType",
    "OneOf",
    "Regex",
    "SentenceCount",
    "StartsWith",
    "StopsAt",
    "StopsBefore",
    "SubstringOf",
    "TokenLength",
    "WordCount",
    "refuse",
]


def refuse(code: str, message: str, place: Place, label: str = "", hint: str = "") -> NoReturn:
    """Raise an error at an expression of the author's.

    Raises:
        QueryError: always.
    """
    source, span = place.located() or (None, None)
    raise QueryError(code, message, source=source, span=span, label=label, help=hint)


class Condition(ABC):
    """Something that the text of a hole may or may not satisfy.

    Attributes:
        place: where it was written.
    """

    place: Place
    _hole: str | None = None

    def __init__(self) -> None:
        self.place = here()

    @abstractmethod
    def _node(self, hole: str, names: Names) -> ast.expr:
        """Return the condition as an expression about a hole, without places."""

    def node(self, hole: str, names: Names) -> ast.expr:
        """Return the condition as an expression; `names` learns what it comes from.

        Args:
            hole: whose `gen` it was given to.
            names: gives names to operands that cannot be written out.
        """
        found = self._node(self._hole or hole, names)
        names.places[found] = self.place
        return found

    def of(self, hole: str) -> Condition:
        """Return the same condition on the hole of this name, whichever `gen` it stands at."""
        found = _copied(self)
        found._hole = hole  # noqa: SLF001 - a copy of its own
        return found

    def __and__(self, other: Condition | Reference | bool) -> Condition:
        return _Joined(ast.And, (self, _condition(other)))

    def __rand__(self, other: Condition | Reference | bool) -> Condition:
        return _Joined(ast.And, (_condition(other), self))

    def __or__(self, other: Condition | Reference | bool) -> Condition:
        return _Joined(ast.Or, (self, _condition(other)))

    def __ror__(self, other: Condition | Reference | bool) -> Condition:
        return _Joined(ast.Or, (_condition(other), self))

    def __invert__(self) -> Condition:
        return _Negated(self)

    def __bool__(self) -> bool:
        return refuse(
            "Q701",
            "a condition is used as if it were true or false",
            here(),
            label="it is about a text that is not there yet",
            hint="join conditions with & | ~; a chain is (3 < Length()) & (Length() <= 9)",
        )

    def __repr__(self) -> str:
        """Return the condition as a `where` clause would hold it, about the hole X."""
        return f"<{ast.unparse(ast.fix_missing_locations(self.node('X', Names())))}>"


def _copied(condition: Condition) -> Condition:
    copy = object.__new__(type(condition))
    copy.__dict__.update(condition.__dict__)
    return copy


def _condition(value: Any) -> Condition:
    if isinstance(value, Condition):
        return value
    if isinstance(value, Reference | bool):
        return _Given(value)
    return refuse(
        "Q702",
        f"a condition is joined to {value!r}, which is none",
        here(),
        hint="write Equals(...) or OneOf(...) for texts, Custom(f) for a function",
    )


class _Joined(Condition):
    """`a & b`, `a | b`; conjuncts of conjuncts are conjuncts."""

    def __init__(self, op: type[ast.boolop], parts: tuple[Condition, ...]) -> None:
        super().__init__()
        self._op = op
        self._parts: list[Condition]
        flat: list[Condition] = []
        for part in parts:
            flat += part.flat(op) if isinstance(part, _Joined) else [part]
        self._parts = flat

    def flat(self, op: type[ast.boolop]) -> list[Condition]:
        """Return the parts, where they are joined in the same way about the same hole."""
        return self._parts if self._op is op and self._hole is None else [self]

    def _node(self, hole: str, names: Names) -> ast.expr:
        return ast.BoolOp(self._op(), [part.node(hole, names) for part in self._parts])


class _Negated(Condition):
    """`~a`."""

    def __init__(self, part: Condition) -> None:
        super().__init__()
        self._part = part

    def _node(self, hole: str, names: Names) -> ast.expr:
        return ast.UnaryOp(ast.Not(), self._part.node(hole, names))


class _Given(Condition):
    """A truth value that has nothing to do with the hole."""

    def __init__(self, value: Reference | bool) -> None:
        super().__init__()
        self._value = value

    def _node(self, hole: str, names: Names) -> ast.expr:
        del hole
        return names.operand(self._value)


class _Operator(Condition):
    """`NAME(X, operand)`."""

    name: ClassVar[str] = ""

    def __init__(self, operand: Any) -> None:
        super().__init__()
        self._operand = operand

    def _node(self, hole: str, names: Names) -> ast.expr:
        return _call(self.name, [_name(hole), names.operand(self._operand)])


class Regex(_Operator):
    """The whole text matches a pattern, a text or a compiled one."""

    name = "REGEX"


class StartsWith(_Operator):
    """The text begins with a string, or with one of several."""

    name = "STARTS_WITH"


class EndsWith(_Operator):
    """The text ends with a string, or with one of several."""

    name = "ENDS_WITH"


class StopsAt(_Operator):
    """The hole ends behind the first of some phrases, or where a compiled pattern matches."""

    name = "STOPS_AT"


class StopsBefore(_Operator):
    """The hole ends in front of the first of some phrases, which is no part of it."""

    name = "STOPS_BEFORE"


class SubstringOf(_Operator):
    """A quotation: the text occurs in another one."""

    name = "SUBSTRING_OF"


class Includes(_Operator):
    """Every phrase occurs; of a list among them, one does."""

    name = "INCLUDES"


class Excludes(_Operator):
    """None of the phrases occurs."""

    name = "EXCLUDES"


class _Kind(Condition):
    """`NAME(X)`."""

    name: ClassVar[str] = ""

    def _node(self, hole: str, names: Names) -> ast.expr:
        del names
        return _call(self.name, [_name(hole)])


class Int(_Kind):
    """A whole number; the hole's value is an int."""

    name = "INT"


class Float(_Kind):
    """A decimal number; the hole's value is a float."""

    name = "FLOAT"


class Bool(_Kind):
    """A truth value; the hole's value is a bool."""

    name = "BOOL"


class Date(_Kind):
    """A date, as in 2024-02-29; the hole's value is a `datetime.date`."""

    name = "DATE"


class OfType(Condition):
    """Text that is read as a value of a type; the hole's value is that."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self._kind = kind

    def _node(self, hole: str, names: Names) -> ast.expr:
        kind = _name(names.name_of_type(self._kind))
        return ast.Compare(_call("type", [_name(hole)]), [ast.Is()], [kind])


class _Comparison(Condition):
    """`left op right`, where one side is the hole."""

    def __init__(self, op: type[ast.cmpop], operand: Any) -> None:
        super().__init__()
        self._op = op
        self._operand = operand

    def _left(self, hole: str) -> ast.expr:
        return _name(hole)

    def _node(self, hole: str, names: Names) -> ast.expr:
        return ast.Compare(self._left(hole), [self._op()], [names.operand(self._operand)])


class Equals(_Comparison):
    """This one text."""

    def __init__(self, text: Any) -> None:
        super().__init__(ast.Eq, text)


class OneOf(_Comparison):
    """One of some texts."""

    def __init__(self, texts: Any) -> None:
        super().__init__(ast.In, texts)


In = OneOf


class Contains(_Operator):
    """A string occurs in the text."""

    def _node(self, hole: str, names: Names) -> ast.expr:
        return ast.Compare(names.operand(self._operand), [ast.In()], [_name(hole)])


class _Counted(_Comparison):
    """`len(UNIT(X)) op n`."""

    def __init__(self, unit: str, op: type[ast.cmpop], operand: Any) -> None:
        super().__init__(op, operand)
        self._unit = unit

    def _left(self, hole: str) -> ast.expr:
        counted = _name(hole)
        return _call("len", [_call(self._unit, [counted]) if self._unit else counted])


class Length:
    """The number of characters; compare it: `Length() <= 40`, `Length().within([2, 4])`."""

    unit: ClassVar[str] = ""

    def __lt__(self, number: Any) -> Condition:
        return _Counted(self.unit, ast.Lt, number)

    def __le__(self, number: Any) -> Condition:
        return _Counted(self.unit, ast.LtE, number)

    def __gt__(self, number: Any) -> Condition:
        return _Counted(self.unit, ast.Gt, number)

    def __ge__(self, number: Any) -> Condition:
        return _Counted(self.unit, ast.GtE, number)

    def __eq__(self, number: object) -> Condition:  # type: ignore[override]
        return _Counted(self.unit, ast.Eq, number)

    def __ne__(self, number: object) -> Condition:  # type: ignore[override]
        return _Counted(self.unit, ast.NotEq, number)

    def within(self, numbers: Any) -> Condition:
        """Return the condition that it is one of some numbers, such as those of a range."""
        return _Counted(self.unit, ast.In, numbers)

    __hash__ = None  # type: ignore[assignment]


class ByteLength(Length):
    """The number of bytes in UTF-8; compare it."""

    unit = "BYTES"


class WordCount(Length):
    """The number of words, those of `split()`; compare it."""

    unit = "WORDS"


class SentenceCount(Length):
    """The number of sentences; compare it."""

    unit = "SENTENCES"


class TokenLength(Length):
    """The number of the model's tokens; compare it."""

    unit = "TOKENS"


class Grammar(Condition):
    """The whole text is a sentence of a grammar.

    Args:
        text: the grammar; not given where it stands in a file.
        options: start=, syntax=, lexing=, file=, each a string.
    """

    name: ClassVar[str] = "GRAMMAR"

    def __init__(self, text: Any = None, **options: str) -> None:
        super().__init__()
        self._text = text
        self._options = options

    def _node(self, hole: str, names: Names) -> ast.expr:
        texts = [] if self._text is None else [names.operand(self._text)]
        keywords = [ast.keyword(key, names.operand(x)) for key, x in self._options.items()]
        return _call(self.name, [_name(hole), *texts], keywords)


class Gbnf(Grammar):
    """The whole text is a sentence of a grammar in GBNF; options are start= and file=."""

    name = "GBNF"


class Json(Grammar):
    """JSON that satisfies a schema, or any JSON; the hole's value is what it stands for.

    Args:
        schema: a dictionary, JSON text, a path, or a type; none where any JSON will do.
        options: those of `JSON` in the language, each written out.
    """

    name = "JSON"

    def __init__(self, schema: Any = None, **options: Any) -> None:
        super().__init__(schema, **options)


class Custom(Condition):
    """What a function of the author's says of the hole's value, or an `@constraint` class.

    Args:
        function: is called with the hole's value and the operands.
        operands: any values.
    """

    def __init__(self, function: Callable[..., Any], *operands: Any) -> None:
        super().__init__()
        self._function = function
        self._operands = operands

    def _node(self, hole: str, names: Names) -> ast.expr:
        name = names.capture(self._function, getattr(self._function, "__name__", ""))
        return _call(name, [_name(hole), *map(names.operand, self._operands)])


def _name(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _call(
    name: str, arguments: list[ast.expr], keywords: list[ast.keyword] | None = None
) -> ast.Call:
    return ast.Call(_name(name), arguments, keywords or [])


CLASSES: Mapping[str, type] = {
    name: value for name, value in globals().items() if name in __all__ and isinstance(value, type)
}
"""Every condition by its name."""
