"""What `lmql_like.kernels.selection` computes, in plain loops; same signatures."""

import math


def is_allowed(mask, token):
    return bool((int(mask[token // 32]) >> (token % 32)) & 1)


def logsumexp(row):
    values = [float(value) for value in row]
    largest = max(values)
    if any(math.isnan(value) for value in values) or math.isinf(largest):
        return math.nan
    return largest + math.log(sum(math.exp(value - largest) for value in values))


def select_top_k(logits, bitmask, ids, logprobs, normalizers):
    for r, row in enumerate(logits):
        normalizers[r] = logsumexp(row)
        allowed = [i for i in range(len(row)) if is_allowed(bitmask[r], i) and row[i] > -math.inf]
        best = sorted(allowed, key=lambda i: (-row[i], i))[: ids.shape[1]]
        ids[r] = -1
        logprobs[r] = -math.inf
        for j, i in enumerate(best):
            ids[r, j] = i
            logprobs[r, j] = row[i] - normalizers[r]


def row_logsumexp(logits, normalizers):
    for r, row in enumerate(logits):
        normalizers[r] = logsumexp(row)


def allowed_logprobs(row, mask, ids, logprobs):
    normalizer = logsumexp(row)
    count = 0
    for i, value in enumerate(row):
        if is_allowed(mask, i) and value > -math.inf:
            ids[count] = i
            logprobs[count] = value - normalizer
            count += 1
    return count, normalizer


def count_allowed(mask, size):
    allowed = [i for i in range(size) if is_allowed(mask, i)]
    return min(len(allowed), 2), allowed[0] if allowed else -1
