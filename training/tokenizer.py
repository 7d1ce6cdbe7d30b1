"""Byte-level BPE of 1,024 tokens, made so that a small model can copy words.

A space before a capital letter or a digit is a token of its own. A name is therefore
spelled with the same tokens after a space, after a quotation mark and at the start of a
line, and copying an unheard name from a sentence into JSON means repeating token ids.
Digits are single tokens: numbers are computed digit by digit.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from training.corpus import mixture
from training.corpus.document import END_OF_TEXT, Split

VOCABULARY_SIZE = 1024
_PIECES = (
    r"\p{N}"  # one digit
    r"| (?=[\p{Lu}\p{N}])"  # the space before a name or a number
    r"| ?\p{Ll}+"
    r"|\p{Lu}\p{Ll}+"
    r"|\p{Lu}+"
    r"| ?[^\s\p{Lu}\p{Ll}\p{N}]+"
    r"|\s"
)


def _texts(documents: int, seed: int) -> Iterator[str]:
    rng = random.Random(f"tokenizer {seed}")
    for number in range(documents):
        yield mixture.draw(rng, Split.TRAIN, number / documents).text


def train_tokenizer(seed: int = 0, documents: int = 20_000) -> PreTrainedTokenizerFast:
    """Return a tokenizer learned from the corpus; the same seed gives the same tokens.

    Its inputs begin with the end-of-text token unless `add_special_tokens=False`.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(documents, seed), trainer)
    start = (END_OF_TEXT, tokenizer.token_to_id(END_OF_TEXT))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{END_OF_TEXT} $A", pair=f"{END_OF_TEXT} $A $B", special_tokens=[start]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )
