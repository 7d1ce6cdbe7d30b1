r"""Sets of characters as sorted, disjoint, closed ranges of code points.

Classes such as `\w` are asked of Python's own `re` over all of Unicode, once, so they
agree with `re.fullmatch` under every version of the Unicode tables. Surrogates are in no
set: they have no UTF-8 form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

import numpy as np

__all__ = [
    "ALL_CHARACTERS",
    "EMPTY",
    "Ranges",
    "category",
    "complement",
    "fold_case",
    "intersect",
    "point",
    "single",
    "union",
]

Ranges: TypeAlias = tuple[tuple[int, int], ...]

EMPTY: Ranges = ()
ALL_CHARACTERS: Ranges = ((0, 0xD7FF), (0xE000, 0x10FFFF))


@lru_cache(maxsize=4096)
def single(char: str) -> Ranges:
    """Return the set of one character."""
    return intersect(((ord(char), ord(char)),), ALL_CHARACTERS)


def point(char: str) -> Ranges:
    """Return one code point as it is, a surrogate too: an end of a range, or given to `union`."""
    return ((ord(char), ord(char)),)


def union(sets: Iterable[Ranges]) -> Ranges:
    """Return the characters that are in any of the sets."""
    merged: list[list[int]] = []
    for low, high in sorted(pair for ranges in sets for pair in ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], high)
        else:
            merged.append([low, high])
    return intersect(tuple((low, high) for low, high in merged), ALL_CHARACTERS)


def intersect(left: Ranges, right: Ranges) -> Ranges:
    """Return the characters that are in both sets."""
    out: list[tuple[int, int]] = []
    i = j = 0
    while i < len(left) and j < len(right):
        low, high = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if low <= high:
            out.append((low, high))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(out)


def complement(ranges: Ranges) -> Ranges:
    """Return all characters that are not in the set."""
    gaps: list[tuple[int, int]] = []
    next_low = 0
    for low, high in ranges:
        if low > next_low:
            gaps.append((next_low, low - 1))
        next_low = high + 1
    if next_low <= 0x10FFFF:
        gaps.append((next_low, 0x10FFFF))
    return intersect(tuple(gaps), ALL_CHARACTERS)


@lru_cache(maxsize=1)
def _every_character() -> str:
    """Return the text of all code points in order, surrogates too: index is code point."""
    return np.arange(0x110000, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")


@lru_cache(maxsize=1)
def _cased_characters() -> str:
    """Return all characters that have another case, in order."""
    words = re.finditer(r"\w+", _every_character())
    symbols = "".join(chr(c) for c in range(0x24B6, 0x24EA))  # circled letters are no \w
    text = "".join(match.group() for match in words) + symbols + "\u0345"
    return "".join(sorted({c for c in text if c.lower() != c or c.upper() != c}))


@lru_cache(maxsize=64)
def category(escape: str, flags: int = 0) -> Ranges:
    r"""Return the characters of a class escape such as ``\w`` under re.ASCII or 0."""
    runs = re.finditer(f"{escape}+", _every_character(), flags)
    return union([tuple((match.start(), match.end() - 1) for match in runs)])


@lru_cache(maxsize=4096)
def fold_case(ranges: Ranges, text: str, flags: int) -> Ranges:
    """Return the set that a one-character pattern means under re.IGNORECASE.

    Args:
        ranges: the set without the flag.
        text: the pattern of the one character, such as "[a-k]".
        flags: re flags, IGNORECASE among them.
    """
    cased = _cased_characters()
    uncased = complement(union([tuple((ord(c), ord(c)) for c in cased)]))
    matched = re.compile(text, flags).findall(cased)
    return union([intersect(ranges, uncased), tuple((ord(c), ord(c)) for c in matched)])
