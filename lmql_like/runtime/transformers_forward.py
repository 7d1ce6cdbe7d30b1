"""Runs a causal model for the states that pad or recompute, and makes states of every mode.

StateMaker(model).make(mode, n_rows)      a `ModelState`
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from transformers import DynamicCache

from lmql_like.runtime.transformers_modes import MODES
from lmql_like.runtime.transformers_routing import RoutingRecorder
from lmql_like.runtime.transformers_rows import RowsState, Runner
from lmql_like.runtime.transformers_runners import DecoderRunner, SourceRunner
from lmql_like.runtime.transformers_shared import MIN_SHARED, SharedState
from lmql_like.runtime.transformers_states import CachedState, RecomputedState

__all__ = ["CausalForward", "StateMaker"]

_SMALL = 20_000_000  # weights


class StateMaker:
    """Makes states of one model.

    Args:
        model: a `PreTrainedModel` with a language modelling head.
        source_end: for an encoder-decoder the token that ends a source.
        recorder: notes which experts are used.
        min_shared: tokens of its own from which a forked row is shared (see `SharedState`).
    """

    def __init__(
        self,
        model: Any,
        *,
        source_end: int | None = None,
        min_shared: int = MIN_SHARED,
        recorder: RoutingRecorder | None = None,
    ) -> None:
        self.forward = CausalForward(model, recorder)
        self._recorder = recorder
        self._model = model
        self._source_end = source_end
        self._min_shared = min_shared
        self._runner: Runner | None = None
        self._one_thread = sum(p.numel() for p in model.parameters()) < _SMALL

    def make(self, mode: str, n_rows: int) -> CachedState | RecomputedState | RowsState:
        """Return a state of `n_rows` rows that have read nothing, in a mode of `MODES`."""
        state = self._made(mode, n_rows)
        if self._recorder is not None:
            state.on_pass = self._recorder.expect
        return state

    def _made(self, mode: str, n_rows: int) -> CachedState | RecomputedState | RowsState:
        device = self._model.get_input_embeddings().weight.device
        one_thread = self._one_thread
        if mode == "cache":
            return CachedState(self.forward.padded, n_rows, device, one_thread=one_thread)
        if mode == "shared":
            return SharedState(
                self.forward.padded,
                n_rows,
                device,
                self._model.config,
                one_thread=one_thread,
                min_shared=self._min_shared,
            )
        if mode == "recompute":
            return RecomputedState(self.forward.whole, n_rows, device, one_thread=one_thread)
        return RowsState(self._rows_runner(), n_rows, MODES[mode], one_thread=one_thread)

    def _rows_runner(self) -> Runner:
        if self._runner is None:
            end = self._source_end
            model = self._model
            recorder = self._recorder
            self._runner = (
                DecoderRunner(model, recorder)
                if end is None
                else SourceRunner(model, end, recorder)
            )
        return self._runner


class CausalForward:
    """The forward pass of a causal model, with an attention cache or without.

    Args:
        model: the model.
        recorder: notes which experts it uses.
    """

    def __init__(self, model: Any, recorder: RoutingRecorder | None = None) -> None:
        self._model = model
        self._recorder = recorder
        forward = inspect.unwrap(type(model).forward)
        self._accepted = set(inspect.signature(forward).parameters)
        self._takes_positions = "slice_logits_to_keep" in forward.__code__.co_names
        self._is_spread = len(set(getattr(model, "hf_device_map", {}).values())) > 1

    def padded(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        cache: DynamicCache,
        columns: torch.Tensor,
    ) -> torch.Tensor:
        """Run over new columns; return logits [rows, kept, vocabulary] behind `columns`."""
        if self._recorder is not None:
            self._recorder.begin(input_ids, attention_mask[:, -input_ids.shape[1] :] > 0)
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

    def whole(self, input_ids: torch.Tensor, keep: int) -> torch.Tensor:
        """Run over whole rows of equal length; return the logits behind the last tokens."""
        if self._recorder is not None:
            self._recorder.begin(input_ids, None)
        logits = self._logits({"input_ids": input_ids, "use_cache": False}, keep)
        return logits[:, logits.shape[1] - keep :]

    def _logits(self, inputs: dict[str, Any], keep: int | torch.Tensor) -> torch.Tensor:
        """Run the model; `keep` is left out where the model returns all logits anyway."""
        if "logits_to_keep" in self._accepted:
            inputs["logits_to_keep"] = keep
        logits: torch.Tensor = self._model(**inputs).logits
        return logits
