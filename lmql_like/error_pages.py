"""The pages that explain error codes."""

from __future__ import annotations

from pathlib import Path

__all__ = ["read_page"]

_PACKAGE = Path(__file__).parent
# In a wheel the pages lie in the package; in a checkout they are part of the docs.
_FOLDERS = (_PACKAGE / "explanations", _PACKAGE.parent / "docs" / "errors")


def read_page(code: str) -> str:
    """Return the Markdown page of a code.

    Raises:
        FileNotFoundError: the installation lacks its pages.
    """
    for folder in _FOLDERS:
        page = folder / f"{code}.md"
        if page.is_file():
            return page.read_text(encoding="utf-8")
    raise FileNotFoundError(f"no page for {code} in {' or '.join(map(str, _FOLDERS))}")
