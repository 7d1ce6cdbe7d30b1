"""A grammar as it is written: rules with their places, terminals by name.

A rule is a node whose leaves are `Reference`s to rules and terminals, and, where there is
no lexer, texts and sets of characters. Names with brackets in them cannot be written in a
grammar: they are insides of groups, texts of terminals (`"if"`) and templates in use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lmql_like.grammars.regex.nodes import Node, Reference
from lmql_like.grammars.regex.spelling import children
from lmql_like.source import Source, Span

__all__ = ["Terminal", "WrittenGrammar", "leaves", "references", "spelled"]


@dataclass(frozen=True)
class Terminal:
    """A terminal of a Lark grammar.

    Attributes:
        node: what it matches, without references; None where that is not known.
        is_text: whether it is a plain string.
        priority: the number behind its name.
        span: where it is defined or imported; None within an imported grammar.
        parts: the terminals it is made of.
        is_imported: whether it is defined in another grammar.
        is_declared: whether a program would have to find it (`%declare`).
    """

    node: Node | None
    is_text: bool = False
    priority: int = 0
    span: Span | None = None
    parts: tuple[str, ...] = ()
    is_imported: bool = False
    is_declared: bool = False


@dataclass(frozen=True)
class WrittenGrammar:
    """A grammar to be checked.

    Attributes:
        source: its text.
        rules: name -> what it matches.
        places: name -> where the rule is defined, for rules that are written here.
        templates: name of a template -> where it is defined.
        terminals: name -> terminal; named texts and patterns by how they are written.
        ignored: names of terminals that may stand anywhere.
        starts: where whole texts begin; all rules where no rule has the start's name.
        is_library: no rule has the start's name.
        is_lexed: whether a lexer cuts the text into terminals.
    """

    source: Source
    rules: Mapping[str, Node]
    places: Mapping[str, Span]
    starts: tuple[str, ...]
    templates: Mapping[str, Span] = field(default_factory=dict)
    terminals: Mapping[str, Terminal] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    used_templates: frozenset[str] = frozenset()
    is_library: bool = False
    is_lexed: bool = False

    @property
    def never_found(self) -> frozenset[str]:
        """Return the terminals that a lexer gives to no rule: ignored and declared ones."""
        if not self.is_lexed:
            return frozenset()
        declared = (name for name, terminal in self.terminals.items() if terminal.is_declared)
        return frozenset([*self.ignored, *declared])


def leaves(node: Node) -> Iterator[Node]:
    """Yield the parts of a node that have no parts, from left to right."""
    stack = [node]
    while stack:
        current = stack.pop()
        below = children(current)
        if not below:
            yield current
        stack.extend(reversed(below))


def references(node: Node) -> Iterator[Reference]:
    """Yield the references in a node, from left to right."""
    return (leaf for leaf in leaves(node) if isinstance(leaf, Reference))


def spelled(name: str) -> str:
    """Return a terminal's name for messages; texts and patterns have their own quotes."""
    return name if name[:1] in ('"', "/") else f"'{name}'"
