"""Constraints over bytes: patterns, automata, vocabularies and token masks.

vocabulary = Vocabulary.from_tokenizer(hf_tokenizer)
masker = TokenMasker(compile_regex(r"[0-9]{2}/[0-9]{2}"), vocabulary)
state = masker.start()                     # states are values
masker.fill_bitmask(state, row)            # row: int32[ceil(vocab / 32)]
state = masker.advance(state, token_id)    # None: the token is not allowed
masker.is_accepting(state)
"""

from __future__ import annotations

from lmql_like.grammars.automaton import Automaton
from lmql_like.grammars.compiler import (
    compile_choice,
    compile_formula,
    compile_grammar,
    compile_regex,
)
from lmql_like.grammars.formulas import Formula
from lmql_like.grammars.json_schema import compile_json, compile_json_schema
from lmql_like.grammars.limits import DEFAULT_LIMITS, Limits
from lmql_like.grammars.masker import TokenMasker
from lmql_like.grammars.vocabulary import Vocabulary

__all__ = [
    "DEFAULT_LIMITS",
    "Automaton",
    "Formula",
    "Limits",
    "TokenMasker",
    "Vocabulary",
    "compile_choice",
    "compile_formula",
    "compile_grammar",
    "compile_json",
    "compile_json_schema",
    "compile_regex",
]
