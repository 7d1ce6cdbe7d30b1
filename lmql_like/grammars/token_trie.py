"""A set of tokens as a trie that kernels can walk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmql_like.kernels.layouts import TrieArrays
from lmql_like.kernels.trie import build_trie

__all__ = ["make_trie"]


def make_trie(tokens: Sequence[bytes], ids: Sequence[int]) -> TrieArrays:
    """Return the trie of tokens[i] for i in ids; empty tokens are left out.

    Cost: one sort of the tokens and one pass over their bytes.
    """
    chosen = sorted((i for i in ids if tokens[i]), key=tokens.__getitem__)
    texts = [tokens[i] for i in chosen]
    start = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=start[1:])
    token_ids = np.array(chosen, np.int32)
    data = np.frombuffer(b"".join(texts), np.uint8)
    byte, depth, end, token_start = build_trie(data, start, token_ids)
    return TrieArrays(byte, depth, end, token_start, token_ids)
