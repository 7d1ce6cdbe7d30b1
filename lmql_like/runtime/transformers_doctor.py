"""Finds out how a model can be run exactly: the law of states on a tiny clone of it.

    choose_mode(model)          the mode of a loaded model: known, or examined
    examine(config, build)      tries the modes from fast to slow on a clone

A clone has the configuration's architecture, layer kinds and switches, few layers, a small
vocabulary, narrow layers where the architecture allows it, and random weights. What it
shows depends on code, not on weights: whether rows that were extended, forked, reordered and
rewound give the logits of fresh runs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lmql_like.errors import ModelError
from lmql_like.runtime.state_law import TOLERANCE, worst_difference
from lmql_like.runtime.transformers_forward import StateMaker
from lmql_like.runtime.transformers_modes import KNOWN_MODES, LADDER, MODES, PADDED
from lmql_like.runtime.transformers_runners import memory_argument

__all__ = [
    "CloneError",
    "Examination",
    "Finding",
    "choose_mode",
    "examine",
    "known_mode",
    "reason_to_recompute",
]

_MAX_WEIGHTS = 200_000_000
_VOCABULARY = 128
_EXPECTED = (RuntimeError, TypeError, ValueError, AttributeError, IndexError, KeyError)
_EXPECTED_OF_CLONES = (*_EXPECTED, ZeroDivisionError, NotImplementedError, ImportError)

_NARROW = {
    "hidden_size": 64,
    "d_model": 64,
    "n_embd": 64,
    "intermediate_size": 96,
    "ffn_dim": 96,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
    "num_attention_heads": 4,
    "n_head": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rotary_dim": 8,
    "global_head_dim": 16,
    "hidden_size_per_layer_input": 8,
}
_SHALLOW = {
    "sliding_window": 6,
    "attention_window_size": 6,
    "attention_chunk_size": 6,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "num_experts_per_tok": 2,
    "max_position_embeddings": 256,
    "vocab_size_per_layer_input": _VOCABULARY,
}
_LAYER_COUNTS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "num_blocks")
_TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


@dataclass(frozen=True)
class Finding:
    """What came of one mode.

    Attributes:
        mode: a key of `MODES`.
        difference: the worst one on the walks; None where the model raised an error.
        error: that error.
    """

    mode: str
    difference: float | None = None
    error: str = ""

    @property
    def holds(self) -> bool:
        """Whether the law holds in this mode."""
        return self.difference is not None and self.difference < TOLERANCE


@dataclass(frozen=True)
class Examination:
    """What an examination found.

    Attributes:
        kind: the architecture.
        findings: the modes that were tried, the last one is the first that holds.
        n_weights: of the clone.
    """

    kind: str
    findings: tuple[Finding, ...]
    n_weights: int

    @property
    def mode(self) -> str:
        """The fastest exact mode.

        Raises:
            ModelError: M115, there is none.
        """
        if not self.findings[-1].holds:
            raise ModelError(
                "M115",
                f"no way was found to run models of the kind '{self.kind}' exactly",
                help="`lmql-like doctor` shows what was tried; use another architecture",
            )
        return self.findings[-1].mode


def choose_mode(model: Any) -> tuple[str, str]:
    """Return the mode of a model, and a note where it is unusual.

    Raises:
        ModelError: M115, no mode is exact.
    """
    kind = model.config.model_type
    reason = reason_to_recompute(model)
    if reason:
        return "recompute", reason
    is_theirs = type(model).__module__.startswith("transformers.models.")
    mode = KNOWN_MODES.get(kind) if is_theirs else None
    if mode is None:
        try:
            mode = examine(model.config, type(model)).mode
        except CloneError as error:
            return "recompute", f"{kind} could not be examined: {error}"
    return mode, "" if mode in PADDED else f"{kind}: {MODES[mode].meaning}"


def known_mode(config: Any, *, trust_remote_code: bool) -> str | None:
    """Return the mode of a configuration where `choose_mode` would not examine the model."""
    has_own_code = bool(getattr(config, "auto_map", None)) and trust_remote_code
    if _depends_on_length(config):
        return "recompute"
    return None if has_own_code else KNOWN_MODES.get(config.model_type)


def reason_to_recompute(model: Any) -> str:
    """Return why nothing of a row can be kept whatever the architecture; "" if it can."""
    kind = model.config.model_type
    if memory_argument(model) is None and not model.config.is_encoder_decoder:
        return f"{kind} takes no memory of its rows"
    if _depends_on_length(model.config):
        return f"the position embedding of {kind} depends on the length of the row"
    return ""


def examine(config: Any, build: Callable[[Any], Any]) -> Examination:
    """Try the modes from fast to slow on a clone, up to the first that keeps the law.

    Args:
        config: of the model.
        build: makes a model with random weights from a configuration.

    Raises:
        CloneError: no clone can be built and run.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more cost a tiny model more than they bring
    try:
        return _examined(config, build)
    finally:
        torch.set_num_threads(threads)


def _examined(config: Any, build: Callable[[Any], Any]) -> Examination:
    clone = _clone(config, build)
    size = int(clone.config.get_text_config(decoder=True).vocab_size)
    findings: list[Finding] = []
    if reason_to_recompute(clone):
        modes: Sequence[str] = ("recompute",)
    else:
        modes = LADDER
    for mode in modes:
        findings.append(_tried(clone, mode, size))
        if findings[-1].holds:
            break
    n_weights = sum(weight.numel() for weight in clone.parameters())
    return Examination(config.model_type, tuple(findings), n_weights)


def _tried(clone: Any, mode: str, vocabulary_size: int) -> Finding:
    def fresh(ids: Sequence[int]) -> NDArray[np.float32]:
        with torch.inference_mode():
            rows = torch.tensor([list(ids)])
            found: NDArray[np.float32] = clone(input_ids=rows, use_cache=False).logits[0].numpy()
            return found

    states = StateMaker(clone, min_shared=1)
    try:
        worst = worst_difference(lambda n: states.make(mode, n), fresh, vocabulary_size)
        return Finding(mode, worst)
    except _EXPECTED as error:
        return Finding(mode, error=f"{type(error).__name__}: {_first_line(error)}")


class CloneError(Exception):
    """No clone of a configuration could be built and run."""


def _clone(config: Any, build: Callable[[Any], Any]) -> Any:
    """Return a small model of the configuration's kind, with random weights.

    Raises:
        CloneError: none can be built, or run.
    """
    problem = ""
    for changes in ({**_SHALLOW, **_NARROW}, _SHALLOW, {}):
        try:
            clone = _built(_smaller(config, changes), build)
            if clone is None:
                problem = problem or "it has too many weights"
                continue
            with torch.inference_mode():
                rows = torch.tensor([[3, 4, 5, 6, 7, 8], [8, 7, 3, 4, 4, 3]])
                logits = clone(input_ids=rows, use_cache=False).logits
                alone = clone(input_ids=rows[1:], use_cache=False).logits
            if bool(torch.isfinite(logits).all()) and torch.allclose(logits[1:], alone, atol=1e-3):
                return clone
            problem = "rows of equal length change each other, or are not finite"
        except _EXPECTED_OF_CLONES as error:
            problem = f"{type(error).__name__}: {_first_line(error)}"
    raise CloneError(problem)


def _built(config: Any, build: Callable[[Any], Any]) -> Any:
    """Return a model with random weights; None if there were too many."""
    with torch.device("meta"):
        if sum(weight.numel() for weight in build(config).parameters()) > _MAX_WEIGHTS:
            return None
    clone = build(config).float().eval()
    _randomize(clone)
    return clone


def _smaller(config: Any, changes: dict[str, int]) -> Any:
    """Return a configuration with few layers and no number above those of `changes`."""
    small = copy.deepcopy(config)
    inner = small.get_text_config(decoder=True)
    if changes:
        _shorten(inner)
    is_grouped = _is_grouped(inner)
    for name, value in changes.items():
        present = _setting(inner, name)
        if not isinstance(present, int) or isinstance(present, bool):
            continue
        if name == "num_key_value_heads" and not is_grouped:
            most = changes.get("num_attention_heads", present)
        else:
            most = value
        with suppress(AttributeError, RuntimeError):  # derived, or of each layer
            setattr(inner, name, min(present, most))
    inner.vocab_size = min(inner.vocab_size, _VOCABULARY)
    for name in _TOKEN_IDS:
        present = _setting(inner, name)
        if present is not None:
            setattr(inner, name, min(present, 2) if isinstance(present, int) else 2)
    return small


def _setting(config: Any, name: str) -> Any:
    """Return a number of a configuration; None where it has none, or one for each layer."""
    try:
        return getattr(config, name, None)
    except RuntimeError:
        return None


def _is_grouped(config: Any) -> bool:
    """Tell whether several heads of queries share one of keys."""
    heads, of_keys = (_setting(config, f"num_{kind}_heads") for kind in ("attention", "key_value"))
    return of_keys is not None and bool(heads != of_keys)


def _shorten(config: Any) -> None:
    """Keep the first layers, up to the first of each kind, and at least two."""
    name = next((n for n in _LAYER_COUNTS if isinstance(getattr(config, n, None), int)), None)
    if name is None:
        return
    n_layers = getattr(config, name)
    kinds = getattr(config, "layer_types", None) or getattr(config, "layers_block_type", None) or []
    firsts = [kinds.index(kind) for kind in set(kinds)] if isinstance(kinds, list) else []
    kept = min(n_layers, max([1, *firsts]) + 1)
    for key, value in list(vars(config).items()):
        if isinstance(value, list) and len(value) == n_layers:
            setattr(config, key, value[:kept])
    setattr(config, name, kept)


def _randomize(model: Any) -> None:
    """Draw all weights so that every part of the model changes the logits."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.dim() < 2:
                weight.add_(0.15 * noise)
            else:
                weight.copy_(0.85 * noise / weight.shape[-1] ** 0.5)
    model.tie_weights()


def _depends_on_length(config: Any) -> bool:
    """Tell whether a token's position embedding changes when the row gets longer."""
    parameters = getattr(config.get_text_config(decoder=True), "rope_parameters", None) or {}
    nested = [value for value in parameters.values() if isinstance(value, dict)]
    kinds = {str(values.get("rope_type", "default")) for values in (parameters, *nested)}
    return bool(kinds & {"dynamic", "longrope"})


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]
