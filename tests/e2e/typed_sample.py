"""Calls of queries, as a type checker sees them: read by test_dsl.py, never run."""

from __future__ import annotations

from typing import reveal_type

import lmql_like


@lmql_like.query
def capital(country: str, *, mark: str = "?") -> None:
    """
    "{country}{mark}[X]"
    """


@lmql_like.query(decoder="beam(n=2)")
async def later(n: int) -> None:
    """
    "{n}[X]"
    """


class Shop:
    """Has a query as a method."""

    @lmql_like.query
    def offer(self, first: str) -> None:
        """
        "{first}[X]"
        """


async def main() -> None:
    """Use them, rightly and wrongly."""
    reveal_type(capital("France", mark="!"))
    reveal_type(await later(3))
    reveal_type(Shop().offer("a"))
    reveal_type(capital.stream("a").result)
    reveal_type(lmql_like.run("[X]", a=1))
    reveal_type(await lmql_like.arun(capital, country="a"))
    reveal_type(lmql_like.prompt("a", lmql_like.gen("X", lmql_like.Length() <= 3))())
    capital(3)  # wrong
    capital("a", "b")  # wrong
    capital.with_options(seed=1)()  # wrong
    await later("x")  # wrong
    Shop().offer()  # wrong
    _ = later(3).variables  # wrong
    lmql_like.gen("X", where="len(X) < 3")  # wrong
