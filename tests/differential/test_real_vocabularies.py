"""Real tokenizers: bytes spell texts, and masks agree with advancing token by token."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

from lmql_like.grammars import TokenMasker, Vocabulary, compile_formula, compile_regex, formulas

FOLDER = Path(
    os.environ.get("LMQL_LIKE_TOKENIZERS", Path(__file__).parents[3] / "shared" / "tokenizers")
)
NAMES = ["gpt2", "qwen", "mistral"]
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no tokenizers in {FOLDER}")
TEXTS = ["Hello, world", " naïve — 日本語 🙂\n\ttabs", "x=1;  y='a\"b'\\", "\u0000\u007f é\u0301"]


@pytest.fixture(scope="module", params=NAMES)
def tokenizer(request):
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(FOLDER / request.param)


@pytest.fixture(scope="module")
def vocabulary(tokenizer):
    return Vocabulary.from_tokenizer(tokenizer)


def test_tokens_spell_the_text(tokenizer, vocabulary):
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False)
        spelled = b"".join(vocabulary.tokens[i] for i in ids)
        # SentencePiece puts a space before every text.
        assert spelled in (text.encode(), b" " + text.encode())


def test_special_tokens_write_nothing_and_every_byte_is_a_token(tokenizer, vocabulary):
    assert vocabulary.tokens[tokenizer.eos_token_id] == b""
    assert vocabulary.spells_every_byte
    assert len(vocabulary.alphabet) == 256


FORMULAS = {
    "text": formulas.matches(r"[^\n]{1,200}"),
    "string": formulas.matches(r'"(?:[^"\\\x00-\x1f]|\\["\\nt])*"'),
    "identifier": formulas.matches(r"[a-zA-Z_]\w*"),
    "few": formulas.matches(r"[A-Za-z]{1,7}"),
    "not": ~formulas.contains("e") & formulas.char_count(0, 40),
    "words": formulas.word_count(2, 4),
    "bytes": formulas.byte_count(5, 21),
    "stop": formulas.stops_at("\n\n"),
    "spaces": formulas.matches(" {1,90}x"),
    "digits": formulas.matches(r"\d+(?:\.\d+)?"),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_masks_agree_with_the_automaton_on_every_token(vocabulary, name):
    """Slices, walks and rows against the plainest way: each token's bytes on their own."""
    masker = TokenMasker(compile_formula(FORMULAS[name]), vocabulary)
    dfa = compile_formula(FORMULAS[name]).dfa()
    rng = random.Random(5)
    for _ in range(3 if len(vocabulary) < 60_000 else 1):
        state, reference = masker.start(), dfa.start
        for _ in range(4):
            row = np.empty(vocabulary.n_words, np.int32)
            masker.fill_bitmask(state, row)
            bits = np.unpackbits(row.view(np.uint8), bitorder="little")[: len(vocabulary)]
            written = [i for i, token in enumerate(vocabulary.tokens) if token]
            sample = rng.sample(written, min(6000, len(written)))
            for i in sample:
                assert bool(bits[i]) == bool(dfa.advance(reference, vocabulary.tokens[i]))
            assert bits[vocabulary.eos_token_ids[0]] == bool(dfa.accepting(reference))
            allowed = [i for i in np.flatnonzero(bits) if vocabulary.tokens[i]]
            if not allowed:
                break
            token = rng.choice(allowed)
            state = masker.advance(state, token)
            reference = dfa.advance(reference, vocabulary.tokens[token])


def test_a_model_may_have_more_columns_than_the_tokenizer(tokenizer):
    vocabulary = Vocabulary.from_tokenizer(tokenizer, size=len(tokenizer) + 77)
    masker = TokenMasker(compile_regex(".*"), vocabulary)
    row = np.empty(vocabulary.n_words, np.int32)
    masker.fill_bitmask(masker.start(), row)
    bits = np.unpackbits(row.view(np.uint8), bitorder="little")
    assert not bits[len(tokenizer) :].any()
    assert masker.advance(masker.start(), len(tokenizer) + 3) is None


def test_a_limit_of_tokens_closes_a_string(vocabulary):
    formula = formulas.matches(r'\{"name": "[^"\n]*"\}') & formulas.token_count(0, 12)
    masker = TokenMasker(compile_formula(formula), vocabulary)
    rng = random.Random(1)
    for _ in range(5):
        state, text, count = masker.start(), b"", 0
        row = np.empty(vocabulary.n_words, np.int32)
        while not masker.is_final(state):
            masker.fill_bitmask(state, row)
            bits = np.unpackbits(row.view(np.uint8), bitorder="little")
            allowed = [int(i) for i in np.flatnonzero(bits) if vocabulary.tokens[i]]
            token = rng.choice(allowed)
            state, text, count = (
                masker.advance(state, token),
                text + vocabulary.tokens[token],
                count + 1,
            )
            assert state is not None
        assert count <= 12
        assert text.startswith(b'{"name": "')
        assert text.endswith(b'"}')


FORCED = (
    r'\{"first_name": "[a-z]{1,9}", "is_reachable": (?:true|false), "naïve — 日本": \[(?:1, )*1\]\}'
)
FORCED_TEXTS = [
    '{"first_name": "ada", "is_reachable": true, "naïve — 日本": [1, 1, 1]}',
    '{"first_name": "charles", "is_reachable": false, "naïve — 日本": [1]}',
]


def test_forced_tokens_begin_what_the_tokenizer_writes(vocabulary):
    masker = TokenMasker(compile_regex(FORCED), vocabulary)
    n_forced = 0
    for text in FORCED_TEXTS:
        data = text.encode()
        for at in range(len(text)):
            before = len(text[:at].encode())
            state = masker.advance_bytes(masker.start(), data[:before])
            forced = masker.forced_token_ids(state)
            assert vocabulary.encode(data[before:])[: len(forced)] == forced
            n_forced += len(forced)
    assert n_forced > len(text)
    # A key is written whole; its last token may go on with the value's first letters.
    forced = masker.forced_token_ids(masker.start())
    spelled = b"".join(vocabulary.tokens[token_id] for token_id in forced)
    assert b'{"first_name"'.startswith(spelled[:13])
    assert len(spelled) > 8
