r"""Queries as Python: functions, texts, and prompts put together without strings.

functions     @query: a function whose docstring is a query
running       run, arun, stream, run_file, score: any query, in every way to run it
lambdas       F: a prompt string and a condition as a function
prompts       prompt, gen, arg, hole, role: a query put together from values
conditions    Regex, OneOf, Contains, TokenLength, ...: conditions, with & | ~
writing       what these stand for: the nodes of the parser, and their text
places        where an expression stands in the author's Python file
"""

from __future__ import annotations

from lmql_like.dsl.functions import QueryFunction, query
from lmql_like.dsl.running import Stream, arun, default_model, run, run_file, score, stream

__all__ = [
    "QueryFunction",
    "Stream",
    "arun",
    "default_model",
    "query",
    "run",
    "run_file",
    "score",
    "stream",
]
