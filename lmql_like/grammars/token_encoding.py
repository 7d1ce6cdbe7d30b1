"""Bytes to the tokens that a model was trained to see them as: the canonical ones.

A tokenizer writes a whole document: it may put a space in front that is not there. Bytes
from the middle of a text must be spelled as they stand, so each encoding is checked:

1. as the tokenizer writes the text;
2. if that spells something else: as it writes the text behind a guard character, whose
   tokens are taken away again.

A vocabulary without a tokenizer is read by the longest tokens, which is what a trie's
reader does; no model is known to be trained on that, but it is the same every time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

__all__ = ["ByteEncoder", "ExactEncoder", "LongestMatch"]

ByteEncoder: TypeAlias = Callable[[bytes], "list[int] | None"]

_GUARDS = ("\n", "=", "a")


class ExactEncoder:
    """Encodes bytes with a tokenizer; None where it does not spell exactly these bytes.

    Args:
        tokenizer: a transformers tokenizer.
        tokens: the bytes of each token id, empty for tokens that write nothing.
    """

    def __init__(self, tokenizer: Any, tokens: Sequence[bytes]) -> None:
        self._tokenizer = tokenizer
        self._tokens = tokens

    def __call__(self, data: bytes) -> list[int] | None:
        """Return the ids, or None: no whole characters, or never spelled as they stand."""
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return None
        ids = self.plain(text)
        if self._spell(ids) == data:
            return ids
        for guard in _GUARDS:
            behind = self._behind(self.plain(guard + text), data)
            if behind is not None:
                return behind
        return None

    def plain(self, text: str) -> list[int]:
        """Return the ids that the tokenizer gives for a text, special tokens left out."""
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        return [int(token_id) for token_id in encoded]

    def _behind(self, ids: list[int], data: bytes) -> list[int] | None:
        """Return the last ids if they spell `data` and begin where a token begins."""
        length, at = 0, len(ids)
        while at > 0 and length < len(data):
            at -= 1
            if ids[at] < len(self._tokens):
                length += len(self._tokens[ids[at]])
        return ids[at:] if self._spell(ids[at:]) == data else None

    def _spell(self, ids: list[int]) -> bytes:
        tokens, size = self._tokens, len(self._tokens)
        return b"".join([tokens[token_id] if token_id < size else b"\xff" for token_id in ids])


class LongestMatch:
    """Encodes bytes by the longest token that fits, again and again; None where none fits.

    Args:
        tokens: the bytes of each token id, empty for tokens that write nothing.
    """

    def __init__(self, tokens: Sequence[bytes]) -> None:
        self._ids: dict[bytes, int] = {}
        for token_id, token in enumerate(tokens):
            if token:
                self._ids.setdefault(token, token_id)
        self._longest = max(map(len, self._ids), default=0)

    def __call__(self, data: bytes) -> list[int] | None:
        """Return the ids; of tokens with the same bytes the first."""
        ids: list[int] = []
        at = 0
        while at < len(data):
            most = min(self._longest, len(data) - at)
            fitting = (n for n in range(most, 0, -1) if data[at : at + n] in self._ids)
            length = next(fitting, 0)
            if not length:
                return None
            ids.append(self._ids[data[at : at + length]])
            at += length
        return ids
