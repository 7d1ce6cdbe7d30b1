"""Terminals of a Lark grammar: their trees -> nodes.

A tree is walked bottom-up with a stack of our own, and each tree once, though Lark puts
the same tree wherever a terminal is used. Nodes share their parts likewise as long as
they stay small; the node of a large terminal becomes a rule, so that using it twice
does not make it twice as large.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from lark import Tree
from lark.grammar import Terminal
from lark.lexer import Pattern, PatternRE, PatternStr
from lark.load_grammar import PrepareLiterals

from lmql_like.errors import GrammarError
from lmql_like.grammars.cfg.lark_errors import LARK_ERRORS
from lmql_like.grammars.cfg.lark_text import Names
from lmql_like.grammars.cfg.rule_lexemes import literal
from lmql_like.grammars.limits import Limits
from lmql_like.grammars.regex import charsets
from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Concat,
    Node,
    Reference,
    Repeat,
)
from lmql_like.grammars.regex.ordered_nodes import Lookahead, Lookbehind
from lmql_like.grammars.regex.parser import parse_pattern
from lmql_like.source import Span

__all__ = ["Built", "LarkTree", "NodeBuilder", "TerminalBuilder", "walk"]

LarkTree: TypeAlias = "Tree[Any]"

_FLAGS = {
    "i": int(re.IGNORECASE),
    "m": int(re.MULTILINE),
    "s": int(re.DOTALL),
    "u": 0,
    "x": int(re.VERBOSE),
}
# A string or a pattern that means what stands in it: no escape that Lark evaluates.
_VERBATIM = re.compile(r'["/]((?:[^\\\n]|\\[^Uuxnftr\\"/\n])+)["/]([imslux]*)')
_MAX_DEPTH = 60  # of nodes inside nodes; what is deeper becomes a rule
_MAX_SIZE = 500  # of a node that is put in place wherever it is used


@dataclass(frozen=True)
class Built:
    """A node, the longest way down in it, and how many nodes it has, shared ones each time."""

    node: Node
    depth: int = 1
    size: int = 1


def walk(tree: LarkTree, done: dict[int, Built]) -> Iterator[LarkTree]:
    """Yield the trees below a tree and then itself, children first, none that is done."""
    stack = [(tree, False)]
    while stack:
        current, is_open = stack.pop()
        if id(current) in done:
            continue
        if is_open:
            yield current
            continue
        stack.append((current, True))
        stack.extend(
            (child, False) for child in reversed(current.children) if isinstance(child, Tree)
        )


class NodeBuilder:
    """Makes nodes of what terminals and rules have in common; holds the rules made so far."""

    is_ordered = False  # whether patterns keep what only counts in terminals of a lexer

    def __init__(self, names: Names, limits: Limits) -> None:
        self.source = names.source
        self.elsewhere = names.elsewhere
        self.limits = limits
        self.rules: dict[str, Node] = {}
        self._patterns: dict[tuple[str, str], Pattern] = {}

    def combine(self, tree: LarkTree, parts: list[Built]) -> Built:
        """Return the node of `expansions`, `expansion`, `alias`, `maybe` or `expr`."""
        if tree.data in ("alias", "maybe"):
            inner = parts[0]
            return inner if tree.data == "alias" else self.wrap(inner, 0, 1, None)
        if tree.data == "expr":
            return self.wrap(parts[0], *self.bounds(tree.children[1:]))
        if len(parts) == 1:
            return parts[0]
        kind: Callable[[tuple[Node, ...]], Node] = (
            Alternation if tree.data == "expansions" else Concat
        )
        parts = [self.shallow(part) for part in parts]
        return Built(
            kind(tuple(part.node for part in parts)),
            1 + max((part.depth for part in parts), default=0),
            1 + sum(part.size for part in parts),
        )

    def wrap(self, inner: Built, low: int, high: int | None, span: Span | None) -> Built:
        """Return a repeat of a node."""
        inner = self.shallow(inner)
        return Built(Repeat(inner.node, low, high, span=span), inner.depth + 1, inner.size + 1)

    def shallow(self, built: Built) -> Built:
        """Return a node that is not deep; what was is a rule now."""
        return built if built.depth < _MAX_DEPTH else self.hold(built)

    def small(self, built: Built) -> Built:
        """Return a node that may be put in several places; a large one is a rule now."""
        return built if built.size <= _MAX_SIZE else self.hold(built)

    def hold(self, built: Built) -> Built:
        """Make a rule of a node; return the reference to it."""
        name = f"%{len(self.rules)}"  # no name that a grammar can spell
        self.rules[name] = built.node
        return Built(Reference(name))

    def bounds(self, args: list[Any]) -> tuple[int, int | None, Span | None]:
        """Return the least and the greatest count of a repeat, and its place."""
        sign, *counts = args
        span = self.place(sign)
        if sign != "~":
            low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}[str(sign)]
            return low, high, span
        low, high = int(counts[0]), int(counts[-1])
        if low < 0 or high < low:
            found = "..".join(counts)
            raise self.error(f"found the counts {found}, expected the smaller first", span)
        return low, high, span

    def place(self, token: Any) -> Span | None:
        """Return where a word of Lark's stands, None for one of an imported grammar."""
        start = getattr(token, "start_pos", None)
        if start is None or not self.source.text.startswith(str(token), start):
            return None
        return Span(start, start + len(token))

    def error(self, message: str, span: Span | None, code: str = "G401") -> GrammarError:
        """Return an error of the grammar; an unknown place is an import."""
        return GrammarError(code, message, source=self.source, span=span or self.elsewhere)

    # -- strings and patterns ------------------------------------------------------------

    def literal(self, token: Any) -> Built:
        """Return what a string or a pattern matches.

        Raises:
            GrammarError: G401 not well-formed, G101, G102 and G203 as for patterns.
        """
        pattern = self.pattern(token)
        flags = self._flags(pattern, token)
        value = pattern.value
        if token.type == "STRING" and any(0xD800 <= ord(char) <= 0xDFFF for char in value):
            raise self.error(
                "found half of a surrogate pair, expected a character", self.place(token)
            )
        if token.type == "STRING" and not flags:
            return Built(literal(value))
        if token.type == "STRING":
            value = re.escape(value)
        try:
            node = parse_pattern(value, flags=flags, limits=self.limits, ordered=self.is_ordered)
        except GrammarError as error:
            raise self._relocated(error, token, value) from error
        except RecursionError as error:
            message = "the pattern nests too many groups to be followed"
            raise self.error(message, self.place(token), "G203") from error
        span = self.place(token)
        is_verbatim = span is not None and token[1 : 1 + len(value)] == value
        return _moved(node, span.start + 1 if span is not None and is_verbatim else None)

    def range(self, low: Any, high: Any) -> Built:
        """Return the characters from one to another, both of them strings."""
        ends = [self.pattern(token) for token in (low, high)]
        span = self.place(low)
        if any(len(end.value) != 1 or end.flags for end in ends):
            raise self.error(f"found the range {low}..{high}, expected single characters", span)
        first, last = (ord(end.value) for end in ends)
        if last < first:
            raise self.error(f"found the range {low}..{high}, expected the smaller first", span)
        return Built(CharSet(charsets.union([((first, last),)])))

    def pattern(self, token: Any) -> Pattern:
        """Return a string or a pattern as Lark holds it."""
        key = (token.type, str(token))
        if key not in self._patterns:
            self._patterns[key] = self._prepared(token)
        return self._patterns[key]

    def _prepared(self, token: Any) -> Pattern:
        verbatim = _VERBATIM.fullmatch(token)
        if verbatim is not None:  # Lark's own way, which evaluates escapes, is much slower
            kind = PatternStr if token.type == "STRING" else PatternRE
            return kind(verbatim.group(1), verbatim.group(2), raw=str(token))
        try:
            tree = PrepareLiterals().transform(Tree("literal", [token]))
        except LARK_ERRORS as error:
            empty = token.rstrip("i") == '""'
            what = "it is empty" if empty else "it has a wrong escape or character"
            raise self.error(
                f"found {str(token)[:40]}, which Lark cannot read: {what}", self.place(token)
            ) from error
        pattern: Pattern = tree.children[0]
        return pattern

    def _flags(self, pattern: Pattern, token: Any) -> int:
        flags = 0
        for letter in pattern.flags:
            if letter not in _FLAGS:
                raise self.error(
                    f"the pattern uses the flag {letter}, which is outside the dialect",
                    self.place(token),
                    "G102",
                )
            flags |= _FLAGS[letter]
        return flags

    def _relocated(self, error: GrammarError, token: Any, value: str) -> GrammarError:
        """Return a pattern's error with its place in the grammar."""
        span = self.place(token)
        if span is not None and error.span is not None and token[1 : 1 + len(value)] == value:
            span = Span(span.start + 1 + error.span.start, span.start + 1 + error.span.end)
        return GrammarError(
            error.code,
            error.message,
            source=self.source,
            span=span or self.elsewhere,
            label=error.label,
            help=error.help,
        )


class TerminalBuilder:
    """Makes the node of every terminal, each once."""

    def __init__(self, builder: NodeBuilder, trees: dict[str, LarkTree | None]) -> None:
        self.builder = builder
        self.trees = trees
        self.done: dict[int, Built] = {}

    def build(self, name: str) -> Built:
        """Return the node of a terminal."""
        tree = self.trees[name]
        if tree is None:
            raise self.builder.error(
                f"the grammar imports the declared terminal '{name}', "
                "which a program would have to find in the text",
                None,
                "G406",
            )
        return self.build_tree(tree)

    def build_tree(self, tree: LarkTree) -> Built:
        """Return the node of a terminal's tree."""
        for part in walk(tree, self.done):
            self.done[id(part)] = self._built(part)
        return self.done[id(tree)]

    def _built(self, tree: LarkTree) -> Built:
        if tree.data == "literal":
            return self.builder.literal(tree.children[0])
        if tree.data == "range":
            return self.builder.range(*tree.children)
        parts = [self.done[id(child)] for child in tree.children if isinstance(child, Tree)]
        if tree.data == "value" and parts:
            return self.builder.small(parts[0])
        if tree.data == "alias":
            span = self.builder.place(tree.children[-1])
            raise self.builder.error("found '->' in a terminal, expected it in a rule", span)
        if tree.data in ("value", "template_usage"):
            named = next((c for c in tree.children if not isinstance(c, (Tree, Terminal))), "")
            raise self.builder.error(
                f"found the rule '{getattr(named, 'name', named)}' in a terminal, "
                "expected only terminals, texts and patterns",
                None,
            )
        return self.builder.combine(tree, parts)


def _moved(node: Node, offset: int | None) -> Built:
    """Return a pattern's node with its spans moved into the grammar, or without any."""
    nodes, depth, level = [node], 0, [node]
    while level:
        level = [child for item in level for child in _children(item)]
        nodes += level
        depth += 1
    moved: dict[int, Node] = {}
    for item in reversed(nodes):
        children = tuple(moved[id(child)] for child in _children(item))
        new = item
        if isinstance(item, (Repeat, Lookahead, Lookbehind)):
            span = item.span
            if span is not None:
                span = None if offset is None else Span(span.start + offset, span.end + offset)
            new = replace(item, span=span)
            new = replace(new, item=children[0]) if children else new
        elif children:
            new = Concat(children) if isinstance(item, Concat) else Alternation(children)
        moved[id(item)] = new
    return Built(moved[id(node)], depth, len(nodes))


def _children(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Concat):
        return node.parts
    if isinstance(node, Alternation):
        return node.options
    return (node.item,) if isinstance(node, (Repeat, Lookahead)) else ()
