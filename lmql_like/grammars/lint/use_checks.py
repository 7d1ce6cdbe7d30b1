"""What is never used, matches nothing, or is written twice."""

from __future__ import annotations

from collections.abc import Iterator

from lmql_like.grammars.lint.facts import Facts, components
from lmql_like.grammars.lint.findings import Finding
from lmql_like.grammars.lint.written import WrittenGrammar, leaves, references, spelled
from lmql_like.grammars.regex.nodes import Alternation, Node
from lmql_like.grammars.regex.spelling import children, place_of

__all__ = ["find_dead", "find_never_found", "find_repeated", "find_unused"]

_LEAST_LEAVES = 3  # of a rule that is worth a word when another is written alike


def find_unused(grammar: WrittenGrammar, facts: Facts) -> Iterator[Finding]:
    """Yield G501 for rules and templates and G505 for terminals that nothing needs."""
    if grammar.is_library:
        return
    start = grammar.starts[0]
    for name, span in grammar.places.items():
        if name not in facts.reached:
            yield Finding(
                "G501",
                f"the rule '{name}' is never used",
                grammar.source,
                span,
                f"'{start}' does not lead here",
                "delete it, or name it in a rule that is used",
            )
    for name, span in grammar.templates.items():
        if name not in grammar.used_templates:
            yield Finding(
                "G501",
                f"the template '{name}' is never used",
                grammar.source,
                span,
                help="delete it, or name it with its arguments in a rule",
            )
    used = _used_terminals(grammar, facts)
    for name, terminal in grammar.terminals.items():
        if name not in used and terminal.span is not None and name[:1] not in '"/':
            what = "imported but" if terminal.is_imported else "defined but"
            yield Finding(
                "G505",
                f"the terminal '{name}' is {what} never used",
                grammar.source,
                terminal.span,
                help="delete it, name it in a rule, or let '%ignore' name it",
            )


def _used_terminals(grammar: WrittenGrammar, facts: Facts) -> set[str]:
    """Return the terminals in rules, in ignored text, and those that these are made of."""
    stack = [*grammar.ignored, *(name for names in facts.names.values() for name in names)]
    used: set[str] = set()
    while stack:
        name = stack.pop()
        if name not in used and name in grammar.terminals:
            used.add(name)
            stack += grammar.terminals[name].parts
    return used


def find_dead(grammar: WrittenGrammar, facts: Facts) -> Iterator[Finding]:
    """Yield G502 for rules and G506 for terminals that match no text."""
    for name, terminal in grammar.terminals.items():
        if name in facts.textless and terminal.span is not None:
            yield Finding(
                "G506",
                f"the terminal {spelled(name)} matches no text",
                grammar.source,
                terminal.span,
                "a class in it is empty",
                "alternatives that need it are dead: delete them, or mend the class",
            )
    dead = {n: facts.names[n] for n in grammar.rules if n not in facts.productive}
    graph = {name: [other for other in names if other in dead] for name, names in dead.items()}
    rings = {name: part for part in components(graph) for name in part}
    for name in dead:
        if name not in grammar.places:
            continue
        label = "there is no end to it" if name in rings else ""
        others = [n for n in facts.names[name] if n not in facts.productive]
        needs = f" every way needs '{others[0]}'" if others and name not in rings else ""
        is_start = name in grammar.starts and not grammar.is_library
        yield Finding(
            "G502",
            f"the rule '{name}' matches no text",
            grammar.source,
            grammar.places[name],
            label or needs.strip(),
            "give it an alternative that does not lead back to it"
            if name in rings
            else "mend what it needs, or delete it",
            "error" if is_start else "",
        )


def find_never_found(grammar: WrittenGrammar, facts: Facts) -> Iterator[Finding]:
    """Yield G515 where a rule first names a terminal that a lexer gives to no rule."""
    del facts
    left = set(grammar.never_found)
    for node in grammar.rules.values():
        for reference in references(node):
            if reference.name in left and reference.span is not None:
                left.discard(reference.name)
                why = "declared, not defined"
                if reference.name in grammar.ignored:
                    why = "ignored wherever it stands"
                yield Finding(
                    "G515",
                    f"the rule names the terminal {spelled(reference.name)}, which is never found",
                    grammar.source,
                    reference.span,
                    f"{why}: what needs it matches no text",
                    "delete the alternative, or the directive",
                )


def find_repeated(grammar: WrittenGrammar, facts: Facts) -> Iterator[Finding]:
    """Yield G503 for alternatives that are written twice and G504 for such rules."""
    del facts
    bodies: dict[Node, str] = {}
    for name, node in grammar.rules.items():
        yield from _twice(grammar, node)
        if name not in grammar.places or sum(1 for _ in leaves(node)) < _LEAST_LEAVES:
            continue
        first = bodies.setdefault(node, name)
        if first != name:
            line, _ = grammar.source.position(grammar.places[first].start)
            yield Finding(
                "G504",
                f"the rule '{name}' is written like '{first}' on line {line}",
                grammar.source,
                grammar.places[name],
                help=f"use '{first}' in its place, unless the names are meant to differ",
            )


def _twice(grammar: WrittenGrammar, node: Node) -> Iterator[Finding]:
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, Alternation):
            current = _flat(current)
            seen: set[Node] = set()
            for option in current.options:
                if option in seen:
                    yield Finding(
                        "G503",
                        "the same alternative is written twice",
                        grammar.source,
                        place_of(option),
                        "matches what an alternative before it matches",
                        "delete it",
                    )
                seen.add(option)
        stack.extend(reversed(children(current)))


def _flat(node: Alternation) -> Alternation:
    """Return an alternation without alternations right inside it."""
    options: list[Node] = []
    for option in node.options:
        options += _flat(option).options if isinstance(option, Alternation) else (option,)
    return Alternation(tuple(options), node.span)
