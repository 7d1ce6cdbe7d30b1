"""What one notation of `name ::= ...` has that another has not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Dialect"]


@dataclass(frozen=True)
class Dialect:
    r"""What one notation has that another has not.

    Attributes:
        name: how messages call it.
        word: a rule's name.
        hex_digits: what may follow `\x`.
        escapes: letter behind a backslash -> character, in strings and in classes.
        class_escapes: more of them, in classes only.
        any_character: whether `.` is any character.
        empty_options: whether nothing at all is the empty text, as in `(a | )`.
        lines_in_strings: whether strings and classes may hold line ends as they are.
        refused: beginnings of features that are not supported -> what they are.
    """

    name: str
    word: re.Pattern[str]
    hex_digits: re.Pattern[str]
    escapes: Mapping[str, str]
    class_escapes: Mapping[str, str]
    any_character: bool
    empty_options: bool
    lines_in_strings: bool
    refused: tuple[tuple[re.Pattern[str], str], ...]
