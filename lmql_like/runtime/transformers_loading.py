"""Reads a model and its tokenizer from a folder or the hub; says what is wrong if it cannot.

Weights come from safetensors files only: a pickle can run code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
)
from transformers.utils import logging

from lmql_like.errors import ModelError, did_you_mean

__all__ = ["DEFAULT_MODEL_FOLDER", "build_from", "read_config", "read_model"]

DEFAULT_MODEL_FOLDER = Path(__file__).parent.parent / "default_model"

_SOURCE_KINDS = ("t5", "switch_transformers", "bart")
"""Encoder-decoders that read the prompt and write the holes as they are."""

_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float64": torch.float64,
}


def read_model(
    name_or_path: str | None,
    *,
    device: str | None,
    dtype: str | None,
    device_map: str | dict[str, Any] | None,
    trust_remote_code: bool,
    prepare: Callable[[Any, str, Path], None] | None = None,
) -> tuple[str, Any, Any]:
    """Return a name, a model ready to run, and its fast tokenizer.

    Args and errors as `transformers_model.load_model`; `prepare` is called with the model,
    the device it will be moved to and its folder.
    """
    place = _checked_device(device)
    kind = _checked_dtype(dtype)
    name, source = _find(name_or_path)
    config = _checked_config(source, trust_remote_code=trust_remote_code)
    tokenizer = _read_tokenizer(source, trust_remote_code=trust_remote_code)
    options: dict[str, Any] = {
        "dtype": kind or _default_dtype(place, config),
        "trust_remote_code": trust_remote_code,
    }
    if device_map is not None:
        options["device_map"] = device_map
    model = _read_weights(source, config, options)
    if prepare is not None:
        prepare(model, place if device_map is None else str(model.device), Path(source))
    if device_map is None:
        try:
            model = model.to(place)
        except torch.OutOfMemoryError:
            raise _out_of_memory(source) from None
    return name, model, tokenizer


def read_config(name_or_path: str | None, *, trust_remote_code: bool) -> tuple[str, Any]:
    """Return a model's name and its configuration; weights need not be there.

    Raises:
        ModelError: M101, M102, M106 to M108, M112, M113.
    """
    name, source = _find(name_or_path, needs_weights=False)
    return name, _checked_config(source, trust_remote_code=trust_remote_code)


def build_from(config: Any, trust_remote_code: bool) -> Any:
    """Return a causal model of a configuration, with random weights."""
    return AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)


def _checked_config(source: str, *, trust_remote_code: bool) -> Any:
    config = _read_config(source, trust_remote_code=trust_remote_code)
    _check_config(source, config, trust_remote_code=trust_remote_code)
    return config


def _checked_device(device: str | None) -> str:
    """Return a device that exists here.

    Raises:
        ModelError: M110.
    """
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ModelError(
            "M110",
            f"there is no device '{device}' here",
            help="'cpu' is always there" + (", 'cuda' too" if torch.cuda.is_available() else ""),
        ) from None
    return device


def _checked_dtype(dtype: str | None) -> torch.dtype | None:
    """Return the type of a name.

    Raises:
        ModelError: M109.
    """
    if dtype is None:
        return None
    if dtype not in _DTYPES:
        raise ModelError(
            "M109",
            f"there is no number type '{dtype}' for weights",
            help=did_you_mean(dtype, _DTYPES) or f"there are {', '.join(_DTYPES)}",
        )
    return _DTYPES[dtype]


def _default_dtype(device: str, config: Any) -> torch.dtype | str:
    """Return the type of the stored weights; half precision is slow on a CPU."""
    is_half = getattr(config, "dtype", None) == torch.float16
    return torch.float32 if is_half and device == "cpu" else "auto"


def _find(name_or_path: str | None, *, needs_weights: bool = True) -> tuple[str, str]:
    """Return the model's name and where to read it.

    Raises:
        ModelError: M101 no such folder, M112 no embedded model, and as `_check_folder`.
    """
    if name_or_path in (None, "default"):
        if not (DEFAULT_MODEL_FOLDER / "config.json").is_file():
            raise ModelError(
                "M112",
                "this installation has no embedded model",
                help="name a model: a folder or a name on the Hugging Face hub",
            )
        return "default", str(DEFAULT_MODEL_FOLDER)
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        _check_folder(path, needs_weights=needs_weights)
        return name_or_path, str(path)
    looks_like_path = name_or_path.startswith((".", "/", "~")) or name_or_path.count("/") > 1
    if path.exists() or looks_like_path:
        what = "is not a folder" if path.exists() else "does not exist"
        raise ModelError(
            "M101",
            f"the model '{name_or_path}' {what}",
            help="name the folder that holds config.json and the weights",
        )
    return name_or_path, name_or_path


def _check_folder(path: Path, *, needs_weights: bool) -> None:
    """Look for what a model's folder must hold.

    Raises:
        ModelError: M102 no config, M103 no weights, M104 weights only as pickles.
    """
    if not (path / "config.json").is_file():
        raise ModelError(
            "M102",
            f"the folder '{path}' has no config.json",
            help="name the folder that `save_pretrained` wrote",
        )
    if not needs_weights or any(path.glob("*.safetensors")):
        return
    if any(path.glob("*.bin")) or any(path.glob("*.pt")) or any(path.glob("*.pth")):
        raise _only_pickles(str(path))
    raise ModelError(
        "M103",
        f"the folder '{path}' has no weights",
        help="it must hold at least one .safetensors file",
    )


def _read_config(source: str, *, trust_remote_code: bool) -> Any:
    """Return the model's configuration.

    Raises:
        ModelError: M107 code of its own, M113 unknown architecture, and as `_from_os_error`.
    """
    if not trust_remote_code and Path(source).is_dir():
        written = _read_json(Path(source) / "config.json")
        if "AutoModelForCausalLM" in written.get("auto_map", {}):
            raise _remote_code(source)
    try:
        return AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code)
    except OSError as error:
        raise _from_os_error(source, error) from error
    except (ValueError, KeyError) as error:
        if "trust_remote_code" in str(error):
            raise _remote_code(source) from error
        raise ModelError(
            "M113",
            f"the installed transformers does not know the architecture of '{source}'",
            help="upgrade transformers",
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise ModelError("M102", f"'{path}' is not a JSON object", help="restore the file")
    return found


def _check_config(source: str, config: Any, *, trust_remote_code: bool) -> None:
    """Refuse what is no language model that can be run.

    Raises:
        ModelError: M106 unknown encoder-decoder, M107 code of its own, M113 no causal model.
    """
    if getattr(config, "is_encoder_decoder", False):
        if config.model_type in _SOURCE_KINDS:
            return
        raise ModelError(
            "M106",
            f"'{source}' is an encoder-decoder model of an unknown kind ({config.model_type})",
            help=f"use {', '.join(_SOURCE_KINDS)}, or a decoder-only (causal) language model",
        )
    has_own_code = "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    if has_own_code and not trust_remote_code and type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise _remote_code(source)
    is_encoder = any(name.endswith("MaskedLM") for name in config.architectures or ())
    if is_encoder or (not has_own_code and type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING):
        raise ModelError(
            "M113",
            f"'{source}' is no causal language model ({config.model_type})",
            help="use a model that transformers loads with AutoModelForCausalLM",
        )


def _read_tokenizer(source: str, *, trust_remote_code: bool) -> Any:
    """Return the fast tokenizer.

    Raises:
        ModelError: M105 none, or only a slow one.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            source, use_fast=True, trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError, KeyError, ImportError, TypeError) as error:
        raise ModelError(
            "M105",
            f"'{source}' has no tokenizer that can be read",
            help="put its tokenizer.json into the same folder",
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            "M105",
            f"the tokenizer of '{source}' has no fast version",
            help="convert it to a tokenizer.json",
        )
    return tokenizer


def _read_weights(source: str, config: Any, options: dict[str, Any]) -> Any:
    """Return the model.

    Raises:
        ModelError: M103, M104 no safetensors, M111 out of memory, M114 weights that do
            not fit or a package missing, and as `_from_os_error`.
    """
    try:
        with _no_progress_bar():
            kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
            model, info = kind.from_pretrained(
                source, config=config, use_safetensors=True, output_loading_info=True, **options
            )
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(source) from error
    except OSError as error:
        raise _from_os_error(source, error) from error
    except (RuntimeError, ValueError, ImportError, SafetensorError) as error:
        if "DefaultCPUAllocator" in str(error):
            raise _out_of_memory(source) from error
        first = (str(error).strip().splitlines() or [""])[0]
        raise ModelError("M114", f"the weights of '{source}' cannot be loaded: {first}") from error
    lacking = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
    if lacking:  # transformers would fill them with random numbers
        raise ModelError(
            "M114",
            f"the weights of '{source}' lack {len(lacking)} that its configuration names, "
            f"such as {lacking[0]}",
        )
    return model


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Keep transformers from writing to the terminal."""
    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()


def _from_os_error(source: str, error: OSError) -> ModelError:
    """Say which of the many things it was that transformers reports as an OSError."""
    names = _names_of_causes(error)
    if names & {"RepositoryNotFoundError", "HFValidationError", "GatedRepoError"}:
        what = "may not be read" if "GatedRepoError" in names else "is not on the hub"
        return ModelError(
            "M101",
            f"the model '{source}' {what}",
            help="check the name; log in with `hf auth login` if the model is private",
        )
    if names & {
        "ConnectError",
        "ConnectionError",
        "ConnectTimeout",
        "LocalEntryNotFoundError",
        "OfflineModeIsEnabled",
        "ProxyError",
        "ReadTimeout",
    }:
        return ModelError(
            "M108",
            f"the Hugging Face hub cannot be reached, and '{source}' is not stored here",
            help="download the model once while connected, or name a folder",
        )
    if "safetensors" in str(error) or "pytorch_model.bin" in str(error):
        return _only_pickles(source)
    first = (str(error).strip().splitlines() or [""])[0]
    return ModelError("M102", f"the model '{source}' cannot be read: {first}")


def _names_of_causes(error: BaseException) -> set[str]:
    names: set[str] = set()
    cause: BaseException | None = error
    while cause is not None:
        names |= {kind.__name__ for kind in type(cause).__mro__}
        cause = cause.__cause__ or cause.__context__
    return names


def _only_pickles(source: str) -> ModelError:
    return ModelError(
        "M104",
        f"the weights of '{source}' are stored as a pickle, which can run code; refused",
        help="convert them: model.save_pretrained(folder) writes safetensors",
    )


def _remote_code(source: str) -> ModelError:
    return ModelError(
        "M107",
        f"'{source}' needs code that comes with the model",
        help="read that code; then pass trust_remote_code=True (--trust-remote-code)",
    )


def _out_of_memory(source: str) -> ModelError:
    return ModelError(
        "M111",
        f"there is not enough memory for '{source}'",
        help="use dtype='bfloat16', a device_map, or a smaller model",
    )
