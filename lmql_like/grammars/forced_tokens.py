"""Which tokens are certain where bytes are forced.

That the bytes are certain does not make their tokens so: a tokenizer may write the last of
them together with what follows, and then it may have written those before differently, too.
But any token that reaches over the end of the forced bytes begins at one of few places,
for a mask says at which places such a token may stand. A tokenizer's encoding up to a
place where a token begins is its encoding of the text up to there (it holds for merges, for
Unigram and for longest match). So the encodings up to each of these places are all that
can be, and what they have in common is certain.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lmql_like.grammars.vocabulary import Vocabulary

__all__ = ["certain_tokens", "reaches_beyond"]


def certain_tokens(vocabulary: Vocabulary, data: bytes, ends: Iterable[int]) -> list[int]:
    """Return the first canonical tokens of forced bytes that no continuation changes.

    Args:
        vocabulary: the tokens and their encoder.
        data: the bytes.
        ends: how many bytes the tokens may write that lie wholly within the data.
    """
    certain: list[int] | None = None
    for end in ends:
        ids = vocabulary.encode(data[:end])
        if not ids:  # nothing is certain: inside a character, or what is never written so
            return []
        certain = ids if certain is None else certain[: _n_common(certain, ids)]
    return certain or []


def _n_common(first: list[int], second: list[int]) -> int:
    """Return how many items two lists begin with alike."""
    pairs = zip(first, second, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def reaches_beyond(vocabulary: Vocabulary, row: NDArray[np.int32], room: int) -> bool:
    """Tell whether a packed row allows a token of more than `room` bytes."""
    words = np.flatnonzero(row)  # where bytes are forced, few
    bits = np.unpackbits(row[words].view(np.uint8), bitorder="little").reshape(-1, 32)
    at, lane = np.nonzero(bits)
    ids = 32 * words[at] + lane
    return bool((vocabulary.token_lengths[ids[ids < vocabulary.size]] > room).any())
