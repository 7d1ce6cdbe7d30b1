"""Sizes in bytes as people write them: `2GiB`, `500 MB`, `1.5g`."""

from __future__ import annotations

import re

__all__ = ["parse_size"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b?)", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return the bytes that a text names; `K`, `KiB` are 1,024, `KB` is 1,000.

    Raises:
        ValueError: it names none.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[3].lower() == "i"):
        raise ValueError(f"'{text}' is no size such as 2GiB, 500MB or 1073741824")
    base = 1000 if match[2] and match[3].lower() == "b" else 1024
    power = " kmgt".index(match[2].lower()) if match[2] else 0
    return int(float(match[1]) * base**power)
