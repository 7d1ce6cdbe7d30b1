"""Numba kernels over flat arrays: arrays in, arrays out; no kernel knows a grammar.

Compiled code is cached in a folder of the user's own, so only the very first run on a
machine compiles (about a minute); `kernel_cache_folder` says where. An environment
that sets `NUMBA_CACHE_DIR` is left alone.

Numba compiles a kernel anew when its own file changes, but not when one that it calls
changes in another file: each version of all kernels together has a folder of its own.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numba
import platformdirs

__all__ = ["is_kernel_cache_empty", "kernel_cache_folder"]


def kernel_cache_folder() -> Path:
    """Return the folder that holds the compiled kernels."""
    if numba.config.CACHE_DIR:
        return Path(numba.config.CACHE_DIR)
    return Path(platformdirs.user_cache_dir("lmql-like")) / "kernels" / _version()


@cache
def _version() -> str:
    """Return a digest of the sources of all kernels."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_kernel_cache_empty() -> bool:
    """Tell whether no kernel has been compiled on this machine yet."""
    folder = kernel_cache_folder()
    return not folder.is_dir() or next(folder.rglob("*.nbi"), None) is None


# Numba reads this when a function is decorated, so it must stand before every kernel.
numba.config.CACHE_DIR = str(kernel_cache_folder())
