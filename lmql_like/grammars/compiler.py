"""Formula -> one byte automaton.

Each pattern becomes a component of one nfa, the boolean structure a postfix program over
"component accepts", so `and`, `or` and `not` cost nothing but the program: there is no
product to build. What the lazy subset construction then visits is the reachable part of
the product, and nothing else.

The text of a hole is always valid UTF-8: where the formula alone does not say so, a
component for valid text is and-ed to it.

Stops are rules beside the program. With the other conjuncts O and a phrase S:

* STOPS_AT: where O holds and a phrase just ended, the hole is over: a component `alive`
  that reads any text is killed, and nothing that needs it can accept any more;
* STOPS_BEFORE: where O holds, S may begin: its component is injected; where it accepts,
  the hole is over, and the phrase is cut off afterwards (`Automaton.value`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from lmql_like.errors import GrammarError
from lmql_like.grammars.automata.beside import Beside
from lmql_like.grammars.automata.nfa import Network, NfaBuilder
from lmql_like.grammars.automata.phrases import CoverageAutomaton
from lmql_like.grammars.automaton import Automaton
from lmql_like.grammars.cfg.network import build_network
from lmql_like.grammars.cfg.reader import read_grammar
from lmql_like.grammars.cfg.rules import LexedGrammar
from lmql_like.grammars.formula_automaton import FormulaAutomaton, Program, Rule
from lmql_like.grammars.formulas import (
    FALSE,
    TRUE,
    And,
    Constant,
    Derives,
    Formula,
    Matches,
    Not,
    Or,
    StopsAt,
    StopsBefore,
    TokenCount,
    all_of,
    any_of,
    one_of,
)
from lmql_like.grammars.grammar_cache import read_grammar_cached
from lmql_like.grammars.grammar_conditions import (
    GrammarCondition,
    grammars_in,
    split_grammar,
)
from lmql_like.grammars.lexed_automaton import LexedAutomaton
from lmql_like.grammars.limits import DEFAULT_LIMITS, Limits
from lmql_like.grammars.paired_automaton import PairedAutomaton
from lmql_like.grammars.phrase_conditions import Covers, join_phrases
from lmql_like.grammars.regex.nodes import ANY_TEXT, Concat, Node
from lmql_like.grammars.regex.parser import parse_pattern
from lmql_like.kernels import formula as ops
from lmql_like.kernels.subset import INJECT, STOP_AFTER
from lmql_like.source import Source

_MOST_RULES = 60  # they are bits of one word in the kernel
_MOST_COUNT_BOUNDS = 60  # the ranges between them, too

__all__ = ["compile_choice", "compile_formula", "compile_grammar", "compile_regex"]


def compile_regex(pattern: str, *, flags: int = 0, limits: Limits = DEFAULT_LIMITS) -> Automaton:
    """Return the automaton of the texts that a pattern matches as a whole.

    Args:
        pattern: in the dialect of `docs/reference/patterns.md`; it means what
            `re.fullmatch` means.
        flags: `re` flags: A, I, S, U, X.
        limits: bounds, see `Limits`.

    Raises:
        GrammarError: G101 not a pattern, G102 outside the dialect, G201 to G203 over a limit.
    """
    node = parse_pattern(pattern, flags=flags, limits=limits)
    return compile_formula(Matches(node, pattern), limits=limits)


def compile_grammar(
    text: str,
    *,
    start: str | None = None,
    syntax: str = "lark",
    lexing: str = "lexed",
    limits: Limits = DEFAULT_LIMITS,
    cache: str | os.PathLike[str] | None = None,
) -> Automaton:
    """Return the automaton of the sentences of a context-free grammar.

    Any grammar will do: ambiguous, left-recursive, nullable and cyclic ones too.

    Args:
        text: the grammar.
        start: the rule that whole texts match; by default "start" in Lark's syntax and
            "root" in the others.
        syntax: "lark", "gbnf" (llama.cpp) or "ebnf" (XGrammar).
        lexing: how Lark's syntax is read: "lexed", by maximal munch, as Lark's own LALR
            parser reads it; "scannerless", every way to match the text counts.
        limits: bounds, see `Limits`.
        cache: folder in which grammars are kept as they were read, see `grammar_cache`.

    Raises:
        GrammarError: G4 for the grammar, G1 for a pattern in it, G2 over a limit.
    """
    if cache is None:
        grammar = read_grammar(text, start=start, syntax=syntax, lexing=lexing, limits=limits)
    else:
        grammar = read_grammar_cached(
            text, cache, start=start, syntax=syntax, lexing=lexing, limits=limits
        )
    return compile_formula(Derives(grammar), limits=limits)


def compile_choice(texts: Iterable[str], *, limits: Limits = DEFAULT_LIMITS) -> Automaton:
    """Return the automaton of a finite set of texts.

    Raises:
        GrammarError: G202 over a limit.
    """
    return compile_formula(one_of(texts), limits=limits)


def compile_formula(formula: Formula, *, limits: Limits = DEFAULT_LIMITS) -> Automaton:
    """Return the automaton of the texts that satisfy a formula.

    Raises:
        GrammarError: G104 for a stop that cannot be enforced, G201 and G202 over a limit.
    """
    return _Lowering(limits).run(formula)


class _Lowering:
    """Collects components, counters and rules while it writes programs."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._nfa = NfaBuilder(limits)
        self._component_of: dict[Node, int] = {}
        self._running: list[int] = []  # components that run from the beginning
        self._counters: list[TokenCount] = []
        self._rules: list[Rule] = []
        self._networks: dict[int, Network] = {}  # of the grammars, by identity

    def run(self, formula: Formula) -> Automaton:
        if any(self._calls_rules(part) for part in grammars_in(formula)):
            return self._with_grammar(split_grammar(formula))
        formula = join_phrases(formula)
        conjuncts = formula.parts if isinstance(formula, And) else (formula,)
        befores = [part for part in conjuncts if isinstance(part, StopsBefore)]
        rest = all_of(part for part in conjuncts if not isinstance(part, StopsBefore))
        if befores:
            program = self._stop_before(rest, befores)
        else:
            program = self._program(rest if _is_text(rest) else rest & Matches(ANY_TEXT))
        if len(self._rules) > _MOST_RULES:
            raise GrammarError(
                "G104",
                f"the condition has {len(self._rules)} stops, more than {_MOST_RULES}",
                help="give one stop a list of phrases: STOPS_AT(X, [...])",
            )
        automaton = FormulaAutomaton(
            graph=self._nfa.finish(),
            running=tuple(self._running),
            program=program,
            counters=tuple(self._counters),
            rules=tuple(self._rules),
            finders=tuple(part.finder for part in befores),
            limits=self._limits,
            coverage=next(map(self._coverage, filter(_is_coverage, conjuncts)), None),
        )
        if len(automaton.count_bounds) > _MOST_COUNT_BOUNDS:
            raise GrammarError(
                "G202",
                f"token counts are compared to {len(automaton.count_bounds)} different numbers, "
                f"more than {_MOST_COUNT_BOUNDS}",
                help="bound the count from both sides instead: 3 <= len(TOKENS(X)) < 9",
            )
        return automaton

    def _coverage(self, part: Formula) -> tuple[int, CoverageAutomaton] | None:
        """Return the component of the phrases, and its automaton."""
        if not isinstance(part, Covers) or part.automaton is None:
            return None
        return self._component(part.node), part.automaton

    # -- formulas ------------------------------------------------------------------

    def _program(self, formula: Formula) -> Program:
        if isinstance(formula, Constant):
            return (ops.CONSTANT, int(formula.value))
        if isinstance(formula, Matches):
            return (ops.COMPONENT, self._component(formula.node, formula.pattern))
        if isinstance(formula, Derives):
            return self._grammar(formula)
        if isinstance(formula, TokenCount):
            if formula not in self._counters:
                self._counters.append(formula)
            return (ops.COUNTER, self._counters.index(formula))
        if isinstance(formula, Not):
            return (*self._program(formula.part), ops.NOT, 0)
        if isinstance(formula, Or):
            return self._joined([self._program(part) for part in formula.parts], ops.OR)
        if isinstance(formula, (And, StopsAt)):
            return self._conjunction(formula.parts if isinstance(formula, And) else (formula,))
        raise GrammarError(
            "G104",
            "STOPS_BEFORE cannot stand under 'or' or 'not'",
            help="and-it to the whole condition, or use STOPS_AT, which may stand anywhere",
        )

    @staticmethod
    def _joined(programs: list[Program], operation: int) -> Program:
        if len(programs) == 1:
            return programs[0]
        return (*(item for program in programs for item in program), operation, len(programs))

    def _conjunction(self, parts: tuple[Formula, ...]) -> Program:
        stops = [part for part in parts if isinstance(part, StopsAt)]
        others = [part for part in parts if not isinstance(part, StopsAt)]
        programs = [self._program(part) for part in others]
        if stops:
            alive = self._new_component(ANY_TEXT)
            condition = self._joined(
                [
                    program
                    for part, program in zip(others, programs, strict=True)
                    if not isinstance(part, TokenCount)
                ]
                or [(ops.CONSTANT, 1)],
                ops.AND,
            )
            for stop in stops:
                _check_counts(others)
                phrase = self._component(Concat((ANY_TEXT, stop.phrase)))
                self._rules.append(Rule(STOP_AFTER, condition, phrase, alive))
            programs.append((ops.COMPONENT, alive))
        return self._joined(programs, ops.AND)

    def _stop_before(self, rest: Formula, befores: list[StopsBefore]) -> Program:
        conjuncts = rest.parts if isinstance(rest, And) else (rest,)
        _check_counts(list(conjuncts))
        counts = [part for part in conjuncts if isinstance(part, TokenCount)]
        alive = self._new_component(ANY_TEXT)
        condition = self._joined(
            [
                self._program(all_of(p for p in conjuncts if not isinstance(p, TokenCount))),
                (ops.COMPONENT, alive),
            ],
            ops.AND,
        )
        phrases: list[Program] = []
        for before in befores:
            phrase = self._new_component(before.phrase, running=False)
            self._rules.append(Rule(INJECT, condition, phrase, alive))
            phrases.append((ops.COMPONENT, phrase))
        body = self._joined([condition, *phrases], ops.OR)
        return self._joined([body, *(self._program(count) for count in counts)], ops.AND)

    # -- grammars ------------------------------------------------------------------

    def _calls_rules(self, formula: Derives) -> bool:
        """Tell whether a grammar is more than a pattern, written as rules."""
        return isinstance(formula.grammar, LexedGrammar) or bool(len(self._network(formula).calls))

    def _network(self, formula: Derives) -> Network:
        """Return a grammar's network, made once."""
        grammar = formula.grammar
        if isinstance(grammar, LexedGrammar):
            raise TypeError("a lexed grammar has no network over bytes")
        if id(grammar) not in self._networks:
            self._networks[id(grammar)] = build_network(grammar, self._limits)
        return self._networks[id(grammar)]

    def _grammar(self, formula: Derives) -> Program:
        component = self._nfa.add_network(self._network(formula))
        self._running.append(component)
        return (ops.COMPONENT, component)

    def _with_grammar(self, condition: GrammarCondition) -> Automaton:
        """Return the automaton of a grammar and what must hold beside it."""
        lexed = [part for part in condition.union if _is_lexed(part)]
        stops = self._stops(condition)
        if lexed:
            return self._lexed(condition, lexed, stops)
        is_paired = stops != Beside() or any(count.low for count in condition.counts)
        companion = None
        if condition.regular != TRUE:
            companion = self._apart(condition.regular)
        program = self._joined([self._program(part) for part in condition.union], ops.OR)
        if condition.counts and not is_paired:
            counts = [self._program(count) for count in condition.counts]
            program = self._joined([program, *counts], ops.AND)
        automaton = FormulaAutomaton(
            graph=self._nfa.finish(),
            running=tuple(self._running),
            program=program,
            counters=tuple(self._counters),
            limits=self._limits,
            is_union=True,
            companion=companion,
        )
        return _paired(automaton, stops, condition) if is_paired else automaton

    def _stops(self, condition: GrammarCondition) -> Beside:
        """Return the stop phrases beside a grammar."""
        ats = [Concat((ANY_TEXT, stop.phrase)) for stop in condition.stops_at]
        befores = [stop.phrase for stop in condition.stops_before]
        return Beside(
            stops_at=self._apart(any_of(map(Matches, ats))) if ats else None,
            stops_before=self._apart(any_of(map(Matches, befores))) if befores else None,
        )

    def _lexed(self, condition: GrammarCondition, lexed: list[Formula], stops: Beside) -> Automaton:
        only = lexed[0]
        if not isinstance(only, Derives) or not isinstance(only.grammar, LexedGrammar):
            raise TypeError("no lexed grammar")
        patterns = any_of(part for part in condition.union if part is not only)
        if grammars_in(patterns):
            raise GrammarError(
                "G105",
                "two grammars under 'or', of which one is read with a lexer",
                help="write both into one grammar, or read both without a lexer: "
                'lexing="scannerless"',
            )
        grammar = LexedAutomaton(only.grammar, self._limits)
        beside = replace(
            stops,
            condition=None if condition.regular == TRUE else self._apart(condition.regular),
            patterns=None if patterns == FALSE else self._apart(condition.regular & patterns),
        )
        if beside == Beside() and not condition.counts:
            return grammar
        return _paired(grammar, beside, condition)

    def _apart(self, formula: Formula) -> Automaton:
        """Return the automaton of a condition beside a grammar."""
        return _Lowering(self._limits).run(formula)

    # -- components ----------------------------------------------------------------

    def _component(self, node: Node, pattern: str = "") -> int:
        """Return the component of a node; equal nodes share one."""
        if node not in self._component_of:
            self._component_of[node] = self._new_component(node, pattern)
        return self._component_of[node]

    def _new_component(self, node: Node, pattern: str = "", *, running: bool = True) -> int:
        try:
            component = self._nfa.add(node)
        except GrammarError as error:
            if error.span is not None and error.source is None:
                error.source = Source(pattern, "<pattern>")
            raise
        if running:
            self._running.append(component)
        return component


def _is_text(formula: Formula) -> bool:
    """Tell whether only valid UTF-8 can satisfy a formula."""
    if isinstance(formula, And):
        return any(_is_text(part) for part in formula.parts)
    if isinstance(formula, Or):
        return all(_is_text(part) for part in formula.parts)
    if isinstance(formula, Constant):
        return not formula.value
    return isinstance(formula, (Matches, StopsAt, Derives))


def _is_coverage(formula: Formula) -> bool:
    return isinstance(formula, Covers)


def _paired(
    grammar: LexedAutomaton | FormulaAutomaton, beside: Beside, condition: GrammarCondition
) -> Automaton:
    finders = tuple(stop.finder for stop in condition.stops_before)
    return PairedAutomaton(grammar, beside, condition.counts, finders)


def _is_lexed(formula: Formula) -> bool:
    return isinstance(formula, Derives) and isinstance(formula.grammar, LexedGrammar)


def _check_counts(others: list[Formula]) -> None:
    """Refuse token counts beside a stop, but for upper bounds.

    A stop counts where the other conjuncts hold, in the middle of a token too; how many
    tokens the text has is settled only at a token's end.
    """
    for part in others:
        simple = isinstance(part, TokenCount) and part.low == 0
        if not simple and _has_token_count(part):
            raise GrammarError(
                "G104",
                "a stop phrase beside a token count that is more than an upper bound",
                help="bound len(X) or len(WORDS(X)) from below instead of len(TOKENS(X))",
            )


def _has_token_count(formula: Formula) -> bool:
    if isinstance(formula, TokenCount):
        return True
    if isinstance(formula, Not):
        return _has_token_count(formula.part)
    return isinstance(formula, (And, Or)) and any(map(_has_token_count, formula.parts))
