"""Looking into the last hole: what may stand there, and why a token may not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmql_like.errors import GrammarError, QueryError
from lmql_like.grammars.formulas import Formula
from lmql_like.grammars.masker import MaskerState
from lmql_like.repl.session import Session, Turn
from lmql_like.runtime.masking import Recognizer, recognizer_for
from lmql_like.runtime.model import LanguageModel
from lmql_like.runtime.trace import Candidate, Question

__all__ = ["MaskView", "TokenView", "Verdict", "look_at_mask", "look_at_token"]

_N_SHOWN = 10


@dataclass(frozen=True)
class MaskView:
    """What may follow a text in a hole.

    Attributes:
        hole: its name.
        text: the hole's text so far.
        fits: whether some text that begins like this satisfies the hole.
        may_end: whether the hole may end here.
        forced: the text that must follow.
        n_allowed: tokens that may follow.
        n_tokens: tokens of the vocabulary.
        mass: the probability that the model gives them and the end together.
        allowed: the likeliest that may follow.
        refused: the likeliest that may not.
    """

    hole: str
    text: str
    fits: bool
    may_end: bool = False
    forced: str = ""
    n_allowed: int = 0
    n_tokens: int = 0
    mass: float = 0.0
    allowed: tuple[Candidate, ...] = ()
    refused: tuple[Candidate, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What one condition of the hole says; `allows` is None where it cannot be asked alone."""

    condition: str
    allows: bool | None


@dataclass(frozen=True)
class TokenView:
    """Why a text may follow another one in a hole, or may not.

    Attributes:
        hole: its name.
        text: the hole's text so far.
        token: what would follow.
        n_pieces: tokens that spell it.
        allows: whether all conditions together do.
        logprob: the model's own, in nats.
        rank: of a single token among all, 1 for the likeliest; None for several tokens.
        allowed_rank: among those that the mask allows, where it is one of them.
        verdicts: of each condition by itself.
    """

    hole: str
    text: str
    token: str
    n_pieces: int
    allows: bool
    logprob: float
    rank: int | None
    allowed_rank: int | None
    verdicts: tuple[Verdict, ...]


def look_at_mask(session: Session, text: str) -> MaskView:
    """Return what may follow a text in the last hole that the model was asked about.

    Raises:
        QueryError: Q505 where it was asked about none.
    """
    turn, question = _last_hole(session)
    name = question.hole.name
    recognizer, model = _recognizer(question.hole.formula, turn), turn.model
    ids = model.encode(text, at_start=False) if text else []
    state = _advanced(recognizer, text, len(ids))
    if state is None:
        return MaskView(name, text, fits=False)
    mask = _mask(recognizer, state, model)
    logprobs = _logprobs(model, question, text, [])[0]
    size, ends = model.vocabulary.size, list(model.vocabulary.eos_token_ids)
    may_end = recognizer.masker.is_accepting(state)
    tokens = mask.copy()
    tokens[ends] = False
    order = np.argsort(-logprobs, kind="stable")
    return MaskView(
        name,
        text,
        fits=True,
        may_end=may_end,
        forced=recognizer.masker.forced_bytes(state).decode(errors="replace"),
        n_allowed=int(tokens.sum()),
        n_tokens=size,
        mass=float(np.exp(logprobs[mask]).sum()),
        allowed=_candidates(model, logprobs, order[tokens[order]], is_allowed=True),
        refused=_candidates(model, logprobs, order[~mask[order]], is_allowed=False),
    )


def look_at_token(session: Session, text: str, token: str) -> TokenView:
    """Return what each condition of the last hole says about a token behind a text.

    Args:
        session: with a run.
        text: the hole's text so far.
        token: a text of one or more tokens.

    Raises:
        QueryError: Q505 where the model was asked about no hole.
    """
    turn, question = _last_hole(session)
    model = turn.model
    ids = _ids_of(model, token)
    n_before = len(model.encode(text, at_start=False)) if text else 0
    rows = _logprobs(model, question, text, ids[:-1])
    logprob = sum(float(row[token_id]) for row, token_id in zip(rows, ids, strict=True))
    recognizer = _recognizer(question.hole.formula, turn)
    state = _advanced(recognizer, text, n_before)
    behind = None
    if state is not None:
        behind = recognizer.masker.advance_bytes(state, token.encode(), tokens=len(ids))
    rank = allowed_rank = None
    if len(ids) == 1:
        row = rows[0]
        rank = 1 + int((row > row[ids[0]]).sum())
        if state is not None and behind is not None:
            allowed = row[_mask(recognizer, state, model)]
            allowed_rank = 1 + int((allowed > row[ids[0]]).sum())
    return TokenView(
        question.hole.name,
        text,
        token,
        len(ids),
        allows=behind is not None,
        logprob=logprob,
        rank=rank,
        allowed_rank=allowed_rank,
        verdicts=tuple(_verdicts(turn, question, text + token, n_before + len(ids))),
    )


def _last_hole(session: Session) -> tuple[Turn, Question]:
    """Return the last question of the last run's best result, with the run."""
    turn = session.last_asked
    trace = turn.results[0].trace if turn else None
    if turn is None or trace is None or trace.last is None:
        raise QueryError(
            "Q505",
            "the model was asked about no hole yet",
            help="enter a prompt string with a hole first",
        )
    last = trace.last
    return turn, last if isinstance(last, Question) else last.question


def _recognizer(formula: Formula, turn: Turn) -> Recognizer:
    return recognizer_for(formula, turn.model.vocabulary)


def _advanced(recognizer: Recognizer, text: str, n_tokens: int) -> MaskerState | None:
    state = recognizer.masker.start()
    if state is None or not text:
        return state
    return recognizer.masker.advance_bytes(state, text.encode(), tokens=n_tokens)


def _mask(recognizer: Recognizer, state: MaskerState, model: LanguageModel) -> NDArray[np.bool_]:
    row = np.zeros(model.vocabulary.n_words, np.int32)
    recognizer.masker.fill_bitmask(state, row)
    bits = np.unpackbits(row.view(np.uint8), bitorder="little")
    return bits[: model.vocabulary.size].astype(bool)


def _ids_of(model: LanguageModel, token: str) -> list[int]:
    """Return the one token that is this text, or those that spell it."""
    data = token.encode()
    for token_id, known in enumerate(model.vocabulary.tokens):
        if known == data:
            return [token_id]
    return model.encode(token, at_start=False)


def _logprobs(
    model: LanguageModel, question: Question, text: str, more: Sequence[int]
) -> list[NDArray[np.float64]]:
    """Return what the model says behind a text in the hole, and behind each of `more`."""
    whole = question.text
    before = whole.encode()[: len(whole.encode()) - len(question.raw)].decode(errors="ignore")
    ids = [*model.encode(before + text, at_start=True), *more]
    block = model.new_state(1).extend([ids], [1 + len(more)])[0].astype(np.float64)
    top = block.max(axis=1, keepdims=True)
    return list(block - top - np.log(np.exp(block - top).sum(axis=1, keepdims=True)))


def _candidates(
    model: LanguageModel, logprobs: NDArray[np.float64], ids: NDArray[np.intp], *, is_allowed: bool
) -> tuple[Candidate, ...]:
    tokens = model.vocabulary.tokens
    return tuple(
        Candidate(int(at), tokens[at], float(logprobs[at]), is_allowed) for at in ids[:_N_SHOWN]
    )


def _verdicts(turn: Turn, question: Question, text: str, n_tokens: int) -> list[Verdict]:
    """Ask each condition of a hole by itself whether it allows a beginning."""
    found = []
    for formula, span in question.hole.conditions:
        condition = " ".join(turn.program.source.slice(span).split())
        try:
            recognizer = _recognizer(formula, turn)
        except GrammarError:
            found.append(Verdict(condition, None))
            continue
        found.append(Verdict(condition, _advanced(recognizer, text, n_tokens) is not None))
    return found
