"""Runs that share batches: the results of each alone, in about as many passes as the longest."""

from __future__ import annotations

import asyncio
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lmql_like
from lmql_like.dsl.running import MAX_TOGETHER
from lmql_like.errors import ModelError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.runtime.meeting import Meeting
from lmql_like.runtime.toy_model import ToyModel

TOKENS = [bytes([byte]) for byte in range(256)]
VOCABULARY = Vocabulary([*TOKENS, b"ab", b""], eos_token_ids=[257])


class Counting(ToyModel):
    """Counts the passes of all its states."""

    passes = 0

    def new_state(self, n_rows):
        model, state = self, super().new_state(n_rows)
        extend = state.extend

        def counted(new_ids, keep):
            model.passes += 1
            return extend(new_ids, keep)

        state.extend = counted
        return state


def together(*queries):
    async def all_of_them():
        return await asyncio.gather(*(make() for make in queries))

    return asyncio.run(all_of_them())


QUERIES = {
    '"A[X]" where REGEX(X, "[a-f]{8}")': "argmax",
    '"B[X]b[Y]" where REGEX(X, "[a-f]{3}") and REGEX(Y, "[0-9]{4}")': "beam(n=3)",
    '"A[X]" where len(X) == 6': "sample(n=2, temperature=2.0)",
    '"A[X]" distribution X in ["aa", "ab", "abcdef"]\n"[Z]" where len(Z) == 3': "argmax",
    'for i in range(4):\n    "{i}[X]" where X in ["abcd", "bcda"]': "beam(n=2)",
}


def test_awaited_queries_give_what_each_gives_alone_in_shared_passes():
    model = Counting(VOCABULARY)
    alone, passes = [], []
    for text, decoder in QUERIES.items():
        before = model.passes
        alone.append(lmql_like.run(text, model=model, decoder=decoder, seed=4))
        passes.append(model.passes - before)
    model.passes = 0
    found = together(
        *(
            lambda text=text, decoder=decoder: lmql_like.arun(
                text, model=model, decoder=decoder, seed=4
            )
            for text, decoder in QUERIES.items()
        )
    )
    assert [r.text for r in found] == [r.text for r in alone]
    assert [r.logprob for r in found] == pytest.approx([r.logprob for r in alone])
    assert [[o.text for o in r.others] for r in found] == [
        [o.text for o in r.others] for r in alone
    ]
    assert max(passes) <= model.passes < sum(passes) * 0.6


def test_many_equal_queries_take_the_passes_of_one(monkeypatch):
    monkeypatch.setattr("lmql_like.runtime.meeting.PATIENCE", 30)  # on a busy machine, too
    model = Counting(VOCABULARY)
    query = '"A{i}[X]" where REGEX(X, "[a-f]{6}")'
    lmql_like.run(query, model=model, i=0)
    one, model.passes = model.passes, 0
    results = together(
        *(lambda i=i: lmql_like.arun(query, model=model, i=i) for i in range(MAX_TOGETHER))
    )
    assert model.passes <= one + 2
    for i, result in enumerate(results):
        assert result.text == lmql_like.run(query, model=model, i=i).text


def test_more_queries_than_fit_wait():
    model = ToyModel(VOCABULARY)
    query = '"A{i}[X]" where X in ["ab", "ba"]'
    count = 2 * MAX_TOGETHER + 3
    results = together(*(lambda i=i: lmql_like.arun(query, model=model, i=i) for i in range(count)))
    assert [r.text[:-2] for r in results] == [f"A{i}" for i in range(count)]


def test_a_query_that_waits_for_a_tool_does_not_hold_the_others():
    model, released = ToyModel(VOCABULARY), threading.Event()
    times = {}

    async def timed(name, text, **arguments):
        result = await lmql_like.arun(text, model=model, **arguments)
        times[name] = time.monotonic()
        if name == "quick":
            released.set()
        return result

    slow = '"A[X]" where X in ["ab", "ba"]\nok = wait()\n"{ok}[Y]" where Y in ["ab", "ba"]'
    quick = '"A[X]" where REGEX(X, "[a-f]{8}")'
    first, second = together(
        lambda: timed("slow", slow, wait=lambda: released.wait(60)),
        lambda: timed("quick", quick),
    )
    assert "True" in first.text  # the quick one went on to its end while the slow one waited
    assert second.status == "complete"
    assert times["quick"] < times["slow"]


def test_an_error_of_one_query_is_its_own():
    model = ToyModel(VOCABULARY)
    good = '"A[X]" where REGEX(X, "[a-f]{8}")'

    async def both():
        return await asyncio.gather(
            lmql_like.arun(good, model=model),
            lmql_like.arun('"A[X]" where X in ["a", "b"]\n{}["none"]', model=model),
            return_exceptions=True,
        )

    fine, failed = asyncio.run(both())
    assert fine.text == lmql_like.run(good, model=model).text
    assert isinstance(failed.__cause__, KeyError)


def test_an_error_of_the_model_reaches_every_query():
    class Broken(ToyModel):
        def new_state(self, n_rows):
            state = super().new_state(n_rows)

            def fail(*_):
                raise ModelError("M201", "broken")

            state.extend = fail
            return state

    async def both():
        query = '"A[X]" where X in ["a", "b"]'
        model = Broken(VOCABULARY)
        return await asyncio.gather(
            *(lmql_like.arun(query, model=model) for _ in range(3)), return_exceptions=True
        )

    assert [error.code for error in asyncio.run(both())] == ["M201"] * 3


def test_cancelling_stops_the_decoding():
    model = Counting(VOCABULARY)

    async def cancelled():
        begun, loop = asyncio.Event(), asyncio.get_running_loop()
        task = asyncio.ensure_future(
            lmql_like.arun(
                '"A[X]" where len(X) > 5000',
                model=model,
                decoder="argmax(max_len=9000)",
                stream=lambda _: loop.call_soon_threadsafe(begun.set),
            )
        )
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.3)
        before = model.passes
        await asyncio.sleep(0.3)
        assert model.passes == before

    asyncio.run(cancelled())


def logits_of(model, ids):
    state = model.new_state(1)
    return state.extend([ids], [1])[0][-1]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_law_of_states_holds_for_members(data):
    """After any extend, gather and rewind of several members, rows are those of fresh runs."""
    model = ToyModel(VOCABULARY)
    meeting = Meeting(model)
    members = [meeting.join() for _ in range(2)]
    states = [member.new_state(data.draw(st.integers(1, 2))) for member in members]
    read = [[()] * state.n_rows for state in states]
    ids = st.lists(st.integers(0, 5), max_size=3).map(tuple)
    for _ in range(data.draw(st.integers(1, 8))):
        who = data.draw(st.integers(0, 1))
        state, rows = states[who], read[who]
        act = data.draw(st.sampled_from(["extend", "extend", "gather", "rewind"]))
        if act == "gather":
            chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=3))
            state.gather(chosen)
            read[who] = [rows[i] for i in chosen]
        elif act == "rewind":
            counts = [data.draw(st.integers(0, len(row))) for row in rows]
            state.rewind(counts)
            read[who] = [row[: len(row) - n] for row, n in zip(rows, counts, strict=True)]
        else:
            new = [data.draw(ids) for _ in rows]
            other = members[1 - who]
            meeting.leave(other)  # one thread acts for both: nobody waits
            blocks = state.extend(new, [min(1, len(some)) for some in new])
            meeting._members.add(other)
            read[who] = [row + some for row, some in zip(rows, new, strict=True)]
            for block, row, some in zip(blocks, read[who], new, strict=True):
                if some:
                    np.testing.assert_allclose(block[-1], logits_of(model, row), atol=1e-5)
