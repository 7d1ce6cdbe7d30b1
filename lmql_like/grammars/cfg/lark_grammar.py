"""Lark's grammar notation, read without a lexer: text -> rules over characters.

Lark's own loader reads the text, follows its imports and resolves terminals; what it
holds then is translated from its trees, before Lark would spread repeats over helper
rules. Where a rule names a terminal stands what the terminal matches, with any number
of ignored terminals behind it; some more may stand in front of the whole text.
"""

from __future__ import annotations

from typing import Any, Protocol

from lark import Tree
from lark.grammar import Terminal
from lark.load_grammar import Grammar, GrammarBuilder, stdlib_loader

from lmql_like.errors import GrammarError, did_you_mean
from lmql_like.grammars.cfg.lark_errors import LARK_ERRORS, translate_error
from lmql_like.grammars.cfg.lark_terminals import (
    Built,
    LarkTree,
    NodeBuilder,
    TerminalBuilder,
    walk,
)
from lmql_like.grammars.cfg.lark_text import Names, check_terminals, refuse_declared, scan_names
from lmql_like.grammars.cfg.rules import RuleSet
from lmql_like.grammars.limits import DEFAULT_LIMITS, Limits
from lmql_like.grammars.regex.nodes import Concat, Node, Reference, Repeat
from lmql_like.grammars.regex.spelling import merged
from lmql_like.source import Source, Span

__all__ = ["Leaves", "RuleTranslator", "load_lark", "quote_lark", "read_lark"]

_NAME = "<grammar>"
_START = "%start"  # no name that a grammar can spell
_MAX_TEMPLATES = 1000
_SMALL_IGNORED = 20


def read_lark(
    text: str,
    *,
    start: str = "start",
    limits: Limits = DEFAULT_LIMITS,
    keep_terminals: bool = False,
) -> RuleSet:
    """Return the rules that are reached from the start rule of a Lark grammar.

    Args:
        text: the grammar.
        start: the rule that whole texts match.
        limits: `max_nesting` bounds groups inside groups.
        keep_terminals: make a rule of each terminal, by its name: for messages.

    Raises:
        GrammarError: G401 to G406; G101, G102 and G203 for a pattern in it.
    """
    source = Source(text, _NAME)
    names = scan_names(source, limits)
    refuse_declared(names)
    grammar = load_lark(names)
    builder = NodeBuilder(names, limits)
    leaves = _Spelled(builder, grammar, keep_names=keep_terminals)
    first = RuleTranslator(names, grammar, builder, leaves).translate(start)
    places = {name: spans[0] for name, spans in names.defined.items()}
    rules = {name: merged(node) for name, node in builder.rules.items()}
    if leaves.ignored is None:
        return RuleSet(rules, start, source, places)
    rules[_START] = Concat((leaves.ignored.node, first))
    return RuleSet(rules, _START, source, places)


def quote_lark(text: str) -> str:
    """Return an expression of a Lark rule that matches the text and nothing else.

    It is a string, quotes included; the empty text, which no string of Lark's may be, is
    an empty group.
    """
    return '"' + "".join(map(_quoted, text)) + '"' if text else "()"


def _quoted(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if char == '"' or not char.isprintable():
        return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"
    return char


def load_lark(names: Names) -> Grammar:
    """Return a grammar as Lark holds it, its terminals checked.

    Raises:
        GrammarError: G401 to G403, G405 and G406.
    """
    check_terminals(names)

    def load_import(base: Any, path: str) -> tuple[Any, str]:
        try:
            if isinstance(base, str):
                raise FileNotFoundError
            return stdlib_loader(base, path)
        except OSError as error:
            raise _not_importable(names, path) from error

    builder = GrammarBuilder(import_paths=[load_import])
    try:
        builder.load_grammar(names.source.text, _NAME)
        return builder.build()
    except LARK_ERRORS as error:
        raise translate_error(error, names) from error


def _not_importable(names: Names, path: str) -> GrammarError:
    return GrammarError(
        "G406",
        f"the grammar imports '{path}', which is not one of the grammars that come with Lark",
        source=names.source,
        span=names.elsewhere,
        label="not supported",
        help="there are common, lark, python and unicode; copy other definitions into the grammar",
    )


class Leaves(Protocol):
    """What stands in a rule where the grammar has a string, a range or a terminal's name."""

    def literal(self, token: Any) -> Built:
        """Return what a string or a pattern is in a rule."""

    def range(self, low: Any, high: Any) -> Built:
        """Return what a range of characters is in a rule."""

    def terminal(self, name: str) -> Built:
        """Return what a terminal is in a rule."""


class _Spelled:
    """Terminals as what they match, with any number of ignored ones behind them."""

    def __init__(self, builder: NodeBuilder, grammar: Grammar, *, keep_names: bool) -> None:
        self.builder = builder
        self.keep_names = keep_names
        self.terminals = TerminalBuilder(
            builder, {name: tree for name, (tree, _) in grammar.term_defs}
        )
        self.ignored = self._ignored(list(dict.fromkeys(grammar.ignore)))

    def literal(self, token: Any) -> Built:
        return self._spaced(self.builder.literal(token))

    def range(self, low: Any, high: Any) -> Built:
        return self._spaced(self.builder.range(low, high))

    def terminal(self, name: str) -> Built:
        built = self.builder.small(self.terminals.build(name))
        if self.keep_names:
            self.builder.rules[name] = built.node
            built = Built(Reference(name))
        return self._spaced(built)

    def _ignored(self, names: list[str]) -> Built | None:
        if not names:
            return None
        each = [_once(self.builder.small(self.terminals.build(name))) for name in names]
        repeated = self.builder.wrap(
            self.builder.combine(Tree("expansions", []), each), 0, None, None
        )
        return repeated if repeated.size <= _SMALL_IGNORED else self.builder.hold(repeated)

    def _spaced(self, terminal: Built) -> Built:
        if self.ignored is None:
            return terminal
        return self.builder.combine(Tree("expansion", []), [terminal, self.ignored])


class RuleTranslator:
    """Translates rules as they are reached; `builder.rules` are those done so far."""

    def __init__(
        self, names: Names, grammar: Grammar, builder: NodeBuilder, leaves: Leaves
    ) -> None:
        self.names = names
        self.definitions = {name: (params, tree) for name, params, tree, _ in grammar.rule_defs}
        self.builder = builder
        self.leaves = leaves
        self.instances: dict[tuple[str, tuple[Node, ...]], str] = {}
        self.waiting: list[tuple[str, LarkTree, dict[str, Node]]] = []
        self.seen: set[str] = set()

    def translate(self, start: str) -> Reference:
        """Translate what the start rule reaches; return the reference to it."""
        if start not in self.definitions or self.definitions[start][0]:
            found = "no rule of this name" if self.definitions else "no rules at all"
            first = next(iter(self.names.defined.values()), [Span(0, 1)])[0]
            raise GrammarError(
                "G404",
                f"found {found}, expected the start rule '{start}'",
                source=self.names.source,
                span=first,
                help=did_you_mean(start, self.definitions)
                or f"define '{start}: ...' or pass start=",
            )
        first_node = self._rule(start)
        while self.waiting:
            name, tree, values = self.waiting.pop()
            self.builder.rules[name] = self._translate(tree, values)
        return first_node

    def _rule(self, name: str) -> Reference:
        """Return the reference to a rule, which is translated in its turn."""
        params, tree = self.definitions[name]
        if tree is None:
            raise self.builder.error(
                f"the grammar declares the rule '{name}'", self.names.declared.get(name), "G406"
            )
        if not params and name not in self.seen:
            self.seen.add(name)
            self.waiting.append((name, tree, {}))
        return Reference(name, self.names.place(name))

    # -- trees -----------------------------------------------------------------------

    def _translate(self, tree: LarkTree, values: dict[str, Node]) -> Node:
        done: dict[int, Built] = {}
        for part in walk(tree, done):
            done[id(part)] = self._built(part, done, values)
        return self._whole(done[id(tree)]).node

    def _built(self, tree: LarkTree, done: dict[int, Built], values: dict[str, Node]) -> Built:
        if tree.data == "literal":
            return self.leaves.literal(tree.children[0])
        if tree.data == "range":
            return self.leaves.range(*tree.children)
        if tree.data == "template_usage":
            symbol: Any = tree.children[0]
            args = tree.children[1:]
            return self._instance(symbol.name, [done[id(arg)].node for arg in args], values)
        if tree.data == "value":
            item = tree.children[0]
            return done[id(item)] if isinstance(item, Tree) else self._symbol(item, values)
        parts = [self._whole(done[id(c)]) for c in tree.children if isinstance(c, Tree)]
        return self.builder.combine(tree, parts)

    def _symbol(self, symbol: Any, values: dict[str, Node]) -> Built:
        if symbol.name in values:
            return Built(values[symbol.name])
        if isinstance(symbol, Terminal):
            return self.leaves.terminal(symbol.name)
        return Built(self._rule(symbol.name))

    def _whole(self, built: Built) -> Built:
        """Return the node unless it is a template that still lacks its arguments."""
        node = built.node
        if isinstance(node, Reference) and self.definitions.get(node.name, ((), None))[0]:
            raise self.builder.error(
                f"found the template '{node.name}', expected its arguments in braces", node.span
            )
        return built

    def _instance(self, name: str, args: list[Node], values: dict[str, Node]) -> Built:
        """Return the reference to a template with its arguments put in."""
        bound = values.get(name)
        if isinstance(bound, Reference):
            name = bound.name  # a template that was itself an argument
        params, tree = self.definitions.get(name, ((), None))
        span = self.names.place(name)
        if tree is None or len(params) != len(args):
            raise self.builder.error(
                f"found {len(args)} arguments of '{name}', expected {len(params)}", span
            )
        key = (name, tuple(args))
        if key not in self.instances:
            if len(self.instances) == _MAX_TEMPLATES:
                raise self.builder.error(
                    f"the templates become more than {_MAX_TEMPLATES} rules", span, "G405"
                )
            self.instances[key] = f"{name}{{{len(self.instances)}}}"
            self.waiting.append((self.instances[key], tree, dict(zip(params, args, strict=True))))
        return Built(Reference(self.instances[key], span))


def _once(built: Built) -> Built:
    """Return what is repeated without its repeat: any number of `x+` is any number of `x`."""
    node = built.node
    if isinstance(node, Repeat) and node.low <= 1 and node.high is None:
        return Built(node.item, built.depth - 1, built.size - 1)
    return built
