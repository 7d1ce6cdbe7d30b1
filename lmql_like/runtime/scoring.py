"""How likely texts are as the next ones: by the tokenizer's own spelling, or by all.

The model reads the prompt once; every spelling is then read as a row of its own, as far
as its last token but one. What two prompts begin with is not read again.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lmql_like.errors import RunError
from lmql_like.kernels.selection import row_logsumexp
from lmql_like.runtime.batch import check_normalizer
from lmql_like.runtime.model import LanguageModel, ModelState
from lmql_like.runtime.token_index import TokenIndex

__all__ = ["Scorer", "spellings"]

_MAX_SPELLINGS = 4096
_MAX_LOGIT_BYTES = 256 * 2**20
_MAX_ROWS = 32

Ids = tuple[int, ...]


class Scorer:
    """Asks a model for the log-probabilities of token sequences behind prompts.

    Attributes:
        passes: forward passes so far.
        rows: rows with tokens, summed over the passes.
        seconds: time spent in the model.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.rows = 0
        self.seconds = 0.0
        self._model = model
        self._state: ModelState | None = None
        self._read: Ids = ()

    @property
    def passes(self) -> int:
        """Forward passes of the model so far."""
        return self._state.forward_passes if self._state else 0

    def logprobs(self, prompt: Ids, sequences: Collection[Ids]) -> dict[Ids, float]:
        """Return the sum of the log-probabilities of each sequence's tokens, in nats.

        Args:
            prompt: at least one token.
            sequences: each at least one token.

        Raises:
            ModelError: M201.
        """
        began = time.perf_counter()
        following: dict[Ids, set[int]] = {}
        for sequence in sequences:
            for n, token in enumerate(sequence):
                following.setdefault(sequence[:n], set()).add(token)
        known: dict[Ids, float] = {(): 0.0}
        self._settle(known, (), following[()], self._read_prompt(prompt))
        contexts = sorted(context for context in following if context)
        longest = [
            c
            for c, after in zip(contexts, [*contexts[1:], ()], strict=False)
            if after[: len(c)] != c
        ]
        for chunk in self._chunks(longest):
            self._read_contexts(chunk, following, known)
        self.seconds += time.perf_counter() - began
        return {sequence: known[sequence] for sequence in sequences}

    def _read_prompt(self, prompt: Ids) -> NDArray[np.float32]:
        if self._state is None:
            self._state = self._model.new_state(1)
        shared = 0
        while shared < min(len(self._read), len(prompt) - 1) and (
            self._read[shared] == prompt[shared]
        ):
            shared += 1
        if len(self._read) > shared:
            self._state.rewind([len(self._read) - shared])
        self._read = prompt
        self.rows += 1
        last: NDArray[np.float32] = self._state.extend([prompt[shared:]], [1])[0][0]
        return last

    def _chunks(self, contexts: Sequence[Ids]) -> Iterator[Sequence[Ids]]:
        """Yield the contexts in groups whose rows and logits stay within bounds."""
        kept = _MAX_LOGIT_BYTES // (4 * self._model.vocabulary.size)
        size = max((len(context) for context in contexts), default=1)
        n_rows = max(1, min(_MAX_ROWS, kept // size))
        for first in range(0, len(contexts), n_rows):
            yield contexts[first : first + n_rows]

    def _read_contexts(
        self, contexts: Sequence[Ids], following: dict[Ids, set[int]], known: dict[Ids, float]
    ) -> None:
        """Read some sequences side by side; note what follows each of their beginnings."""
        state = self._state
        if state is None:
            return
        state.gather([0] * len(contexts))
        blocks = state.extend(contexts, [len(context) for context in contexts])
        self.rows += len(contexts)
        for context, block in sorted(zip(contexts, blocks, strict=True), key=lambda pair: pair[0]):
            for n, logits in enumerate(block, start=1):
                self._settle(known, context[:n], following[context[:n]], logits)
        state.gather([0])
        state.rewind([len(contexts[0])])

    @staticmethod
    def _settle(
        known: dict[Ids, float], context: Ids, tokens: set[int], logits: NDArray[np.float32]
    ) -> None:
        """Note the log-probabilities of a sequence with each of some tokens behind it."""
        normalizer = np.empty(1)
        row_logsumexp(logits[None], normalizer)
        check_normalizer(normalizer[0])
        for token in tokens:
            logprob = float(logits[token]) - float(normalizer[0])
            known[(*context, token)] = known[context] + logprob


def spellings(data: bytes, index: TokenIndex) -> list[Ids]:
    """Return every sequence of tokens that spells some bytes, shorter tokens first.

    Raises:
        RunError: R206, there are too many.
    """
    counts = [0] * len(data) + [1]  # of the ways to spell what is left from each byte on
    after = [index.prefixes_of(data[at:]) for at in range(len(data))]
    for at in range(len(data) - 1, -1, -1):
        counts[at] = sum(counts[at + index.length(token)] for token in after[at])
    if counts[0] > _MAX_SPELLINGS:
        raise RunError(
            "R206",
            f"{data.decode(errors='replace')!r} can be spelled in {counts[0]} ways, "
            f"more than {_MAX_SPELLINGS}",
            help="ask for the tokenizer's own spelling: leave TOKENIZATIONS out",
        )
    found: list[Ids] = []
    todo: list[tuple[int, Ids]] = [(0, ())]
    while todo:
        at, ids = todo.pop()
        if at == len(data):
            found.append(ids)
            continue
        todo += [
            (at + index.length(token), (*ids, token))
            for token in reversed(after[at])
            if counts[at + index.length(token)]
        ]
    return found
