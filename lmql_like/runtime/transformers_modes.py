"""Which state is exact for which architecture: the modes, and the table of what is known.

From fast to slow; every step down gives up something that some architecture gets wrong:

    shared              attention keys in one padded batch, those that rows share stored once
    cache               the same, but every row has its own
    rows                rows with equally many new tokens together, none padded behind
    rows-by-length      and only rows of equal length, none padded at all
    rows-alone          one row at a time
    tokens...           the same three, but behind the prompt one token at a time
    recompute           no memory: whole rows again at each step

The table is what `state_law` found on small random models; the tests repeat it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["KNOWN_MODES", "LADDER", "MODES", "PADDED", "StateMode"]


@dataclass(frozen=True)
class StateMode:
    """How the rows of a model are kept.

    Attributes:
        name: a key of `MODES`.
        grouping: rows run together: with equally many new tokens ("count"), of equal
            length too ("length"), or none ("row"); None for modes that pad or recompute.
        chunks: several tokens behind a prompt are fed at once ("whole") or one by one.
        meaning: a few words for a report.
    """

    name: str
    grouping: Literal["count", "length", "row"] | None
    chunks: Literal["whole", "single"]
    meaning: str


MODES: dict[str, StateMode] = {
    mode.name: mode
    for mode in (
        StateMode("shared", None, "whole", "attention keys, what rows share stored once"),
        StateMode("cache", None, "whole", "attention keys in one padded batch"),
        StateMode("rows", "count", "whole", "rows with equally many new tokens together"),
        StateMode("rows-by-length", "length", "whole", "rows of equal length together"),
        StateMode("rows-alone", "row", "whole", "one row at a time"),
        StateMode("tokens", "count", "single", "rows together, token by token"),
        StateMode("tokens-by-length", "length", "single", "equal lengths, token by token"),
        StateMode("tokens-alone", "row", "single", "one row at a time, token by token"),
        StateMode("recompute", None, "whole", "no memory: whole rows again at each step"),
    )
}

PADDED = ("shared", "cache")
"""The modes of attention alone, in which any rows are run together."""

LADDER = tuple(MODES)
"""The order in which modes are tried: the fastest that keeps the law is taken."""

_KINDS = {
    "shared": """
        afmoe cohere dbrx ernie4_5_moe flex_olmo gemma gemma2 gemma3_text gemma3n_text
        glm4_moe gpt2 gpt_neox gpt_oss granite granitemoe hunyuan_v1_moe llama llama4_text
        minimax_m2 mistral mixtral olmo2 olmoe opt phi phi3 phimoe qwen2 qwen2_moe qwen3
        qwen3_moe smollm3 starcoder2
    """,
    "cache": "bloom deepseek_v2 deepseek_v3 falcon jetmoe longcat_flash",
    "rows": """
        bailing_hybrid bamba falcon_h1 granitemoehybrid kimi_linear lfm2 lfm2_moe lfm3
        mamba2 nemotron_h olmo_hybrid qwen3_5_moe_text qwen3_5_text qwen3_next xlstm zamba2
        zaya
    """,
    "rows-by-length": "bart deepseek_v32 deepseek_v4 nllb-moe switch_transformers t5",
    "rows-alone": "rwkv",
    "tokens": "falcon_mamba jamba mamba recurrent_gemma zamba",
    "tokens-by-length": "minimax",
}

KNOWN_MODES = {kind: mode for mode, kinds in _KINDS.items() for kind in kinds.split()}
"""Architecture (`model_type`) -> the fastest mode that is exact for it."""
