"""What the lexer makes of terminals: the longest match counts, then the first by rank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lmql_like.grammars.lint.contexts import Contexts
from lmql_like.grammars.lint.facts import Facts
from lmql_like.grammars.lint.findings import Finding
from lmql_like.grammars.lint.terminal_texts import TerminalTexts
from lmql_like.grammars.lint.written import Terminal, WrittenGrammar, spelled
from lmql_like.grammars.regex.nodes import Concat, Node, Repeat
from lmql_like.grammars.regex.spelling import children, place_of

__all__ = ["find_terminal_troubles"]

_MOST_WORK = 2_000_000  # rules times terminals
_MOST_TERMINALS = 500
_MOST_PAIRS = 60
_MOST_NAMES = 4


def find_terminal_troubles(
    grammar: WrittenGrammar, facts: Facts, ranks: Mapping[str, int]
) -> Iterator[Finding]:
    """Yield G507, G508 and G509 for a lexed grammar.

    Args:
        grammar: the grammar.
        facts: what follows from its rules.
        ranks: name of a terminal -> its place among all; the least wins. May lack some.
    """
    count = len(grammar.terminals)
    if count > _MOST_TERMINALS or count * len(grammar.rules) > _MOST_WORK:
        return  # nothing is found rather than nothing is ever said
    contexts = Contexts(facts)
    texts = TerminalTexts(dict(grammar.terminals))
    order = _Order(grammar.terminals, ranks)
    shadowed = set()
    for name in grammar.terminals:
        for other in sorted(contexts.always.get(name, frozenset()) - {name}):
            if order.is_before(other, name) and texts.includes(other, name):
                shadowed.add(name)
                yield _shadowed(grammar, name, other)
                break
    yield from _keywords(grammar, contexts, texts, shadowed)
    if not grammar.ignored:
        for rule in contexts.rules.values():
            yield from _inseparable(grammar, contexts, texts, rule)


class _Order:
    """Which of two terminals counts where both match the same text."""

    def __init__(self, terminals: Mapping[str, Terminal], ranks: Mapping[str, int]) -> None:
        self.terminals = terminals
        self.ranks = ranks

    def is_before(self, first: str, second: str) -> bool:
        """Tell whether a terminal surely ranks before another."""
        if first in self.ranks and second in self.ranks:
            return self.ranks[first] < self.ranks[second]
        one, two = self.terminals[first], self.terminals[second]
        if one.priority != two.priority:
            return one.priority > two.priority
        return one.is_text and not two.is_text


def _shadowed(grammar: WrittenGrammar, name: str, other: str) -> Finding:
    one, two = grammar.terminals[name], grammar.terminals[other]
    why = "has the higher priority" if two.priority > one.priority else "ranks first"
    if other in grammar.ignored and name not in grammar.ignored:
        why += ", and is ignored"
    return Finding(
        "G507",
        f"the terminal {spelled(name)} never wins against {spelled(other)}",
        grammar.source,
        one.span,
        f"{spelled(other)} matches all that this does, may stand wherever it may, and {why}",
        f"give it a priority above {two.priority}: NAME.{two.priority + 1}: ...",
    )


def _keywords(
    grammar: WrittenGrammar, contexts: Contexts, texts: TerminalTexts, shadowed: set[str]
) -> Iterator[Finding]:
    words = [
        (name, text)
        for name, terminal in grammar.terminals.items()
        if terminal.is_text and name in contexts.ever and (text := texts.samples.get(name))
    ]
    for name in grammar.terminals:
        if name not in contexts.ever:
            continue
        terminal = grammar.terminals[name]
        if terminal.is_text or terminal.span is None or name in shadowed:
            continue
        taken = [
            word
            for word, text in words
            if word in contexts.ever[name]
            and word not in shadowed
            and word not in grammar.ignored
            and texts.matches(name, text)
        ]
        if not taken:
            continue
        wins = [w for w in taken if terminal.priority > grammar.terminals[w].priority]
        verb = "is" if len(taken) == 1 else "are"
        losing = f"it wins over {_listed(wins)} by its priority" if wins else ""
        yield Finding(
            "G509",
            f"the terminal {spelled(name)} also matches {_listed(taken)}",
            grammar.source,
            terminal.span,
            losing or f"where both may stand, {_listed(taken)} {verb} read",
            "a priority decides otherwise: NAME.1: ...",
        )


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(spelled, names[:_MOST_NAMES]))
    more = len(names) - _MOST_NAMES
    return shown + (f" and {more} more" if more > 0 else "")


def _inseparable(
    grammar: WrittenGrammar, contexts: Contexts, texts: TerminalTexts, rule: Node
) -> Iterator[Finding]:
    stack = [rule]
    while stack:
        current = stack.pop()
        stack.extend(reversed(children(current)))
        pairs: list[tuple[Node, Node]] = []
        if isinstance(current, Concat):
            pairs = list(zip(current.parts, current.parts[1:], strict=False))
        elif isinstance(current, Repeat) and (current.high is None or current.high > 1):
            pairs = [(current.item, current.item)]
        for left, right in pairs:
            if _are_inseparable(contexts, texts, left, right):
                before = sorted(contexts.last(left))
                yield Finding(
                    "G508",
                    f"no text has {_listed(sorted(contexts.first(right)))} right behind "
                    f"{_listed(before)}",
                    grammar.source,
                    place_of(current if isinstance(current, Repeat) else right),
                    "the terminal before would read on",
                    "put something between them, or let '%ignore' name what may stand there",
                )


def _are_inseparable(contexts: Contexts, texts: TerminalTexts, left: Node, right: Node) -> bool:
    facts = contexts.facts
    if facts.may_be_empty(left) or facts.may_be_empty(right):
        return False
    before, behind = contexts.last(left), contexts.first(right)
    if not before or not behind or len(before) * len(behind) > _MOST_PAIRS:
        return False
    return all(texts.swallows(one, two) for one in before for two in behind)
