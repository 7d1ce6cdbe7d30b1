"""Decoders that users write: the same interface as ours."""

import pytest
from reference.random_scripts import VOCABULARY
from reference.script import ask, end, run_script

from lmql_like.errors import RunError
from lmql_like.grammars.formulas import matches, one_of, token_count
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.run import run_program
from lmql_like.runtime.search.decoders import _STARTS, DECODERS, decoder, parse_decoder
from lmql_like.runtime.search.strategy import Strategy
from lmql_like.runtime.toy_model import ToyModel


@pytest.fixture(autouse=True)
def _forgotten():
    """Forget the decoders that a test adds."""
    known = set(DECODERS)
    yield
    for name in set(DECODERS) - known:
        del DECODERS[name], _STARTS[name]


class Patches(Strategy):
    """Breadth first with everything kept back: one hypothesis goes on at a time."""

    width = None
    ranks = True
    capacity = 1

    def __init__(self):
        self.kept, self.done = [], []

    def step(self, offers, take):
        for parent, offer in enumerate(offers):
            for choice in offer.choices(parent):
                child = take(choice)
                self.done.append(child) if child.is_settled else self.kept.append(child)
        return [(None, self.kept.pop())] if self.kept else []

    def finish(self, hypothesis):
        self.done.append(hypothesis)

    def kept_back(self):
        return self.kept

    def results(self):
        return sorted(self.done, key=lambda hypothesis: -hypothesis.logprob)


def script(values, _arguments):
    if not values:
        return ask("a", "X", matches("[ab]{1,3}") & token_count(0, 2))
    if len(values) == 1 and "b" in values[0][1]:
        return ask("c ", "Y", one_of(["aab", "c"]))
    return end("cc")


@pytest.mark.parametrize("seed", range(4))
def test_what_is_kept_back_goes_on_as_if_it_never_was(seed):
    @decoder
    def patches(_context):
        return Patches()

    model = ToyModel(VOCABULARY, seed=seed, context=None)
    ours = run_script(script, model=model, decoder="patches")
    beam = run_script(script, model=model, decoder="beam(n=500)")
    assert [r.token_ids for r in ours] == [r.token_ids for r in beam]
    for one, other in zip(ours, beam, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=1e-4)


def test_parameters_come_from_the_function():
    seen = []

    @decoder
    def tuned(context, *, width=3, share=0.5, mode="slow", seed=None, max_len=50):
        """Tells what it was given."""
        seen.append((context.input_index, width, share, mode, seed, max_len, context.max_len))
        return Patches()

    model = ToyModel(VOCABULARY)
    run_script(script, model=model, decoder="tuned(width=2, share=1)", seed=7)
    run_script(script, model=model, decoder="tuned(seed=3, max_len=40)", seed=7)
    assert seen == [(0, 2, 1, "slow", 7, 50, 50), (0, 3, 0.5, "slow", 3, 40, 40)]
    assert DECODERS["tuned"].meaning == "Tells what it was given."
    for call in ("tuned(width=2.5)", "tuned(width=True)", "tuned(mode=1)"):
        with pytest.raises(RunError) as caught:
            parse_decoder(call)
        assert caught.value.code == "R203"


def test_a_query_may_name_it():
    @decoder
    def named(_context, *, n=1):
        del n
        return Patches()

    program = compile_query('named(n=2)\n    "a[X]" where X in ["b", "cc"]')
    results = run_program(program, model=ToyModel(VOCABULARY))
    assert {result.variables["X"] for result in results} == {"b", "cc"}
    assert results[0].decoder == "named(n=2)"


def test_every_parameter_needs_a_default():
    with pytest.raises(TypeError, match="'n' of a decoder needs a default"):

        @decoder
        def wrong(_context, n):
            return n

    with pytest.raises(TypeError, match="the search's context"):

        @decoder
        def worse(n=1):
            return n


def test_a_decoder_without_results_is_told():
    class Nothing(Patches):
        def results(self):
            return []

    @decoder
    def nothing(_context):
        return Nothing()

    model = ToyModel(VOCABULARY)
    with pytest.raises(RunError) as caught:
        run_script(script, model=model, decoder="nothing")
    assert caught.value.code == "R208"
    results = run_script(script, [{}, {}], model=model, decoder="nothing")
    assert [result.status for result in results] == ["error", "error"]
