"""The page of a run: one HTML file that needs nothing else.

The page holds its data, its style and its script, and forbids itself to load anything.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path

from lmql_like.language.program import Program
from lmql_like.runtime.results import Result
from lmql_like.trace_page.page_data import page_data

__all__ = ["write_page"]

_FOLDER = Path(__file__).parent


def write_page(program: Program, results: Sequence[Result], model: str) -> str:
    """Return the HTML page of a traced run.

    Args:
        program: what was run.
        results: of one input, best first.
        model: its name.

    Raises:
        ValueError: the run was not traced.
    """
    data = json.dumps(page_data(program, results, model), allow_nan=False, ensure_ascii=True)
    pieces = {
        "@title@": html.escape(program.source.name),
        "@style@": _asset("page.css"),
        "@script@": _asset("page.js"),
        # Inside a script element only these can end it or begin a comment.
        "@data@": data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"),
    }
    page = _asset("page.html")
    for mark, text in pieces.items():
        before, _, behind = page.partition(mark)
        page = before + text + behind
    return page


def _asset(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
