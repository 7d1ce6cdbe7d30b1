"""How large a constraint may grow before it is refused."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True)
class Limits:
    """Bounds that turn a runaway constraint into a coded error; raise them by argument.

    Attributes:
        max_nesting: groups inside groups in a pattern.
        max_words: names, texts and patterns that a Lark grammar is made of; Lark takes about
            a second for 10,000.
        max_nfa_states: states of the automata before determinization, over all patterns
            of one constraint; counted repeats are written out here.
        max_states: deterministic states built, on demand, over the constraint's life.
        max_set_items: sum of the sizes of the sets of nfa states that the deterministic
            states stand for (8 bytes each).
        max_frames: calls of a grammar's rules inside rules, all that were ever met.
    """

    max_nesting: int = 100
    max_words: int = 100_000
    max_nfa_states: int = 1_000_000
    max_states: int = 200_000
    max_set_items: int = 50_000_000
    max_frames: int = 1_000_000


DEFAULT_LIMITS = Limits()
