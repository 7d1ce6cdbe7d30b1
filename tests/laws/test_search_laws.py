"""Searches find what plain loops over every token find, on random scripts."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmql_like.grammars.formulas import matches, stops_at, stops_before, token_count
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.runtime.toy_model import ToyModel
from tests.reference.script import ask, end, run_script, start_script, with_formulas
from tests.reference.search import Reference

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


@settings(max_examples=60, deadline=None)
@given(scripts(), models)
def test_a_wide_beam_finds_the_best_of_everything(script, model):
    paths = Reference(script, model).everything()
    if len(paths) > 400:
        return
    results = run_script(with_formulas(script), model=model, decoder="beam(n=400)")
    assert_same(results, paths)


@settings(max_examples=60, deadline=None)
@given(scripts(), models, st.integers(2, 4))
def test_a_narrow_beam_keeps_what_the_naive_one_keeps(script, model, n):
    paths = Reference(script, model).beam(n)
    near = [a.logprob - b.logprob for a, b in itertools.pairwise(paths)]
    if any(gap < 1e-4 for gap in near):
        return
    results = run_script(with_formulas(script), model=model, decoder=f"beam(n={n})")
    assert_same(results, paths)


@settings(max_examples=60, deadline=None)
@given(scripts(), models)
def test_argmax_takes_the_likeliest_choices(script, model):
    path = Reference(script, model).greedy()
    (result,) = run_script(with_formulas(script), model=model)
    assert result.status == path.status
    assert result.text == path.text.decode(errors="ignore")
    assert result.token_ids == path.ids
    assert result.usage.unscored_tokens == len(path.unscored)
    assert math.isclose(result.logprob, path.logprob, abs_tol=1e-3)


@settings(max_examples=30, deadline=None)
@given(scripts(), models, st.integers(1, 14), st.sampled_from([None, 1, 3]))
def test_a_length_limit_truncates(script, model, max_len, n):
    decoder = f"argmax(max_len={max_len})" if n is None else f"beam(n={n}, max_len={max_len})"
    results = run_script(with_formulas(script), model=model, decoder=decoder)
    reference = Reference(script, model, max_len=max_len)
    paths = [reference.greedy()] if n is None else reference.beam(n)
    assert [result.status for result in results] == [path.status for path in paths]
    if n is None:
        assert results[0].token_ids == paths[0].ids
    for result in results:
        spelled = b"".join(VOCABULARY.tokens[i] for i in result.token_ids)
        assert spelled.decode(errors="ignore") == result.text


DECODERS = ["argmax", "sample(n=3)", "sample(temperature=0.5, top_k=3)", "beam(n=3)"]


@pytest.mark.parametrize("decoder", DECODERS)
@settings(max_examples=25, deadline=None)
@given(scripts(), models, st.integers(1, 9))
def test_a_batch_is_its_single_runs(decoder, script, model, max_rows):
    inputs = [{"x": "a" * n + "bc"[n % 2]} for n in range(4)]
    script = with_formulas(script)
    batch = run_script(script, inputs, model=model, decoder=decoder, max_rows=max_rows)
    singles = [
        result
        for n, arguments in enumerate(inputs)
        for result in run_script(script, [arguments], model=model, decoder=decoder, first_index=n)
    ]
    assert [(r.input_index, r.text, r.status, r.token_ids, round(r.logprob, 4)) for r in batch] == [
        (r.input_index, r.text, r.status, r.token_ids, round(r.logprob, 4)) for r in singles
    ]


@pytest.mark.parametrize("decoder", DECODERS)
@settings(max_examples=25, deadline=None)
@given(scripts(), models)
def test_tokens_spell_the_text_and_the_text_keeps_its_constraints(decoder, script, model):
    for result in run_script(with_formulas(script), model=model, decoder=decoder):
        assert result.status == "complete"
        spelled = b"".join(VOCABULARY.tokens[i] for i in result.token_ids)
        assert spelled.decode() == result.text
        assert "".join(piece.data.decode() for piece in result.segments) == result.text
        values = ()
        while True:
            step = script(values, {})
            if step[0] == "end":
                break
            assert result.variables[step[2]] in step[3]
            values += ((step[2], result.variables[step[2]]),)
        assert step[2] == result.value


STRADDLING = Vocabulary(
    [b"a", b"b", b".", b"!", b"a.", b".b", b"..", b"!a", b"b!.", b".!a", b"aba", b""],
    eos_token_ids=[11],
)


@pytest.mark.parametrize("decoder", DECODERS)
@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([".", "!", ".!", "b!", "..", "aba"]), min_size=1, max_size=2),
    st.booleans(),
    st.integers(0, 500),
)
def test_what_a_stop_phrase_takes_back_leaves_no_trace(decoder, phrases, is_kept, seed):
    stop = stops_at(phrases) if is_kept else stops_before(phrases)

    def script(values, _arguments):
        if len(values) < 2:
            return ask("a", "XY"[len(values)], matches("[ab.!]*") & stop & token_count(0, 8))
        return end("b")

    model = ToyModel(STRADDLING, seed=seed)
    run = start_script(script, model=model, decoder=decoder)
    events = list(run.events())
    for result in run.results():
        assert result.status == "complete"
        assert result.text == "a" + result.variables["X"] + "a" + result.variables["Y"] + "b"
        assert b"".join(STRADDLING.tokens[i] for i in result.token_ids).decode() == result.text
        for value in result.variables.values():
            found = [value.find(phrase) for phrase in phrases if phrase in value]
            assert not found or (is_kept and value.endswith(tuple(phrases)))
    first = run.results()[0]
    assert "".join(event.text for event in events if event.lane == 0) == first.text
