import numpy as np
import pytest
from reference import selection as reference

from lmql_like.kernels import selection

SIZES = [1, 31, 32, 33, 511, 512, 513, 1500]


def make_rows(rng, n, size):
    logits = (rng.normal(size=(n, size)) * rng.choice([0.1, 3.0, 40.0])).astype(np.float32)
    logits[rng.random((n, size)) < 0.1] = -np.inf
    logits[:, 0] = 1.0
    logits[rng.random((n, size)) < 0.2] = np.float32(0.5)  # equal values
    return logits


def make_masks(rng, n, size, share):
    bits = rng.random((n, (size + 31) // 32 * 32)) < share
    return np.packbits(bits, axis=1, bitorder="little").view(np.int32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99, 1.0])
def test_kernels_do_what_the_loops_do(size, share):
    rng = np.random.default_rng(size)
    logits, masks = make_rows(rng, 3, size), make_masks(rng, 3, size, share)
    for k in (1, 5, 40):
        ours = np.empty((3, k), np.int32), np.empty((3, k), np.float32), np.empty(3)
        wanted = np.empty((3, k), np.int32), np.empty((3, k), np.float32), np.empty(3)
        selection.select_top_k(logits, masks, *ours)
        reference.select_top_k(logits, masks, *wanted)
        assert (ours[0] == wanted[0]).all()
        assert np.allclose(ours[1], wanted[1], atol=1e-5, equal_nan=True)
        assert np.allclose(ours[2], wanted[2], rtol=1e-6, atol=1e-6)
    for row, mask in zip(logits, masks, strict=True):
        ours = np.empty(size, np.int32), np.empty(size, np.float32)
        wanted = np.empty(size, np.int32), np.empty(size, np.float32)
        count, normalizer = selection.allowed_logprobs(row, mask, *ours)
        expected, reference_normalizer = reference.allowed_logprobs(row, mask, *wanted)
        assert count == expected
        assert normalizer == pytest.approx(reference_normalizer, abs=1e-5)
        assert (ours[0][:count] == wanted[0][:count]).all()
        assert np.allclose(ours[1][:count], wanted[1][:count], atol=1e-5)
        assert selection.count_allowed(mask, size) == reference.count_allowed(mask, size)


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf])
def test_logits_that_are_no_numbers_are_found_anywhere(bad):
    for at in (0, 700, 999):
        row = np.zeros((1, 1000), np.float32)
        row[0, at] = bad
        normalizer = np.empty(1)
        selection.row_logsumexp(row, normalizer)
        assert not np.isfinite(normalizer[0])


def test_nothing_finite_has_no_normalizer():
    normalizer = np.empty(1)
    selection.row_logsumexp(np.full((1, 40), -np.inf, np.float32), normalizer)
    assert np.isnan(normalizer[0])


def test_the_sum_of_exponentials_is_exact_to_a_millionth():
    rng = np.random.default_rng(0)
    for scale in (0.01, 1.0, 30.0):
        rows = (rng.normal(size=(20, 5000)) * scale).astype(np.float32)
        normalizers = np.empty(20)
        selection.row_logsumexp(rows, normalizers)
        wanted = np.log(np.exp(rows.astype(np.float64)).sum(1))
        assert np.abs(normalizers - wanted).max() < 1e-6


def test_extreme_logits_do_not_overflow():
    row = np.asarray([[3e38, -3e38, 0.0]], np.float32)
    normalizer = np.empty(1)
    selection.row_logsumexp(row, normalizer)
    assert normalizer[0] == pytest.approx(3e38)
