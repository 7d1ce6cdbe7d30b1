"""Numba kernels over flat arrays: arrays in, arrays out; no kernel knows a grammar.

Compiled code is cached in a folder of the user's own, so only the very first run on a
machine compiles (about half a minute); `kernel_cache_folder` says where. An environment
that sets `NUMBA_CACHE_DIR` is left alone.
"""

from __future__ import annotations

from pathlib import Path

import numba
import platformdirs

__all__ = ["is_kernel_cache_empty", "kernel_cache_folder"]


def kernel_cache_folder() -> Path:
    """Return the folder that holds the compiled kernels."""
    if numba.config.CACHE_DIR:
        return Path(numba.config.CACHE_DIR)
    return Path(platformdirs.user_cache_dir("lmql-like")) / "kernels"


def is_kernel_cache_empty() -> bool:
    """Tell whether no kernel has been compiled on this machine yet."""
    folder = kernel_cache_folder()
    return not folder.is_dir() or next(folder.rglob("*.nbi"), None) is None


# Numba reads this when a function is decorated, so it must stand before every kernel.
numba.config.CACHE_DIR = str(kernel_cache_folder())
