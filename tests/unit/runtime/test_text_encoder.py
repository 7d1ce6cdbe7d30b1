"""Encoded text is spelled exactly: three real tokenizers, where they are, and tiny ones."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.tiny_models import tiny_tokenizer
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.runtime.text_encoder import TextEncoder

FOLDER = Path(
    os.environ.get("LMQL_LIKE_TOKENIZERS", Path(__file__).parents[4] / "shared" / "tokenizers")
)
BYTES = {f"<0x{byte:02X}>": byte + 3 for byte in range(256)}


def metaspace(prepend):
    """Return a SentencePiece-like tokenizer with byte fallback."""
    pieces = [
        "\u2581",
        "a",
        "b",
        "c",
        "d",
        "e",
        "\u2581a",
        "ab",
        "\u2581ab",
        "\u2581\u2581",
        "\u00e9",
    ]
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2, **BYTES}
    vocabulary |= {piece: len(vocabulary) + n for n, piece in enumerate(pieces)}
    merges = [("\u2581", "a"), ("a", "b"), ("\u2581a", "b"), ("\u2581", "\u2581")]
    options = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, **options))
    if prepend == "normalizer":
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend, split=False)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def make(name):
    if name in ("gpt2", "qwen", "mistral"):
        if not (FOLDER / name).is_dir():
            pytest.skip("the real tokenizers are not here")
        tokenizer = PreTrainedTokenizerFast.from_pretrained(FOLDER / name)
    elif name == "bytes":
        tokenizer = tiny_tokenizer()
    else:
        tokenizer = metaspace(name)
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    return TextEncoder(tokenizer, vocabulary), vocabulary


def spell(vocabulary, ids):
    return b"".join(vocabulary.tokens[i] for i in ids)


CACHE = {}


def cached(name):
    if name not in CACHE:
        CACHE[name] = make(name)
    return CACHE[name]


any_text = st.one_of(
    st.text(max_size=12),
    st.text(alphabet="abc \n\u2581\u00e9'.", max_size=12),
    st.sampled_from([" ", "  ", "\n", " a", "a ", "\n\n a", "\u2581", "\U0001f642", "\u0301a"]),
)


@pytest.mark.parametrize(
    "name", ["gpt2", "qwen", "mistral", "never", "first", "always", "normalizer"]
)
@settings(max_examples=150, deadline=None)
@given(any_text)
def test_continued_text_is_spelled_exactly(name, text):
    encoder, vocabulary = cached(name)
    ids = encoder.encode(text, at_start=False)
    assert spell(vocabulary, ids) == text.encode()


@pytest.mark.parametrize("name", ["gpt2", "qwen", "mistral", "bytes", "first", "normalizer"])
def test_words_keep_the_tokens_of_their_documents(name):
    encoder, vocabulary = cached(name)
    if name in ("bytes", "first", "normalizer"):
        first, second = "a", " ab"
    else:
        first, second = "The capital of France", " is Paris"
    whole = encoder.encode(first + second, at_start=True)
    parts = encoder.encode(first, at_start=True) + encoder.encode(second, at_start=False)
    assert parts == whole
    assert spell(vocabulary, whole).strip() == (first + second).encode()


def test_the_start_token_is_the_tokenizers_own():
    for name in ("first", "normalizer"):
        encoder, _ = cached(name)
        assert encoder.start_ids == [1]
        assert encoder.encode("a", at_start=True)[0] == 1
        assert encoder.encode("", at_start=True)[:1] == [1]
        assert 1 not in encoder.encode("a", at_start=False)


def test_names_of_special_tokens_become_tokens():
    encoder, _ = cached("bytes")
    assert encoder.encode("a<|pad|>b", at_start=False) == [
        *encoder.encode("a", at_start=False),
        1,
        *encoder.encode("b", at_start=False),
    ]


def test_a_normalizer_that_changes_text_does_not():
    tokenizer = metaspace("first")
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    encoder = TextEncoder(tokenizer, vocabulary)
    assert spell(vocabulary, encoder.encode("A  Bab", at_start=False)) == b"A  Bab"
