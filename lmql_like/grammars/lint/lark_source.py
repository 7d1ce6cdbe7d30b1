"""A Lark grammar -> the grammar as it is written, with what its terminals match.

Templates become a rule for each way they are used. A terminal whose pattern is outside the
dialect, or that is very large, is taken for one of which nothing is known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lark import Token
from lark.load_grammar import Grammar

from lmql_like.errors import GrammarError
from lmql_like.grammars.cfg.lark_grammar import load_lark
from lmql_like.grammars.cfg.lark_terminals import Built, NodeBuilder, TerminalBuilder
from lmql_like.grammars.cfg.lark_text import Names, scan_names
from lmql_like.grammars.limits import Limits
from lmql_like.grammars.lint.lark_definitions import Definition, Use, read_definitions
from lmql_like.grammars.lint.written import Terminal, WrittenGrammar, references
from lmql_like.grammars.regex.nodes import Alternation, Concat, Node, Reference, Repeat
from lmql_like.source import Source, Span

__all__ = ["read_written_lark"]

_MAX_TEMPLATES = 1000


def read_written_lark(
    source: Source, *, start: str | None, lexing: str, limits: Limits
) -> WrittenGrammar:
    """Return a Lark grammar as it is written.

    Raises:
        GrammarError: G401 to G406, where Lark itself cannot read it.
    """
    names = scan_names(source, limits)
    grammar = load_lark(names)
    definitions, imported = read_definitions(source)
    rules = _Rules(definitions)
    terminals = _Terminals(names, grammar, definitions, imported, limits)
    for node in rules.rules.values():
        for reference in references(node):
            terminals.add_anonymous(reference)
    ignored = [terminals.ignored_name(d.body) for d in definitions if not d.name]
    first = start or "start"
    is_library = start is None and first not in rules.rules
    return WrittenGrammar(
        source,
        rules.rules,
        rules.places,
        starts=tuple(rules.rules) if is_library else (first,),
        templates={name: d.span for name, d in rules.templates.items()},
        terminals=terminals.found,
        ignored=tuple(ignored),
        used_templates=frozenset(rules.used),
        is_library=is_library,
        is_lexed=lexing == "lexed",
    )


class _Rules:
    """The rules of a grammar, templates written out."""

    def __init__(self, definitions: list[Definition]) -> None:
        self.rules: dict[str, Node] = {}
        self.places: dict[str, Span] = {}
        self.templates: dict[str, Definition] = {}
        self.used: set[str] = set()
        self.instances: dict[tuple[str, tuple[Node, ...]], str] = {}
        self.waiting: list[tuple[str, Definition, tuple[Node, ...]]] = []
        for definition in definitions:
            self._define(definition)
        for name, node in list(self.rules.items()):
            self.rules[name] = self._written_out(node, {})
        while self.waiting:
            name, template, arguments = self.waiting.pop()
            values = dict(zip(template.parameters, arguments, strict=False))
            self.rules[name] = self._written_out(template.body, values)

    def _define(self, definition: Definition) -> None:
        name, body = definition.name, definition.body
        if not name or name.isupper():
            return
        if definition.parameters:
            self.templates[name] = definition
            return
        if definition.adds and name in self.rules:
            body = Alternation((self.rules[name], body))
        self.rules[name] = body
        self.places.setdefault(name, definition.span)

    def _written_out(self, node: Node, values: dict[str, Node]) -> Node:
        if isinstance(node, Use):
            return self._instance(node, values)
        if isinstance(node, Reference):
            return values.get(node.name, node)
        if isinstance(node, Concat):
            return replace(node, parts=tuple(self._written_out(p, values) for p in node.parts))
        if isinstance(node, Alternation):
            options = tuple(self._written_out(option, values) for option in node.options)
            return replace(node, options=options)
        if isinstance(node, Repeat):
            return replace(node, item=self._written_out(node.item, values))
        return node

    def _instance(self, use: Use, values: dict[str, Node]) -> Node:
        arguments = tuple(self._written_out(argument, values) for argument in use.arguments)
        bound = values.get(use.name)
        name = bound.name if isinstance(bound, Reference) else use.name
        self.used.add(name)
        template = self.templates.get(name)
        key = (name, arguments)
        if template is not None and key not in self.instances:
            if len(self.instances) == _MAX_TEMPLATES:
                return Reference("", use.span)  # reading the grammar refuses it
            self.instances[key] = f"{name}{{{len(self.instances)}}}"
            self.waiting.append((self.instances[key], template, arguments))
        return Reference(self.instances.get(key, ""), use.span)


class _KnownNodes(NodeBuilder):
    """Makes nodes of terminals that have no references in them, or refuses."""

    def hold(self, built: Built) -> Built:
        del built
        raise self.error("the terminal is too large to be looked into", None, "G202")


class _Terminals:
    """The terminals of a grammar, named and not."""

    def __init__(
        self,
        names: Names,
        grammar: Grammar,
        definitions: list[Definition],
        imported: dict[str, Span],
        limits: Limits,
    ) -> None:
        self.builder = _KnownNodes(names, limits)
        self.trees: dict[str, Any] = {name: tree for name, (tree, _) in grammar.term_defs}
        self.built = TerminalBuilder(self.builder, self.trees)
        self.found: dict[str, Terminal] = {}
        for name, span in names.declared.items():
            if name.isupper():
                self.found[name] = Terminal(None, span=span, is_declared=True)
        for name, (_, priority) in grammar.term_defs:
            if name in imported:
                self._add(name, priority, imported[name], is_imported=True)
        for definition in definitions:
            if definition.name.isupper():
                parts = tuple(part.name for part in references(definition.body))
                earlier = self.found.get(definition.name)
                if definition.adds and earlier is not None:
                    parts += earlier.parts
                self._add(definition.name, definition.priority, definition.span, parts=parts)
                self._note_text(definition)

    def _add(
        self,
        name: str,
        priority: int,
        span: Span,
        *,
        parts: tuple[str, ...] = (),
        is_imported: bool = False,
    ) -> None:
        try:
            node = self.built.build(name).node if self.trees.get(name) is not None else None
        except GrammarError:
            node = None  # reading the grammar says so
        self.found[name] = Terminal(
            node, priority=priority, span=span, parts=parts, is_imported=is_imported
        )

    def _note_text(self, definition: Definition) -> None:
        body = definition.body
        if isinstance(body, Reference) and body.name.startswith('"') and not definition.adds:
            known = self.found[definition.name]
            self.found[definition.name] = replace(known, is_text=".." not in body.name)

    def add_anonymous(self, reference: Reference) -> None:
        """Make known a text, a pattern or a range that stands in a rule."""
        name = reference.name
        if name in self.found or name[:1] not in ('"', "/"):
            return
        start = reference.span.start if reference.span else 0
        low, dots, high = name.partition('".."')
        try:
            if dots:
                node = self.builder.range(_token(low + '"', start), _token('"' + high, start)).node
            else:
                node = self.builder.literal(_token(name, start)).node
        except GrammarError:
            self.found[name] = Terminal(None, span=reference.span)
            return
        is_text = name.startswith('"') and not dots
        self.found[name] = Terminal(node, is_text=is_text, span=reference.span)

    def ignored_name(self, body: Node) -> str:
        """Return the name of what `%ignore` names; make one where it has none."""
        if isinstance(body, Reference):
            self.add_anonymous(body)
            return body.name
        parts = tuple(reference.name for reference in references(body))
        name = f"%ignore({len(self.found)}"
        self.found[name] = Terminal(None, parts=parts)
        return name


def _token(text: str, start: int) -> Token:
    return Token("REGEXP" if text.startswith("/") else "STRING", text, start)
