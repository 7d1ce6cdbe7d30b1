"""Vocabularies: what is refused, and the tokenizer families on tiny tokenizers of our own."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lmql_like.errors import GrammarError
from lmql_like.grammars import Vocabulary


def fast(tokenizer, **special):
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def sentencepiece_with_byte_fallback():
    vocab = {"<unk>": 0, "</s>": 1, "▁": 2, "a": 3, "▁a": 4, "b": 5}
    vocab |= {f"<0x{i:02X}>": 6 + i for i in range(256)}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocab, merges=[("▁", "a")], unk_token="<unk>", byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens(["<unk>", "</s>"])
    return fast(tokenizer, eos_token="</s>", unk_token="<unk>")


def unigram():
    scores = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -1.0), ("a", -2.0), ("▁é", -3.0)]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    return fast(tokenizer, eos_token="</s>", unk_token="<unk>")


def test_byte_fallback_tokens_are_bytes():
    vocabulary = Vocabulary.from_tokenizer(sentencepiece_with_byte_fallback())
    assert vocabulary.tokens[2:6] == [b" ", b"a", b" a", b"b"]
    assert vocabulary.tokens[6 + 0x0A] == b"\n"
    assert vocabulary.tokens[0] == vocabulary.tokens[1] == b""
    assert vocabulary.eos_token_ids == (1,)
    assert vocabulary.spells_every_byte


def test_unigram_tokens_are_text_and_do_not_spell_every_byte():
    vocabulary = Vocabulary.from_tokenizer(unigram())
    assert vocabulary.tokens[3:6] == [b" ", b"a", " é".encode()]
    assert not vocabulary.spells_every_byte


def test_added_tokens_that_are_not_special_write_themselves():
    tokenizer = unigram()
    tokenizer.add_tokens(["<b>"])
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    assert vocabulary.tokens[tokenizer.convert_tokens_to_ids("<b>")] == b"<b>"


def test_wordpiece_is_refused():
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##b": 2}, unk_token="[UNK]"))
    tokenizer.decoder = decoders.WordPiece()
    with pytest.raises(GrammarError) as raised:
        Vocabulary.from_tokenizer(fast(tokenizer, unk_token="[UNK]"))
    assert raised.value.code == "G302"


def test_a_tokenizer_without_a_fast_version_is_refused():
    class Slow:
        eos_token_id = None

    with pytest.raises(GrammarError) as raised:
        Vocabulary.from_tokenizer(Slow())
    assert raised.value.code == "G301"


@pytest.mark.parametrize(
    ("tokens", "eos"), [([], []), ([b"", b""], []), ([b"a"], [1]), ([b"a"], [-1])]
)
def test_malformed_vocabularies_are_refused(tokens, eos):
    with pytest.raises(GrammarError) as raised:
        Vocabulary(tokens, eos_token_ids=eos)
    assert raised.value.code == "G303"


def test_the_trie_holds_every_token_once():
    tokens = [b"ab", b"a", b"", b"abc", b"b", b"ab"]
    trie = Vocabulary(tokens).trie
    path, found = [], []
    for node in range(trie.byte.size):
        path[trie.depth[node] :] = [trie.byte[node]]
        found += [
            (int(trie.token_ids[i]), bytes(path))
            for i in range(trie.token_start[node], trie.token_start[node + 1])
        ]
        inside = range(node + 1, trie.end[node])
        assert all(trie.depth[n] > trie.depth[node] for n in inside)
    assert sorted(found) == [(i, t) for i, t in enumerate(tokens) if t]
