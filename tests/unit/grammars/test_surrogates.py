"""Surrogates have no UTF-8 form: nothing matches them, in whatever way a pattern names them."""

import re

import pytest

from lmql_like.grammars import compile_regex


@pytest.mark.parametrize(
    "pattern",
    [
        r"[\ud800-\udfff]",
        r"[^\ud800-\udfff]",
        r"[a-\udfff]",
        r"[\ud800-\ue001]",
        r"[\ud800a]",
        r"\ud800|b",
        "[\ud800-\udfff]",
    ],
)
def test_a_surrogate_may_end_a_range(pattern):
    automaton = compile_regex(pattern)
    for char in "-abz\ud7ff\ue000\ue001\ue002":
        assert automaton.matches(char) == bool(re.fullmatch(pattern, char)), char
