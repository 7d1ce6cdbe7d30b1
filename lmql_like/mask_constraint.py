"""The constraint that `lmql-like mask` is given: patterns, a grammar, a JSON Schema."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lmql_like.grammars import Automaton, compile_formula, compile_grammar, compile_regex
from lmql_like.grammars.cfg.ebnf import read_ebnf
from lmql_like.grammars.cfg.gbnf import read_gbnf
from lmql_like.grammars.cfg.lark_grammar import read_lark
from lmql_like.grammars.cfg.reader import START_RULES, read_grammar
from lmql_like.grammars.cfg.rules import RuleSet
from lmql_like.grammars.formulas import Derives, all_of, matches
from lmql_like.grammars.json_schema import compile_json_schema, read_json_schema

__all__ = ["MaskConstraint"]


@dataclass(frozen=True)
class MaskConstraint:
    """Patterns, and a grammar or a schema, all of which must hold.

    Attributes:
        patterns: in the dialect of `compile_regex`.
        grammar: the text of a grammar.
        file: how messages call the grammar.
        syntax: "lark", "gbnf" or "ebnf".
        start: the grammar's rule for whole texts, None for the usual one.
        lexing: how a Lark grammar is read, "lexed" or "scannerless".
        schema: the text of a JSON Schema.
        schema_file: how messages call the schema.
    """

    patterns: tuple[str, ...]
    grammar: str | None = None
    file: str = "<grammar>"
    syntax: str = "lark"
    start: str | None = None
    lexing: str = "lexed"
    schema: str | None = None
    schema_file: str = "<schema>"

    def compile(self) -> Automaton:
        """Return the automaton of all parts together.

        Raises:
            GrammarError: a part cannot be compiled, or not together with the others.
        """
        parts = self.parts()
        if len(parts) == 1:
            return next(iter(parts.values()))()
        formulas = [matches(pattern) for pattern in self.patterns]
        if self.grammar is not None:
            rules = read_grammar(
                self.grammar, start=self.start, syntax=self.syntax, lexing=self.lexing
            )
            formulas.append(Derives(rules))
        if self.schema is not None:
            formulas.append(read_json_schema(self.schema).formula)
        return compile_formula(all_of(formulas))

    def parts(self) -> dict[str, Callable[[], Automaton]]:
        """Return how to compile each part alone, by the name that its author knows."""
        found: dict[str, Callable[[], Automaton]] = {}
        for pattern in self.patterns:
            found[f"--regex {pattern!r}"] = partial(compile_regex, pattern)
        if self.grammar is not None:
            found[f"--grammar {self.file}"] = self._compile_grammar
        if self.schema is not None:
            found[f"--json-schema {self.schema_file}"] = partial(compile_json_schema, self.schema)
        return found

    def outline(self) -> RuleSet:
        """Return the grammar's rules with a rule for each named terminal, without a lexer.

        Raises:
            GrammarError: there is no grammar, or it cannot be read.
        """
        start = START_RULES[self.syntax] if self.start is None else self.start
        if self.syntax == "lark":
            return read_lark(self.grammar or "", start=start, keep_terminals=True)
        read = read_gbnf if self.syntax == "gbnf" else read_ebnf
        return read(self.grammar or "", start=start)

    def _compile_grammar(self) -> Automaton:
        return compile_grammar(
            self.grammar or "", start=self.start, syntax=self.syntax, lexing=self.lexing
        )
