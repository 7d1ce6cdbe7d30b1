"""What a run needs of a language model: two protocols, ids in, logits out.

`LanguageModel` is a model with its vocabulary; `ModelState` is what the model has read
so far, for a batch of rows. A search never sees text, tensors or caches: it feeds token
ids, reads logits, and rearranges rows.

Laws of a `ModelState` (checked in `tests/laws/test_runtime_laws.py`): after any sequence
of `extend`, `gather` and `rewind`, the logits of a row are those of a fresh run over the
row's tokens, up to rounding. Rows do not see each other.

`gather` forks: the copies of a row may share what they have read, until they are rewound
into it. So a prompt that is read by one row and then gathered is read, and where the model
allows it stored, once for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lmql_like.grammars.vocabulary import Vocabulary

__all__ = ["DeviceLogits", "LanguageModel", "LogitBlock", "ModelState", "Selected", "host_logits"]


class Selected(NamedTuple):
    """The best allowed tokens of n rows.

    Attributes:
        ids: int32[n, width], best first, smaller ones first among equals; -1 where fewer
            are allowed.
        logprobs: float32[n, width], in nats, normalized over the whole vocabulary.
        normalizers: float64[n], the log-sum-exp of each row.
        listed: float64[n], the log-probability of a row's listed ids together.
    """

    ids: NDArray[np.int32]
    logprobs: NDArray[np.float32]
    normalizers: NDArray[np.float64]
    listed: NDArray[np.float64]


class DeviceLogits(Protocol):
    """Logits that stay where the model runs: an index takes a row, the last axis is tokens."""

    def __getitem__(self, key: Any) -> Any:
        """Return some of the rows."""

    def host(self) -> NDArray[np.float32]:
        """Return them as an array."""

    def logprobs(
        self, rows: Sequence[int], ids: Sequence[int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the log-probabilities of `ids[i]` behind row `rows[i]`, and log-sum-exps."""

    @staticmethod
    def select(
        rows: Sequence[Any],
        bits: NDArray[np.int32],
        width: int,
        listed: Sequence[Sequence[int]],
    ) -> Selected:
        """Return the best allowed tokens of many rows at once.

        Args:
            rows: single rows, of one model.
            bits: int32[n, words] packed bitmasks.
            width: how many tokens of each row.
            listed: ids of each row whose probabilities are summed up.
        """


LogitBlock: TypeAlias = "NDArray[np.float32] | DeviceLogits"


def host_logits(logits: LogitBlock) -> NDArray[np.float32]:
    """Return logits as an array, wherever they are."""
    return logits if isinstance(logits, np.ndarray) else logits.host()


@runtime_checkable
class LanguageModel(Protocol):
    """A model of the next token, with its vocabulary.

    Attributes:
        name: what a report calls the model.
        vocabulary: the bytes of every token id.
        max_length: the longest row of tokens that the model can read, or None.
    """

    name: str
    vocabulary: Vocabulary
    max_length: int | None

    def encode(self, text: str, *, at_start: bool) -> list[int]:
        """Return token ids that spell a text.

        Args:
            text: any text, also the empty one.
            at_start: the text opens the prompt; the model's own start tokens stand
                before it, and at least one id is returned. Otherwise the text
                continues a prompt: nothing is added, the tokens spell exactly the text.

        Raises:
            ModelError: M202, the vocabulary cannot spell the text; M203, the prompt is
                empty and the model has no start token.
        """
        ...

    def new_state(self, n_rows: int) -> ModelState:
        """Return a state of `n_rows` rows that have read nothing.

        A model may also have `new_search_state`, of the same form: what its states return
        is `DeviceLogits` in place of arrays, so that only candidates leave the device.
        """
        ...


class ModelState(Protocol):
    """What the model has read so far, in rows of different lengths.

    Attributes:
        n_rows: rows.
        forward_passes: how often the model was run for this state.
    """

    n_rows: int
    forward_passes: int

    def extend(
        self, new_ids: Sequence[Sequence[int]], keep: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        """Feed tokens and return the logits behind the last of them.

        Args:
            new_ids: for each row the tokens it reads now; an empty row sits out.
            keep: for each row how many of its last tokens' logits to return, at most
                `len(new_ids[i])`.

        Returns:
            For each row float32[keep[i], vocabulary.size], not normalized. The arrays may
            share memory and are valid until the next call.
        """
        ...

    def gather(self, rows: Sequence[int]) -> None:
        """Make new row `j` a copy of old row `rows[j]`: reorder, fork and drop in one."""
        ...

    def rewind(self, counts: Sequence[int]) -> None:
        """Forget the last `counts[i]` tokens of row `i`."""
        ...
