"""Dynamic beam allocation (Post and Vilar 2018): a beam divided among banks.

Hypotheses are sorted into banks by how far they have come. Each bank gets the same share
of the beam, the furthest one the remainder; what a bank cannot fill goes to the next
further one, and what the furthest cannot fill goes back down.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["allocate"]


def allocate(filled: Mapping[int, int], n: int) -> dict[int, int]:
    """Return how many of a beam's places each bank gets.

    Args:
        filled: for each bank, by how far it is, how many candidates it has.
        n: places of the beam.

    Returns:
        Places by bank: never more than its candidates, and `n` in all where there are as
        many candidates.
    """
    banks = sorted(filled)
    places = dict.fromkeys(banks, n // len(banks)) if banks else {}
    if banks:
        places[banks[-1]] += n % len(banks)
    over = 0
    for bank in (*banks, *reversed(banks)):
        places[bank] += over
        over = max(0, places[bank] - filled[bank])
        places[bank] -= over
    return places
