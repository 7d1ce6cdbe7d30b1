from hypothesis import given
from hypothesis import strategies as st

from lmql_like.runtime.transformers_states import buckets


@given(st.lists(st.integers(0, 300), max_size=40))
def test_buckets_hold_every_row_once_and_waste_little(counts):
    groups = buckets(counts)
    assert sorted(row for group in groups for row in group) == [
        row for row, count in enumerate(counts) if count
    ]
    for group in groups:
        tokens = sum(counts[row] for row in group)
        waste = max(counts[row] for row in group) * len(group) - tokens
        assert waste <= max(64, tokens // 4)


def test_rows_of_similar_lengths_stay_together():
    assert buckets([1, 1, 3, 1]) == [[0, 1, 2, 3]]
    assert buckets([500, *[1] * 31]) == [[0], list(range(1, 32))]
    assert buckets([0, 0]) == []
