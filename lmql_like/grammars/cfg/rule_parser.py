"""`name ::= ...` text -> rules; what GBNF and EBNF differ in is a `Dialect`.

White space, line ends and comments (`#` to the end of the line) mean nothing anywhere
between symbols. A rule ends where the next one begins: at a name, the first on its line,
with `::=` behind it. Groups are kept on a stack of our own, so no nesting can exhaust
Python's; every few levels the inside of a group becomes a rule of its own, so that
whoever walks the nodes recursively is safe as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from lmql_like.errors import did_you_mean
from lmql_like.grammars.cfg.dialect import Dialect
from lmql_like.grammars.cfg.rule_lexemes import LexemeReader
from lmql_like.grammars.cfg.rules import RuleSet
from lmql_like.grammars.limits import DEFAULT_LIMITS, Limits
from lmql_like.grammars.regex.nodes import (
    Alternation,
    Concat,
    Node,
    Reference,
    Repeat,
)
from lmql_like.grammars.regex.spelling import covering, merged
from lmql_like.source import Source, Span

__all__ = ["RuleParser", "parse_rules"]

_LEVELS_PER_RULE = 20


def parse_rules(
    text: str, dialect: Dialect, *, start: str = "root", limits: Limits = DEFAULT_LIMITS
) -> RuleSet:
    """Return the rules of a grammar text.

    Long alternations of texts become one `Choice` each, which is a trie later.

    Raises:
        GrammarError: G401 not a grammar, G402 a rule is not defined, G403 a rule is
            defined twice, G404 no start rule, G405 nested too deep, G406 not supported.
    """
    parser = RuleParser(Source(text, "<grammar>"), dialect, limits)
    parser.read()
    parser.check_names(start)
    rules = {name: merged(node) for name, node in parser.rules.items()}
    return RuleSet(rules, start, parser.source, parser.places)


@dataclass
class _Group:
    """What has been read between brackets, or of a rule, so far."""

    opened: Span
    options: list[Node] = field(default_factory=list)
    parts: list[Node] = field(default_factory=list)
    is_repeated: bool = False  # the last part has its repeat

    def add(self, part: Node) -> None:
        self.parts.append(part)
        self.is_repeated = False

    def end_option(self) -> None:
        parts = tuple(self.parts)
        self.options.append(parts[0] if len(parts) == 1 else Concat(parts, covering(parts)))
        self.parts, self.is_repeated = [], False

    def node(self) -> Node:
        self.end_option()
        options = tuple(self.options)
        return options[0] if len(options) == 1 else Alternation(options, covering(options))


class RuleParser(LexemeReader):
    """Reads the rules of one grammar, as they are written.

    Attributes:
        rules: name -> what it matches; names with a bracket are insides of groups.
        places: name -> where it is defined, for names that the grammar spells.
    """

    def __init__(self, source: Source, dialect: Dialect, limits: Limits) -> None:
        super().__init__(source, dialect)
        self.limits = limits
        self.rules: dict[str, Node] = {}
        self.places: dict[str, Span] = {}

    def read(self) -> None:
        """Read all rules.

        Raises:
            GrammarError: as `parse_rules`, but for G402 and G404.
        """
        self.skip()
        while self.at < len(self.text):
            self._rule()

    def check_names(self, start: str) -> None:
        """Refuse names that no rule has (G402) and a grammar without its start rule (G404)."""
        known = list(self.places)
        for reference in self.references:
            if reference.name not in self.places:
                raise self.error(
                    f"the rule '{reference.name}' is used but not defined",
                    reference.span or Span(0, 1),
                    code="G402",
                    label="no rule has this name",
                    help_=did_you_mean(reference.name, known),
                )
        if start not in self.places:
            found = "no rule of this name" if known else "no rules at all"
            raise self.error(
                f"found {found}, expected the start rule '{start}'",
                next(iter(self.places.values()), Span(0, 1)),
                code="G404",
                help_=did_you_mean(start, known) or f"define '{start} ::= ...' or pass start=",
            )

    # -- structure -----------------------------------------------------------------

    def _rule(self) -> None:
        span = self.head_at(self.at)
        if span is None:
            raise self.unexpected("the name of a rule and '::='")
        name = self.source.slice(span)
        if name in self.places:
            line, _ = self.source.position(self.places[name].start)
            raise self.error(
                f"the rule '{name}' is defined twice",
                span,
                code="G403",
                label="defined again",
                help_=f"the first definition is on line {line}; join the two with '|'",
            )
        self.places[name] = span
        self.at = self.after_blanks(span.end) + len("::=")
        self.rules[name] = self._body(name, span)

    def _body(self, name: str, span: Span) -> Node:
        stack = [_Group(span)]
        while True:
            self.skip()
            char = self.text[self.at : self.at + 1]
            head = self.head_at(self.at)
            if not char or head is not None:
                return self._end_of_rule(stack, head)
            if (feature := self.refused()) is not None:
                raise feature
            if char == "(":
                self._open(stack)
            elif char == ")":
                self._close(stack, name)
            elif char == "|":
                self._check_option(stack[-1])
                self.at += 1
                stack[-1].end_option()
            elif char in "*+?{":
                self._repeat(stack[-1])
            else:
                stack[-1].add(self.item(char))

    def _end_of_rule(self, stack: list[_Group], head: Span | None) -> Node:
        if len(stack) > 1:
            found = "the end of the grammar" if head is None else "the next rule"
            raise self.error(f"found {found}, expected ')'", stack[-1].opened, label="never closed")
        if head is not None:
            line, column = self.source.position(head.start)
            if self.source.line_text(line)[: column - 1].strip():
                raise self.error(
                    f"found the rule '{self.source.slice(head)}' in the middle of a line, "
                    "expected it on a line of its own",
                    head,
                )
        self._check_option(stack[0])
        return stack[0].node()

    def _open(self, stack: list[_Group]) -> None:
        span = Span(self.at, self.at + 1)
        if len(stack) > self.limits.max_nesting:
            raise self.error(
                f"the grammar nests more than {self.limits.max_nesting} groups",
                span,
                code="G405",
                label="one group too many",
                help_="make a rule of an inner group, or raise Limits.max_nesting",
            )
        self.at += 1
        stack.append(_Group(span))

    def _close(self, stack: list[_Group], rule: str) -> None:
        if len(stack) == 1:
            raise self.error(
                "found ')', expected the end of the rule or more of it",
                Span(self.at, self.at + 1),
                label="closes no bracket",
            )
        group = stack[-1]
        if group.options or group.parts:
            self._check_option(group)
        self.at += 1
        stack.pop()
        node = group.node()
        if isinstance(node, (Alternation, Concat)):
            node = replace(node, span=Span(group.opened.start, self.at))
        if len(stack) % _LEVELS_PER_RULE == 0 and isinstance(node, (Alternation, Concat, Repeat)):
            name = f"{rule}({len(self.rules)}"  # no name that a grammar can spell
            self.rules[name] = node
            node = Reference(name, group.opened)
        stack[-1].add(node)

    def _check_option(self, group: _Group) -> None:
        if not group.parts and not self.dialect.empty_options:
            raise self.unexpected("an expression", 'write "" for the empty text')

    def _repeat(self, group: _Group) -> None:
        if not group.parts:
            raise self.unexpected("something to repeat in front of it")
        if group.is_repeated:
            raise self.unexpected(
                "one repeat at most", "put what is to be repeated again into brackets"
            )
        start = self.at
        low, high = self.repeat()
        group.parts[-1] = Repeat(group.parts[-1], low, high, span=Span(start, self.at))
        group.is_repeated = True
