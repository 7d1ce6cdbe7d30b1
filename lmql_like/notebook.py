r"""Queries in notebook cells.

    %load_ext lmql_like

    %%lmql --decoder "beam(n=3)" --out result
    "Q: What is the capital of {country}?\n"
    "A:[CAPITAL]" where STOPS_BEFORE(CAPITAL, "\n")

The query reads the notebook's names. Its result is the cell's, shown with coloured holes and
the probabilities of their tokens; the holes become names of the notebook.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from lmql_like.dsl.running import Call, Settings
from lmql_like.errors import LmqlLikeError
from lmql_like.language.compiler import compile_nodes
from lmql_like.language.parser import parse_query
from lmql_like.language.program import Program
from lmql_like.language.scopes import prompts_of
from lmql_like.runtime.results import Result
from lmql_like.source import Source

__all__ = ["register"]

_WORD = re.compile(r"[^\W\d]\w*")


@magics_class
class QueryMagics(Magics):  # type: ignore[misc]
    """The magics of a notebook."""

    @magic_arguments()
    @argument("--model", default=None, help="a name or folder, or a name of the notebook")
    @argument("--decoder", default=None, help='such as "beam(n=4)"')
    @argument("--seed", type=int, default=None, help="makes random choices repeatable")
    @argument("--healing", default=None, help="space, full or off")
    @argument("--out", default=None, help="gives the result a name in the notebook")
    @cell_magic
    def lmql(self, line: str, cell: str) -> Result:
        """Run the cell as a query; return its best result."""
        options = parse_argstring(self.lmql, line)
        names = self.shell.user_ns
        decoder = options.decoder.strip("\"'") if options.decoder else None
        model = names.get(options.model, options.model)
        settings = Settings(model, decoder, options.seed, options.healing, trace=True)
        try:
            result = self._run(cell, settings, names)
        except LmqlLikeError as error:
            raise UsageError(error.render()) from error
        names.update(result.variables)
        if options.out:
            names[options.out] = result
        return result

    @staticmethod
    def _run(cell: str, settings: Settings, names: Mapping[str, Any]) -> Result:
        program, scope = _compile(cell, names)
        arguments = {p.name: names[p.name] for p in program.parameters if p.name in names}
        return Call(program, arguments, settings, scope).run()


def _compile(cell: str, names: Mapping[str, Any]) -> tuple[Program, Mapping[str, Any]]:
    """Return the program of a cell, and the notebook's names that it may read.

    A name that a hole of the cell has is the hole's, whatever an earlier cell called so.
    """
    nodes = parse_query(Source(cell, "<cell>"))
    holes = {found.name for line in prompts_of(nodes.statements) for found in line.holes}
    scope = {
        name: names[name]
        for name in _WORD.findall(cell)
        if name in names and name not in holes and not name.startswith("_")
    }
    return compile_nodes(nodes, None, scope), scope


def register(shell: Any) -> None:
    """Add the magics to a shell."""
    shell.register_magics(QueryMagics)
