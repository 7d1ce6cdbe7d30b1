"""Mistakes that a grammar may hold though it can be read: `check_grammar` finds them."""

from __future__ import annotations

from lmql_like.grammars.lint.checker import check_grammar
from lmql_like.grammars.lint.findings import Finding

__all__ = ["Finding", "check_grammar"]
