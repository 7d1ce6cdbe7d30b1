"""INCLUDES and EXCLUDES in queries: whatever the decoder, results contain what they must."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmql_like.errors import LmqlLikeError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.run import run_program
from lmql_like.runtime.toy_model import ToyModel

LETTERS = [bytes([byte]) for byte in b"abcdefghijklmnopqrstuvwxyz .,\n"]
MERGED = [b" new", b" ne", b"w y", b"york", b" york", b"year", b" year", b"ar.", b"new y", b"k."]
VOCABULARY = Vocabulary([*LETTERS, *MERGED, b""], eos_token_ids=[len(LETTERS) + len(MERGED)])

DECODERS = [
    "argmax",
    "sample(n=2)",
    "beam(n=3)",
    "beam(n=4, groups=2, diversity_penalty=1.0)",
    "beam_sample(n=3)",
    "best_k",
    "var",
    "beam_var(n=2)",
    "grid(n=2)",
    "grid(n=8, banks='dynamic')",
    "grid(n=2, early_stopping=True, length_penalty=1.0)",
]


def run(query, *, seed=0, decoder="grid(n=2)", **arguments):
    model = ToyModel(VOCABULARY, seed=seed)
    return run_program(compile_query(query), arguments, model=model, decoder=decoder, seed=seed)


QUERY = (
    '"a[X]." where INCLUDES(X, ["new york", ["new year", "may"]]) and EXCLUDES(X, [".", "z"]) '
    "and len(X) < 40"
)


@pytest.mark.parametrize("decoder", DECODERS)
@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10**6))
def test_every_result_contains_every_phrase(decoder, seed):
    for result in run(QUERY, seed=seed, decoder=decoder):
        text = result.variables["X"]
        assert result.status == "complete"
        assert "new york" in text
        assert "new year" in text or "may" in text
        assert "." not in text
        assert "z" not in text


@given(st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_phrases_with_a_shared_beginning_are_both_reached(seed):
    query = '"a[X]" where INCLUDES(X, [["new york", "new year"]]) and len(X) < 12'
    results = run(query, seed=seed, decoder="grid(n=60, early_stopping=True)")
    texts = [result.variables["X"] for result in results]
    assert any("new york" in text for text in texts)
    assert any("new year" in text for text in texts)
    both = '"a[X]" where INCLUDES(X, ["new york", "new year"]) and len(X) < 25'
    for result in run(both, seed=seed, decoder="grid(n=2, early_stopping=True)"):
        assert {"new york", "new year"} <= {
            phrase for phrase in ("new york", "new year") if phrase in result.variables["X"]
        }


def test_grammars_stand_beside_phrases():
    query = r'"a[X]" where REGEX(X, r"([a-y]{2,8} )+[a-y]{2,8}") and INCLUDES(X, "w york")'
    for result in run(query + " and len(X) < 30", decoder="grid(n=3)"):
        assert "w york" in result.variables["X"]
        assert all(2 <= len(word) <= 8 for word in result.variables["X"].split(" "))


def test_phrases_come_from_values_of_the_run():
    query = '"a[X]b[Y]" where len(X) == 2 and INCLUDES(Y, [X, words]) and len(Y) < 9'
    for result in run(query, words=["ab", "cd"], decoder="grid(n=2)"):
        assert result.variables["X"] in result.variables["Y"]
        assert "ab" in result.variables["Y"] or "cd" in result.variables["Y"]


def test_coverage_orders_but_never_weakens():
    query = '"a[X]" where (INCLUDES(X, "york") or X == "no") and not INCLUDES(X, ["a", "b"])'
    for result in run(query + " and len(X) < 9", decoder="grid(n=6)"):
        text = result.variables["X"]
        assert "york" in text or text == "no"
        assert not ("a" in text and "b" in text)


@pytest.mark.parametrize(
    ("condition", "code", "said"),
    [
        ("INCLUDES(X)", "Q203", "a phrase or a list of phrases"),
        ("INCLUDES(X, 3)", "Q208", "a string or a list of strings"),
        ("INCLUDES(X, ['a', 3])", "Q208", "a string or a list of strings"),
        ("INCLUDES(X, ['a', ['b', 3]])", "Q208", "strings in the list"),
        ("INCLUDES(X, 'ab') and len(X) < 2", "Q211", ""),
        ("EXCLUDES(X, 'a') and X == 'a'", "Q211", ""),
    ],
)
def test_mistakes_are_named(condition, code, said):
    with pytest.raises(LmqlLikeError) as caught:
        compile_query(f'"[X]" where {condition}')
    assert caught.value.code == code
    assert said in caught.value.render()


def test_nothing_to_include_includes_nothing():
    for phrases in ("[]", "['']", "''", "[['', 'a']]"):
        (result,) = run(f'"a[X]" where INCLUDES(X, {phrases}) and X == "b"', decoder="argmax")
        assert result.variables["X"] == "b"
