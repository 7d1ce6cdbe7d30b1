"""Files that a user names."""

from __future__ import annotations

from pathlib import Path

from lmql_like.errors import QueryError

__all__ = ["read_text", "write_text"]


def read_text(path: str | Path, what: str) -> str:
    """Return the text of a UTF-8 file.

    Args:
        path: the file.
        what: how an error calls it, such as "the query file".

    Raises:
        QueryError: Q007.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise QueryError("Q007", f"{what} '{path}' cannot be read: {reason}") from error


def write_text(path: str | Path, text: str, what: str) -> None:
    """Write a UTF-8 file, its line ends as they are.

    Args:
        path: the file.
        text: what it will hold.
        what: how an error calls it, such as "the page".

    Raises:
        QueryError: Q507.
    """
    try:
        Path(path).write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        message = f"{what} '{path}' cannot be written: {error.strerror}"
        raise QueryError("Q507", message) from error
