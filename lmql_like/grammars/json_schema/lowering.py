"""Domains -> rules over bytes.

Every condition on arrays or objects becomes one rule, made when something first refers to it;
strings, numbers and literals stand where they are used. `LazyRules` is the mapping that the
rest of the package reads rules from: asking for a rule lowers it, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from lmql_like.errors import GrammarError, SchemaError
from lmql_like.grammars.json_schema import layout
from lmql_like.grammars.json_schema.conditions import FALSE, TRUE, Condition
from lmql_like.grammars.json_schema.documents import Place
from lmql_like.grammars.json_schema.domains import ANY_ARRAY, ANY_OBJECT, Domain
from lmql_like.grammars.json_schema.evaluation import Evaluator
from lmql_like.grammars.json_schema.layout import NOTHING, Layout, quoted
from lmql_like.grammars.json_schema.numbers import Whole, number_node
from lmql_like.grammars.json_schema.strings import TextIn, string_node
from lmql_like.grammars.regex.nodes import Alternation, Choice, Node, Reference

__all__ = ["LazyRules", "Lowering"]

_MANY = 4  # alternatives that share rules of members
_SMALL_ENUM = 64  # texts that stand where they are used


class LazyRules(Mapping[str, Node]):
    """Rules by name, each lowered when it is first asked for."""

    def __init__(self, shared: Mapping[str, Node]) -> None:
        self._known: dict[str, Node] = dict(shared)
        self._pending: dict[str, Callable[[], Node]] = {}
        self._made = 0

    def add(self, name: str, make: Callable[[], Node]) -> Reference:
        """Add a rule that is made later; return the reference to it."""
        self._pending[name] = make
        return Reference(name)

    def __getitem__(self, name: str) -> Node:
        if name not in self._known:
            make = self._pending.pop(name)
            self._known[name] = make()
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*self._known, *self._pending))

    def __len__(self) -> int:
        return len(self._known) + len(self._pending)

    def fresh(self, prefix: str) -> str:
        """Return a name that no rule has."""
        self._made += 1
        return f"{prefix}{self._made}"


@dataclass(frozen=True)
class Options:
    """How values are written.

    Attributes:
        layout: white space.
        key_order: the order of members.
        closed: whether objects that declare members have no others where the schema would
            let them be anything.
    """

    layout: Layout
    key_order: str
    closed: bool = False


class Lowering:
    """Lowers conditions to nodes; equal conditions share their rule."""

    def __init__(self, evaluator: Evaluator, options: Options) -> None:
        self.evaluator = evaluator
        self.options = options
        self.rules = LazyRules(layout.shared_rules(options.layout))
        self._nodes: dict[Condition, Node] = {TRUE: Reference("value"), FALSE: NOTHING}
        self._domains: dict[Domain, Node] = {}
        self.member_rules: dict[tuple[str, Condition], Reference] = {}
        self._strings: dict[Condition, Node] = {TRUE: Reference("string"), FALSE: NOTHING}

    def value(self, condition: Condition) -> Node:
        """Return what the values that satisfy a condition look like."""
        if condition not in self._nodes:
            self._nodes[condition] = self._value(condition)
        return self._nodes[condition]

    def _value(self, condition: Condition) -> Node:
        domain = self.evaluator.domain(condition)
        if not self._needs_rule(domain):
            return self._body(condition, domain)
        if domain not in self._domains:  # several conditions may come to the same
            name = self.rules.fresh("v")
            self._domains[domain] = self.rules.add(name, lambda: self._body(condition, domain))
        return self._domains[domain]

    @staticmethod
    def _needs_rule(domain: Domain) -> bool:
        """Tell whether a domain holds other arrays or objects than all of them or none."""
        return domain.arrays not in ((), (ANY_ARRAY,)) or domain.objects not in ((), (ANY_OBJECT,))

    def _body(self, condition: Condition, domain: Domain) -> Node:
        from lmql_like.grammars.json_schema.arrays import array_node
        from lmql_like.grammars.json_schema.objects import object_node

        pointer = condition.pointer if isinstance(condition, Place) else None
        with _blaming(pointer):
            options = self._scalars(domain, pointer)
            if domain.arrays == (ANY_ARRAY,):
                options.append(Reference("array"))
            else:
                options += [array_node(self, one) for one in domain.arrays]
            if domain.objects == (ANY_OBJECT,):
                options.append(Reference("object"))
            else:
                many = len(domain.objects) >= _MANY
                options += [object_node(self, one, is_one_of_many=many) for one in domain.objects]
        if len(options) == 1:
            return options[0]
        return Alternation(tuple(options)) if options else NOTHING

    def _scalars(self, domain: Domain, pointer: str | None) -> list[Node]:
        options: list[Node] = []
        if domain.atoms:
            options.append(Choice(tuple(sorted(domain.atoms))))
        if domain.numbers == TRUE:
            options.append(Reference("number"))
        elif domain.numbers == Whole():
            options.append(Reference("integer"))
        elif domain.numbers != FALSE:
            options.append(number_node(domain.numbers))
        if domain.strings != FALSE:
            options.append(self.string(domain.strings, pointer))
        return options

    def string(self, condition: Condition, pointer: str | None = None) -> Node:
        """Return string literals whose contents satisfy a condition, as a rule if large."""
        if condition not in self._strings:
            small = isinstance(condition, TextIn) and len(condition.values) <= _SMALL_ENUM
            if small:
                self._strings[condition] = quoted(string_node(condition))
            else:
                make = partial(_string, condition, pointer)
                self._strings[condition] = self.rules.add(self.rules.fresh("s"), make)
        return self._strings[condition]


def _string(condition: Condition, pointer: str | None) -> Node:
    with _blaming(pointer):
        return quoted(string_node(condition))


@contextmanager
def _blaming(pointer: str | None) -> Iterator[None]:
    """Say of an error without a place that the schema at a pointer is to blame."""
    try:
        yield
    except GrammarError as error:
        raise too_large(error, pointer) from error
    except SchemaError as error:
        if error.pointer is None:
            error.pointer = pointer
        raise


def too_large(error: GrammarError, pointer: str | None) -> SchemaError:
    """Return the schema's error for a limit that one of its patterns went over."""
    return SchemaError("S304", error.message, pointer=pointer, help=error.help)
