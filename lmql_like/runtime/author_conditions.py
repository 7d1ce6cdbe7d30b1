"""Conditions of the author's own while a hole is filled: which tokens they mask, how it ends."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

import numpy as np

from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.formulas import TRUE, And, Formula, Not, Or, all_of
from lmql_like.grammars.vocabulary import Vocabulary
from lmql_like.kernels.selection import count_allowed
from lmql_like.language.code import Code
from lmql_like.language.custom import Checked, Watched, is_followed
from lmql_like.runtime.masking import MaskRow

__all__ = ["TokenFilter", "holds", "split_followed"]

_MAX_ROWS = 256

Verdict = tuple[bool | None, bool]  # the value, None where it is open; whether it is final


def split_followed(formulas: Iterable[Formula]) -> tuple[Formula, Formula]:
    """Return what becomes an automaton, and what the author's own code says."""
    every = list(formulas)
    return (
        all_of(formula for formula in every if not is_followed(formula)),
        all_of(formula for formula in every if is_followed(formula)),
    )


def holds(formula: Formula, text: str, check: Callable[[Code], bool]) -> bool:
    """Tell whether a whole text satisfies a formula.

    Args:
        formula: with conditions of the author's own in it.
        text: the hole's.
        check: evaluates a call, the hole's value being there.
    """
    if isinstance(formula, Checked):
        return check(formula.call)
    if isinstance(formula, Watched):
        return formula.value(text)
    if not is_followed(formula):
        return formula == TRUE or bool(compile_formula(formula).matches(text))
    if isinstance(formula, Not):
        return not holds(formula.part, text, check)
    if isinstance(formula, And):
        return all(holds(part, text, check) for part in formula.parts)
    return isinstance(formula, Or) and any(holds(part, text, check) for part in formula.parts)


def _has_watched(formula: Formula) -> bool:
    if isinstance(formula, Not):
        return _has_watched(formula.part)
    if isinstance(formula, And | Or):
        return any(map(_has_watched, formula.parts))
    return isinstance(formula, Watched)


class TokenFilter:
    """Takes the tokens out of mask rows behind which a condition is false for good.

    Args:
        vocabulary: the tokens.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._rows: OrderedDict[tuple[int, bytes, int], tuple[Formula, MaskRow]] = OrderedDict()

    @staticmethod
    def applies(formula: Formula) -> bool:
        """Tell whether a formula can take tokens out."""
        return _has_watched(formula)

    def filtered(self, row: MaskRow, formula: Formula, raw: bytes) -> MaskRow:
        """Return a row without those tokens; it accepts where the formula may be true.

        Args:
            row: what the hole's automaton allows.
            formula: with conditions of the author's own in it.
            raw: the hole's bytes so far.
        """
        key = (id(formula), raw, id(row))
        known = self._rows.get(key)
        if known is not None and known[0] is formula:
            return known[1]
        bits = row.bits.copy()
        words = bits.view(np.uint32)
        for token_id in self._allowed(row):
            value, is_final = self._behind(formula, raw, self._vocabulary.tokens[token_id])
            if value is False and is_final:
                words[token_id >> 5] &= np.uint32(~(1 << (token_id & 31)) & 0xFFFFFFFF)
        count, only = count_allowed(bits, self._vocabulary.size)
        bits.flags.writeable = False
        accepting = row.is_accepting and self._behind(formula, raw, b"")[0] is not False
        found = MaskRow(bits, count, only, accepting)
        self._rows[key] = (formula, found)
        if len(self._rows) > _MAX_ROWS:
            self._rows.popitem(last=False)
        return found

    def _allowed(self, row: MaskRow) -> list[int]:
        unpacked = np.unpackbits(row.bits.view(np.uint8), bitorder="little")
        ids: list[int] = np.flatnonzero(unpacked[: self._vocabulary.size]).tolist()
        return ids

    def _behind(self, formula: Formula, raw: bytes, token: bytes) -> Verdict:
        """Return what a formula says behind one more token; whole characters count."""
        if isinstance(formula, Watched):
            text = raw.decode(errors="ignore")
            longer = (raw + token).decode(errors="ignore")
            return formula.behind(text, longer[len(text) :])
        if isinstance(formula, Not):
            value, is_final = self._behind(formula.part, raw, token)
            return (None if value is None else not value), is_final
        if isinstance(formula, And | Or):
            verdicts = [self._behind(part, raw, token) for part in formula.parts]
            return _joined(verdicts, deciding=isinstance(formula, Or))
        return None, False


def _joined(verdicts: list[Verdict], *, deciding: bool) -> Verdict:
    """Return the verdict of a conjunction (False decides) or a disjunction (True decides)."""
    if (deciding, True) in verdicts:
        return deciding, True
    values = [value for value, _ in verdicts]
    is_final = all(final for _, final in verdicts)
    if deciding in values:
        return deciding, is_final
    return (None if None in values else not deciding), is_final
