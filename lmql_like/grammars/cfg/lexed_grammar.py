"""Lark's grammar notation, read with a lexer: text -> rules over terminals, and terminals.

The text is cut into lexemes: at each place the longest match of the terminals that may come
next in some sentence, and of the ignored ones; of several as long, the first by rank.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from lark import Tree
from lark.load_grammar import _TERMINAL_NAMES, Grammar

from lmql_like.errors import GrammarError
from lmql_like.grammars.cfg.lark_grammar import RuleTranslator, load_lark
from lmql_like.grammars.cfg.lark_measures import (
    Measure,
    combine_measures,
    literal_measure,
    range_measure,
)
from lmql_like.grammars.cfg.lark_terminals import Built, LarkTree, NodeBuilder, TerminalBuilder
from lmql_like.grammars.cfg.lark_text import Names, scan_names
from lmql_like.grammars.cfg.lexed_terminals import (
    TerminalAutomaton,
    node_automaton,
    text_automaton,
)
from lmql_like.grammars.cfg.ordered_automaton import ordered_automaton
from lmql_like.grammars.cfg.rules import LexedGrammar, LexedTerminal
from lmql_like.grammars.limits import DEFAULT_LIMITS, Limits
from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Choice,
    Concat,
    Node,
    Repeat,
    Symbol,
)
from lmql_like.grammars.regex.ordered_nodes import is_ordered
from lmql_like.source import Source, Span

__all__ = ["LexedGrammar", "LexedTerminal", "TerminalAutomaton", "read_lexed"]

_MAX_DEPTH = 250  # of nodes inside nodes in a terminal
_NOTHING = Built(CharSet(()))  # in rules: what a declared or an ignored terminal stands for
_Key: TypeAlias = "tuple[str, str, frozenset[str]]"


def read_lexed(text: str, *, start: str = "start", limits: Limits = DEFAULT_LIMITS) -> LexedGrammar:
    """Return the rules that a Lark grammar's start rule reaches, and their terminals.

    Raises:
        GrammarError: G401 to G406 for the grammar, G409 a terminal matches the empty text;
            G101, G102 and G203 for a pattern in it, G201 and G202 for a terminal too large.
    """
    source = Source(text, "<grammar>")
    names = scan_names(source, limits)
    grammar = load_lark(names)
    builder = NodeBuilder(names, limits)
    leaves = _Terminals(names, grammar, limits)
    RuleTranslator(names, grammar, builder, leaves).translate(start)
    ignored = {leaves.index(name) for name in grammar.ignore if leaves.trees[name] is not None}
    order = leaves.by_rank()
    rank = {index: place for place, index in enumerate(order)}
    done: dict[int, Node] = {}
    return LexedGrammar(
        {name: _ranked(node, rank, done) for name, node in builder.rules.items()},
        start,
        tuple(leaves.terminal_at(index) for index in order),
        frozenset(rank[index] for index in ignored),
        source,
    )


@dataclass(frozen=True)
class _Definition:
    """A terminal as it was found; `name` is empty until all that need one are known."""

    name: str
    node: Node
    measure: Measure
    priority: int
    span: Span | None
    text: str | None  # a plain string
    is_verbatim: bool  # a plain string without flags

    @property
    def rank(self) -> tuple[int, bool, int, int, str]:
        """What terminals are ordered by; the least is the first."""
        measure = self.measure
        return (-self.priority, not measure.is_text, -measure.most, -measure.written, self.name)


class _TerminalNodes(NodeBuilder):
    """Makes nodes of terminals, which are never put into rules."""

    is_ordered = True
    current: Span | None = None  # the terminal that is read

    def shallow(self, built: Built) -> Built:
        if built.depth >= _MAX_DEPTH:
            raise self.error("the terminal nests too many parts", self.current, "G405")
        return built

    def small(self, built: Built) -> Built:
        return built


class _MeasuredTerminals(TerminalBuilder):
    """Makes nodes of terminals and measures them; options stand in Lark's order."""

    def __init__(self, builder: NodeBuilder, trees: dict[str, LarkTree | None]) -> None:
        super().__init__(builder, trees)
        self.measures: dict[int, Measure] = {}

    def _built(self, tree: LarkTree) -> Built:
        if tree.data == "literal":
            built = super()._built(tree)
            pattern = self.builder.pattern(tree.children[0])
            self.measures[id(tree)] = literal_measure(pattern, built.node)
            return built
        if tree.data == "range":
            self.measures[id(tree)] = range_measure(*tree.children)
            return super()._built(tree)
        if tree.data == "expansions":
            tree.children.sort(key=lambda part: self.measures[id(part)].sort_key)
        built = super()._built(tree)
        parts = [self.measures[id(part)] for part in tree.children if isinstance(part, Tree)]
        is_expr = tree.data == "expr"
        low, high, _ = self.builder.bounds(tree.children[1:]) if is_expr else (0, 1, None)
        self.measures[id(tree)] = combine_measures(tree, parts, low, high)
        return built


class _Terminals:
    """The terminals of a grammar in the order in which rules name them: leaves of rules."""

    def __init__(self, names: Names, grammar: Grammar, limits: Limits) -> None:
        self.names = names
        self.limits = limits
        self.builder = _TerminalNodes(names, limits)
        self.trees: dict[str, Any] = {name: tree for name, (tree, _) in grammar.term_defs}
        self.priorities = {name: priority for name, (_, priority) in grammar.term_defs}
        self.ignored = frozenset(grammar.ignore)
        self.built = _MeasuredTerminals(self.builder, self.trees)
        self.named = self._named()
        self.definitions: list[_Definition] = []
        self.indexes: dict[str | _Key, int] = {}
        self.kept: list[LarkTree] = []

    def _named(self) -> dict[_Key, str]:
        """Return the names of terminals that are one string, pattern or range."""
        single = ((name, _single(tree)) for name, tree in self.trees.items())
        return {self._key(tree): name for name, tree in single if tree is not None}

    def _key(self, tree: LarkTree) -> _Key:
        if tree.data == "range":
            low, high = (str(token)[1:-1] for token in tree.children)
            return ("re", f"[{low}-{high}]", frozenset())
        pattern = self.builder.pattern(tree.children[0])
        return (pattern.type, pattern.value, frozenset(pattern.flags))

    # -- leaves of rules -------------------------------------------------------------

    def literal(self, token: Any) -> Built:
        return self._anonymous(Tree("literal", [token]), token)

    def range(self, low: Any, high: Any) -> Built:
        return self._anonymous(Tree("range", [low, high]), low)

    def terminal(self, name: str) -> Built:
        if self.trees[name] is None or name in self.ignored:
            return _NOTHING
        return Built(Symbol(self.index(name)))

    def _anonymous(self, tree: LarkTree, token: Any) -> Built:
        key = self._key(tree)
        if key in self.named:
            return self.terminal(self.named[key])
        if key not in self.indexes:
            self._define(key, "", tree, 0, self.builder.place(token))
        return Built(Symbol(self.indexes[key]))

    def index(self, name: str) -> int:
        """Return the number of a terminal, in the order in which they are named."""
        if name not in self.indexes:
            places = self.names.defined.get(name)
            place = places[0] if places else None
            self._define(name, name, self.trees[name], self.priorities[name], place)
        return self.indexes[name]

    def _define(
        self, key: str | _Key, name: str, tree: LarkTree, priority: int, span: Span | None
    ) -> None:
        single = _single(tree)
        type_, value, flags = self._key(single) if single is not None else ("re", "", None)
        is_verbatim = type_ == "str" and not flags
        if single is not None and is_verbatim and value.isascii():
            node: Node = Choice((value,))
            measure = literal_measure(self.builder.pattern(single.children[0]), node)
        else:
            self.builder.current = span
            self.kept.append(tree)  # what is built is known by its tree's identity
            node = self.built.build_tree(tree).node
            measure = self.built.measures[id(tree)]
        text = value if type_ == "str" else None
        self.indexes[key] = len(self.definitions)
        self.definitions.append(_Definition(name, node, measure, priority, span, text, is_verbatim))

    # -- terminals by rank -----------------------------------------------------------

    def by_rank(self) -> list[int]:
        """Return the numbers of all terminals so far, the first in rank first."""
        self._name_all()
        return sorted(range(len(self.definitions)), key=lambda i: self.definitions[i].rank)

    def _name_all(self) -> None:
        """Name the anonymous terminals as Lark would, in the order of their places."""
        taken = set(self.trees)
        unnamed = [i for i, found in enumerate(self.definitions) if not found.name]
        places = {i: getattr(self.definitions[i].span, "start", 0) for i in unnamed}
        count = 0
        for i in sorted(unnamed, key=lambda i: (places[i], i)):
            found = self.definitions[i]
            text = found.text or ""
            name = _TERMINAL_NAMES.get(text, text.upper() if text.isidentifier() else "")
            if not name or name in taken:
                name = f"__ANON_{count}"
                count += 1
            taken.add(name)
            self.definitions[i] = replace(found, name=name)

    def terminal_at(self, index: int) -> LexedTerminal:
        """Return a finished terminal.

        Raises:
            GrammarError: G409 it matches the empty text; G102, G201, G202 as for patterns.
        """
        found = self.definitions[index]
        try:
            automaton = self._automaton(found)
        except GrammarError as error:
            raise GrammarError(
                error.code,
                error.message,
                source=self.names.source,
                span=error.span or found.span or self.names.elsewhere,
                label=error.label,
                help=error.help,
            ) from error
        if automaton.matches_empty:
            raise GrammarError(
                "G409",
                f"the terminal {self._spelled(found)} matches the empty text",
                source=self.names.source,
                span=found.span or self.names.elsewhere,
                label="may be empty",
                help="let it match one character at least, and put '?' where rules name it",
            )
        return LexedTerminal(
            found.name, automaton, found.priority, found.measure.is_text, found.span
        )

    def _automaton(self, found: _Definition) -> TerminalAutomaton:
        if found.text is not None and found.is_verbatim:
            return text_automaton(found.text)
        if is_ordered(found.node):
            return ordered_automaton(found.node, self.limits)
        return node_automaton(found.node, self.limits)

    def _spelled(self, found: _Definition) -> str:
        if found.span is None or found.name in self.trees:
            return f"'{found.name}'"
        return self.names.source.slice(found.span)[:40]


def _single(tree: LarkTree | None) -> LarkTree | None:
    """Return the string, pattern or range that a terminal is, None where it is more."""
    while tree is not None and tree.data in ("expansions", "expansion", "value"):
        only = tree.children[0] if len(tree.children) == 1 else None
        tree = only if isinstance(only, Tree) else None
    return tree if tree is not None and tree.data in ("literal", "range") else None


def _ranked(node: Node, rank: dict[int, int], done: dict[int, Node]) -> Node:
    """Return a node with the ranks of terminals in place of their numbers."""
    if id(node) in done:
        return done[id(node)]
    new = node
    if isinstance(node, Symbol):
        new = Symbol(rank[node.index])
    elif isinstance(node, Concat):
        new = Concat(tuple(_ranked(part, rank, done) for part in node.parts), node.span)
    elif isinstance(node, Alternation):
        options = tuple(_ranked(option, rank, done) for option in node.options)
        new = Alternation(options, node.span)
    elif isinstance(node, Repeat):
        new = replace(node, item=_ranked(node.item, rank, done))
    done[id(node)] = new
    return new
