"""The recognizers that runs share, also runs in several threads."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from lmql_like.grammars.formulas import equals
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.runtime import masking
from lmql_like.runtime.masking import recognizer_for


@pytest.fixture
def vocabulary():
    return Vocabulary([*(bytes([byte]) for byte in range(256)), b""], eos_token_ids=[256])


def test_threads_that_build_one_constraint_at_once_share_the_first(vocabulary):
    barrier = Barrier(4)

    def build(_formula, _vocabulary):
        barrier.wait(timeout=60)  # all four have missed
        return object()

    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda _: recognizer_for(equals("a"), vocabulary, build=build), range(4))
        )
    assert len(set(map(id, found))) == 1


def test_threads_may_drop_what_others_use(vocabulary, monkeypatch):
    monkeypatch.setattr(masking, "_MAX_RECOGNIZERS", 2)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def use(seed):
        for n in range(2000):
            text = str((n * seed) % 5)
            assert recognizer_for(equals(text), vocabulary, build=lambda f, _: f) == equals(text)

    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(use, (1, 2, 3, 4)))
    finally:
        sys.setswitchinterval(interval)


def test_the_least_recently_used_is_dropped(vocabulary, monkeypatch):
    monkeypatch.setattr(masking, "_MAX_RECOGNIZERS", 2)
    built = []

    def build(formula, _vocabulary):
        built.append(formula)
        return formula

    for text in "abacab":
        recognizer_for(equals(text), vocabulary, build=build)
    assert built == [equals(text) for text in "abcb"]
