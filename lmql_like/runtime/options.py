"""The values of a distribution: spelled in tokens, tested by the hole's constraint, scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.runtime.distributions import Distribution, log_sum
from lmql_like.runtime.masking import Recognizer
from lmql_like.runtime.model import LanguageModel
from lmql_like.runtime.scoring import Ids, Scorer, spellings
from lmql_like.runtime.steps import Options
from lmql_like.runtime.token_index import token_index

__all__ = ["ScoredOptions", "score_options", "score_texts"]


@dataclass(frozen=True)
class ScoredOptions:
    """A distribution, and the tokens and log-probability of its best value's own spelling."""

    distribution: Distribution
    best_ids: Ids
    best_logprob: float


def score_options(
    prompt: Ids,
    options: Options,
    *,
    scorer: Scorer,
    encode: Callable[[bytes], Sequence[int]],
    vocabulary: Vocabulary,
    recognizer: Recognizer | None = None,
) -> ScoredOptions:
    """Return how likely each value is behind a prompt.

    Args:
        prompt: its tokens.
        options: the values.
        scorer: asks the model.
        encode: gives the tokenizer's spelling of some bytes.
        vocabulary: gives all spellings.
        recognizer: of the hole's constraint; a spelling it refuses does not count.

    Raises:
        RunError: R206, a value has too many spellings.
    """
    texts = [value.encode() for value in options.values]
    own = [tuple(encode(text)) for text in texts]
    ways = [[ids] for ids in own]
    if options.all_tokenizations:
        index = token_index(vocabulary)
        ways = [spellings(text, index) for text in texts]
    if recognizer is not None:
        ways = [
            [ids for ids in spelled if _fits(recognizer, ids, text)]
            for spelled, text in zip(ways, texts, strict=True)
        ]
    asked = {ids for spelled in ways for ids in spelled}
    known = scorer.logprobs(prompt, {*asked, *own})
    found = Distribution(
        options.values,
        tuple(log_sum(tuple(known[ids] for ids in spelled)) for spelled in ways),
        tuple(len(ids) for ids in own),
    )
    best = found.values.index(found.best)
    ids = own[best]
    if ways[best] and ids not in ways[best]:  # only another spelling fits: the likeliest
        ids = max(ways[best], key=known.__getitem__)
    logprob = known[ids] if math.isfinite(found.log_mass) else -math.inf
    return ScoredOptions(found, ids, logprob)


def score_texts(model: LanguageModel, prompt: str, options: Options) -> Distribution:
    """Return how likely some values are behind a prompt's text."""

    def encode(data: bytes) -> list[int]:
        return model.encode(data.decode(), at_start=False)

    return score_options(
        tuple(model.encode(prompt, at_start=True)),
        options,
        scorer=Scorer(model),
        encode=encode,
        vocabulary=model.vocabulary,
    ).distribution


def _fits(recognizer: Recognizer, ids: Ids, text: bytes) -> bool:
    """Tell whether a constraint accepts a text in this spelling, and takes nothing of it back."""
    masker = recognizer.masker
    state = masker.start()
    for token_id in ids:
        if state is None:
            return False
        state = masker.advance(state, token_id)
    return (
        state is not None
        and masker.is_accepting(state)
        and recognizer.automaton.value(text) == text
    )
