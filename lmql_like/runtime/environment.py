"""What a program finds beside Python's own built-in names: `score`.

Functions that the author defines keep the namespace they were defined in, so the names
are put among the built-in ones once, and reach the stretch that runs through here.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

from lmql_like.errors import RunError
from lmql_like.runtime.distributions import Distribution
from lmql_like.runtime.steps import Host, Options

__all__ = ["Environment", "read_options"]


class Environment:
    """The surroundings of the programs of one run.

    Attributes:
        host: answers what only the model knows; None outside a run.
        written: gives the text that the running stretch has written so far.
        builtins: the built-in names of its programs.
    """

    def __init__(self) -> None:
        self.host: Host | None = None
        self.written: Callable[[], str] = str
        self.builtins: dict[str, Any] = {**vars(builtins), "score": self.score}

    def score(self, values: Sequence[str], tokenizations: str = "canonical") -> Distribution:
        """Return how likely each of some texts is as the next one, at this place of the program.

        Args:
            values: different texts, none of them empty.
            tokenizations: "canonical", as the tokenizer spells them; "all", summed over
                every spelling.
        """
        options = read_options(values, tokenizations)
        if self.host is None:
            raise RunError("R207", "'score' is called outside a run: there is no model to ask")
        return self.host.score(self.written(), options)


def read_options(values: Sequence[str], tokenizations: str) -> Options:
    """Return checked arguments of `score`.

    Raises:
        TypeError, ValueError: what is wrong with them.
    """
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise TypeError("score expects a list of strings")
    listed = tuple(values)
    if not listed or "" in listed or len(set(listed)) < len(listed):
        raise ValueError("score expects different strings, at least one and none of them empty")
    if tokenizations not in ("canonical", "all"):
        raise ValueError(f"tokenizations={tokenizations!r} is neither 'canonical' nor 'all'")
    return Options(listed, tokenizations == "all")
