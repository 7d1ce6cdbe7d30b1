"""Traces of runs, and programs that go on behind others, on a toy model."""

from itertools import pairwise

import numpy as np
import pytest

from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.language.compiler import compile_query
from lmql_like.runtime.interpreter import Interpreter
from lmql_like.runtime.run import Run, run_program, start_run
from lmql_like.runtime.search.decoders import parse_decoder
from lmql_like.runtime.toy_model import ToyModel

SINGLES = [bytes([byte]) for byte in range(256)]
PAIRS = [b"ab", b"abc", b"hello", b" wor", b" world", b"\n\n", b".\n", b"x\ny", b"a b", b": "]
VOCABULARY = Vocabulary([*SINGLES, *PAIRS, b""], eos_token_ids=[266])
TWO_HOLES = '"Say [X] and" where REGEX(X, "[a-c]{2,5}")\n" then [Y]." where Y in ["yes", "no", X]'


def toy(**options):
    return ToyModel(VOCABULARY, **options)


def traced(text, decoder="argmax", seed=1, **options):
    return run_program(
        compile_query(text), model=toy(**options), decoder=decoder, seed=seed, trace=True
    )


def test_without_being_asked_nothing_is_recorded():
    [result] = run_program(compile_query(TWO_HOLES), model=toy())
    assert result.trace is None


@pytest.mark.parametrize("decoder", ["argmax", "sample(n=3)", "beam(n=3)"])
def test_a_trace_changes_nothing(decoder):
    plain = run_program(compile_query(TWO_HOLES), model=toy(), decoder=decoder, seed=1)
    results = traced(TWO_HOLES, decoder)
    assert [(r.text, r.logprob) for r in results] == [(r.text, r.logprob) for r in plain]


@pytest.mark.parametrize("decoder", ["sample(n=4)", "argmax", "beam(n=3)"])
def test_answers_spell_the_text_and_its_probability(decoder):
    for result in traced('"[X]" where REGEX(X, "([ab]|[cd]x?){3,9}")', decoder):
        answers = result.trace.answers
        assert b"".join(answer.data for answer in answers).decode() == result.text
        assert sum(answer.logprob for answer in answers) == pytest.approx(result.logprob)
        assert answers[-1].status == "complete"
        for before, after in pairwise(answers):
            assert after.question.parent is before
            assert after.total == pytest.approx(before.total + after.logprob)


def test_a_question_says_what_the_mask_allowed_and_what_the_model_wanted():
    model = toy()
    [result] = run_program(
        compile_query('"Say [X]!" where REGEX(X, "a|b.*")'), model=model, trace=True
    )
    question = result.trace.answers[0].question
    ids = model.encode("Say ", at_start=True)
    logits = model.logits_after(ids).astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum()
    may = [ord("a"), ord("b")]
    assert (question.hole.name, question.raw, question.text) == ("X", b"", "Say ")
    assert question.n_allowed == len(may)
    assert sorted(question.sample) == [b"a", b"b"]
    assert question.allowed_mass == pytest.approx(probabilities[may].sum())
    assert {c.token_id for c in question.candidates} == set(may)
    best = [int(at) for at in np.argsort(-probabilities)[: len(question.wanted)]]
    assert [c.token_id for c in question.wanted] == best
    assert [c.is_allowed for c in question.wanted] == [at in may for at in best]
    assert [c.logprob for c in question.wanted] == pytest.approx(np.log(probabilities[best]))


def test_beams_make_one_tree():
    results = traced(TWO_HOLES, "beam(n=3)")
    record = results[0].trace.run
    assert all(result.trace.run is record for result in results)
    roots = [question for question in record.questions if question.parent is None]
    assert len(roots) == 1
    for answer in record.answers:
        at = answer
        while at.question.parent is not None:
            at = at.question.parent
        assert at.question is roots[0]
    assert sum(r.passes for r in record.rounds) <= results[0].usage.forward_passes


def test_a_result_without_a_question_has_an_empty_trace():
    [result] = traced('"[X]" where X == "only"')
    assert result.trace.answers == ()
    assert result.trace.dead_end is None


PIECES = [
    '"Say [X] and" where REGEX(X, "[a-c]{2,5}")\nn = 2',
    '" then"',
    '"[Y]." where Y in ["yes", "no", X]\nfor i in range(n):\n    "\\n[Z]" where len(Z) == n + i',
    '" {X}{Y}: "',
    '"[Y]" where REGEX(Y, "[xyz]+") and len(Y) < 4',
]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("first", range(len(PIECES) - 2))
def test_programs_in_a_row_are_one_program(seed, first):
    """Tokens included: what stands behind the last hole is encoded with what follows."""
    pieces = PIECES[first:]
    if first:
        pieces = ['X = "ab"\nn = 3', *pieces]
    model = toy(seed=seed, spread=6.0)
    [whole] = run_program(compile_query("\n".join(pieces)), model=model)
    complete, known = None, set()
    for piece in pieces:
        program = compile_query(piece, parameters=(), scope=known)
        run = start_run(program, model=model, after=complete)
        [complete] = run.finished()
        known = set(complete.step.state.names)
    assert complete.text == whole.text
    assert complete.ids == whole.token_ids
    assert complete.logprob == pytest.approx(whole.logprob)
    assert dict(complete.step.state.variables) == dict(whole.variables)


def test_functions_of_an_earlier_program_see_the_names_of_the_later_one():
    model, namespace, complete = toy(), {}, None
    for text in ("k = 1\ndef f():\n    return k", "k = 2", '"{f()}"'):
        known = set(complete.step.state.names) if complete else set()
        program = compile_query(text, parameters=(), scope=known)
        run = Run(
            Interpreter(program, namespace=namespace),
            [{}],
            model=model,
            decoder=parse_decoder("argmax"),
            after=complete,
        )
        [complete] = run.finished()
    assert complete.text == "2"


def test_a_question_knows_the_conditions_of_its_hole():
    text = '"[X]" where len(X) < 4 and "a" in X'
    [result] = traced(text)
    conditions = result.trace.answers[0].question.hole.conditions
    assert [text[span.start : span.end] for _, span in conditions] == ["len(X) < 4", '"a" in X']


def test_going_on_leaves_the_earlier_state_alone():
    model = toy()
    first = start_run(compile_query('items = []\n"[X]" where len(X) == 1'), model=model)
    [before] = first.finished()
    program = compile_query(
        '"[Y]" where len(Y) == 1\nitems.append(Y)\nreturn items',
        parameters=(),
        scope=set(before.step.state.names),
    )
    for _ in range(2):
        run = start_run(program, model=model, after=before)
        [result] = run.results()
        assert len(result.value) == 1
    assert before.step.state.names["items"] == []


def test_a_dead_end_is_a_question_without_an_answer():
    """The model gives the one token that the mask allows no probability at all."""

    class Sure(ToyModel):
        def logits_after(self, ids):
            logits = super().logits_after(ids)
            logits[[ord("a"), ord("b")]] = -np.inf
            return logits

    [result] = run_program(
        compile_query('"[X]" where REGEX(X, "a|b")'), model=Sure(VOCABULARY), trace=True
    )
    assert result.status == "dead-end"
    assert result.trace.dead_end.n_allowed == 2
    assert result.trace.answers == ()
