"""Runs a model for `RowsState`: one class for decoders, one for encoder-decoders.

What differs between architectures is where a memory goes in and comes out: its argument is
called `past_key_values`, `cache_params` or `state`; some models insist on making their own;
RecurrentGemma keeps it on its modules, where it is put before each pass and taken from
after it, so that states do not see each other.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import MoEModelOutputWithPastAndCrossAttentions as _Encoded

from lmql_like.runtime.transformers_memory import Source, SourceLayer, empty_cache, width
from lmql_like.runtime.transformers_routing import RoutingRecorder

__all__ = ["DecoderRunner", "SourceRunner", "memory_argument"]

_MEMORY_ARGUMENTS = ("past_key_values", "cache_params", "state")
_MAKES_ITS_OWN = {"minimax", "rwkv", "xlstm"}
_HELD = ("conv1d_state", "recurrent_states")
_NO_LIMIT = 2**31 - 1
_BOUNDED = "_lmql_like_time_steps"


def memory_argument(model: Any) -> str | None:
    """Return the name under which a model's forward takes what it remembers."""
    accepted = inspect.signature(inspect.unwrap(type(model).forward)).parameters
    return next((name for name in _MEMORY_ARGUMENTS if name in accepted), None)


class DecoderRunner:
    """A `Runner` over a causal model.

    Args:
        model: with a memory (see `memory_argument`).
        recorder: notes which experts it uses.
    """

    def __init__(self, model: Any, recorder: RoutingRecorder | None = None) -> None:
        self._recorder = recorder
        self.device: torch.device = model.get_input_embeddings().weight.device
        self._model = model
        self._argument = memory_argument(model) or "past_key_values"
        forward = inspect.unwrap(type(model).forward)
        self._accepted = set(inspect.signature(forward).parameters)
        self._makes_its_own = model.config.model_type in _MAKES_ITS_OWN
        self._held = _held_states(model)
        _bound_time_steps(model)

    def start(self, ids: Sequence[int]) -> tuple[int, Any]:
        """Return that all ids are input (see `Runner.start`)."""
        del ids
        return 0, None

    def run(
        self,
        memory: Any,
        starts: Sequence[Sequence[int]],
        input_ids: torch.Tensor,
        positions: torch.Tensor,
        mask: torch.Tensor | None,
        keep: int,
    ) -> tuple[torch.Tensor, Any]:
        """Run over new columns (see `Runner.run`)."""
        del starts
        if self._recorder is not None:
            self._recorder.begin(input_ids, None)
        cache, held = memory or (None, [None] * len(self._held))
        if cache is None and not self._makes_its_own:
            cache = empty_cache(self._model.config)
        inputs: dict[str, Any] = {"input_ids": input_ids, "use_cache": True}
        if cache is not None:
            inputs[self._argument] = cache
        if mask is not None and width(cache):  # a recurrent state does not see the padding
            inputs["attention_mask"] = mask
        if "position_ids" in self._accepted:
            inputs["position_ids"] = positions
        if "logits_to_keep" in self._accepted:
            inputs["logits_to_keep"] = max(1, keep)
        self._hold(held)
        output = self._model(**inputs)
        found = getattr(output, self._argument, None)
        held = [getattr(module, name) for module, name in self._held]
        self._hold([None] * len(self._held))
        logits: torch.Tensor = output.logits[:, output.logits.shape[1] - keep :]
        return logits, (cache if found is None else found, held)

    def _hold(self, states: Sequence[torch.Tensor | None]) -> None:
        for (module, name), state in zip(self._held, states, strict=True):
            setattr(module, name, state)


class SourceRunner:
    """A `Runner` over an encoder-decoder model.

    A row is the ids of its source, which end with the first end-of-text token, the
    model's start token, and what the decoder has written. The encoder reads each source
    once, without padding.

    Args:
        model: with an encoder.
        end_id: the token that ends a source.
        recorder: notes which experts the decoder uses.
    """

    def __init__(self, model: Any, end_id: int, recorder: RoutingRecorder | None = None) -> None:
        self._recorder = recorder
        self.device: torch.device = model.get_input_embeddings().weight.device
        self._model = model
        self._end_id = end_id
        _lift_capacity(model.get_decoder())

    def start(self, ids: Sequence[int]) -> tuple[int, Any]:
        """Return the length of the source, or of all there is (see `Runner.start`)."""
        try:
            length = ids.index(self._end_id) + 1
        except ValueError:
            length = len(ids)
        return length, length

    def run(
        self,
        memory: Any,
        starts: Sequence[Sequence[int]],
        input_ids: torch.Tensor,
        positions: torch.Tensor,
        mask: torch.Tensor | None,
        keep: int,
    ) -> tuple[torch.Tensor, Any]:
        """Run the decoder over new columns, and before the first ones the encoder."""
        del positions, mask
        cache, source = memory or self._opened(starts)
        if self._recorder is not None:
            self._recorder.begin(input_ids, None)
        inputs: dict[str, Any] = {
            "encoder_outputs": _Encoded(last_hidden_state=source.states),
            "decoder_input_ids": input_ids,
            "past_key_values": cache,
            "use_cache": True,
        }
        logits: torch.Tensor = self._model(**inputs).logits
        return logits[:, logits.shape[1] - keep :], (cache, source)

    def _opened(self, starts: Sequence[Sequence[int]]) -> tuple[EncoderDecoderCache, Source]:
        """Read sources of equal length; return an empty cache and what the encoder made."""
        distinct = list(dict.fromkeys(map(tuple, starts)))
        ids = torch.tensor(distinct, dtype=torch.int64, device=self.device)
        states = self._model.get_encoder()(input_ids=ids).last_hidden_state
        which = [distinct.index(tuple(start)) for start in starts]
        crossing = DynamicCache()
        own = empty_cache(self._model.config)
        n_layers = max(len(own.layers), int(self._model.config.num_hidden_layers))
        crossing.layers = [SourceLayer() for _ in range(n_layers)]
        index = torch.tensor(which, device=self.device)
        return EncoderDecoderCache(own, crossing), Source(states.index_select(0, index))


def _held_states(model: Any) -> list[tuple[nn.Module, str]]:
    """Return the modules that keep a state of the rows themselves, and under which name."""
    if model.config.model_type != "recurrent_gemma":
        return []
    return [(m, name) for m in model.modules() for name in _HELD if name in vars(m)]


def _bound_time_steps(model: Any) -> None:
    """Let Mamba-2 layers bound their time steps token by token as they do in a whole run.

    Transformers applies `time_step_limit` where it scans a sequence, and forgets it where
    it takes one step. `softplus(max(x, softplus^-1(low)))` is `max(softplus(x), low)`, so
    bounding what goes into the softplus bounds both ways alike.
    """
    for module in model.modules():
        low, high = getattr(module, "time_step_limit", None) or (0.0, math.inf)
        projection = getattr(module, "in_proj", None)
        if projection is None or (low <= 0.0 and high == math.inf) or hasattr(module, _BOUNDED):
            continue
        setattr(module, _BOUNDED, (low, high))
        projection.register_forward_hook(partial(_bound, module, low, high))


def _bound(
    module: Any, low: float, high: float, _projection: nn.Module, _inputs: Any, out: torch.Tensor
) -> torch.Tensor:
    """Bound the time steps, which are the last columns of a mixer's projection."""
    bias = module.dt_bias.to(out.dtype)
    steps = out[..., -bias.shape[0] :]
    if low > 0.0:
        steps = torch.maximum(steps, math.log(math.expm1(low)) - bias)
    if high < math.inf:
        steps = torch.minimum(steps, math.log(math.expm1(high)) - bias)
    return torch.cat([out[..., : -bias.shape[0]], steps], dim=-1)


def _lift_capacity(decoder: Any) -> None:
    """Let a decoder's routers drop no token.

    Where experts have a capacity (Switch), a token that comes alone always finds room;
    several that come together must not lose theirs to each other.
    """
    for module in decoder.modules():
        if isinstance(getattr(module, "expert_capacity", None), int):
            module.expert_capacity = _NO_LIMIT
