"""Random scripts over a small vocabulary, and how their results are compared with paths."""

import itertools
import math

from hypothesis import strategies as st
from reference.script import ask, end

from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.runtime.toy_model import ToyModel

TOKENS = [b"a", b"b", b"c", b"ab", b"ba", b"aab", b"bc", b"cc", b" ", b"\xc3", b"\xa9", b"\xa8"]
VOCABULARY = Vocabulary([*TOKENS, b"", b""], eos_token_ids=[len(TOKENS), len(TOKENS) + 1])

texts = st.text(alphabet="abc \u00e9\u00e8", max_size=4)
languages = st.frozensets(texts, min_size=1, max_size=5)
follows = st.sampled_from(["", "b", "ab", "c ", "bcc"])


@st.composite
def scripts(draw):
    """Two or three holes; what the second asks depends on the first."""
    first, last = draw(languages), draw(languages)
    branches = [draw(languages) for _ in range(2)]
    marks = [draw(follows) for _ in range(3)]
    says = [draw(st.sampled_from(["", "a", "ab ", "c"])) for _ in range(4)]
    has_third = draw(st.booleans())

    def script(values, arguments):
        if len(values) == 0:
            return ask(says[0] + arguments.get("x", ""), "A", first, marks[0])
        if len(values) == 1:
            is_long = len(values[0][1]) > 1
            return ask(marks[0] + says[1 + is_long], "B", branches[is_long], marks[1])
        if len(values) == 2 and has_third and "a" in values[1][1]:
            return ask(marks[1], "C", last, marks[2])
        return end(says[3], len(values))

    return script


models = st.builds(
    ToyModel,
    st.just(VOCABULARY),
    context=st.sampled_from([1, 3, None]),
    seed=st.integers(0, 1000),
    spread=st.sampled_from([0.5, 3.0]),
)


def assert_same(results, paths):
    assert [result.status for result in results] == [path.status for path in paths]
    for result, path in zip(results, paths, strict=True):
        assert math.isclose(result.logprob, path.logprob, abs_tol=1e-3)
    # Equal log-probabilities may come in any order.
    ours = sorted((round(r.logprob, 2), r.text, r.token_ids) for r in results)
    theirs = sorted((round(p.logprob, 2), p.text.decode(errors="ignore"), p.ids) for p in paths)
    gaps = [a.logprob - b.logprob for a, b in itertools.pairwise(paths)]
    if not any(gap < 1e-2 for gap in gaps):
        assert [item[1:] for item in ours] == [item[1:] for item in theirs]
