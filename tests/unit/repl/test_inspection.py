"""What `:mask`, `:why`, `:tree` and the other commands say, against brute force."""

import math

import numpy as np
import pytest
from rich.console import Console

from lmql_like.errors import LmqlLikeError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.repl.commands import COMMANDS, Desk, perform
from lmql_like.repl.inspection import look_at_mask, look_at_token
from lmql_like.repl.session import Attempt, Session
from lmql_like.runtime.toy_model import ToyModel
from lmql_like.runtime.trace_tree import grow_tree

SINGLES = [bytes([byte]) for byte in range(256)]
PAIRS = [b"ab", b"abc", b"ba", b"yes", b"bb"]
VOCABULARY = Vocabulary([*SINGLES, *PAIRS, b""], eos_token_ids=[261])
MODEL = ToyModel(VOCABULARY)
HOLE = '"Say [X]!" where X in ["abba", "abc", "b", "ba"] and len(X) < 4 and "q" not in X'


def session_after(*inputs, decoder="argmax"):
    session = Session(lambda _: MODEL, decoder=decoder, seed=1)
    for text in inputs:
        session.keep(session.begin(text))
    return session


def probabilities(text):
    logits = MODEL.logits_after(MODEL.encode(text, at_start=True)).astype(np.float64)
    return np.exp(logits) / np.exp(logits).sum()


@pytest.mark.parametrize("text", ["", "a", "ab", "b", "ba", "abc"])
def test_masks_are_those_of_brute_force(text):
    view = look_at_mask(session_after(HOLE), text)
    words = ["abc", "b", "ba"]
    may = {
        token_id
        for token_id, data in enumerate(VOCABULARY.tokens)
        if data and any(word.startswith(text + data.decode("latin-1")) for word in words)
    }
    model = probabilities("Say " + text)
    assert (view.hole, view.fits, view.may_end) == ("X", True, text in words)
    assert view.n_allowed == len(may)
    assert {candidate.token_id for candidate in view.allowed} == may
    shown = [candidate.logprob for candidate in view.allowed]
    assert shown == sorted(shown, reverse=True)
    assert shown == pytest.approx([math.log(model[c.token_id]) for c in view.allowed])
    ends = [261] if view.may_end else []
    assert view.mass == pytest.approx(model[[*may, *ends]].sum())
    assert not {candidate.token_id for candidate in view.refused} & {*may, *ends}


def test_a_text_that_cannot_be_continued_fits_nothing():
    assert not look_at_mask(session_after(HOLE), "x").fits


def test_each_condition_says_whether_it_allows_a_token():
    session = session_after(HOLE)
    view = look_at_token(session, "ab", "ba")
    assert not view.allows
    assert [(v.condition, v.allows) for v in view.verdicts] == [
        ('X in ["abba", "abc", "b", "ba"]', True),
        ("len(X) < 4", False),
        ('"q" not in X', True),
    ]
    model = probabilities("Say ab")
    at = VOCABULARY.tokens.index(b"ba")
    assert view.logprob == pytest.approx(math.log(model[at]))
    assert view.rank == 1 + sum(model > model[at])
    assert view.allowed_rank is None


def test_conditions_that_exclude_each_other_only_together():
    session = session_after('"[X]" where REGEX(X, "ab*c|bb?") and REGEX(X, "ab*d|bb?")')
    view = look_at_token(session, "", "a")
    assert not view.allows
    assert all(verdict.allows for verdict in view.verdicts)


def test_a_text_of_several_tokens_has_the_probability_of_all_of_them():
    view = look_at_token(session_after(HOLE), "", "bz")
    first, second = probabilities("Say ")[ord("b")], probabilities("Say b")[ord("z")]
    assert (view.n_pieces, view.rank) == (2, None)
    assert view.logprob == pytest.approx(math.log(first * second))


def leaves(branches):
    for branch in branches:
        if branch.branches:
            yield from leaves(branch.branches)
        else:
            yield branch


@pytest.mark.parametrize("decoder", ["beam(n=3)", "sample(n=4)", "argmax"])
def test_the_tree_has_a_leaf_for_every_result_and_adds_up(decoder):
    session = session_after('"Say [X]!" where REGEX(X, "[ab]{3,5}")', decoder=decoder)
    results = session.last.results
    branches = grow_tree(results[0].trace.run)

    def check(branch, before):
        assert branch.last.total == pytest.approx(before + branch.logprob)
        for inner in branch.branches:
            check(inner, branch.last.total)

    for branch in branches:
        check(branch, 0.0)
    ended = [leaf for leaf in leaves(branches) if leaf.status == "complete"]
    totals = [leaf.last.total for leaf in ended]
    for result in results:
        assert any(total == pytest.approx(result.logprob) for total in totals)
    known = {leaf.last.text for leaf in ended}
    assert {result.text for result in results} <= known


def shown(desk, line):
    answer = perform(desk, line)
    assert not isinstance(answer, Attempt)
    console = Console(width=300, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(answer if answer is not None else "")
    return console.export_text()


def test_commands_say_what_they_did(tmp_path):
    desk = Desk(session_after("n = 1", HOLE, decoder="beam(n=2)"))
    assert "<- kept" in shown(desk, ":tree")
    assert "2 inputs, decoder beam(n=2), model embedded" in shown(desk, ":stats")
    assert "'ba' behind 'ab' in [X]: not allowed" in (
        shown(desk, ':mask "ab"') and shown(desk, ":why ba")
    )
    assert "len(X) < 4" in shown(desk, ":why ba")
    assert "tokens allowed" in shown(desk, ":mask")
    assert "no text that begins like this" in shown(desk, ":mask zz")
    assert "* argmax" in " ".join(
        (shown(desk, ":decoder argmax") + shown(desk, ":decoder")).split()
    )
    assert "seed 7" in shown(desk, ":seed 7")
    assert "a new one" in shown(desk, ":seed none")
    assert "262 tokens" in shown(desk, ":model embedded")
    file = tmp_path / "a b.lmql"
    assert f"lmql-like run '{file}'" in shown(desk, f":save {file}")
    assert "saved" in shown(desk, f":save {file}")
    assert file.read_text().startswith("n = 1\n")
    assert "taken back: " in shown(desk, ":undo")
    with pytest.raises(LmqlLikeError) as caught:
        perform(desk, f":save {file}")
    assert caught.value.code == "Q507"
    assert "saved" in shown(desk, f":save! {file}")
    assert file.read_text() == "n = 1\n"
    assert "empty again" in shown(desk, ":reset")
    for name in COMMANDS:
        assert name in shown(desk, ":help")
    perform(desk, ":quit")
    assert desk.is_over


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (":nothing", "Q504"),
        (":save", "Q504"),
        (":seed x", "Q504"),
        (":why", "Q504"),
        (':mask "a', "Q504"),
        (":load f.lmql a", "Q504"),
        (":load 'f.lmql", "Q504"),
        (":load no-such.lmql", "Q007"),
        (":save no/such/folder/f.lmql", "Q507"),
        (":decoder beem", "R201"),
        (":mask a", "Q505"),
        (":why a", "Q505"),
        (":tree", "Q505"),
        (":undo", "Q505"),
    ],
)
def test_commands_that_cannot_be_carried_out(line, code):
    with pytest.raises(LmqlLikeError) as caught:
        perform(Desk(session_after()), line)
    assert caught.value.code == code


def test_load_begins_anew(tmp_path):
    file = tmp_path / "two words.lmql"
    file.write_text('"{a}: [X]" where X == "b"')
    desk = Desk(session_after('"before"'))
    attempt = perform(desk, f":load '{file}' a='x y'")
    attempt.session.keep(attempt)
    assert attempt.session.text == "x y: b"
    assert desk.session.text == "before"
