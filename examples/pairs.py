"""A condition over two holes, a distribution, and beams, put together from parts.

python examples/pairs.py
"""

from lmql_like import Equals, OneOf, gen, hole, prompt

colours = [" red", " green", " blue"]
second = gen("SECOND", OneOf(colours) & ~Equals(hole("FIRST")))
pair = prompt("Two colors:", gen("FIRST", OneOf(colours)), ",", second, "\n")
best = pair.with_options(decoder="beam(n=3)")()
for result in (best, *best.others):
    print(f"{result.logprob:7.3f} {dict(result.variables)}")

sky = prompt("Q: What color is the sky?\nA:", gen("COLOUR", distribution=colours), "\n")
shares = sky().distributions["COLOUR"].probabilities
print({value: round(share, 3) for value, share in shares.items()})
