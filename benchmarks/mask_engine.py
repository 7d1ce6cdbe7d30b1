"""Our engine behind the interface of a mask benchmark: compile, new_state, fill_mask, advance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from lmql_like.grammars import TokenMasker, Vocabulary, compile_json_schema, compile_regex

__all__ = ["Engine"]


class Engine:
    """The engine; one vocabulary per tokenizer folder."""

    name = "lmql_like"

    def setup(self, tokenizer_dir: str) -> None:
        """Load the vocabulary and the kernels; benchmarks do not time this."""
        tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_dir)
        self.vocabulary = Vocabulary.from_tokenizer(tokenizer, size=len(tokenizer))
        grammar = self.compile("regex", "[a-z]{1,3}|\\w+ .*", tokenizer_dir)
        state = grammar.new_state()
        state.fill_mask(np.zeros(self.vocabulary.n_words, np.uint32))
        state.advance(tokenizer.encode("a", add_special_tokens=False)[0])
        schema = '{"properties": {"a": {"enum": ["b"]}}, "required": ["a"], "type": "object"}'
        grammar = self.compile("json_schema", schema, tokenizer_dir)
        state = grammar.new_state()
        state.fill_mask(np.zeros(self.vocabulary.n_words, np.uint32))
        compile_regex(".{1,400}").matches("x" * 300)  # more states than there is room for at first

    def compile(self, kind: str, text: str, tokenizer_dir: str) -> _Grammar:  # noqa: ARG002
        """Compile a constraint: a regular expression or a JSON Schema."""
        compilers = {"regex": compile_regex, "json_schema": compile_json_schema}
        if kind not in compilers:
            raise NotImplementedError(kind)
        return _Grammar(TokenMasker(compilers[kind](text), self.vocabulary))


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
