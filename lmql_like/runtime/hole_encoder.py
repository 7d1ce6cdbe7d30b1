"""The texts of holes in tokens: forced text, and what is left when text is taken back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from lmql_like.errors import ModelError
from lmql_like.runtime.hypotheses import Hypothesis, OpenHole
from lmql_like.runtime.model import LanguageModel
from lmql_like.runtime.token_index import token_index

__all__ = ["HoleEncoder"]


class HoleEncoder:
    """Spells the bytes of holes in the tokens of a model.

    Args:
        model: encodes.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    def encode(self, data: bytes) -> list[int]:
        """Return ids that spell some bytes of a hole exactly."""
        if not data:
            return []
        try:
            ids = self._model.encode(data.decode(), at_start=False)
        except UnicodeDecodeError:  # it begins or ends inside a character
            return token_index(self._model.vocabulary).encode_greedily(data)
        spelled = b"".join([self._model.vocabulary.tokens[token_id] for token_id in ids])
        if spelled != data:  # the name of a special token: here it is plain text
            return token_index(self._model.vocabulary).encode_greedily(data)
        return ids

    def forced_tokens(self, hole: OpenHole, forced: bytes, certain: Sequence[int]) -> Sequence[int]:
        """Return the tokens of forced text that need no asking, each allowed by the mask.

        Args:
            hole: it is being filled.
            forced: the bytes that must follow.
            certain: canonical tokens that every text allowed here has (see
                `TokenMasker.forced_token_ids`).

        Text that the tokenizer itself never writes so has none; where nothing follows it, any
        spelling will do.
        """
        if certain:
            return certain
        masker = hole.recognizer.masker
        try:
            ids = self.encode(forced)
        except ModelError:  # only tokens that go on behind the forced text can write it
            return []
        state = hole.state
        for n, token_id in enumerate(ids):
            advanced = masker.advance(state, token_id)
            if advanced is None:
                return ids[:n]
            state = advanced
        return ids if masker.is_final(state) else []

    def cut(
        self, hypothesis: Hypothesis, hole: OpenHole, value: bytes
    ) -> tuple[int, list[int]] | None:
        """Return how many of the prompt's ids stay, and what spells the rest of `value`.

        As many stay as can; None if no tokens spell the value.
        """
        value = hole.lead + value
        ends = [0]  # of the hole's tokens, in bytes, as far as they lie inside the value
        for token_id in hypothesis.ids[hole.first :]:
            ends.append(ends[-1] + len(self._model.vocabulary.tokens[token_id]))
            if ends[-1] > len(value):
                ends.pop()
                break
        for n in range(len(ends) - 1, -1, -1):
            with suppress(ModelError):  # only tokens that begin before can spell it
                return hole.first + n, self.encode(value[ends[n] :])
        return None
