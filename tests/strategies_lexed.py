"""Small lexed grammars over three letters, and how their states are completed."""

from hypothesis import assume
from hypothesis import strategies as st

from lmql_like.errors import GrammarError
from lmql_like.grammars import compile_grammar
from lmql_like.grammars.cfg.lexed_grammar import read_lexed

ALPHABET = b"abc"
TERMINALS = [
    '"a"',
    '"ab"',
    '"c"',
    "/a+/",
    "/[ab]+/",
    "/b/",
    "/ab?/",
    "/b+c/",
    "/[a-c]b*/",
    "/a(?!b)/",
    "/b+(?!c)/",
    "/a.*?c/",
]


@st.composite
def grammars(draw):
    """A small Lark grammar over a, b and c, often with ignored text and recursion."""
    chosen = draw(st.lists(st.sampled_from(TERMINALS), min_size=1, max_size=4, unique=True))
    priorities = draw(st.lists(st.sampled_from(["", "", ".1"]), min_size=4, max_size=4))
    names = [f"T{i}" for i in range(len(chosen))]
    lines = [f"{n}{p}: {t}" for n, p, t in zip(names, priorities, chosen, strict=False)]
    symbol = st.sampled_from([*names, *names, "r", "s"])
    item = st.tuples(symbol, st.sampled_from(["", "", "", "?", "*"])).map("".join)
    sequence = st.lists(item, min_size=1, max_size=3).map(" ".join)
    for rule in ("start", "r", "s"):
        options = draw(st.lists(sequence, min_size=1, max_size=3))
        lines.append(f"{rule}: {' | '.join(options)}")
    if draw(st.booleans()) and len(names) > 1:
        lines.append(f"%ignore {names[-1]}")
    return "\n".join(lines) + "\n"


def shortest_completion(dfa, state, limit=2000):
    """Bytes that lead from a state to an accepting one, breadth first."""
    seen, layer = {state}, [(state, b"")]
    while layer:
        following = []
        for current, text in layer:
            if dfa.accepting(current):
                return text
            for byte in ALPHABET:
                target = dfa.advance(current, bytes([byte]))
                if target and target not in seen:
                    seen.add(target)
                    following.append((target, text + bytes([byte])))
        if len(seen) > limit:
            return None
        layer = following
    return None


def compiled(text):
    try:
        return read_lexed(text), compile_grammar(text)
    except GrammarError:
        assume(False)
