"""Slices: parts of a vocabulary whose tokens are allowed together, or nearly always so.

Most states of most constraints either forbid nearly everything or admit whole kinds of
tokens: inside a string every token of ordinary text may come. A slice is such a kind: a
language of characters with a length bound. Its tokens' bits are a row made once per
vocabulary; the tokens left over are a trie of their own. Where `kernels.slices` shows
that a state admits the slice, its mask is the slice's row plus a walk of the rest, a
few percent of the whole trie.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmql_like.grammars.token_trie import make_trie
from lmql_like.grammars.utf8 import valid_utf8_table
from lmql_like.kernels.handles import handle_of
from lmql_like.kernels.layouts import SliceArrays, TrieArrays

__all__ = ["GROUP_DEPTHS", "SlicedTokens", "make_slices"]

_TEXT = bytes(byte for byte in range(0x20, 0x100) if byte not in b'"\\\x7f')
_ALNUM = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

# Bytes of the tokens of a group at most; the last group has the others. The look-ahead
# classes of states are as fine as the group's tokens need.
GROUP_DEPTHS = (16, 32)

# (kind, characters of a token at most), widest first: a state that admits long tokens of
# a kind admits the shorter ones too, and leaves fewer over. All are tokens of group 0.
_KINDS = ((_TEXT, 16), (_TEXT, 8), (_TEXT, 4), (_ALNUM, 16), (_ALNUM, 5))
_FEWEST_TOKENS = 64


class SlicedTokens(NamedTuple):
    """The groups of a vocabulary, the slices of the first, and the tries to walk."""

    slices: SliceArrays
    tries: TrieArrays
    handle: NDArray[np.int64]  # of both, as kernels take it


def make_slices(tokens: Sequence[bytes], n_words: int) -> SlicedTokens:
    """Return the slices of a vocabulary; kinds with few tokens are left out.

    Args:
        tokens: bytes of each token id, empty for tokens that no constraint allows.
        n_words: words of a packed row.
    """
    table = np.array(valid_utf8_table(), np.int8)
    sizes = np.array([len(token) for token in tokens], np.int32)
    group = np.searchsorted(GROUP_DEPTHS, sizes)
    lengths = {kind: _characters(tokens, kind) for kind, _ in _KINDS}
    readers, longest, rows, tries = [], [], [], []
    for kind, limit in _KINDS:
        inside = (lengths[kind] > 0) & (lengths[kind] <= limit) & (group == 0)
        if inside.sum() < _FEWEST_TOKENS:
            continue
        bits = np.zeros(n_words * 32, np.uint8)
        bits[np.flatnonzero(inside)] = 1
        readers.append(_reader(table, kind))
        longest.append(limit)
        rows.append(np.packbits(bits, bitorder="little").view(np.int32))
        tries.append(make_trie(tokens, np.flatnonzero(~inside & (group == 0)).tolist()))
    groups = [np.flatnonzero(group == index).tolist() for index in range(len(GROUP_DEPTHS) + 1)]
    tries.extend(make_trie(tokens, ids) for ids in groups)
    slices = SliceArrays(
        reader=np.array(readers, np.int8).reshape(-1, *table.shape),
        longest=np.array(longest, np.int32),
        rows=np.array(rows, np.int32).reshape(-1, n_words),
        first_node=np.cumsum([0, *(trie.byte.size for trie in tries)], dtype=np.int32),
    )
    joined = _join(tries)
    return SlicedTokens(slices, joined, handle_of((*joined, *slices)))


def _reader(table: NDArray[np.int8], kind: bytes) -> NDArray[np.int8]:
    """Return the UTF-8 reader that takes only the bytes of a kind."""
    reader = np.full_like(table, -1)
    reader[:, list(kind)] = table[:, list(kind)]
    return reader


def _characters(tokens: Sequence[bytes], kind: bytes) -> NDArray[np.int32]:
    """Return each token's number of characters if all are of the kind, else 0."""
    allowed = frozenset(kind)
    counts = np.zeros(len(tokens), np.int32)
    for i, token in enumerate(tokens):
        if token and allowed.issuperset(token):
            try:
                counts[i] = len(token.decode())
            except UnicodeDecodeError:
                continue
    return counts


def _join(tries: Sequence[TrieArrays]) -> TrieArrays:
    """Lay tries one after another; node and token indices are shifted to match."""
    nodes = np.cumsum([0, *(trie.byte.size for trie in tries)])
    ids = np.cumsum([0, *(trie.token_ids.size for trie in tries)])
    starts = [trie.token_start[:-1] + ids[i] for i, trie in enumerate(tries)]
    return TrieArrays(
        byte=np.concatenate([trie.byte for trie in tries]),
        depth=np.concatenate([trie.depth for trie in tries]),
        end=np.concatenate([trie.end + nodes[i] for i, trie in enumerate(tries)]).astype(np.int32),
        token_start=np.concatenate([*starts, ids[-1:]]).astype(np.int32),
        token_ids=np.concatenate([trie.token_ids for trie in tries]),
    )
