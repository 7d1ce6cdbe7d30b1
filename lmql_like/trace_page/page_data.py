"""What the page of a run shows, as plain values for its script."""

from __future__ import annotations

import codecs
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from lmql_like.language.program import Program
from lmql_like.runtime.hypotheses import Segment
from lmql_like.runtime.results import Result
from lmql_like.runtime.trace import Answer, Candidate, Question, Round, RunRecord
from lmql_like.runtime.trace_tree import Branch, grow_tree

__all__ = ["page_data"]

_MOST_BARS = 240


def page_data(program: Program, results: Sequence[Result], model: str) -> dict[str, Any]:
    """Return everything that the page of a run shows.

    Args:
        program: what was run.
        results: of one input, traced.
        model: its name.

    Raises:
        ValueError: the run was not traced.
    """
    first = results[0].trace
    if first is None:
        raise ValueError("the run was not traced")
    record = first.run
    numbers = {question: n for n, question in enumerate(record.questions)}
    return {
        "name": program.source.name,
        "source": program.source.text,
        "model": model,
        "decoder": results[0].decoder,
        "results": [_result(result, numbers) for result in results],
        "questions": [_question(program, question) for question in record.questions],
        "tree": _tree(record, results, numbers),
        "rounds": _rounds(record.rounds),
    }


def _result(result: Result, numbers: Mapping[Question, int]) -> dict[str, Any]:
    usage = result.usage
    return {
        "status": result.status,
        "logprob": _number(result.logprob),
        "value": None if result.value is None else repr(result.value),
        "variables": {name: repr(value) for name, value in result.variables.items()},
        "distributions": {
            name: dict(found.probabilities) for name, found in result.distributions.items()
        },
        "parts": list(_parts(result, numbers)),
        "usage": {
            "prompt tokens": usage.prompt_tokens,
            "generated tokens": usage.generated_tokens,
            "forced tokens": usage.forced_tokens,
            "forward passes": usage.forward_passes,
            "rows": usage.rows,
            "model seconds": round(usage.model_seconds, 4),
            "mask seconds": round(usage.mask_seconds, 4),
        },
    }


# The prompt


def _parts(result: Result, numbers: Mapping[Question, int]) -> Iterator[dict[str, Any]]:
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
            yield {"text": _shown(segment.data)}
        elif waiting and waiting[0][1:] == (number, False):
            yield _hole(waiting.popleft()[0], numbers, data=segment.data)
        else:
            yield {"hole": segment.hole, "tokens": [_whole(result, segment)]}
    for group, _, gone in waiting:
        yield _hole(group, numbers, gone=gone)


def _whole(result: Result, segment: Segment) -> dict[str, Any]:
    """Return the text of a hole that was not chosen token by token."""
    token: dict[str, Any] = {"text": _shown(segment.data), "kind": "given"}
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
            "spelled": _shown(answer.data),
            "logprob": _number(answer.logprob),
            "question": numbers[answer.question],
        }
        if end > len(data):
            token["back"] = _shown(answer.data[max(0, len(data) - begin) :])
        tokens.append(token)
        at = max(at, end)
    if at < len(data):
        tokens.append({"text": decoder.decode(data[at:]), "kind": "forced"})
    return {"hole": answers[0].question.hole.name, "tokens": tokens, "gone": gone}


# Masks


def _question(program: Program, question: Question) -> dict[str, Any]:
    source = program.source
    return {
        "hole": question.hole.name,
        "so_far": _shown(question.raw),
        "line": source.position(question.hole.span.start)[0],
        "conditions": [
            " ".join(source.slice(span).split()) for _, span in question.hole.conditions
        ],
        "allowed": question.n_allowed,
        "tokens": question.n_tokens,
        "mass": _number(question.allowed_mass),
        "can_end": question.can_end,
        "candidates": [_candidate(candidate) for candidate in question.candidates],
        "wanted": [_candidate(candidate) for candidate in question.wanted],
        "sample": [_shown(data) for data in question.sample],
        "round": question.round,
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "id": candidate.token_id,
        "text": _shown(candidate.data),
        "logprob": _number(candidate.logprob),
        "ok": candidate.is_allowed,
    }


# The tree


def _tree(
    record: RunRecord, results: Sequence[Result], numbers: Mapping[Question, int]
) -> list[dict[str, Any]]:
    """Return the branches as a flat list, each with the number of its parent."""
    owners: dict[Answer, int] = {}
    totals: dict[Answer, float] = {}  # forced tokens may have been scored behind the last choice
    for number, result in enumerate(results):
        answers = result.trace.answers if result.trace else ()
        totals |= dict.fromkeys(answers[-1:], result.logprob)
        for answer in answers:
            owners.setdefault(answer, number)
    found: list[dict[str, Any]] = []
    index = results[0].input_index
    todo: list[tuple[int | None, Branch]] = [(None, b) for b in reversed(grow_tree(record, index))]
    while todo:
        parent, branch = todo.pop()
        found.append(
            {
                "parent": parent,
                "text": branch.text,
                "logprob": _number(branch.logprob),
                "total": _number(totals.get(branch.last, branch.last.total)),
                "choices": len(branch.answers),
                "status": branch.status,
                "result": owners.get(branch.last),
                "question": numbers[branch.answers[0].question],
            }
        )
        number = len(found) - 1
        todo += [(number, inner) for inner in reversed(branch.branches)]
    return found


# Times


def _rounds(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Return the rounds' times; many rounds are summed up in groups of equal size."""
    size = max(1, math.ceil(len(rounds) / _MOST_BARS))
    return [
        {
            "first": at,
            "last": min(at + size, len(rounds)) - 1,
            "rows": max(r.rows for r in rounds[at : at + size]),
            "passes": sum(r.passes for r in rounds[at : at + size]),
            "model": sum(r.model_seconds for r in rounds[at : at + size]),
            "mask": sum(r.mask_seconds for r in rounds[at : at + size]),
            "all": sum(r.seconds for r in rounds[at : at + size]),
        }
        for at in range(0, len(rounds), size)
    ]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _shown(data: bytes) -> str:
    """Return bytes as text; those that are no whole character as escapes."""
    return data.decode("utf-8", "backslashreplace")
