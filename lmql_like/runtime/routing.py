"""Where a mixture of experts sent a token."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RoutedToken"]


@dataclass(frozen=True, slots=True)
class RoutedToken:
    """Where one token went.

    Attributes:
        token_id: the token that was read.
        entropies: for each of these layers that of its router's distribution, in nats;
            empty where the routers are not known.
        experts: for each layer with experts the numbers of those used, as the router
            ordered them; -1 where a capacity dropped the token.
        weights: their weights, likewise.
    """

    token_id: int
    experts: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    entropies: tuple[float, ...] = ()
