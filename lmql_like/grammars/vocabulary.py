"""A model's vocabulary as bytes: token id -> what the token writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmql_like.errors import GrammarError
from lmql_like.grammars.slices import SlicedTokens, make_slices
from lmql_like.grammars.token_bytes import read_token_bytes
from lmql_like.grammars.token_encoding import ByteEncoder, ExactEncoder, LongestMatch
from lmql_like.grammars.token_trie import make_trie
from lmql_like.kernels.layouts import TrieArrays
from lmql_like.kernels.lexed_walk import LARGE

__all__ = ["Vocabulary"]


class Vocabulary:
    """The tokens of a model, as bytes.

    Args:
        tokens: bytes of each token id. An empty byte string marks a token that writes
            nothing (special, added for control, or padding of the model's matrix): no
            constraint ever allows it.
        eos_token_ids: the end-of-text tokens, allowed where a constraint accepts. Their
            bytes, if any, are ignored.
        size: columns of the model's logits where there are more of them than tokens.
        encoder: bytes to the token ids that the model was trained to see them as, None for
            bytes that it cannot spell; `from_tokenizer` brings the tokenizer's own. By
            default, the longest tokens that fit.

    Attributes:
        tokens: list[bytes], empty for special tokens.
        eos_token_ids: tuple of ints.
        encoder: as given; None without.
        size: number of columns; masks have `n_words` = ceil(size / 32) words.

    Raises:
        GrammarError: G303 for an empty vocabulary or end-of-text ids out of range.
    """

    def __init__(
        self,
        tokens: Sequence[bytes],
        eos_token_ids: Iterable[int] = (),
        *,
        size: int | None = None,
        encoder: ByteEncoder | None = None,
    ) -> None:
        self.encoder = encoder
        self.eos_token_ids = tuple(dict.fromkeys(int(i) for i in eos_token_ids))
        self.size = max(len(tokens), size or 0)
        if not any(tokens):
            raise GrammarError("G303", "the vocabulary has no token that writes anything")
        for eos in self.eos_token_ids:
            if not 0 <= eos < self.size:
                raise GrammarError(
                    "G303", f"end-of-text id {eos} is outside the vocabulary of {self.size}"
                )
        self.tokens = [bytes(token) for token in tokens]
        self.tokens.extend(b"" for _ in range(self.size - len(tokens)))
        for eos in self.eos_token_ids:
            self.tokens[eos] = b""
        self.n_words = (self.size + 31) // 32

    @classmethod
    def from_tokenizer(
        cls,
        tokenizer: Any,
        *,
        size: int | None = None,
        eos_token_ids: Iterable[int] | None = None,
    ) -> Vocabulary:
        """Read a transformers tokenizer (a fast one).

        Args:
            tokenizer: a `PreTrainedTokenizerFast`: byte-level BPE, SentencePiece with or
                without byte fallback, or Unigram.
            size: columns of the model's logits, where larger than the tokenizer.
            eos_token_ids: end-of-text ids, where the model has more of them than the
                tokenizer's one.

        Raises:
            GrammarError: G301 no fast version, G302 tokens that cannot be read as bytes
                or fail the round trip on sample texts.
        """
        tokens = read_token_bytes(tokenizer)
        if eos_token_ids is None:
            eos = tokenizer.eos_token_id
            eos_token_ids = () if eos is None else (eos,)
        encoder = ExactEncoder(tokenizer, tokens)
        return cls(tokens, eos_token_ids, size=size, encoder=encoder)

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"Vocabulary({self.size} tokens, end of text {list(self.eos_token_ids)})"

    def encode(self, data: bytes) -> list[int] | None:
        """Return the canonical ids of some bytes, as they stand in the middle of a text.

        None where there are none: the bytes are no whole characters, the tokenizer never
        writes them as they stand, or takes ids that are no tokens here.
        """
        ids = (self.encoder or self._longest_match)(data)
        if ids is None or any(i >= self.size or not self.tokens[i] for i in ids):
            return None
        return ids

    @cached_property
    def _longest_match(self) -> LongestMatch:
        return LongestMatch(self.tokens)

    @cached_property
    def token_lengths(self) -> NDArray[np.int32]:
        """Bytes of each token, int32[size]."""
        return np.array([len(token) for token in self.tokens], np.int32)

    @cached_property
    def trie(self) -> TrieArrays:
        """The trie of all tokens that write something."""
        return make_trie(self.tokens, range(self.size))

    @cached_property
    def sliced(self) -> SlicedTokens:
        """Kinds of tokens that permissive states admit as a whole, and the tries of the rest."""
        return make_slices(self.tokens, self.n_words)

    @cached_property
    def spine(self) -> NDArray[np.int32]:
        """The nodes of the tries of `sliced` with large subtrees, ascending."""
        end = self.sliced.tries.end
        return np.flatnonzero(end - np.arange(end.size) >= LARGE).astype(np.int32)

    @cached_property
    def flat(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """All tokens one after another: (start int64[size + 1], bytes uint8)."""
        start = np.zeros(self.size + 1, np.int64)
        np.cumsum([len(token) for token in self.tokens], out=start[1:])
        return start, np.frombuffer(b"".join(self.tokens), np.uint8)

    @cached_property
    def longest_token(self) -> int:
        """Bytes of the longest token."""
        return max(len(token) for token in self.tokens)

    @cached_property
    def alphabet(self) -> bytes:
        """The bytes that stand in any token, in order."""
        return bytes(sorted(set(b"".join(self.tokens))))

    @cached_property
    def spells_every_byte(self) -> bool:
        """Whether each byte of the alphabet is a token by itself.

        Then whatever bytes complete a text, tokens can write them: reachability of an
        accepting state by bytes is reachability by tokens.
        """
        return self.single_bytes.issuperset(self.alphabet)

    @cached_property
    def single_bytes(self) -> frozenset[int]:
        """The bytes that are tokens by themselves."""
        return frozenset(token[0] for token in self.tokens if len(token) == 1)
