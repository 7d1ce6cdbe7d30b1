"""Text to tokens without a tokenizer: by bytes, greedily, always exact.

A tokenizer's own encoding is what a model was trained on and comes first. Where it
cannot be used (bytes that are no whole UTF-8 characters, a tokenizer that adds or drops
something), the longest token that fits is taken, again and again.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from lmql_like.errors import ModelError
from lmql_like.grammars.vocabulary import Vocabulary

__all__ = ["TokenIndex", "token_index"]


class TokenIndex:
    """The ids of a vocabulary by their bytes.

    Args:
        vocabulary: tokens that spell nothing (special ones) are left out.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        ids: dict[bytes, tuple[int, ...]] = {}
        end_ids = set(vocabulary.eos_token_ids)
        for token_id in range(vocabulary.size):
            data = vocabulary.tokens[token_id]
            if data and token_id not in end_ids:
                ids[data] = (*ids.get(data, ()), token_id)
        self._ids = ids
        self._lengths = [len(token) for token in vocabulary.tokens]
        self._longest = max(map(len, ids), default=0)

    def encode_greedily(self, data: bytes) -> list[int]:
        """Return ids that spell `data`, each the longest token that fits there.

        Where that way comes to a byte at which no token fits, the ids are those of the
        fewest tokens that spell the whole.

        Raises:
            ModelError: M202, no tokens spell the data.
        """
        tokens: list[int] = []
        at = 0
        while at < len(data):
            found = self._longest_at(data, at)
            if found is None:
                return self._encode_in_fewest(data)
            token_id, length = found
            tokens.append(token_id)
            at += length
        return tokens

    def _encode_in_fewest(self, data: bytes) -> list[int]:
        """Return the fewest ids that spell `data`; M202 names the byte that none can reach."""
        last: dict[int, tuple[int, int]] = {0: (0, 0)}  # end of a token -> its id, tokens so far
        furthest = 0
        for at in range(len(data)):
            if at not in last:
                continue
            furthest = at
            for length in range(1, min(self._longest, len(data) - at) + 1):
                ids = self._ids.get(data[at : at + length])
                count = last[at][1] + 1
                if ids and (at + length not in last or last[at + length][1] > count):
                    last[at + length] = (ids[0], count)
        if len(data) not in last:
            raise ModelError(
                "M202",
                f"the vocabulary has no tokens for the text from byte 0x{data[furthest]:02x} on",
                help="use a model whose vocabulary holds every byte",
            )
        tokens: list[int] = []
        at = len(data)
        while at:
            token_id = last[at][0]
            tokens.append(token_id)
            at -= self._lengths[token_id]
        return tokens[::-1]

    def prefixes_of(self, data: bytes) -> list[int]:
        """Return the ids of all tokens whose bytes are a non-empty prefix of `data`."""
        return [
            token_id
            for length in range(1, min(len(data), self._longest) + 1)
            for token_id in self._ids.get(data[:length], ())
        ]

    def length(self, token_id: int) -> int:
        """Return how many bytes a token has."""
        return self._lengths[token_id]

    def _longest_at(self, data: bytes, at: int) -> tuple[int, int] | None:
        for length in range(min(self._longest, len(data) - at), 0, -1):
            ids = self._ids.get(data[at : at + length])
            if ids is not None:
                return ids[0], length
        return None


_INDEXES: WeakKeyDictionary[Vocabulary, TokenIndex] = WeakKeyDictionary()


def token_index(vocabulary: Vocabulary) -> TokenIndex:
    """Return the index of a vocabulary; it is built once."""
    index = _INDEXES.get(vocabulary)
    if index is None:
        index = _INDEXES[vocabulary] = TokenIndex(vocabulary)
    return index
