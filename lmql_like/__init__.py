r"""lmql_like: a query language for constrained decoding.

    import lmql_like

    result = lmql_like.run('"Q: 2 + 3?\nA:[N: int]"')
    result.variables["N"]

Names are loaded when they are first used: `import lmql_like` itself loads neither numba
nor torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmql_like.dsl import QueryFunction as QueryFunction
    from lmql_like.dsl import query as query
    from lmql_like.dsl import run as run
    from lmql_like.dsl import run_file as run_file
    from lmql_like.dsl import score as score
    from lmql_like.errors import LmqlLikeError as LmqlLikeError
    from lmql_like.language.compiler import compile_query as compile_query
    from lmql_like.language.custom import constraint as constraint
    from lmql_like.runtime.hooks import Rewritten as Rewritten
    from lmql_like.runtime.hooks import once as once
    from lmql_like.runtime.hooks import post as post
    from lmql_like.runtime.hooks import pre as pre
    from lmql_like.runtime.hooks import stream as stream
    from lmql_like.runtime.results import Result as Result
    from lmql_like.runtime.search.decoders import decoder as decoder
    from lmql_like.runtime.transformers_model import load_model as load_model

__version__ = "0.1.0"

_HOMES = {
    "LmqlLikeError": "lmql_like.errors",
    "QueryFunction": "lmql_like.dsl",
    "Result": "lmql_like.runtime.results",
    "compile_query": "lmql_like.language.compiler",
    "constraint": "lmql_like.language.custom",
    "decoder": "lmql_like.runtime.search.decoders",
    "load_model": "lmql_like.runtime.transformers_model",
    "Rewritten": "lmql_like.runtime.hooks",
    "once": "lmql_like.runtime.hooks",
    "post": "lmql_like.runtime.hooks",
    "pre": "lmql_like.runtime.hooks",
    "stream": "lmql_like.runtime.hooks",
    "query": "lmql_like.dsl",
    "run": "lmql_like.dsl",
    "run_file": "lmql_like.dsl",
    "score": "lmql_like.dsl",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - all of them are strings


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lmql_like' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
