"""Writes a model folder that `from_pretrained` reads, and the checksums of its files."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3MoeForCausalLM

CHECKSUMS = "checksums.json"
MODEL_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def save_checkpoint(
    model: Qwen3MoeForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Write weights as float16, configuration, tokenizer and checksums into `folder`.

    The configuration names float32, so that a plain `from_pretrained` computes in it:
    half precision is slow on processors and saves memory nobody misses here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    end = tokenizer.eos_token_id
    half = copy.deepcopy(model).to(torch.float16)
    half.generation_config = GenerationConfig(bos_token_id=end, eos_token_id=end, pad_token_id=end)
    half.save_pretrained(folder)
    for key in ("is_local", "local_files_only"):  # how it was loaded is no part of it
        tokenizer.init_kwargs.pop(key, None)
    tokenizer.save_pretrained(folder)
    _set_dtype(folder / "config.json", "float32")
    for name in MODEL_FILES:
        (folder / name).chmod(0o644)
    write_checksums(folder)


def write_checksums(folder: Path) -> None:
    """Record the checksums of a folder's model files beside them."""
    sums = {name: sha256(folder / name) for name in MODEL_FILES}
    (folder / CHECKSUMS).write_text(json.dumps(sums, indent=2) + "\n")


def _set_dtype(path: Path, dtype: str) -> None:
    config = json.loads(path.read_text())
    config["dtype"] = dtype
    path.write_text(json.dumps(config, indent=2) + "\n")
