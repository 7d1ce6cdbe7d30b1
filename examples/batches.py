"""Different queries, awaited together: they share the model's forward passes.

python examples/batches.py
"""

import asyncio

import lmql_like


@lmql_like.query
async def capital(country: str) -> None:
    """
    "Q: What is the capital of {country}?\n"
    "A:[CAPITAL]" where STOPS_BEFORE(CAPITAL, "\n")
    return CAPITAL.strip()
    """


@lmql_like.query(decoder="beam(n=2)")
async def add(a: int, b: int) -> None:
    """
    "{a} + {b} =[SUM: int]\n"
    return SUM
    """


async def main() -> None:
    countries = ["France", "Italy", "Japan"]
    results = await asyncio.gather(*map(capital, countries), add(3, 4), add(20, 30))
    print([result.value for result in results])
    print("passes that each took part in:", [r.usage.forward_passes for r in results])


asyncio.run(main())
