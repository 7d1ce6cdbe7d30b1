"""Query files that import other query files.

    import capital                  # capital.lmql beside this file, itself a query
    from prompts.steps import think # prompts/steps.lmql beside this file, a query in it

A file counts only where it lies: next to the file that imports it, or in a folder below.
Where there is none, the statement is Python's.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from lmql_like.errors import QueryError, did_you_mean
from lmql_like.files import read_text
from lmql_like.language.nodes import LibraryImport
from lmql_like.language.program import Program
from lmql_like.source import Source, Span

__all__ = ["LibraryReader", "read_library_imports"]

_SUFFIX = ".lmql"
_OPEN: ContextVar[tuple[Path, ...]] = ContextVar("_OPEN", default=())


def read_library_imports(
    stmt: ast.stmt, source: Source, span: Span
) -> list[LibraryImport | ast.stmt] | None:
    """Return what an `import` imports: query files, and statements for what is Python's.

    None where nothing of it is a query file.
    """
    folder = _folder_of(source)
    if folder is None or not isinstance(stmt, ast.Import | ast.ImportFrom):
        return None
    if isinstance(stmt, ast.ImportFrom):
        for _ in range(stmt.level - 1):
            folder = folder.parent
        path = _file(folder, stmt.module or "")
        if path is None:
            return None
        names = tuple((alias.name, alias.asname or alias.name) for alias in stmt.names)
        return [LibraryImport(path, names, span)]
    found: list[LibraryImport | ast.stmt] = []
    for alias in stmt.names:
        path = _file(folder, alias.name)
        if path is None:
            found.append(ast.copy_location(ast.Import([alias]), stmt))
        else:
            name = alias.asname or alias.name.split(".")[-1]
            found.append(LibraryImport(path, ((None, name),), span))
    return found if any(isinstance(item, LibraryImport) for item in found) else None


def _folder_of(source: Source) -> Path | None:
    path = Path(source.name)
    return path.parent if path.suffix == _SUFFIX and path.is_file() else None


def _file(folder: Path, module: str) -> Path | None:
    if not module:
        return None
    path = folder.joinpath(*module.split(".")).with_suffix(_SUFFIX)
    return path if path.is_file() else None


class LibraryReader:
    """Compiles the query files that a program imports, each once.

    Args:
        compile_file: compiles the text of a file, given its name.
    """

    def __init__(self, compile_file: Callable[[str, str], Program]) -> None:
        self._compile_file = compile_file
        self._known: dict[Path, Program] = {}

    def read(self, node: LibraryImport, source: Source) -> Program:
        """Return the program of an imported file.

        Raises:
            QueryError: Q107 where it has no such name, Q108 where files import each other.
        """
        path = node.path.resolve()
        with _opened(source), _importing(path, node, source):
            if path not in self._known:
                text = read_text(node.path, "the query file")
                self._known[path] = self._compile_file(text, str(node.path))
        program = self._known[path]
        for name, _ in node.names:
            if name is not None and name not in program.defined:
                raise QueryError(
                    "Q107",
                    f"the query file '{node.path}' defines no '{name}'",
                    source=source,
                    span=node.span,
                    help=did_you_mean(name, program.defined),
                )
        return program


@contextmanager
def _opened(source: Source) -> Iterator[None]:
    """Note that a file is being compiled."""
    token = _OPEN.set((*_OPEN.get(), Path(source.name).resolve()))
    try:
        yield
    finally:
        _OPEN.reset(token)


@contextmanager
def _importing(path: Path, node: LibraryImport, source: Source) -> Iterator[None]:
    if path in _OPEN.get():
        raise QueryError(
            "Q108",
            f"the query file '{node.path}' imports, in the end, itself",
            source=source,
            span=node.span,
            help="put what both files need into a third one",
        )
    yield
