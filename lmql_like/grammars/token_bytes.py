"""Read a tokenizer's tokens as the bytes they write.

Three families, told apart by the tokenizer's own decoder:

* byte-level BPE (GPT-2, Llama-3, Qwen): each character of a token stands for one byte;
* SentencePiece (Llama-2, Mistral, Gemma): U+2581 is a space, `<0x0A>` is a byte;
* Unigram or others with a Metaspace decoder (T5): U+2581 (or its replacement) is a space.

The reading is checked: the bytes of the tokens of sample texts must spell the texts.
"""

from __future__ import annotations

import json
import re
from typing import Any

from lmql_like.errors import GrammarError

__all__ = ["read_token_bytes"]

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SAMPLES = (
    "Hello, world! 12345",
    'def f(x):\n    return {"a": [1, 2.5]}\n',
    "na\u00efve caf\u00e9 \u2014 \u65e5\u672c\u8a9e \U0001f642",
)


def read_token_bytes(tokenizer: Any) -> list[bytes]:
    """Return the bytes of each token id; empty for special tokens and gaps.

    Args:
        tokenizer: a transformers tokenizer with a fast version.

    Raises:
        GrammarError: G301, G302.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise GrammarError(
            "G301",
            f"{type(tokenizer).__name__} has no fast version (no tokenizer.json)",
            help="convert it with AutoTokenizer.from_pretrained(..., use_fast=True) and save it",
        )
    description = json.loads(backend.to_str())
    to_bytes = _reader(description)
    special = {entry["id"]: entry for entry in description.get("added_tokens", [])}
    vocabulary = backend.get_vocab(with_added_tokens=True)
    tokens = [b""] * (1 + max(vocabulary.values()))
    for text, token_id in vocabulary.items():
        added = special.get(token_id)
        if added is None:
            tokens[token_id] = to_bytes(text)
        elif not added["special"]:
            tokens[token_id] = added["content"].encode()  # added text is written as it is
    _check_samples(backend, tokens, special)
    return tokens


def _decoder_types(decoder: dict[str, Any] | None) -> list[dict[str, Any]]:
    if decoder is None:
        return []
    if decoder["type"] == "Sequence":
        return [part for inner in decoder["decoders"] for part in _decoder_types(inner)]
    return [decoder]


def _reader(description: dict[str, Any]) -> Any:
    """Return the function token text -> bytes of a tokenizer's decoder."""
    decoders = _decoder_types(description.get("decoder"))
    kinds = {part["type"] for part in decoders}
    if "ByteLevel" in kinds:
        table = _byte_level_table()
        return lambda text: (
            bytes(table[char] for char in text) if set(text) <= table.keys() else b""
        )
    space = None
    for part in decoders:
        if part["type"] == "Metaspace":
            space = part.get("replacement", "\u2581")
        elif part["type"] == "Replace" and part.get("content") == " ":
            space = part["pattern"].get("String")
    if space is None:
        kind = description.get("model", {}).get("type", "unknown")
        raise GrammarError(
            "G302",
            f"tokens of a {kind} tokenizer with decoder {sorted(kinds) or None} are not bytes",
            help="byte-level BPE, SentencePiece and Unigram tokenizers are supported",
        )
    has_bytes = "ByteFallback" in kinds

    def read(text: str) -> bytes:
        match = _BYTE_TOKEN.fullmatch(text) if has_bytes else None
        return bytes([int(match.group(1), 16)]) if match else text.replace(space, " ").encode()

    return read


def _byte_level_table() -> dict[str, int]:
    """Return GPT-2's character for each byte, inverted: printable bytes stand for themselves."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(256) if byte not in set(printable))
    table.update({chr(0x100 + i): byte for i, byte in enumerate(others)})
    return table


def _check_samples(backend: Any, tokens: list[bytes], special: dict[int, Any]) -> None:
    """Compare the bytes of encoded samples with the samples' own; spaces in front may differ."""
    for sample in _SAMPLES:
        encoding = backend.encode(sample, add_special_tokens=False)
        unknown = any(not tokens[i] and special.get(i, {}).get("special") for i in encoding.ids)
        if unknown:
            continue  # the sample has characters that the tokenizer does not know
        spelled = b"".join(tokens[i] for i in encoding.ids)
        if spelled.strip() != sample.encode().strip() and not _is_normalized(backend, sample):
            raise GrammarError(
                "G302",
                f"the tokens of {sample!r} spell {spelled!r}",
                help="the tokenizer's decoder is of a kind that is not known",
            )


def _is_normalized(backend: Any, sample: str) -> bool:
    """Tell whether the tokenizer changes the sample before it cuts it into tokens."""
    return (
        backend.normalizer is not None
        and backend.normalizer.normalize_str(sample).replace("\u2581", " ").strip()
        != sample.strip()
    )
