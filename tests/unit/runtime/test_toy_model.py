import numpy as np
import pytest
from reference.state_walk import random_walk
from reference.tiny_models import tiny_model, tiny_tokenizer

from lmql_like.errors import ModelError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.runtime.model import LanguageModel
from lmql_like.runtime.toy_model import ToyModel
from lmql_like.runtime.transformers_model import TransformersModel

VOCABULARY = Vocabulary([bytes([byte]) for byte in range(128)] + [b""], eos_token_ids=[128])


def test_models_keep_the_protocol():
    assert isinstance(ToyModel(VOCABULARY), LanguageModel)
    assert isinstance(TransformersModel(tiny_model("llama"), tiny_tokenizer()), LanguageModel)


def test_logits_are_the_same_everywhere():
    logits = ToyModel(VOCABULARY, seed=1).logits_after([1, 2, 3])
    assert logits.dtype == np.float32
    assert np.abs(logits).max() <= 3.0
    assert logits[:3].tolist() == pytest.approx([1.623045, -2.399524, -2.398849], abs=1e-6)


def test_logits_depend_on_the_context_alone():
    model = ToyModel(VOCABULARY, context=2)
    assert (model.logits_after([9, 1, 2]) == model.logits_after([8, 1, 2])).all()
    assert (model.logits_after([1, 2]) != model.logits_after([2, 1])).any()
    whole = ToyModel(VOCABULARY, context=None)
    assert (whole.logits_after([9, 1, 2]) != whole.logits_after([8, 1, 2])).any()
    assert (ToyModel(VOCABULARY, seed=5).logits_after([1]) != model.logits_after([1])).any()


def test_rows_are_as_if_fresh():
    model = ToyModel(VOCABULARY)
    for rows, keep, logits in random_walk(model, 0, 60):
        for row, kept, block in zip(rows, keep, logits, strict=True):
            assert block.shape == (kept, VOCABULARY.size)
            for back in range(kept):
                wanted = model.logits_after(row[: len(row) - back])
                assert (block[kept - 1 - back] == wanted).all()


def test_a_prompt_needs_a_start():
    with pytest.raises(ModelError) as caught:
        ToyModel(Vocabulary([b"a"])).encode("", at_start=True)
    assert caught.value.code == "M203"
