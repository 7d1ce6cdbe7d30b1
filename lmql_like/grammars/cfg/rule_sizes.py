"""How many states rules write out to at least; what is over the limit is refused in its place."""

from __future__ import annotations

from lmql_like.errors import GrammarError
from lmql_like.grammars.cfg.rules import RuleSet
from lmql_like.grammars.limits import Limits
from lmql_like.grammars.regex.nodes import Alternation, Choice, Concat, Node, Reference, Repeat
from lmql_like.grammars.regex.spelling import children, place_of
from lmql_like.source import Span

__all__ = ["check_sizes"]


def check_sizes(grammar: RuleSet, limits: Limits) -> None:
    """Refuse rules that surely need more states than the limit: G202 at the largest repeat."""
    total, largest, most = 0, grammar.start, -1
    for name in _reached(grammar):
        size = 2 + _least_states(grammar.rules[name])
        total += size
        if size > most:
            largest, most = name, size
        if total > limits.max_nfa_states:
            break
    else:
        return
    node = grammar.rules[largest]
    span = _culprit(node, limits.max_nfa_states) or grammar.places.get(largest) or place_of(node)
    raise GrammarError(
        "G202",
        f"the grammar writes out to more than {limits.max_nfa_states} states",
        source=grammar.source,
        span=span or Span(0, 1),
        label="the largest part" if most <= limits.max_nfa_states else "too large by itself",
        help="make the counted repeats smaller, or raise Limits.max_nfa_states",
    )


def _reached(grammar: RuleSet) -> list[str]:
    found, stack = {grammar.start: None}, [grammar.rules[grammar.start]]
    while stack:
        current = stack.pop()
        if isinstance(current, Reference) and current.name not in found:
            found[current.name] = None
            stack.append(grammar.rules[current.name])
        stack += children(current)
    return list(found)


def _least_states(node: Node) -> int:
    """Return a number of states that a node needs in any case, besides its first and last."""
    if isinstance(node, Concat):
        return max(len(node.parts) - 1, 0) + sum(map(_least_states, node.parts))
    if isinstance(node, Alternation):
        return sum(map(_least_states, node.options))
    if isinstance(node, Repeat):
        copies = max(node.low, node.high or 1)
        return copies * (1 + _least_states(node.item))
    if isinstance(node, Choice):
        return max((len(text) - 1 for text in node.texts), default=0)
    return 0


def _culprit(node: Node, limit: int) -> Span | None:
    """Return the place of an innermost repeat that is too large by itself, if there is one."""
    found: Span | None = None
    stack = [node]
    while stack:
        current = stack.pop()
        if _least_states(current) > limit:
            if isinstance(current, Repeat) and current.span is not None:
                found = current.span
            stack = list(children(current))
    return found
