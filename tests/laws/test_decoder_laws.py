"""Every decoder finds what its plain loops find, on random scripts over a toy model."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.decoders import Decoders
from reference.random_scripts import VOCABULARY, assert_same, languages, scripts
from reference.script import Phrased, ask, end, run_script, start_script, with_formulas

from lmql_like.runtime.toy_model import ToyModel

# A model that looks far back: sums of log-probabilities are hardly ever equal.
models = st.builds(
    ToyModel,
    st.just(VOCABULARY),
    context=st.sampled_from([3, None]),
    seed=st.integers(0, 1000),
    spread=st.sampled_from([0.5, 3.0]),
)
phrases = st.text(alphabet="abc \u00e9", min_size=1, max_size=3)
goals = st.lists(st.lists(phrases, min_size=1, max_size=2, unique=True), min_size=1, max_size=3)


@st.composite
def phrased_scripts(draw):
    """A hole with phrases to include, and perhaps a second one behind it."""
    own = draw(goals)
    between = st.sampled_from(["", "a", " b", "cc"])
    built = [
        draw(between).join([*(draw(st.sampled_from(goal)) for goal in draw(st.permutations(own)))])
        + draw(between)
        for _ in range(draw(st.integers(1, 6)))
    ]
    first = Phrased([*built, *draw(languages)], own)
    second = draw(languages)
    has_second, says = draw(st.booleans()), draw(st.sampled_from(["", "ab "]))

    def script(values, _arguments):
        if not values:
            return ask("a", "A", first, draw_follow)
        if len(values) == 1 and has_second:
            return ask(says, "B", second, "")
        return end("c")

    draw_follow = draw(st.sampled_from(["", "b", "c "]))
    return script


def check(script, model, decoder, paths):
    gaps = [a.logprob - b.logprob for a, b in itertools.pairwise(paths)]
    if any(abs(gap) < 1e-4 for gap in gaps):
        return
    results = run_script(with_formulas(script), model=model, decoder=decoder)
    assert_same(results, paths)


LAWS = settings(max_examples=30, deadline=None)
penalties = st.sampled_from([0.0, 0.7, 1.0, -0.5])
early = st.sampled_from([False, True, "heuristic"])


@LAWS
@given(scripts(), models, st.integers(2, 4), penalties, early)
def test_beam(script, model, n, penalty, stopping):
    paths = Decoders(script, model).beam(n, penalty, stopping)
    decoder = f"beam(n={n}, length_penalty={penalty}, early_stopping={stopping!r})"
    check(script, model, decoder, paths)


@LAWS
@given(scripts(), models, st.sampled_from([(2, 2), (4, 2), (6, 3)]), st.sampled_from([0, 0.5, 3]))
def test_diverse_beam(script, model, sizes, diversity):
    n, groups = sizes
    paths = Decoders(script, model).diverse_beam(n, groups, diversity)
    decoder = f"beam(n={n}, groups={groups}, diversity_penalty={diversity})"
    results = run_script(with_formulas(script), model=model, decoder=decoder)
    ours = sorted((r.text, r.token_ids, round(r.logprob, 3)) for r in results)
    theirs = sorted((p.text.decode(errors="ignore"), p.ids, round(p.logprob, 3)) for p in paths)
    assert [item[:2] for item in ours] == [item[:2] for item in theirs]


@LAWS
@given(
    scripts(),
    models,
    st.integers(1, 4),
    st.integers(0, 99),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from([None, 2, 5]),
)
def test_beam_sample(script, model, n, seed, temperature, top_k):
    paths = Decoders(script, model).beam_sample(n, seed, temperature, top_k)
    decoder = f"beam_sample(n={n}, seed={seed}, temperature={temperature}, top_k={top_k})"
    check(script, model, decoder, paths)


@LAWS
@given(
    scripts(),
    models,
    st.integers(1, 4),
    st.integers(1, 40),
    st.sampled_from([0, 1.0, 3.0]),
    st.sampled_from([0.0, 0.05, 0.3]),
    st.sampled_from([2, 500]),
)
def test_best_k(script, model, k, budget, kappa, gamma, heap):
    paths = Decoders(script, model).best_k(k, budget, kappa, 0.5, gamma, heap, 3)
    decoder = (
        f"best_k(k={k}, budget={budget}, kappa={kappa}, gamma={gamma}, max_heap_size={heap}, "
        "top_k_continuations=3)"
    )
    check_by_score(script, model, decoder, paths)


def check_by_score(script, model, decoder, paths):
    results = run_script(with_formulas(script), model=model, decoder=decoder)
    ours = [(r.status, r.text, r.token_ids) for r in results]
    theirs = [(p.status, p.text.decode(errors="ignore"), p.ids) for p in paths]
    assert sorted(ours) == sorted(theirs)
    for result, path in zip(
        sorted(results, key=lambda r: r.token_ids), sorted(paths, key=lambda p: p.ids), strict=True
    ):
        assert result.logprob == pytest.approx(path.logprob, abs=1e-3)


@LAWS
@given(
    scripts(),
    models,
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 99),
    st.sampled_from(["sample", "beam", "beam_seq"]),
)
def test_var(script, model, b, n, seed, subdecoder):
    paths = Decoders(script, model, max_len=384).var(b, n, subdecoder, seed)
    decoder = f"var(b={b}, n={n}, subdecoder={subdecoder!r}, seed={seed})"
    check_by_score(script, model, decoder, paths)


@LAWS
@given(scripts(), models, st.integers(1, 4), st.sampled_from([None, 1.2]))
def test_beam_var(script, model, n, prune):
    paths = Decoders(script, model).beam_var(n, prune=prune)
    check_by_score(script, model, f"beam_var(n={n}, prune={prune})", paths)


@LAWS
@given(phrased_scripts(), models, st.integers(1, 4), penalties, early, st.booleans())
def test_grid(script, model, n, penalty, stopping, dynamic):
    paths = Decoders(script, model).grid(n, penalty, stopping, dynamic)
    banks = "dynamic" if dynamic else "full"
    decoder = f"grid(n={n}, banks={banks!r}, length_penalty={penalty}, early_stopping={stopping!r})"
    check_by_score(script, model, decoder, paths)


@LAWS
@given(phrased_scripts(), models)
def test_a_wide_grid_finds_the_best_of_everything(script, model):
    paths = Decoders(script, model).everything()
    if len(paths) > 300:
        return
    assert_same(run_script(with_formulas(script), model=model, decoder="grid(n=300)"), paths)


@pytest.mark.parametrize(
    "decoder",
    [
        "beam(n=3)",
        "beam(n=4, groups=2)",
        "beam_sample(n=3)",
        "best_k(k=2, max_heap_size=4)",
        "var(b=3, n=2)",
        "var(subdecoder='beam')",
        "beam_var(n=2)",
        "grid(n=2)",
    ],
)
@settings(max_examples=20, deadline=None)
@given(scripts(), models)
def test_what_is_streamed_is_never_taken_back(decoder, script, model):
    run = start_script(with_formulas(script), model=model, decoder=decoder)
    events = list(run.events())
    assert {event.lane for event in events} <= {0}
    assert "".join(event.text for event in events) == run.results()[0].text
