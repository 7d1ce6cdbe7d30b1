"""The text of a result in pieces: literal ones, and holes with their tokens.

Where the run was traced, each token of a hole knows its log-probability and its question.
"""

from __future__ import annotations

import codecs
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from lmql_like.runtime.hypotheses import Segment
from lmql_like.runtime.trace import Answer, Question

if TYPE_CHECKING:
    from lmql_like.runtime.results import Result

__all__ = ["finite", "parts_of", "shown"]


def parts_of(result: Result, numbers: Mapping[Question, int]) -> Iterator[dict[str, Any]]:
    """Yield the pieces of a text in order: literal ones, and holes with their tokens.

    A hole of a nested query is "gone" where the query's text left the prompt; it stands
    before the hole that got the query's value.
    """
    answers = result.trace.answers if result.trace else ()
    groups = [list(group) for _, group in groupby(answers, key=lambda a: id(a.question.hole))]
    waiting = _placed(result, groups)
    for number, segment in enumerate(result.segments):
        while waiting and _comes_before(number, segment, waiting):
            group, _, gone = waiting.popleft()
            yield _hole(group, numbers, gone=gone)
        if segment.hole is None:
            yield {"text": shown(segment.data)}
        elif waiting and waiting[0][1:] == (number, False):
            yield _hole(waiting.popleft()[0], numbers, data=segment.data)
        else:
            yield {"hole": segment.hole, "tokens": [_whole(result, segment)]}
    for group, _, gone in waiting:
        yield _hole(group, numbers, gone=gone)


def _whole(result: Result, segment: Segment) -> dict[str, Any]:
    """Return the text of a hole that was not chosen token by token."""
    token: dict[str, Any] = {"text": shown(segment.data), "kind": "given"}
    distribution = result.distributions.get(segment.hole or "")
    if distribution is not None and token["text"] in distribution.values:
        token |= {"kind": "best", "share": distribution[token["text"]]}
    return token


_Group = list[Answer]


def _placed(result: Result, groups: Sequence[_Group]) -> deque[tuple[_Group, int, bool]]:
    """Return each hole's choices with the number of their piece, and whether that is gone.

    What is gone stands before a hole that nothing else filled: the nested query's.
    """
    places = [_place(result, group) for group in groups]
    written = {number for number, gone in places if not gone}
    given = [
        number
        for number, segment in enumerate(result.segments)
        if segment.hole is not None and number not in written
    ]
    return deque(
        (group, max((n for n in given if n <= place), default=place) if gone else place, gone)
        for group, (place, gone) in zip(groups, places, strict=True)
    )


def _place(result: Result, group: _Group) -> tuple[int, bool]:
    """Return which piece of the text a hole's choices wrote, or come before; and if it is gone.

    A hole that was filled with nothing has no piece; it has the number of the next one.
    """
    question = group[0].question
    text = question.text.encode()
    before = text[: len(text) - len(question.raw)]
    at = 0
    for number, segment in enumerate(result.segments):
        if at == len(before):
            return number, False
        if not before.startswith(segment.data, at):
            return number, True
        at += len(segment.data)
    return len(result.segments), at != len(before)


def _comes_before(number: int, segment: Segment, waiting: deque[tuple[_Group, int, bool]]) -> bool:
    """Tell whether the hole that waits first stands before a piece of the text."""
    group, place, gone = waiting[0]
    if gone or place != number:
        return place <= number
    is_next_too = len(waiting) > 1 and waiting[1][1:] == (number, False)
    return segment.hole != group[0].question.hole.name or is_next_too


def _hole(
    answers: _Group, numbers: Mapping[Question, int], data: bytes = b"", *, gone: bool = False
) -> dict[str, Any]:
    """Return a hole's text in tokens: chosen ones, forced ones, and what was taken back.

    A character that is written in several tokens stands at the last of them.
    """
    if gone:
        data = answers[-1].question.raw + answers[-1].data
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    tokens: list[dict[str, Any]] = []
    at = 0
    for answer in answers:
        begin = len(answer.question.raw)
        if at < min(begin, len(data)):
            tokens.append({"text": decoder.decode(data[at:begin]), "kind": "forced"})
        end = begin + len(answer.data)
        token = {
            "text": decoder.decode(data[begin:end]),
            "kind": "end" if answer.token_id < 0 else "chosen",
            "spelled": shown(answer.data),
            "logprob": finite(answer.logprob),
            "question": numbers[answer.question],
        }
        if end > len(data):
            token["back"] = shown(answer.data[max(0, len(data) - begin) :])
        tokens.append(token)
        at = max(at, end)
    if at < len(data):
        tokens.append({"text": decoder.decode(data[at:]), "kind": "forced"})
    return {"hole": answers[0].question.hole.name, "tokens": tokens, "gone": gone}


def finite(value: float) -> float | None:
    """Return a finite number, or None for one that is not."""
    return value if math.isfinite(value) else None


def shown(data: bytes) -> str:
    """Return bytes as text; those that are no whole character as escapes."""
    return data.decode("utf-8", "backslashreplace")
