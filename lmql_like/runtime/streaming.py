"""Text while it comes: events of a run in progress.

What is sent is never taken back. A hypothesis among several only sends what they all
share; a hole whose stop phrase will be cut off is sent when it ends; bytes wait until
they are whole characters. The events of one result, put together, are its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmql_like.runtime.hypotheses import Hypothesis, Segment, incomplete_tail

__all__ = ["TextEvent", "TextStream"]


@dataclass(frozen=True, slots=True)
class TextEvent:
    """A piece of text that is certain.

    Attributes:
        input_index: number of the input.
        lane: number of the sample, 0 where there is one result or the best is meant.
        text: whole characters.
        hole: name of the hole the text belongs to; None for literal text.
    """

    input_index: int
    lane: int
    text: str
    hole: str | None


class TextStream:
    """Turns the growing text of one result into events.

    Args:
        input_index: number of the input.
        lane: number of the sample.
    """

    def __init__(self, input_index: int, lane: int = 0) -> None:
        self._input_index = input_index
        self._lane = lane
        self._n_sent = 0

    def update(self, hypotheses: Sequence[Hypothesis]) -> list[TextEvent]:
        """Return what all hypotheses, one of which will be the result, now agree on."""
        if not hypotheses:
            return []
        first = _certain_segments(hypotheses[0])
        agreed = b"".join(segment.data for segment in first)
        for hypothesis in hypotheses[1:]:
            other = b"".join(segment.data for segment in _certain_segments(hypothesis))
            agreed = agreed[: _common_length(agreed, other)]
        whole = len(agreed) - incomplete_tail(agreed)
        return self._send(first, whole)

    def _send(self, segments: Sequence[Segment], end: int) -> list[TextEvent]:
        """Return the events for the bytes from the last sent one up to `end`."""
        events = []
        at = 0
        for segment in segments:
            begin, at = at, at + len(segment.data)
            data = segment.data[max(0, self._n_sent - begin) : max(0, end - begin)]
            if data:
                text = data.decode()
                events.append(TextEvent(self._input_index, self._lane, text, segment.hole))
        self._n_sent = max(self._n_sent, end)
        return events


def _certain_segments(hypothesis: Hypothesis) -> list[Segment]:
    """Return the pieces of a hypothesis's text that its next steps cannot take back."""
    if hypothesis.marks and hypothesis.status is None:  # a nested query's text may go again
        return list(hypothesis.segments[: hypothesis.marks[0].n_segments])
    segments = list(hypothesis.segments)
    hole = hypothesis.open_hole
    if hole is not None and (hypothesis.status is not None or not hole.takes_back):
        segments.append(Segment(hole.raw, hole.hole.name))
    return segments


def _common_length(left: bytes, right: bytes) -> int:
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[:middle] == right[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
