"""What tells the branches of a choice apart at first sight.

Whether two branches of `oneOf` overlap is a question about their intersection. Most choices
are told apart by types, constants, or a required member with a constant, and of such
branches there may be hundreds: for these a look at two signatures is enough.
"""

from __future__ import annotations

from dataclasses import dataclass

from lmql_like.grammars.json_schema.conditions import FALSE, Condition
from lmql_like.grammars.json_schema.domains import Domain, ObjectSet
from lmql_like.grammars.json_schema.evaluation import Evaluator
from lmql_like.grammars.json_schema.number_atoms import NumberIn
from lmql_like.grammars.json_schema.strings import TextIn, texts_in

__all__ = ["Signature", "apart", "signature"]


@dataclass(frozen=True)
class Signature:
    """A few facts about a branch; None stands for more than is worth listing.

    Attributes:
        atoms: which of null, true and false it has.
        numbers: its numbers.
        texts: its strings.
        has_arrays: whether it has arrays.
        objects: for each kind of object, the names it requires and the texts their values
            can be.
    """

    atoms: frozenset[str]
    numbers: frozenset[object] | None
    texts: frozenset[str] | None
    has_arrays: bool
    objects: tuple[dict[str, frozenset[str]], ...]


def signature(evaluator: Evaluator, condition: Condition) -> Signature:
    """Return the signature of a branch."""
    domain: Domain = evaluator.domain(condition)
    numbers: frozenset[object] | None = None
    if domain.numbers == FALSE:
        numbers = frozenset()
    elif isinstance(domain.numbers, NumberIn):
        numbers = domain.numbers.values
    return Signature(
        domain.atoms,
        numbers,
        texts_in(domain.strings),
        bool(domain.arrays),
        tuple(_constants(evaluator, one) for one in domain.objects),
    )


def _constants(evaluator: Evaluator, one: ObjectSet) -> dict[str, frozenset[str]]:
    """Return the texts of required members that can be nothing but one of these."""
    required = {
        name for names, _ in one.members if isinstance(names, TextIn) for name in names.values
    }
    found: dict[str, frozenset[str]] = {}
    for names, values in one.values:
        if not isinstance(names, TextIn) or len(names.values) != 1 or values == FALSE:
            continue
        name = next(iter(names.values))
        if name not in required:
            continue
        domain = evaluator.known_domain(values)
        if domain is None:
            continue
        texts = texts_in(domain.strings)
        others = domain.atoms or domain.arrays or domain.objects or domain.numbers != FALSE
        if texts is not None and not others:
            found[name] = found[name] & texts if name in found else texts
    return found


def apart(left: Signature, right: Signature) -> bool:
    """Tell whether two branches surely have no value in common."""
    return (
        not left.atoms & right.atoms
        and not (left.has_arrays and right.has_arrays)
        and _disjoint(left.numbers, right.numbers)
        and _disjoint(left.texts, right.texts)
        and all(
            any(not a[name] & b[name] for name in a.keys() & b.keys())
            for a in left.objects
            for b in right.objects
        )
    )


def _disjoint(left: frozenset[object] | None, right: frozenset[object] | None) -> bool:
    if left is None or right is None:
        return left == frozenset() or right == frozenset()
    return not left & right
