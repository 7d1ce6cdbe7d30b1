"""Token healing: a hole's first token may begin inside the prompt's last one.

A prompt that ends in a space makes a model go on as if a word had to follow a token that
is a space alone, which it has seldom seen: words bring their own space. Healing takes the
last token of the prompt back, and lets the model write its text again: by that token, by
others, or by one that goes on into the hole.

    off     the prompt's tokens are those of its text
    space   where the prompt ends in a space or tab
    full    at every boundary between literal text and a hole
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import numpy as np

from lmql_like.errors import RunError, did_you_mean
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.kernels.selection import count_allowed
from lmql_like.runtime.hypotheses import Hypothesis
from lmql_like.runtime.masking import MaskRow, Recognizer

__all__ = ["HEALINGS", "Healer", "check_healing"]

HEALINGS = ("space", "full", "off")


def check_healing(healing: Any) -> None:
    """Refuse a kind of healing that there is not.

    Raises:
        RunError: R114.
    """
    if healing not in HEALINGS:
        hint = did_you_mean(str(healing), HEALINGS)
        raise RunError(
            "R114", f"healing={healing!r} is none of {', '.join(map(repr, HEALINGS))}", help=hint
        )


class Healer:
    """Which boundaries are healed, and which tokens may be written there.

    Args:
        vocabulary: the tokens.
        healing: one of `HEALINGS`.
    """

    def __init__(self, vocabulary: Vocabulary, healing: str) -> None:
        check_healing(healing)
        self._vocabulary = vocabulary
        self._healing = healing
        self._sorted: list[tuple[bytes, int]] | None = None
        self._rows: dict[tuple[Recognizer, bytes], MaskRow] = {}

    def text_to_heal(self, hypothesis: Hypothesis, recognizer: Recognizer) -> bytes:
        """Return the bytes of the prompt's last token where it is to be written again, else b""."""
        if self._healing == "off" or len(hypothesis.ids) < 2 or not hypothesis.segments:
            return b""
        last = hypothesis.segments[-1]
        token = self._vocabulary.tokens[hypothesis.ids[-1]]
        if last.hole is not None or not token or not last.data.endswith(token):
            return b""
        if self._healing == "space" and token[-1:] not in (b" ", b"\t"):
            return b""
        is_marked = hypothesis.marks and hypothesis.marks[-1].n_ids >= len(hypothesis.ids)
        if is_marked or not self._goes_on(recognizer, token):
            return b""
        return token

    def row(self, recognizer: Recognizer, left: bytes) -> MaskRow:
        """Return the tokens that write some bytes again: part of them, all, or more."""
        row = self._rows.get((recognizer, left))
        if row is None:
            row = self._rows[recognizer, left] = self._make_row(recognizer, left)
        return row

    def _goes_on(self, recognizer: Recognizer, left: bytes) -> bool:
        """Tell whether some token writes the bytes and goes on into the hole."""
        row = self.row(recognizer, left)
        return any(
            len(token) > len(left) and row.allows(token_id)
            for token, token_id in self._beginning_with(left)
        )

    def _make_row(self, recognizer: Recognizer, left: bytes) -> MaskRow:
        masker = recognizer.masker
        start = masker.start()
        bits = np.zeros(self._vocabulary.n_words, np.int32)
        words = bits.view(np.uint32)
        known: dict[bytes, bool] = {}
        for token, token_id in self._candidates(left):
            rest = token[len(left) :]
            if rest and rest not in known:
                behind = start is not None and masker.advance_bytes(start, rest)
                known[rest] = behind is not None and behind is not False
            if not rest or known[rest]:
                words[token_id >> 5] |= np.uint32(1 << (token_id & 31))
        count, only = count_allowed(bits, self._vocabulary.size)
        bits.flags.writeable = False
        return MaskRow(bits, count, only, is_accepting=False)

    def _candidates(self, left: bytes) -> list[tuple[bytes, int]]:
        shorter = [
            item
            for length in range(1, len(left))
            for item in self._beginning_with(left[:length])
            if len(item[0]) == length
        ]
        return shorter + self._beginning_with(left)

    def _beginning_with(self, data: bytes) -> list[tuple[bytes, int]]:
        """Return the tokens that begin with some bytes."""
        if self._sorted is None:
            ends = set(self._vocabulary.eos_token_ids)
            tokens = self._vocabulary.tokens[: self._vocabulary.size]
            self._sorted = sorted(
                (token, token_id)
                for token_id, token in enumerate(tokens)
                if token and token_id not in ends
            )
        first = bisect_left(self._sorted, (data, -1))
        end = first
        while end < len(self._sorted) and self._sorted[end][0].startswith(data):
            end += 1
        return self._sorted[first:end]
