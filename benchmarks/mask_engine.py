"""Our engine behind the interface of a mask benchmark: compile, new_state, fill_mask, advance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from lmql_like.grammars import (
    Automaton,
    TokenMasker,
    Vocabulary,
    compile_grammar,
    compile_json_schema,
    compile_regex,
)

__all__ = ["Engine"]


def _lark(text: str) -> Automaton:
    return compile_grammar(text, syntax="lark", lexing="lexed")


def _ebnf(text: str) -> Automaton:
    return compile_grammar(text, syntax="ebnf")


COMPILERS: dict[str, Callable[[str], Automaton]] = {
    "regex": compile_regex,
    "json_schema": compile_json_schema,
    "lark": _lark,
    "ebnf": _ebnf,
}

# For each kind a constraint and a text of it that between them need every kernel.
_WARM_UP = (
    ("regex", "[a-z]{1,3}|\\w+ .*", "ab cd"),
    ("json_schema", '{"properties": {"a": {"enum": ["b"]}}, "type": "object"}', '{"a": "b"}'),
    ("ebnf", 'root ::= "[" root ("," root)* "]" | [a-z]*', "[a,[b]]"),
    (
        "lark",
        'start: (NAME | "(" start ")")+\nNAME: /[a-z]{1,9}(?![0-9])/\n%ignore /[ ]+/',
        "ab (cd e) f",
    ),
    ("lark", "start: NAME (NL NAME)*\nNAME: /[a-z]+/\nNL: /\\r?\\n/", "ab\ncd"),
)


class Engine:
    """The engine; one vocabulary per tokenizer folder."""

    name = "lmql_like"

    def setup(self, tokenizer_dir: str) -> None:
        """Load the vocabulary and the kernels; benchmarks do not time this."""
        tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_dir)
        self.vocabulary = Vocabulary.from_tokenizer(tokenizer, size=len(tokenizer))
        row = np.zeros(self.vocabulary.n_words, np.uint32)
        for kind, constraint, text in _WARM_UP:
            state = self.compile(kind, constraint, tokenizer_dir).new_state()
            for token_id in tokenizer.encode(text, add_special_tokens=False):
                state.fill_mask(row)
                state.is_accepting()
                state.advance(token_id)
            state.fill_mask(row)
        # More states than there is room for at first.
        compile_regex(".{1,4000}").matches("x" * 3000)
        compile_grammar('root ::= "a" root "b" | "c"', syntax="gbnf").matches("a" * 3000)
        compile_grammar("start: NAME\nNAME: /[a-z]{1,1500}/").matches("a" * 1400)

    def compile(self, kind: str, text: str, tokenizer_dir: str) -> _Grammar:  # noqa: ARG002
        """Compile a constraint: a pattern, a JSON Schema, or a grammar (Lark's is read lexed)."""
        if kind not in COMPILERS:
            raise NotImplementedError(kind)
        return _Grammar(TokenMasker(COMPILERS[kind](text), self.vocabulary))


class _Grammar:
    def __init__(self, masker: TokenMasker) -> None:
        self.masker = masker

    def new_state(self) -> _State:
        return _State(self.masker)


class _State:
    def __init__(self, masker: TokenMasker) -> None:
        self.masker = masker
        self.state: Any = masker.start()

    def fill_mask(self, row: NDArray[np.uint32]) -> None:
        self.masker.fill_bitmask(self.state, row.view(np.int32))

    def advance(self, token_id: int) -> bool:
        following = self.masker.advance(self.state, token_id)
        if following is None:
            return False
        self.state = following
        return True

    def is_accepting(self) -> bool:
        return self.masker.is_accepting(self.state)
