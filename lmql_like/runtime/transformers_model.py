"""Language models of the transformers library.

    load_model(...)        a folder or hub name -> TransformersModel
    TransformersModel      a `LanguageModel` over any causal model with a fast tokenizer,
                           and over the encoder-decoders T5, Switch and BART

How its rows are kept is decided once, by what is exact for the architecture (`cache_mode`,
a key of `transformers_modes.MODES`): attention caches in padded batches where that is known,
memories by rows for recurrent and hybrid models, and whole rows again at each step where
nothing else keeps the law. An architecture that the table does not know is examined on a
tiny clone of itself when it is loaded (`transformers_doctor`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lmql_like.errors import ModelError
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.runtime.model import ModelState
from lmql_like.runtime.text_encoder import TextEncoder
from lmql_like.runtime.transformers_doctor import choose_mode
from lmql_like.runtime.transformers_expert_setup import (
    ExpertOptions,
    ExpertReporter,
    expert_file,
    set_up_experts,
)
from lmql_like.runtime.transformers_forward import StateMaker
from lmql_like.runtime.transformers_loading import read_model
from lmql_like.runtime.transformers_selection import on_device

__all__ = ["TransformersModel", "load_model"]


def load_model(
    name_or_path: str | None = None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    device_map: str | dict[str, Any] | None = None,
    trust_remote_code: bool = False,
    expert_budget: int | None = None,
    adaptive_gate: float | None = None,
    routing: bool = False,
    prefetch: bool | None = None,
) -> TransformersModel:
    """Load a causal language model and its tokenizer.

    Args:
        name_or_path: a folder, or a name on the Hugging Face hub; None means the small
            model that comes with the package.
        device: "cpu", "cuda", "cuda:1", ...; None takes a CUDA device if there is one.
        dtype: "float32", "bfloat16", "float16" or "float64"; None takes that of the
            weights, but float32 for float16 weights on a CPU.
        device_map: how to spread a large model, as `from_pretrained` takes it; needs the
            `accelerate` package.
        trust_remote_code: run the code that comes with the model.
        expert_budget: bytes that the experts of a mixture may take on the device; the
            others are loaded when they are needed. Results are the same.
        adaptive_gate: use a token's first expert alone where its share of the weights
            leads by more than this. Results change.
        routing: note which experts are used (`usage.experts`).
        prefetch: with a budget, load what the next layer will probably need; None for
            where that pays, on a CUDA device.

    Raises:
        ModelError: M101 to M117; every reason has its code.
    """
    wanted = ExpertOptions(expert_budget, adaptive_gate, routing, prefetch)
    reporters: list[ExpertReporter] = []

    def prepare(model: Any, place: str, source: Path) -> None:
        file = expert_file(source, model)
        reporters.append(set_up_experts(model, wanted, device=torch.device(place), file=file))

    if expert_budget is not None and device_map is not None:
        raise ModelError(
            "M117",
            "a model that is spread over devices cannot have a budget for its experts",
            help="leave --device-map away: the budget makes room",
        )

    name, model, tokenizer = read_model(
        name_or_path,
        device=device,
        dtype=dtype,
        device_map=device_map,
        trust_remote_code=trust_remote_code,
        prepare=prepare,
    )
    return TransformersModel(model, tokenizer, name=name, experts=reporters[0])


class TransformersModel:
    """A `LanguageModel` over a causal model and its tokenizer.

    Args:
        model: a `PreTrainedModel` with a language modelling head; it is put into
            evaluation mode.
        tokenizer: its fast tokenizer.
        name: what a report calls it.
        cache_mode: a key of `MODES` to overrule the choice; the states may then be wrong.
        experts: how its experts were set up, where they were.

    Attributes:
        cache_mode: how the rows are kept (see `transformers_modes`).
        note: how, where that is not a padded attention cache, or empty.
        experts: what became of the experts of a mixture.
        selects_on_device: candidates are selected where the logits are, by torch operations;
            otherwise here, by the kernels of `kernels.selection`.

    Raises:
        ModelError: M115, the architecture is unknown and nothing is exact for it.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str = "",
        cache_mode: str | None = None,
        experts: ExpertReporter | None = None,
    ) -> None:
        self._model = model.eval()
        self.name = name or str(getattr(model, "name_or_path", "")) or type(model).__name__
        self.vocabulary = _read_vocabulary(model, tokenizer)
        self.max_length = _max_length(model)
        self.tokenizer = tokenizer
        self._encoder = TextEncoder(tokenizer, self.vocabulary)
        self._start_ids = self._encoder.start_ids or _start_ids(model, tokenizer)
        self._source_end = _source_end(model)
        self.experts = experts or ExpertReporter()
        self._states = StateMaker(
            self._model, source_end=self._source_end, recorder=self.experts.recorder
        )
        self.note = ""
        if cache_mode is None:
            cache_mode, self.note = choose_mode(self._model)
        self.cache_mode = cache_mode
        place = self._model.get_input_embeddings().weight.device
        self.selects_on_device = place.type == "cuda"

    def encode(self, text: str, *, at_start: bool) -> list[int]:
        """Return ids that spell a text (see `LanguageModel.encode`).

        The text in front of the first hole is what an encoder reads.

        Raises:
            ModelError: M202, M203; M204, a source contains the token that ends it.
        """
        if self._source_end is not None and at_start:
            return self._encode_source(text, self._source_end)
        if at_start and not text:
            return self._start_ids or self._encoder.encode("", at_start=True)
        return self._encoder.encode(text, at_start=at_start)

    def _encode_source(self, text: str, end: int) -> list[int]:
        """Return what the encoder reads, its end, and what the decoder begins with."""
        source = self._encoder.encode(text, at_start=True) if text else self._encoder.start_ids
        if end in source:
            raise ModelError(
                "M204",
                "the text in front of the first hole contains the token that ends a source",
                help="take the model's special tokens out of the prompt",
            )
        return [*source, end, *_decoder_start(self._model)]

    def new_state(self, n_rows: int) -> ModelState:
        """Return a state of `n_rows` rows that have read nothing."""
        return self._states.make(self.cache_mode, n_rows)

    def new_search_state(self, n_rows: int) -> ModelState:
        """As `new_state`; on a GPU it returns logits that stay there (`DeviceLogits`)."""
        state = self._states.make(self.cache_mode, n_rows)
        if self.selects_on_device:
            state.deliver = on_device
        return state


def _read_vocabulary(model: Any, tokenizer: Any) -> Vocabulary:
    head = model.get_output_embeddings()
    weight = getattr(head, "weight", None)
    size = int(
        model.config.get_text_config(decoder=True).vocab_size if weight is None else weight.shape[0]
    )
    end_ids = [e for e in _end_ids(model, tokenizer) if e < size]
    vocabulary = Vocabulary.from_tokenizer(tokenizer, size=size, eos_token_ids=end_ids)
    if vocabulary.size > size:  # tokens that the model cannot write
        vocabulary = Vocabulary(vocabulary.tokens[:size], end_ids, encoder=vocabulary.encoder)
    return vocabulary


def _end_ids(model: Any, tokenizer: Any) -> list[int]:
    """Return the end-of-text ids that the model or its tokenizer names."""
    named = [getattr(model.generation_config, "eos_token_id", None), tokenizer.eos_token_id]
    ids: list[int] = []
    for value in named:
        ids += [int(i) for i in value] if isinstance(value, (list, tuple)) else []
        ids += [int(value)] if isinstance(value, int) else []
    return list(dict.fromkeys(ids))


def _source_end(model: Any) -> int | None:
    """Return the token that ends what an encoder reads; None where there is no encoder."""
    if not model.config.is_encoder_decoder:
        return None
    end = model.config.eos_token_id
    return int(end[0] if isinstance(end, (list, tuple)) else end)


def _decoder_start(model: Any) -> list[int]:
    """Return what a decoder's text begins with."""
    first = getattr(model.config, "decoder_start_token_id", None)
    forced = getattr(model.generation_config, "forced_bos_token_id", None)
    return [token_id for token_id in (first, forced) if isinstance(token_id, int)]


def _start_ids(model: Any, tokenizer: Any) -> list[int]:
    """Return what an empty prompt starts from."""
    for value in (tokenizer.bos_token_id, getattr(model.config, "bos_token_id", None)):
        if isinstance(value, int):
            return [value]
    return []


def _max_length(model: Any) -> int | None:
    config = model.config.get_text_config(decoder=True)
    length = getattr(config, "max_position_embeddings", None)
    return int(length) if isinstance(length, int) and length > 0 else None
