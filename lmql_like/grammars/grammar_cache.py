"""Grammars that were read before, on disk: `compile_grammar(..., cache=FOLDER)`.

A file is named by a digest of everything that the reading depends on: the text, the
arguments, the limits, the versions of this package, its reader, Lark and the format. What is
kept is the grammar as it was read, and the network that a parser reads it by; no vocabulary
changes either. A file is a digest of its
content, then the content: JSON and numpy arrays, no pickle; whatever does not agree with
its digest is taken for missing. Files are written beside their place and moved there, so
readers never see half of one, and of several writers the last one wins.

The folder is the user's own: whoever may write to it can put any grammar into it.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cache
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from lmql_like.grammars.cfg.reader import read_grammar
from lmql_like.grammars.cfg.rules import LexedGrammar, RuleSet
from lmql_like.grammars.lexed_automaton import parser_network
from lmql_like.grammars.limits import DEFAULT_LIMITS, Limits
from lmql_like.grammars.node_records import NotRecordableError, grammar_of, record_of

__all__ = ["FORMAT", "read_grammar_cached"]

FORMAT = 2  # of the files; counts up whenever reading or writing them changes
_DIGEST = 32


def read_grammar_cached(
    text: str,
    folder: str | os.PathLike[str],
    *,
    start: str | None = None,
    syntax: str = "lark",
    lexing: str = "lexed",
    limits: Limits = DEFAULT_LIMITS,
) -> RuleSet | LexedGrammar:
    """Return what `read_grammar` returns, out of a folder where it was kept there before.

    A folder that cannot be written to is no error: then nothing is kept.

    Raises:
        GrammarError: as `read_grammar`; grammars that are refused are not kept.
    """
    arguments = {"start": start, "syntax": syntax, "lexing": lexing}
    path = Path(folder) / f"{_key(text, arguments, limits)}.grammar"
    known = _load(path)
    if known is not None:
        return known
    grammar = read_grammar(text, start=start, syntax=syntax, lexing=lexing, limits=limits)
    if isinstance(grammar, LexedGrammar):
        network, proven = parser_network(grammar, limits)
        grammar = replace(grammar, network=network, proven=proven)
    with suppress(NotRecordableError, OSError):
        _store(path, grammar)
    return grammar


def _key(text: str, arguments: dict[str, Any], limits: Limits) -> str:
    versions = [FORMAT, _version_of("lmql-like"), _version_of("lark"), _reader_version()]
    parts = json.dumps([versions, arguments, asdict(limits), text], sort_keys=True)
    return blake2b(parts.encode(), digest_size=20).hexdigest()


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a folder that was never installed
        return ""


@cache
def _reader_version() -> str:
    """Return a digest of the sources that read grammars: they may change between releases."""
    here, digest = Path(__file__).parent, blake2b(digest_size=8)
    for path in sorted([*here.glob("*.py"), *here.glob("cfg/*.py"), *here.glob("regex/*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _load(path: Path) -> RuleSet | LexedGrammar | None:
    """Return the grammar of a file; None where there is none, or none that is whole."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, content = data[:_DIGEST], data[_DIGEST:]
    if not content or blake2b(content, digest_size=_DIGEST).digest() != digest:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return grammar_of(json.loads(arrays["record"].tobytes()), arrays)


def _store(path: Path, grammar: RuleSet | LexedGrammar) -> None:
    record, arrays = record_of(grammar)
    buffer = io.BytesIO()
    text = json.dumps(record, separators=(",", ":")).encode()
    np.savez(buffer, record=np.frombuffer(text, np.uint8), **arrays)  # type: ignore[arg-type]
    content = buffer.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:8]}-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(blake2b(content, digest_size=_DIGEST).digest() + content)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
