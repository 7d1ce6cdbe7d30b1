"""What the page of a run shows, as plain values for its script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lmql_like.language.program import Program
from lmql_like.runtime.results import Result
from lmql_like.runtime.trace import Answer, Candidate, Question, Round, RunRecord
from lmql_like.runtime.trace_parts import finite, parts_of, shown
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
        "logprob": finite(result.logprob),
        "value": None if result.value is None else repr(result.value),
        "variables": {name: repr(value) for name, value in result.variables.items()},
        "distributions": {
            name: dict(found.probabilities) for name, found in result.distributions.items()
        },
        "parts": list(parts_of(result, numbers)),
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


# Masks


def _question(program: Program, question: Question) -> dict[str, Any]:
    source = program.source
    return {
        "hole": question.hole.name,
        "so_far": shown(question.raw),
        "line": source.position(question.hole.span.start)[0],
        "conditions": [
            " ".join(source.slice(span).split()) for _, span in question.hole.conditions
        ],
        "allowed": question.n_allowed,
        "tokens": question.n_tokens,
        "mass": finite(question.allowed_mass),
        "can_end": question.can_end,
        "candidates": [_candidate(candidate) for candidate in question.candidates],
        "wanted": [_candidate(candidate) for candidate in question.wanted],
        "sample": [shown(data) for data in question.sample],
        "round": question.round,
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "id": candidate.token_id,
        "text": shown(candidate.data),
        "logprob": finite(candidate.logprob),
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
                "logprob": finite(branch.logprob),
                "total": finite(totals.get(branch.last, branch.last.total)),
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
