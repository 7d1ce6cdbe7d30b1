"""Rules that mean the same in every grammar, and are made when a grammar first needs them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from lmql_like.grammars.cfg.network import references
from lmql_like.grammars.cfg.rules import RuleSet
from lmql_like.grammars.regex.nodes import Node, Reference
from lmql_like.source import Source

__all__ = ["Shared", "rules_of", "shared"]

_numbers = itertools.count()


@dataclass(frozen=True)
class Shared(Reference):
    """A reference that brings its rule along.

    Attributes:
        make: returns what the rule matches.
    """

    make: Callable[[], Node] = field(default=lambda: Reference(""), compare=False, repr=False)

    @cached_property
    def node(self) -> Node:
        """What the rule matches; made once."""
        return self.make()


def shared(make: Callable[[], Node]) -> Shared:
    """Return a reference to a new shared rule."""
    return Shared(f"shared {next(_numbers)}", make=make)


def rules_of(node: Node) -> RuleSet:
    """Return the rules of a node all of whose references bring their rules along."""
    rules: dict[str, Node] = {"start": node}
    stack = [node]
    while stack:
        for reference in references(stack.pop()):
            if isinstance(reference, Shared) and reference.name not in rules:
                rules[reference.name] = reference.node
                stack.append(reference.node)
    return RuleSet(rules, "start", Source("", "<rules>"), inlined=True)
