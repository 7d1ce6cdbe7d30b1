"""Snapshots of recurrent states: few, and near enough to every place a row may go back to."""

import math

from hypothesis import given
from hypothesis import strategies as st

from lmql_like.runtime.transformers_rows import _Past, _thinned


@given(st.lists(st.integers(1, 40), min_size=1, max_size=300))
def test_what_is_read_again_is_no_more_than_was_taken_back(chunks):
    """But for the tokens of one pass: snapshots are taken between passes."""
    past, length = (), 0
    for chunk in chunks:
        length += chunk
        past = _thinned((*past, _Past(length, None, 0)))
    kept = [place.length for place in past]
    assert kept == sorted(kept)
    assert (kept[0], kept[-1]) == (chunks[0], length)
    assert len(kept) <= 3 + 3 * math.log2(length + 1)
    for back in range(1, length - kept[0] + 1):
        target = length - back
        start = max(place for place in kept if place <= target)
        assert target - start <= back + max(chunks)
