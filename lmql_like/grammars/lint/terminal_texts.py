"""Questions about what terminals match, answered by the automata of the engine."""

from __future__ import annotations

from lmql_like.errors import GrammarError
from lmql_like.grammars.automaton import Automaton
from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.formulas import Matches
from lmql_like.grammars.limits import Limits
from lmql_like.grammars.lint.written import Terminal
from lmql_like.grammars.regex import charsets
from lmql_like.grammars.regex.charsets import Ranges
from lmql_like.grammars.regex.nodes import (
    Alternation,
    CharSet,
    Choice,
    Concat,
    Node,
    Repeat,
    is_nullable,
)

__all__ = ["TerminalTexts"]

_LIMITS = Limits(max_nfa_states=20_000, max_states=2_000, max_set_items=500_000)


class TerminalTexts:
    """Compares terminals; every answer is made once. What is too large is not known."""

    def __init__(self, terminals: dict[str, Terminal]) -> None:
        self.nodes = {n: t.node for n, t in terminals.items() if t.node is not None}
        self.samples = {name: sample(node) for name, node in self.nodes.items()}
        self.automata: dict[str, Automaton | None] = {}
        self.swallowed: dict[tuple[str, str], bool] = {}

    def matches(self, name: str, text: str) -> bool:
        """Tell whether a terminal surely matches a text."""
        if name not in self.automata:
            self.automata[name] = _compiled(self.nodes[name]) if name in self.nodes else None
        automaton = self.automata[name]
        try:
            return automaton is not None and automaton.matches(text)
        except GrammarError:
            return False

    def includes(self, larger: str, smaller: str) -> bool:
        """Tell whether one terminal surely matches whatever another matches."""
        text = self.samples.get(smaller)
        if text is None or larger not in self.nodes or not self.matches(larger, text):
            return False
        return _is_part(self.nodes[smaller], self.nodes[larger])

    def swallows(self, left: str, right: str) -> bool:
        """Tell whether a match of one terminal always goes on where another one begins."""
        key = (left, right)
        if key not in self.swallowed:
            if left not in self.nodes or right not in self.nodes:
                return False
            first = CharSet(first_characters(self.nodes[right]))
            longer = Concat((self.nodes[left], first))
            self.swallowed[key] = bool(first.ranges) and _is_part(longer, self.nodes[left])
        return self.swallowed[key]


def _compiled(node: Node) -> Automaton | None:
    try:
        return compile_formula(Matches(node), limits=_LIMITS)
    except GrammarError:
        return None


def _is_part(smaller: Node, larger: Node) -> bool:
    try:
        return compile_formula(Matches(smaller) & ~Matches(larger), limits=_LIMITS).is_empty()
    except GrammarError:
        return False


def sample(node: Node) -> str | None:
    """Return a text that a node matches, None where there is none."""
    if isinstance(node, CharSet):
        return chr(node.ranges[0][0]) if node.ranges else None
    if isinstance(node, Choice):
        return node.texts[0] if node.texts else None
    if isinstance(node, Alternation):
        return next((s for s in map(sample, node.options) if s is not None), None)
    if isinstance(node, Repeat):
        inner = sample(node.item) if node.low else ""
        return None if inner is None else inner * min(node.low, 1000)
    parts = [sample(part) for part in node.parts] if isinstance(node, Concat) else [None]
    return None if None in parts else "".join(part for part in parts if part is not None)


def first_characters(node: Node) -> Ranges:
    """Return the characters that texts of a node begin with; rather too many than too few."""
    if isinstance(node, CharSet):
        return node.ranges
    if isinstance(node, Choice):
        return charsets.union([charsets.single(text[0]) for text in node.texts if text])
    if isinstance(node, Alternation):
        return charsets.union(map(first_characters, node.options))
    if isinstance(node, Repeat):
        return first_characters(node.item)
    found: list[Ranges] = []
    for part in node.parts if isinstance(node, Concat) else ():
        found.append(first_characters(part))
        if not is_nullable(part):
            break
    return charsets.union(found)
