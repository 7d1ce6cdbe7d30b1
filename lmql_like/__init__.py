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
    from lmql_like.dsl import Stream as Stream
    from lmql_like.dsl import arun as arun
    from lmql_like.dsl import query as query
    from lmql_like.dsl import run as run
    from lmql_like.dsl import run_file as run_file
    from lmql_like.dsl import score as score
    from lmql_like.dsl import stream as stream
    from lmql_like.dsl.conditions import Bool as Bool
    from lmql_like.dsl.conditions import ByteLength as ByteLength
    from lmql_like.dsl.conditions import Condition as Condition
    from lmql_like.dsl.conditions import Contains as Contains
    from lmql_like.dsl.conditions import Custom as Custom
    from lmql_like.dsl.conditions import Date as Date
    from lmql_like.dsl.conditions import EndsWith as EndsWith
    from lmql_like.dsl.conditions import Equals as Equals
    from lmql_like.dsl.conditions import Excludes as Excludes
    from lmql_like.dsl.conditions import Float as Float
    from lmql_like.dsl.conditions import Gbnf as Gbnf
    from lmql_like.dsl.conditions import Grammar as Grammar
    from lmql_like.dsl.conditions import In as In
    from lmql_like.dsl.conditions import Includes as Includes
    from lmql_like.dsl.conditions import Int as Int
    from lmql_like.dsl.conditions import Json as Json
    from lmql_like.dsl.conditions import Length as Length
    from lmql_like.dsl.conditions import OfType as OfType
    from lmql_like.dsl.conditions import OneOf as OneOf
    from lmql_like.dsl.conditions import Regex as Regex
    from lmql_like.dsl.conditions import SentenceCount as SentenceCount
    from lmql_like.dsl.conditions import StartsWith as StartsWith
    from lmql_like.dsl.conditions import StopsAt as StopsAt
    from lmql_like.dsl.conditions import StopsBefore as StopsBefore
    from lmql_like.dsl.conditions import SubstringOf as SubstringOf
    from lmql_like.dsl.conditions import TokenLength as TokenLength
    from lmql_like.dsl.conditions import WordCount as WordCount
    from lmql_like.dsl.lambdas import F as F
    from lmql_like.dsl.prompts import Prompt as Prompt
    from lmql_like.dsl.prompts import arg as arg
    from lmql_like.dsl.prompts import gen as gen
    from lmql_like.dsl.prompts import hole as hole
    from lmql_like.dsl.prompts import prompt as prompt
    from lmql_like.dsl.prompts import role as role
    from lmql_like.errors import LmqlLikeError as LmqlLikeError
    from lmql_like.language.compiler import compile_query as compile_query
    from lmql_like.language.custom import constraint as constraint
    from lmql_like.runtime.hooks import Rewritten as Rewritten
    from lmql_like.runtime.hooks import once as once
    from lmql_like.runtime.hooks import post as post
    from lmql_like.runtime.hooks import pre as pre
    from lmql_like.runtime.results import Result as Result
    from lmql_like.runtime.search.decoders import decoder as decoder
    from lmql_like.runtime.transformers_model import load_model as load_model

__version__ = "0.1.0"

_HOMES = {
    "QueryFunction": "lmql_like.dsl",
    "Stream": "lmql_like.dsl",
    "arun": "lmql_like.dsl",
    "query": "lmql_like.dsl",
    "run": "lmql_like.dsl",
    "run_file": "lmql_like.dsl",
    "score": "lmql_like.dsl",
    "stream": "lmql_like.dsl",
    "Bool": "lmql_like.dsl.conditions",
    "ByteLength": "lmql_like.dsl.conditions",
    "Condition": "lmql_like.dsl.conditions",
    "Contains": "lmql_like.dsl.conditions",
    "Custom": "lmql_like.dsl.conditions",
    "Date": "lmql_like.dsl.conditions",
    "EndsWith": "lmql_like.dsl.conditions",
    "Equals": "lmql_like.dsl.conditions",
    "Excludes": "lmql_like.dsl.conditions",
    "Float": "lmql_like.dsl.conditions",
    "Gbnf": "lmql_like.dsl.conditions",
    "Grammar": "lmql_like.dsl.conditions",
    "In": "lmql_like.dsl.conditions",
    "Includes": "lmql_like.dsl.conditions",
    "Int": "lmql_like.dsl.conditions",
    "Json": "lmql_like.dsl.conditions",
    "Length": "lmql_like.dsl.conditions",
    "OfType": "lmql_like.dsl.conditions",
    "OneOf": "lmql_like.dsl.conditions",
    "Regex": "lmql_like.dsl.conditions",
    "SentenceCount": "lmql_like.dsl.conditions",
    "StartsWith": "lmql_like.dsl.conditions",
    "StopsAt": "lmql_like.dsl.conditions",
    "StopsBefore": "lmql_like.dsl.conditions",
    "SubstringOf": "lmql_like.dsl.conditions",
    "TokenLength": "lmql_like.dsl.conditions",
    "WordCount": "lmql_like.dsl.conditions",
    "F": "lmql_like.dsl.lambdas",
    "Prompt": "lmql_like.dsl.prompts",
    "arg": "lmql_like.dsl.prompts",
    "gen": "lmql_like.dsl.prompts",
    "hole": "lmql_like.dsl.prompts",
    "prompt": "lmql_like.dsl.prompts",
    "role": "lmql_like.dsl.prompts",
    "LmqlLikeError": "lmql_like.errors",
    "compile_query": "lmql_like.language.compiler",
    "constraint": "lmql_like.language.custom",
    "Rewritten": "lmql_like.runtime.hooks",
    "once": "lmql_like.runtime.hooks",
    "post": "lmql_like.runtime.hooks",
    "pre": "lmql_like.runtime.hooks",
    "Result": "lmql_like.runtime.results",
    "decoder": "lmql_like.runtime.search.decoders",
    "load_model": "lmql_like.runtime.transformers_model",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - all of them are strings


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lmql_like' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def load_ipython_extension(shell: Any) -> None:
    """Let notebooks run queries in `%%lmql` cells: `%load_ext lmql_like`."""
    from lmql_like.notebook import register  # IPython is optional

    register(shell)


def __dir__() -> list[str]:
    return sorted(__all__)
