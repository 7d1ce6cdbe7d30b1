"""where-expressions to constraints: what each means, or why it cannot be enforced."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from lmql_like.errors import did_you_mean
from lmql_like.language.code import SENTENCES, Code, copied
from lmql_like.language.constraints import (
    All,
    Constraint,
    Either,
    Given,
    Negation,
    Relation,
    Test,
)
from lmql_like.language.custom import Applied
from lmql_like.language.embedded import span_of
from lmql_like.language.known_types import MISSING, KnownTypes
from lmql_like.language.names import is_built_in, reads
from lmql_like.language.nodes import Annotation, DistributionClause, Hole
from lmql_like.language.operators import (
    COMPARISONS,
    FLIPPED,
    LATER_OPERATORS,
    METHODS,
    OPERATOR_NAMES,
    OPERATORS,
    UNITS,
    Contains,
    CountIs,
    IsBoolean,
    IsDecimal,
    IsEqual,
    IsInteger,
    IsOneOf,
    Listing,
    Matches,
    StopsBefore,
    followed_tests,
)
from lmql_like.language.program import Distributed
from lmql_like.language.refusals import Refusal, check_literals, not_followed
from lmql_like.language.sentences import GRAMMAR_OPERATORS, IsSentence, read_sentence
from lmql_like.language.typed import IsJson, IsOfType, Known, read_json_call
from lmql_like.source import Source, Span

__all__ = ["ConditionReader"]

_TYPED: dict[str | None, type[Test]] = {"int": IsInteger, "float": IsDecimal, "bool": IsBoolean}
_NEGATED = (ast.NotEq, ast.NotIn, ast.IsNot)
_SAME = (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)


_OPERATOR_NAMES = {*OPERATOR_NAMES, *UNITS, *LATER_OPERATORS}


@dataclass(frozen=True)
class _Count:
    """`len(X)` or `len(UNIT(X))`."""

    hole: str
    unit: str


class ConditionReader:
    """Reads conditions of one program.

    Args:
        source: the program.
        holes: its holes, each with its occurrences.
        known: every other name that has a meaning in it.
        types: what is known of its types before it runs.
    """

    def __init__(
        self,
        source: Source,
        holes: Mapping[str, Sequence[Hole]],
        known: Collection[str],
        types: KnownTypes | None = None,
    ) -> None:
        self.source = source
        self.holes = holes
        self.known = known
        self.types = types
        self.refuse = Refusal(source, holes, known)

    def read(self, condition: ast.expr) -> list[Constraint]:
        """Return the conjuncts of a condition.

        Raises:
            QueryError: Q104 and Q2.. for names and operators.
        """
        if isinstance(condition, ast.BoolOp) and isinstance(condition.op, ast.And):
            return [part for value in condition.values for part in self.read(value)]
        constraint = self._constraint(condition, at_top=True)
        self._check_tokens(constraint)
        check_literals(self.source, constraint)
        return [constraint]

    def read_annotation(self, hole: str, annotation: Annotation) -> list[Constraint]:
        """Return what a hole's type or pattern demands."""
        test = _TYPED.get(annotation.type)
        value: str | None = None
        if annotation.pattern is not None:
            test, value = Matches, annotation.pattern
        if test is None:
            return []
        operand = Code(ast.Constant(value), repr(value), annotation.span, self.source.name)
        constraint = test(hole, operand, frozenset(), annotation.span)
        check_literals(self.source, constraint)
        return [constraint]

    def read_type(self, hole: str, tree: ast.expr, span: Span) -> IsOfType:
        """Return the test that a hole's text is of a type.

        Raises:
            GrammarError: S4 where the type is known by now, and no text is of it.
        """
        operand = Code.of(self.source, tree)
        value = MISSING if self.types is None else self.types.value(tree)
        if value is not MISSING:
            operand = Known(operand, value)
        test = IsOfType(hole, operand, frozenset(), span)
        check_literals(self.source, test)
        return test

    def read_distribution(self, clause: DistributionClause) -> Distributed:
        """Return the values that a `distribution` clause gives to its hole.

        Raises:
            QueryError: Q056 where the values read the hole itself.
        """
        test = self._test(Listing, clause.hole, clause.values, clause.span)
        if test is None:
            self.refuse.distribution(clause.values, "the values read the hole itself")
        check_literals(self.source, test, Listing.listed)
        return Distributed(cast("Listing", test), clause.all_tokenizations, clause.span)

    def _constraint(self, tree: ast.expr, *, at_top: bool = False) -> Constraint:
        span = span_of(self.source, tree)
        if not self._holes_in(tree):
            return self._given(tree, span)
        if isinstance(tree, ast.BoolOp):
            parts = tuple(self._constraint(value) for value in tree.values)
            return All(parts, span) if isinstance(tree.op, ast.And) else Either(parts, span)
        if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not):
            return Negation(self._constraint(tree.operand), span)
        if isinstance(tree, ast.Compare):
            return self._chain(tree, span)
        if isinstance(tree, ast.Call):
            return self._call(tree, span, at_top=at_top)
        return self.refuse.anything(tree)

    def _holes_in(self, tree: ast.AST) -> frozenset[str]:
        return frozenset(name.id for name in reads(tree) if name.id in self.holes)

    def _given(self, tree: ast.expr, span: Span) -> Given:
        """Return a condition without holes; blame names that were meant to be holes.

        A name that stands by itself may be an argument, unless it is almost a hole's.
        """
        alone = list(_alone(tree))
        for name in reads(tree):
            is_operator = name.id in _OPERATOR_NAMES
            if name.id in self.known or hasattr(builtins, name.id):
                continue
            if is_operator and len(reads(tree)) > 1:
                continue
            if is_operator:
                self.refuse.operator(name.id, "a hole, such as [X]", name)
            if name not in alone or did_you_mean(name.id, self.holes):
                self.refuse.name(name)
        for name in reads(tree):
            if name.id in OPERATORS and name.id not in self.known:
                self.refuse.operator(name.id, "a hole, such as [X]", name)
        return Given(self._code(tree), span)

    def _code(self, tree: ast.expr) -> Code:
        return Code.of(self.source, tree)

    def _test(
        self, test: type[Test], hole: str, operand: ast.expr, span: Span, **extra: str
    ) -> Test | None:
        """Return a test of a hole; None if the operand reads the hole itself."""
        read = self._holes_in(operand)
        if hole in read:
            return None
        value = _CountFilled(self).visit(copied(operand))
        if test is IsSentence:
            return IsSentence(hole, Code.of(self.source, value), read, span, {}, "")
        return test(hole, Code.of(self.source, value), read, span, **extra)

    # Comparisons

    def _chain(self, tree: ast.Compare, span: Span) -> Constraint:
        operands = [tree.left, *tree.comparators]
        links = []
        for left, op, right in zip(operands, tree.ops, operands[1:], strict=False):
            place = span_of(self.source, left).to(span_of(self.source, right))
            if len(tree.ops) > 1 and not self._holes_in(left) | self._holes_in(right):
                pair = ast.copy_location(ast.Compare(left, [op], [right]), left)
                pair.end_lineno, pair.end_col_offset = right.end_lineno, right.end_col_offset
                links.append(self._constraint(pair))
                continue
            links.append(self._comparison(tree, left, op, right, place))
        return links[0] if len(links) == 1 else All(tuple(links), span)

    def _comparison(
        self, tree: ast.expr, left: ast.expr, op: ast.cmpop, right: ast.expr, span: Span
    ) -> Constraint:
        """Return what one comparison demands, read from each hole that it may test."""
        if (hole := self._type_of(left)) and isinstance(
            op, ast.Is | ast.IsNot | ast.Eq | ast.NotEq
        ):
            kind = self._kind(hole, right, span)
            return Negation(kind, span) if isinstance(op, ast.IsNot | ast.NotEq) else kind
        if type(op) not in COMPARISONS:
            self.refuse.anything(tree, "'is' compares objects; compare texts with '=='")
        readings = [
            test
            for test in (
                self._reading(left, op, right, span),
                self._flipped_reading(left, op, right, span),
            )
            if test is not None
        ]
        if not readings:
            self.refuse.anything(tree, _comparison_hint(op, left, right))
        found: Constraint = readings[0]
        if len(readings) > 1:
            found = Relation(tuple(readings), span)
        return Negation(found, span) if isinstance(op, _NEGATED) else found

    def _type_of(self, tree: ast.expr) -> str | None:
        """Read `type(X)`; None if it is anything else."""
        argument = _argument_of(tree, "type")
        return None if argument is None or "type" in self.known else self._hole(argument)

    def _kind(self, hole: str, tree: ast.expr, span: Span) -> Test:
        """Return the test that a hole's text is of a type."""
        name = tree.id if isinstance(tree, ast.Name) and tree.id not in self.known else None
        if name in _TYPED:
            nothing = ast.copy_location(ast.Constant(None), tree)
            return _TYPED[name](hole, Code.of(self.source, nothing), frozenset(), span)
        for read in reads(tree):
            if read.id not in self.known and read.id not in self.holes and not is_built_in(read):
                self.refuse.type(read)
        test = self.read_type(hole, tree, span)
        return replace(test, reads=self._holes_in(tree))

    def _reading(self, left: ast.expr, op: ast.cmpop, right: ast.expr, span: Span) -> Test | None:
        """Read a comparison as a test of its left side."""
        comparison = COMPARISONS[type(op)]
        if count := self._count(left):
            extra = {"unit": count.unit, "comparison": comparison}
            return self._test(CountIs, count.hole, right, span, **extra)
        if hole := self._hole(left):
            if comparison == "==":
                return self._test(IsEqual, hole, right, span)
            if comparison == "in":
                return self._test(IsOneOf, hole, right, span)
        return None

    def _flipped_reading(
        self, left: ast.expr, op: ast.cmpop, right: ast.expr, span: Span
    ) -> Test | None:
        """Read a comparison as a test of its right side."""
        comparison = COMPARISONS[type(op)]
        if (count := self._count(right)) and comparison != "in":
            extra = {"unit": count.unit, "comparison": FLIPPED[comparison]}
            return self._test(CountIs, count.hole, left, span, **extra)
        if hole := self._hole(right):
            if comparison == "==":
                return self._test(IsEqual, hole, left, span)
            if comparison == "in":
                return self._test(Contains, hole, left, span)
        return None

    def _hole(self, tree: ast.expr) -> str | None:
        return tree.id if isinstance(tree, ast.Name) and tree.id in self.holes else None

    def _count(self, tree: ast.expr) -> _Count | None:
        """Read `len(X)` or `len(UNIT(X))`; None if it is neither."""
        counted = _argument_of(tree, "len")
        if counted is None:
            return None
        if hole := self._hole(counted):
            return _Count(hole, "characters")
        for unit, counts in UNITS.items():
            measured = _argument_of(counted, unit)
            if measured is not None and (hole := self._hole(measured)):
                return _Count(hole, counts)
        return None

    # Calls

    def _call(self, tree: ast.Call, span: Span, *, at_top: bool) -> Constraint:
        function = tree.func
        if isinstance(function, ast.Attribute) and (hole := self._hole(function.value)):
            return self._method(tree, function, hole, span)
        if isinstance(function, ast.Attribute) and not self._holes_in(function):
            return self._applied(tree, span)
        if not isinstance(function, ast.Name):
            return self.refuse.anything(tree)
        name = function.id
        if name in self.known:
            return self._function(tree, function, span)
        if name in LATER_OPERATORS:
            self.refuse.later(name, function)
        if name.upper() in GRAMMAR_OPERATORS:
            return self._sentence(tree, span)
        if name == "JSON":
            return self._json(tree, span)
        if name not in OPERATORS:
            return self._function(tree, function, span)
        return self._operator(tree, function, span, at_top=at_top)

    def _operator(
        self, tree: ast.Call, function: ast.Name, span: Span, *, at_top: bool
    ) -> Constraint:
        """Read a call of an operator of the table."""
        name = function.id
        operator = OPERATORS[name]
        expected = "a hole" + (f" and {operator.operand}" if operator.operand else "")
        if tree.keywords or len(tree.args) != (2 if operator.operand else 1):
            self.refuse.operator(name, expected, tree)
        subject = self._hole(tree.args[0])
        if subject is None:
            self.refuse.operator(name, expected, tree.args[0])
        if operator.test is StopsBefore and not at_top:
            self.refuse.stop(function)
        no_operand = ast.copy_location(ast.Constant(None), tree)
        operand = tree.args[1] if operator.operand else no_operand
        return self._test(operator.test, subject, operand, span) or self.refuse.anything(tree)

    def _function(self, tree: ast.Call, function: ast.Name, span: Span) -> Constraint:
        """Read a call of a name that is no operator of the language."""
        is_value = function.id in self.known or hasattr(builtins, function.id)
        if is_value and function.id not in ("len", "print"):
            return self._applied(tree, span)
        return self.refuse.function(tree, function)

    def _sentence(self, tree: ast.Call, span: Span) -> Constraint:
        """Read `GRAMMAR(X, text)` or `GBNF(X, text)`."""
        name = tree.func.id.upper() if isinstance(tree.func, ast.Name) else ""
        subject = self._hole(tree.args[0]) if tree.args else None
        if subject is None:
            self.refuse.operator(name, "a hole and the text of a grammar", tree)
        found = read_sentence(tree, subject, span, self.source)
        if isinstance(found, str):
            self.refuse.operator(name, "a hole and the text of a grammar", tree, found)
        if found.file:
            return found
        read = self._test(IsSentence, subject, tree.args[1], span)
        if read is None:
            return self.refuse.anything(tree)
        return replace(found, operand=read.operand, reads=read.reads)

    def _json(self, tree: ast.Call, span: Span) -> Constraint:
        """Read `JSON(X, schema)`."""
        subject = self._hole(tree.args[0]) if tree.args else None
        if subject is None:
            self.refuse.operator("JSON", "a hole and a schema", tree)
        found = read_json_call(tree, subject, span, self.source)
        if isinstance(found, str):
            self.refuse.operator("JSON", "a hole and a schema", tree, found)
        if len(tree.args) == 1:
            return found
        read = self._test(IsEqual, subject, tree.args[1], span)
        if read is None:
            return self.refuse.anything(tree)
        operand = read.operand
        value = MISSING if self.types is None else self.types.value(tree.args[1])
        if value is not MISSING and not operand.is_literal:
            operand = Known(operand, value)
        return replace(found, operand=operand, reads=read.reads)

    def check_grammars(self, constraints: Iterable[Constraint], hole: str) -> None:
        """Raise where a hole has a second grammar, or one that is negated.

        Raises:
            QueryError: Q213.
        """
        found: list[IsSentence | IsJson] = []
        for constraint in constraints:
            for grammar, is_negated in _grammars(constraint, is_negated=False):
                if grammar.subject != hole:
                    continue
                if is_negated:
                    self.refuse.grammar(grammar.span, "a grammar is negated")
                if found:
                    self.refuse.grammar(grammar.span, f"a second grammar for the hole '{hole}'")
                found.append(grammar)

    def _applied(self, tree: ast.Call, span: Span) -> Constraint:
        """Read a call of a function of the author's own."""
        first = self._hole(tree.args[0]) if tree.args else None
        return Applied(
            function=None if self._holes_in(tree.func) else self._code(tree.func),
            subject=first,
            operands=tuple(self._code(operand) for operand in tree.args[1:]),
            call=self._code(tree),
            reads=self._holes_in(tree),
            span=span,
        )

    def _method(self, tree: ast.Call, function: ast.Attribute, hole: str, span: Span) -> Constraint:
        test = METHODS.get(function.attr)
        if function.attr.startswith("is") and hasattr(str, function.attr):
            return self._applied(tree, span)
        if test is None or len(tree.args) != 1 or tree.keywords:
            nearest = did_you_mean(function.attr, METHODS)
            return self.refuse.anything(tree, nearest if test is None else "give it one argument")
        return self._test(test, hole, tree.args[0], span) or self.refuse.anything(tree)

    # What cannot be enforced

    def check_whole(self, constraint: Constraint, hole: str) -> None:
        """Raise where a condition on a hole can only be followed while a model writes it.

        Raises:
            QueryError: Q212 for counts of tokens and stop phrases.
        """
        for test in followed_tests(constraint, hole):
            raise not_followed(self.source, test.span, hole)

    def _check_tokens(self, constraint: Constraint) -> None:
        """Raise where tokens are counted, or stops found, once the hole is filled."""
        if not isinstance(constraint, Applied) and _has_applied(constraint):
            for hole in sorted(constraint.subjects):
                self.check_whole(constraint, hole)
        if len(constraint.holes) < 2:
            return
        for test in constraint.tests():
            if isinstance(test, CountIs) and test.unit == "tokens":
                self.refuse.tokens(test.span)


class _CountFilled(ast.NodeTransformer):
    """BYTES(Y) -> Y.encode(), WORDS(Y) -> Y.split(): Y is a filled hole in an operand."""

    def __init__(self, reader: ConditionReader) -> None:
        self.reader = reader

    def visit_Call(self, node: ast.Call) -> ast.AST:
        for unit, method in (("BYTES", "encode"), ("WORDS", "split")):
            filled = _argument_of(node, unit)
            if filled is not None and unit not in self.reader.known:
                function = ast.Attribute(filled, method, ast.Load())
                return _like(ast.Call(_like(function, node), [], []), node)
        filled = _argument_of(node, "SENTENCES")
        if filled is not None and "SENTENCES" not in self.reader.known:
            return _like(ast.Call(_like(ast.Name(SENTENCES, ast.Load()), node), [filled], []), node)
        if _argument_of(node, "TOKENS") is not None and "TOKENS" not in self.reader.known:
            self.reader.refuse.tokens(node)
        return self.generic_visit(node)


def _grammars(
    constraint: Constraint, *, is_negated: bool
) -> Iterator[tuple[IsSentence | IsJson, bool]]:
    """Yield the grammars in a condition, and whether an odd number of `not` is around each."""
    if isinstance(constraint, IsSentence | IsJson):
        yield constraint, is_negated
    for part in constraint.parts:
        yield from _grammars(part, is_negated=is_negated != isinstance(constraint, Negation))


def _has_applied(constraint: Constraint) -> bool:
    return isinstance(constraint, Applied) or any(map(_has_applied, constraint.parts))


def _alone(tree: ast.expr) -> Iterator[ast.Name]:
    """Yield the names that are conditions by themselves, below `and`, `or` and `not`."""
    if isinstance(tree, ast.Name):
        yield tree
    elif isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not):
        yield from _alone(tree.operand)
    elif isinstance(tree, ast.BoolOp):
        for value in tree.values:
            yield from _alone(value)


def _like(tree: ast.expr, place: ast.expr) -> ast.expr:
    return ast.copy_location(tree, place)


def _argument_of(tree: ast.expr, name: str) -> ast.expr | None:
    """Return the argument of `name(argument)`; None if the tree is anything else."""
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        return None
    fits = tree.func.id == name and len(tree.args) == 1 and not tree.keywords
    return tree.args[0] if fits else None


def _comparison_hint(op: ast.cmpop, left: ast.expr, right: ast.expr) -> str:
    ordering = isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE)
    sides = [side for side in (left, right) if isinstance(side, ast.Name)]
    if ordering and sides:
        return f"compare its length, as in len({sides[0].id}), or list the values with 'in'"
    return ""
