"""Text to the ids that a model's own tokenizer gives, without what it adds unasked.

A tokenizer writes a whole document: it may put a start token in front, or a space that
is not there. The text in the middle of a prompt must be spelled exactly. So each
encoding is checked against the vocabulary's bytes:

1. as the tokenizer writes the text;
2. if that spells something else: as it writes the text behind a guard character, whose
   tokens are taken away again;
3. if that fails too: the longest tokens that fit, one after another.

Names of special tokens inside the text (`<|im_end|>`) become these tokens, as in the
tokenizer itself.
"""

from __future__ import annotations

import re
from typing import Any

from lmql_like.errors import ModelError
from lmql_like.grammars.token_encoding import ExactEncoder
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.runtime.token_index import token_index

__all__ = ["TextEncoder"]


class TextEncoder:
    """Encodes prompt text with a transformers tokenizer.

    Args:
        tokenizer: a fast tokenizer.
        vocabulary: the bytes of its tokens.
    """

    def __init__(self, tokenizer: Any, vocabulary: Vocabulary) -> None:
        self._tokenizer = tokenizer
        self._exact = ExactEncoder(tokenizer, vocabulary.tokens)
        self._vocabulary = vocabulary
        self._special = {
            str(token): int(token_id)
            for token_id, token in tokenizer.added_tokens_decoder.items()
            if token.special and token_id < vocabulary.size and not vocabulary.tokens[token_id]
        }
        names = sorted(self._special, key=len, reverse=True)
        self._splitter = re.compile(f"({'|'.join(map(re.escape, names))})") if names else None
        self.start_ids = self._read_start_ids()

    def encode(self, text: str, *, at_start: bool) -> list[int]:
        """Return the ids of a text.

        Args:
            text: any.
            at_start: put the start tokens in front, and let the tokenizer begin the
                document as it does (a SentencePiece tokenizer writes a space first).

        Raises:
            ModelError: M202, the vocabulary cannot spell the text; M203, nothing to start
                from.
        """
        if not at_start:
            return self.encode_exactly(text)
        ids = [*self.start_ids, *self._exact.plain(text)]
        if not ids:
            raise ModelError(
                "M203",
                "the prompt is empty and the model has no start token",
                help="begin the query with some text in front of the first hole",
            )
        return ids

    def encode_exactly(self, text: str) -> list[int]:
        """Return ids that spell a text as it stands in the middle of a prompt."""
        if self._splitter is None:
            return self._encode_piece(text)
        ids: list[int] = []
        for piece in self._splitter.split(text):
            special = self._special.get(piece)
            ids += self._encode_piece(piece) if special is None else [special]
        return ids

    def _encode_piece(self, text: str) -> list[int]:
        if not text:
            return []
        data = text.encode()
        ids = self._exact(data)
        return token_index(self._vocabulary).encode_greedily(data) if ids is None else ids

    def _read_start_ids(self) -> list[int]:
        """Return what the tokenizer puts in front of a document, else its start token."""
        plain = self._exact.plain("a")
        whole = [int(token_id) for token_id in self._tokenizer.encode("a")]
        at = next((at for at in range(len(whole)) if whole[at : at + len(plain)] == plain), 0)
        return whole[:at]
