"""Stop phrases that are taken back where the vocabulary does not hold every byte."""

from __future__ import annotations

import pytest
from reference.script import ask, end, run_script

from lmql_like.grammars.formulas import equals, stops_before
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.runtime.toy_model import ToyModel


class Fixed(ToyModel):
    """A toy that prefers some tokens, one after another."""

    def __init__(self, tokens, wanted):
        super().__init__(Vocabulary([*tokens, b""], eos_token_ids=[len(tokens)]))
        self.tokens, self.wanted = tokens, wanted

    def logits_after(self, ids):
        logits = super().logits_after(ids)
        at = len(ids) - 2  # behind the start token and "Q"
        if at < len(self.wanted):
            logits[self.tokens.index(self.wanted[at])] += 50
        return logits


def script(values, _arguments):
    if not values:
        return ask("Q", "X", stops_before("\n"))
    if len(values) == 1:
        return ask("Q", "Y", equals("b"))
    return end()


def run(tokens, wanted, decoder):
    results = run_script(script, model=Fixed(tokens, wanted), decoder=decoder)
    return results[0]


@pytest.mark.parametrize("decoder", ["argmax", "beam(n=2)", "sample(temperature=0.01)"])
def test_earlier_tokens_are_spelled_anew_with_the_rest(decoder):
    tokens = [b"Q", b"b", b"x\n", b"bx"]
    result = run(tokens, [b"b", b"b", b"x\n"], decoder)
    assert (result.status, result.text) == ("complete", "QbbxQb")
    spelled = [tokens[token_id] for token_id in result.token_ids[1:]]
    assert spelled == [b"Q", b"b", b"bx", b"Q", b"b"]


@pytest.mark.parametrize("decoder", ["argmax", "sample(temperature=0.01)"])
def test_a_text_that_no_tokens_spell_is_a_dead_end(decoder):
    result = run([b"Q", b"b", b"x\n"], [b"b", b"x\n"], decoder)
    assert (result.status, result.text, result.error) == ("dead-end", "Qbx\n", None)
    assert result.variables == {}


def test_a_beam_goes_on_with_what_can_be_spelled():
    result = run([b"Q", b"b", b"x\n", b"\n"], [b"b", b"x\n"], "beam(n=4)")
    assert result.status == "complete"
    assert "x" not in result.variables["X"]
