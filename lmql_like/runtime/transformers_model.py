"""Language models of the transformers library.

    load_model(...)        a folder or hub name -> TransformersModel
    TransformersModel      a `LanguageModel` over any causal model with a fast tokenizer

A model gets an attention cache where that is known, or found, to be exact; every other
architecture is run over whole rows again at each step, which is slow and right
(`cache_mode` and `note` say which). Known to be right are architectures whose layers all
are full or sliding-window attention: each token's keys depend on nothing but the tokens
before it, and can be dropped, copied and moved. Recurrent states can not; some are
silently wrong when several tokens are appended at once or rows are padded.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.runtime.model import ModelState
from lmql_like.runtime.text_encoder import TextEncoder
from lmql_like.runtime.transformers_loading import read_model
from lmql_like.runtime.transformers_states import CachedState, RecomputedState

__all__ = ["TransformersModel", "load_model", "reason_to_recompute"]

_NOT_CACHEABLE = {"minimax", "recurrent_gemma", "xlstm", "rwkv", "deepseek_v4"}
"""Architectures that keep state outside the cache, or compress it (measured)."""

_VERIFIED = {
    "bloom",
    "cohere",
    "deepseek_v3",
    "falcon",
    "gemma",
    "gemma2",
    "gemma3_text",
    "gpt2",
    "gpt_neox",
    "gpt_oss",
    "granite",
    "llama",
    "mistral",
    "mixtral",
    "olmo2",
    "olmoe",
    "opt",
    "phi",
    "phi3",
    "qwen2",
    "qwen2_moe",
    "qwen3",
    "qwen3_moe",
    "smollm3",
    "starcoder2",
}
"""Architectures whose cached rows `tests/laws/test_runtime_laws.py` compares with fresh runs."""

_SMALL = 20_000_000  # weights
_TOLERANCE = {torch.float32: 1e-2, torch.float64: 1e-2}  # relative; a wrong cache: 0.1 and more
_HALF_TOLERANCE = 1e-1


def load_model(
    name_or_path: str | None = None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    device_map: str | dict[str, Any] | None = None,
    trust_remote_code: bool = False,
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

    Raises:
        ModelError: M101 to M114; every reason has its code.
    """
    name, model, tokenizer = read_model(
        name_or_path,
        device=device,
        dtype=dtype,
        device_map=device_map,
        trust_remote_code=trust_remote_code,
    )
    return TransformersModel(model, tokenizer, name=name)


class TransformersModel:
    """A `LanguageModel` over a causal model and its tokenizer.

    Args:
        model: a `PreTrainedModel` with a language modelling head; it is put into
            evaluation mode.
        tokenizer: its fast tokenizer.
        name: what a report calls it.
        cache_mode: "cache" or "recompute" to overrule the choice; "cache" may then be
            wrong.

    Attributes:
        cache_mode: "cache", or "recompute" where no attention cache is known to be right.
        note: why there is no cache, or empty.
        forward_passes: how often the model was run.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, name: str = "", cache_mode: str | None = None
    ) -> None:
        self._model = model.eval()
        self.name = name or str(getattr(model, "name_or_path", "")) or type(model).__name__
        self.forward_passes = 0
        self.vocabulary = _read_vocabulary(model, tokenizer)
        self.max_length = _max_length(model)
        self.tokenizer = tokenizer
        self._encoder = TextEncoder(tokenizer, self.vocabulary)
        self._start_ids = self._encoder.start_ids or _start_ids(model, tokenizer)
        forward = inspect.unwrap(type(model).forward)
        self._accepted = set(inspect.signature(forward).parameters)
        self._takes_positions = "slice_logits_to_keep" in forward.__code__.co_names
        self._is_spread = len(set(getattr(model, "hf_device_map", {}).values())) > 1
        self._is_small = sum(p.numel() for p in model.parameters()) < _SMALL
        self.note = ""
        if cache_mode is None:
            self.note = reason_to_recompute(model) or self._failed_self_check()
            cache_mode = "recompute" if self.note else "cache"
        self.cache_mode = cache_mode

    def encode(self, text: str, *, at_start: bool) -> list[int]:
        """Return ids that spell a text (see `LanguageModel.encode`)."""
        if at_start and not text:
            return self._start_ids or self._encoder.encode("", at_start=True)
        return self._encoder.encode(text, at_start=at_start)

    def new_state(self, n_rows: int) -> ModelState:
        """Return a state of `n_rows` rows that have read nothing."""
        return self._new_state(n_rows, self.cache_mode)

    def _new_state(self, n_rows: int, mode: str) -> ModelState:
        device = self._model.get_input_embeddings().weight.device
        if mode == "cache":
            return CachedState(self._forward_cached, n_rows, device, one_thread=self._is_small)
        return RecomputedState(self._forward_whole, n_rows, device, one_thread=self._is_small)

    def _forward_cached(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        cache: DynamicCache,
        columns: torch.Tensor,
    ) -> torch.Tensor:
        """Run over new columns; return logits [rows, kept, vocabulary] behind `columns`."""
        inputs: dict[str, Any] = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "past_key_values": cache,
            "use_cache": True,
        }
        if "position_ids" in self._accepted:
            inputs["position_ids"] = position_ids
        if columns.shape[1] == 0:
            return self._logits(inputs, 1)[:, :0]
        if self._is_spread:  # the last layer's device is not that of `columns`
            first = int(columns.min())
            logits = self._logits(inputs, input_ids.shape[1] - first)
            places = columns.to(logits.device) - (input_ids.shape[1] - logits.shape[1])
            return torch.take_along_dim(logits, places[..., None], dim=1)
        if self._takes_positions:
            return self._logits(inputs, columns)
        union, places = torch.unique(columns, return_inverse=True)
        logits = self._logits(inputs, union)
        if logits.shape[1] != len(union):  # the model returns all of them
            places = columns
        return torch.take_along_dim(logits, places[..., None], dim=1)

    def _forward_whole(self, input_ids: torch.Tensor, keep: int) -> torch.Tensor:
        """Run over whole rows of equal length; return the logits behind the last tokens."""
        logits = self._logits({"input_ids": input_ids, "use_cache": False}, keep)
        return logits[:, logits.shape[1] - keep :]

    def _logits(self, inputs: dict[str, Any], keep: int | torch.Tensor) -> torch.Tensor:
        """Run the model; `keep` is left out where the model returns all logits anyway."""
        if "logits_to_keep" in self._accepted:
            inputs["logits_to_keep"] = keep
        self.forward_passes += 1
        logits: torch.Tensor = self._model(**inputs).logits
        return logits

    def _failed_self_check(self) -> str:
        """Compare cached rows with fresh runs where the architecture was never compared."""
        if self._model.config.model_type in _VERIFIED:
            return ""
        length = min(12, self.max_length or 12)
        generator = np.random.default_rng(0)
        ids = [int(i) for i in generator.integers(1, self.vocabulary.size, length)]
        kind = self._model.config.model_type
        try:
            cached = self._new_state(2, "cache")
            cached.extend([ids[:4], ids[2:5]], [0, 0])
            cached.rewind([1, 0])
            cached.gather([1, 0])
            found = cached.extend([ids[5:], ids[3:5]], [1, 1])
            whole = self._new_state(2, "recompute")
            wanted = whole.extend([ids[2:], ids[:5]], [1, 1])
        except (RuntimeError, TypeError, ValueError, AttributeError, IndexError) as error:
            return f"the attention cache of {kind} cannot be used: {error}"
        self.forward_passes = 0
        difference = max(
            float(np.abs(a - b).max() / (np.abs(b).max() + 1e-6))
            for a, b in zip(found, wanted, strict=True)
        )
        if difference < _TOLERANCE.get(self._model.dtype, _HALF_TOLERANCE):
            return ""
        return f"rows of {kind} with an attention cache differ from fresh ones"


def reason_to_recompute(model: Any) -> str:
    """Return why an attention cache is not known to be right for a model; "" where it is."""
    config = model.config.get_text_config(decoder=True)
    kind = model.config.model_type
    if not type(model).__module__.startswith("transformers.models."):
        return f"{type(model).__name__} is not part of transformers"
    if getattr(model, "_is_stateful", False) or kind in _NOT_CACHEABLE:
        return f"{kind} keeps a recurrent state"
    accepted = inspect.signature(inspect.unwrap(type(model).forward)).parameters
    if "past_key_values" not in accepted or "attention_mask" not in accepted:
        return f"{kind} takes no attention cache"
    if not _cache_layers(model.config) <= {DynamicLayer, DynamicSlidingWindowLayer}:
        return f"{kind} has layers that are no plain attention"
    if "chunked_attention" in (getattr(config, "layer_types", None) or ()):
        return f"{kind} has chunked attention"
    if _rope_types(config) & {"dynamic", "longrope"}:
        return f"the position embedding of {kind} depends on the length of the row"
    return ""


def _cache_layers(config: Any) -> set[type]:
    """Return the kinds of cache layers that transformers makes for a configuration."""
    try:
        return {type(layer) for layer in DynamicCache(config=config).layers}
    except (AttributeError, KeyError, TypeError, ValueError):  # it has no layers of its own
        return {object}


def _rope_types(config: Any) -> set[str]:
    """Return the kinds of rotary position embedding in use."""
    parameters = getattr(config, "rope_parameters", None) or {}
    nested = [value for value in parameters.values() if isinstance(value, dict)]
    return {str(values.get("rope_type", "default")) for values in (parameters, *nested)}


def _read_vocabulary(model: Any, tokenizer: Any) -> Vocabulary:
    head = model.get_output_embeddings()
    weight = getattr(head, "weight", None)
    size = int(
        model.config.get_text_config(decoder=True).vocab_size if weight is None else weight.shape[0]
    )
    end_ids = [e for e in _end_ids(model, tokenizer) if e < size]
    vocabulary = Vocabulary.from_tokenizer(tokenizer, size=size, eos_token_ids=end_ids)
    if vocabulary.size > size:  # tokens that the model cannot write
        vocabulary = Vocabulary(vocabulary.tokens[:size], end_ids)
    return vocabulary


def _end_ids(model: Any, tokenizer: Any) -> list[int]:
    """Return the end-of-text ids that the model or its tokenizer names."""
    named = [getattr(model.generation_config, "eos_token_id", None), tokenizer.eos_token_id]
    ids: list[int] = []
    for value in named:
        ids += [int(i) for i in value] if isinstance(value, (list, tuple)) else []
        ids += [int(value)] if isinstance(value, int) else []
    return list(dict.fromkeys(ids))


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
