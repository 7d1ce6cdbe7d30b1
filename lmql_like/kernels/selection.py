"""From one step's logits and bitmasks to the few candidates that a search looks at.

A search step needs two numbers from a row of logits: the log-sum-exp over the *whole*
vocabulary, which turns logits into the model's own log-probabilities, and the best few
tokens that the bitmask allows. Doing this with array operations writes several
temporaries as large as the logits; here one call reads each row twice and writes
nothing but the answers.

What makes the loops fast:

* a row is read in slices of 512 floats, so that they stay in the first-level cache and
  the compiler knows that no index wraps around;
* "is any of these better than the k-th best so far", allowed or not, is an integer count,
  which vectorizes; only a slice that contains a better one is looked at word by word, in
  the same way, and only a word that does value by value;
* exp is a polynomial for 2**f times an exponent written as bits (relative error of the
  sum below 1e-6, see `tests/unit/runtime`), which vectorizes where libm's does not;
* a bitmask word of 32 tokens is skipped when it is zero.

No kernel runs threads of its own: a second thread pool beside torch's costs more than
it brings. The kernels release the global interpreter lock. Naive twins with the same
signatures are in `tests/reference/selection.py`.

Layout of a bitmask: bit `i` of word `w` is token `32 * w + i`; 1 means allowed.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["allowed_logprobs", "count_allowed", "row_logsumexp", "select_listed", "select_top_k"]

_BLOCK = 512
_WORDS = _BLOCK // 32
_LOG2E = np.float32(1.4426950408889634)
_LN2 = 0.6931471805599453
# 2**f for f in [-1, 0], least relative error among the polynomials of degree 5.
_C0 = np.float32(0.99999995)
_C1 = np.float32(0.69314320)
_C2 = np.float32(0.24017950)
_C3 = np.float32(0.05529962)
_C4 = np.float32(0.00921088)
_C5 = np.float32(0.00094755)
_ABS = np.int32(0x7FFFFFFF)
_INFINITY_BITS = np.int32(0x7F800000)
_REASSOCIATE = {"reassoc", "contract", "nsz"}


@njit(cache=True, nogil=True)
def _row_maximum(row: NDArray[np.float32]) -> tuple[np.float32, bool]:
    """Return the largest value of a row, and whether every value is a number.

    Compares the bits as integers, mapped so that their order is the floats' order: an
    integer maximum vectorizes, a float maximum must mind NaN and does not.
    """
    bits = row.view(np.int32)
    best = np.int32(-(2**31))
    n_bad = np.int64(0)
    for begin in range(0, len(bits), _BLOCK):
        block = bits[begin : begin + _BLOCK]
        bad = np.int32(0)
        for i in range(len(block)):
            value = block[i]
            key = value ^ ((value >> np.int32(31)) & _ABS)
            best = max(best, key)
            bad += np.int32((value & _ABS) > _INFINITY_BITS)
        n_bad += bad
    holder = np.empty(1, np.int32)
    holder[0] = best ^ ((best >> np.int32(31)) & _ABS)
    return holder.view(np.float32)[0], n_bad == 0


@njit(cache=True, nogil=True, fastmath=_REASSOCIATE)
def _sum_of_exponentials(
    row: NDArray[np.float32], maximum: np.float32, scratch: NDArray[np.int32]
) -> np.float64:
    """Return sum(exp(row - maximum)); `scratch` int32[_BLOCK] is overwritten."""
    total = np.float64(0.0)
    as_float = scratch.view(np.float32)
    for begin in range(0, len(row), _BLOCK):
        block = row[begin : begin + _BLOCK]
        part = np.float32(0.0)
        for i in range(len(block)):
            power = max((block[i] - maximum) * _LOG2E, np.float32(-126.0))
            whole = np.int32(power)
            f = power - np.float32(whole)
            scratch[i] = (whole + np.int32(127)) << np.int32(23)
            poly = _C0 + f * (_C1 + f * (_C2 + f * (_C3 + f * (_C4 + f * _C5))))
            part += poly * as_float[i]
        total += part
    return total


@njit(cache=True, nogil=True)
def _logsumexp(row: NDArray[np.float32], scratch: NDArray[np.int32]) -> np.float64:
    """Return log(sum(exp(row))), or NaN where the row has a NaN or no finite maximum."""
    maximum, is_number = _row_maximum(row)
    if not is_number or not np.isfinite(maximum):
        return np.float64(np.nan)
    total: np.float64 = np.log(_sum_of_exponentials(row, maximum, scratch))
    return np.float64(maximum) + total


@njit(cache=True, nogil=True)
def _insert(
    ids: NDArray[np.int32], values: NDArray[np.float32], token: int, value: np.float32
) -> None:
    """Insert into the descending array `values`; among equals the earlier one stays first."""
    at = len(values) - 1
    while at > 0 and values[at - 1] < value:
        values[at] = values[at - 1]
        ids[at] = ids[at - 1]
        at -= 1
    values[at] = value
    ids[at] = token


@njit(cache=True, nogil=True)
def _count_better(values: NDArray[np.float32], threshold: np.float32) -> np.int32:
    """Count the values above a threshold, allowed or not."""
    count = np.int32(0)
    for i in range(len(values)):
        count += np.int32(values[i] > threshold)
    return count


@njit(cache=True, nogil=True)
def _any_bit(words: NDArray[np.int32]) -> bool:
    """Tell whether any token of some words is allowed."""
    some = np.int32(0)
    for w in range(len(words)):
        some |= words[w]
    return some != 0


@njit(cache=True, nogil=True)
def _scan(
    values: NDArray[np.float32],
    words: NDArray[np.int32],
    first: int,
    ids: NDArray[np.int32],
    best: NDArray[np.float32],
) -> None:
    """Insert every allowed value above the k-th best; value `i` is token `first + i`."""
    last = len(best) - 1
    for w in range((len(values) + 31) // 32):
        word = words[w]
        if word == 0:
            continue
        lane = values[32 * w : 32 * w + 32]
        if _count_better(lane, best[last]) == 0:
            continue
        for i in range(len(lane)):
            if (word >> np.int32(i)) & np.int32(1) and lane[i] > best[last]:
                _insert(ids, best, first + 32 * w + i, lane[i])


@njit(cache=True, nogil=True)
def select_top_k(
    logits: NDArray[np.float32],
    bitmask: NDArray[np.int32],
    ids: NDArray[np.int32],
    logprobs: NDArray[np.float32],
    normalizers: NDArray[np.float64],
) -> None:
    """Find the best allowed tokens of every row, with the model's own log-probabilities.

    Args:
        logits: (in) float32[n, vocabulary].
        bitmask: (in) int32[n, ceil(vocabulary / 32)]; bits beyond the vocabulary are ignored.
        ids: (out) int32[n, k], best first, smaller ids first among equals, -1 where fewer
            than k tokens are allowed. A token whose logit is -inf is never returned.
        logprobs: (out) float32[n, k], logits minus the row's log-sum-exp over the whole
            vocabulary, in nats; -inf where the id is -1.
        normalizers: (out) float64[n], that log-sum-exp; NaN where a row holds a NaN, +inf
            or nothing finite (its ids are then still ordered by logit).
    """
    scratch = np.empty(_BLOCK, np.int32)
    n_rows, size = logits.shape
    whole = size // _BLOCK * _BLOCK
    last = ids.shape[1] - 1
    for r in range(n_rows):
        row, mask, row_ids, best = logits[r], bitmask[r], ids[r], logprobs[r]
        row_ids[:] = -1
        best[:] = -np.inf
        for begin in range(0, whole, _BLOCK):
            words = mask[begin // 32 : begin // 32 + _WORDS]
            values = row[begin : begin + _BLOCK]
            if _any_bit(words) and _count_better(values, best[last]) > 0:
                _scan(values, words, begin, row_ids, best)
        _scan(row[whole:], mask[whole // 32 :], whole, row_ids, best)
        normalizers[r] = _logsumexp(row, scratch)
        for j in range(last + 1):
            best[j] = best[j] - normalizers[r]


@njit(cache=True, nogil=True)
def row_logsumexp(logits: NDArray[np.float32], normalizers: NDArray[np.float64]) -> None:
    """Write the log-sum-exp of every row.

    Args:
        logits: (in) float32[n, vocabulary].
        normalizers: (out) float64[n]; NaN where a row holds a NaN, +inf or nothing finite.
    """
    scratch = np.empty(_BLOCK, np.int32)
    for r in range(len(logits)):
        normalizers[r] = _logsumexp(logits[r], scratch)


@njit(cache=True, nogil=True)
def allowed_logprobs(
    row: NDArray[np.float32],
    mask: NDArray[np.int32],
    ids: NDArray[np.int32],
    logprobs: NDArray[np.float32],
) -> tuple[int, np.float64]:
    """List every allowed token of one row with its log-probability, in order of the ids.

    Args:
        row: (in) float32[vocabulary].
        mask: (in) int32[ceil(vocabulary / 32)].
        ids: (out) int32[vocabulary], filled from the front.
        logprobs: (out) float32[vocabulary], filled from the front; normalized over the
            whole vocabulary, in nats.

    Returns:
        How many tokens are listed (those with a logit of -inf are left out), and the
        log-sum-exp of the row (NaN where it holds a NaN, +inf or nothing finite).
    """
    normalizer = _logsumexp(row, np.empty(_BLOCK, np.int32))
    count = 0
    size = len(row)
    for w in range(len(mask)):
        word = mask[w]
        if word == 0:
            continue
        for i in range(32 * w, min(32 * w + 32, size)):
            if (word >> np.int32(i & 31)) & np.int32(1) and row[i] > -np.inf:
                ids[count] = i
                logprobs[count] = row[i] - normalizer
                count += 1
    return count, normalizer


@njit(cache=True, nogil=True)
def select_listed(
    row: NDArray[np.float32],
    mask: NDArray[np.int32],
    listed: NDArray[np.int32],
    normalizer: float,
    ids: NDArray[np.int32],
    logprobs: NDArray[np.float32],
) -> int:
    """Find the best allowed ones of a few listed tokens of one row.

    Args:
        row: (in) float32[vocabulary], the logits.
        mask: (in) int32[ceil(vocabulary / 32)].
        listed: (in) int32[m], token ids in ascending order.
        normalizer: (in) log-sum-exp of the row.
        ids: (out) int32[k], best first, smaller ids first among equals.
        logprobs: (out) float32[k], logits minus the normalizer.

    Returns:
        How many are found; what stands behind them in `ids` and `logprobs` means nothing.
    """
    ids[:] = -1
    logprobs[:] = -np.inf
    last = len(ids) - 1
    for token in listed:
        if (mask[token >> 5] >> np.int32(token & 31)) & np.int32(1) and row[token] > logprobs[last]:
            _insert(ids, logprobs, token, row[token])
    count = 0
    while count <= last and ids[count] >= 0:
        logprobs[count] = logprobs[count] - normalizer
        count += 1
    return count


@njit(cache=True, nogil=True)
def count_allowed(mask: NDArray[np.int32], size: int) -> tuple[int, int]:
    """Return (0, 1 or 2 for "more than one"; the smallest allowed id or -1).

    Args:
        mask: (in) int32[ceil(size / 32)].
        size: tokens of the vocabulary; bits beyond it are ignored.
    """
    count, only = 0, -1
    for w in range(len(mask)):
        if mask[w] == 0:
            continue
        for i in range(32 * w, min(32 * w + 32, size)):
            if (mask[w] >> np.int32(i & 31)) & np.int32(1):
                if count == 1:
                    return 2, only
                count, only = 1, i
    return count, only
