"""Many inputs keep the batch full: the place of one that ends is taken by the next."""

import pytest

from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.batch import Batch
from lmql_like.runtime.run import start_run
from lmql_like.runtime.toy_model import ToyModel

LETTERS = Vocabulary([bytes([byte]) for byte in b"abcdefgh "] + [b""], eos_token_ids=[9])
PROGRAM = compile_query('"a[X]" where len(TOKENS(X)) == n')
LENGTHS = [1, 30, 2, 3, 4, 5, 6, 7, 2, 1, 20]


def start(lengths, *, max_rows=2, **options):
    return start_run(
        PROGRAM,
        ({"n": n} for n in lengths),
        model=ToyModel(LETTERS),
        max_rows=max_rows,
        seed=1,
        **options,
    )


def test_a_long_input_does_not_hold_up_the_others():
    run = start(LENGTHS)
    results = run.results()
    assert [len(result.variables["X"]) for result in results] == LENGTHS
    tokens = sum(LENGTHS)
    # Two rows at a time: 50 passes for the one long row and all others beside it; in
    # batches of two it would be 30 + 3 + 5 + 7 + 2 + 20.
    assert results[0].usage.forward_passes <= tokens / 2 + 12
    assert results[0].usage.rows == tokens


def test_inputs_are_taken_when_there_is_room_and_results_come_in_order():
    taken = []

    def lengths():
        for n in LENGTHS:
            taken.append(n)
            yield n

    found = []
    for (result,) in start(lengths()).by_input():
        found.append(len(result.variables["X"]))
        if len(found) == 1:
            assert len(taken) < 6
    assert found == LENGTHS


def test_what_was_handed_out_is_forgotten():
    run = start([2, 3])
    first = next(run.by_input())
    assert len(first[0].variables["X"]) == 2
    assert [len(result.variables["X"]) for result in run.results()] == [3]


@pytest.mark.parametrize("decoder", ["sample(n=3)", "beam(n=2)", "grid(n=2)"])
def test_each_comes_out_as_alone(decoder):
    together = [
        [(r.text, r.input_index) for r in results]
        for results in start(LENGTHS[2:8], decoder=decoder, indices=range(10, 16)).by_input()
    ]
    alone = [
        [(r.text, r.input_index) for r in start([n], decoder=decoder, indices=[10 + i]).results()]
        for i, n in enumerate(LENGTHS[2:8])
    ]
    assert together == alone


def test_an_input_that_fails_takes_no_place():
    program = compile_query('"a[X]" where len(X) == 1\nif 1 / n: pass\n"b[Y]" where len(Y) == 1')
    model = ToyModel(LETTERS)
    inputs = [{"n": 1}, {"n": 0}, {"n": 2}]
    found = list(start_run(program, inputs, model=model, max_rows=1).by_input())
    assert [results[0].status for results in found] == ["complete", "error", "complete"]


def test_a_grid_asks_for_the_rows_of_its_cells():
    program = compile_query('"a[X]" where INCLUDES(X, phrases) and len(TOKENS(X)) == 6')
    inputs = [{"phrases": phrases} for phrases in (["ab"], ["abc", "de"], [], ["h"])]
    model = ToyModel(LETTERS)
    most = []
    rearrange = Batch.rearrange

    def noted(self, going, arriving):
        rearrange(self, going, arriving)
        most.append(len(self.hypotheses))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batch, "rearrange", noted)
        run = start_run(program, inputs, model=model, decoder="grid(n=2)", max_rows=14)
        found = list(run.by_input())
    assert max(most) <= 14  # the second alone needs 2 * (2 + 5)
    for given, results in zip(inputs, found, strict=True):
        for phrase in given["phrases"]:
            assert phrase in results[0].variables["X"]
