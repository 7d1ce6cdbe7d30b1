r"""Queries put together from values: `prompt`, `gen`, `arg`, `hole`, `role`.

    answer = gen("ANSWER", where=Regex(r"[a-z ]+") & (TokenLength() <= 40))
    capital = prompt("Q: ", arg("question"), "\nA:", answer, "\n")
    capital(question="Where is [[X]]?").variables["ANSWER"]

Strings are text, whatever brackets and braces they have; only `gen` is a hole. A prompt is
a value: it can be a part of other prompts, be added to others, and be run in any way.
"""

from __future__ import annotations

import ast
import builtins
import keyword
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from lmql_like.dsl.conditions import Condition, refuse
from lmql_like.dsl.places import Place, here, pointing_at
from lmql_like.dsl.running import Call, Runnable, Settings, Stream
from lmql_like.dsl.writing import Names, Reference, Writer, conjuncts
from lmql_like.language.compiler import compile_nodes
from lmql_like.language.decoders import DECODERS
from lmql_like.language.holes import HOLE_TYPES
from lmql_like.language.names import QUERY_FUNCTIONS
from lmql_like.language.nodes import (
    Annotation,
    DistributionClause,
    Hole,
    Interpolation,
    Part,
    Query,
    Role,
    Text,
    WhereClause,
)
from lmql_like.language.nodes import Prompt as PromptNode
from lmql_like.language.operators import LATER_OPERATORS, OPERATORS, UNITS
from lmql_like.language.parameters import MISSING, Parameter, bind_arguments
from lmql_like.language.program import Program
from lmql_like.language.sentences import GRAMMAR_OPERATORS
from lmql_like.language.templates import ROLES
from lmql_like.runtime.nesting import Nestable
from lmql_like.runtime.results import Result
from lmql_like.source import Source, Span, is_unicode

__all__ = ["Argument", "Gen", "Prompt", "arg", "gen", "hole", "prompt", "role"]

TAKEN = frozenset(
    [
        *dir(builtins),
        *DECODERS,
        *QUERY_FUNCTIONS,
        *(
            spelled
            for name in (*OPERATORS, *UNITS, *LATER_OPERATORS, *GRAMMAR_OPERATORS)
            for spelled in (name, name.lower())
        ),
    ]
)
"""Names with a meaning of their own: no value is given one of them."""


@dataclass(frozen=True)
class Argument(Reference):
    """An argument of the query, where it is put into a prompt or a condition."""

    annotation: Any = field(default=None, compare=False)
    default: Any = field(default=MISSING, compare=False)


@dataclass(frozen=True)
class _Begun:
    """A message of a role begins."""

    role: str


@dataclass(frozen=True, eq=False)
class Gen:
    """A hole; see `gen`."""

    name: str
    where: Condition | None
    type: Any
    distribution: Any
    all_tokenizations: bool
    decorators: tuple[Any, ...]
    query: Nestable | None
    arguments: Mapping[str, Any] | None
    place: Place


Piece = str | Reference | Gen | _Begun


def arg(name: str, annotation: Any = None, default: Any = MISSING) -> Argument:
    """Return an argument of the query; whoever runs it gives the value, or the default holds.

    Raises:
        QueryError: Q702, it is no name.
    """
    _check_name(name, here())
    return Argument(name, annotation, default)


def hole(name: str) -> Reference:
    """Return the value of a hole that was filled before.

    Raises:
        QueryError: Q702, it is no name.
    """
    _check_name(name, here())
    return Reference(name)


def role(name: str) -> _Begun:
    """Return the beginning of a message: of "system", "user" or "assistant".

    Raises:
        QueryError: Q702, there is no such role.
    """
    if name not in ROLES:
        refuse("Q702", f"there is no role {name!r}", here(), label=f"expected {', '.join(ROLES)}")
    return _Begun(name)


def gen(
    name: str,
    where: Condition | None = None,
    *,
    type: Any = None,  # noqa: A002 - the word of the language
    distribution: Any = None,
    tokenizations: str = "canonical",
    decorators: Sequence[Any] = (),
    query: Nestable | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Gen:
    """Return a hole.

    Args:
        name: of its value among the result's variables.
        where: what its text has to satisfy.
        type: of its value: str, int, a dataclass, list[date], ...
        distribution: values whose probabilities are asked for; the likeliest fills it.
        tokenizations: "canonical", each value as the tokenizer spells it; "all", summed
            over every spelling.
        decorators: functions that see it begin, grow and end, the outermost first.
        query: fills it instead of the model.
        arguments: of that query, by name.

    Raises:
        QueryError: Q702, something is not what it has to be.
    """
    place = here()
    _check_name(name, place)
    if where is not None and not isinstance(where, Condition):
        refuse("Q702", f"the condition of '{name}' is {where!r}, which is none", place)
    if tokenizations not in ("canonical", "all"):
        refuse("Q702", f"tokenizations is {tokenizations!r}", place, "expected canonical or all")
    if query is not None and not isinstance(query, Nestable):
        refuse("Q702", f"the query of '{name}' is {query!r}, which is none", place)
    return Gen(
        name,
        where,
        type,
        distribution,
        tokenizations == "all",
        tuple(decorators),
        query,
        arguments,
        place,
    )


def prompt(*parts: Any) -> Prompt:
    """Return a query that writes some parts into its prompt.

    Args:
        parts: strings, which are text whatever they contain; `gen`, `arg`, `hole`, `role`;
            other prompts; any other value, as `str` shows it.

    Raises:
        QueryError: Q017, a text is not valid Unicode; Q702, a part cannot be in a prompt.
    """
    place = here()
    return Prompt((_Line(tuple(_pieces(parts, place)), place),))


def _pieces(parts: Iterable[Any], place: Place) -> Iterable[Piece]:
    for part in parts:
        if isinstance(part, Prompt):
            for line in part.lines:
                yield from line.pieces
        elif isinstance(part, Reference | Gen | _Begun):
            yield part
        elif isinstance(part, Condition):
            refuse("Q702", f"{part!r} is no part of a prompt", place, hint="gen(..., where=...)")
        else:
            text = str(part)
            if not is_unicode(text):
                refuse("Q017", "half of a surrogate pair in a prompt", place)
            yield text


def _check_name(name: str, place: Place) -> None:
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        refuse("Q702", f"{name!r} is no name", place, hint="a name is that of a Python variable")


@dataclass(frozen=True)
class _Line:
    """The parts of one prompt string, and the expression that they were given to."""

    pieces: tuple[Piece, ...]
    place: Place


@dataclass(frozen=True, eq=False)
class Prompt(Runnable):
    """A query put together by `prompt`; call it with its arguments.

    `a + b` is the query of both, one behind the other.

    Attributes:
        lines: its prompt strings.
        settings: how it is run.
    """

    lines: tuple[_Line, ...]
    settings: Settings = field(default_factory=Settings)

    def __add__(self, other: Prompt) -> Prompt:
        return Prompt((*self.lines, *other.lines), self.settings)

    def __call__(self, **arguments: Any) -> Result:
        """Run the query; return the best result."""
        return self.call(**arguments).run()

    async def arun(self, **arguments: Any) -> Result:
        """Run the query together with others that are awaited: they share forward passes."""
        return await self.call(**arguments).arun()

    def stream(self, **arguments: Any) -> Stream:
        """Return the query's text while it comes."""
        return Stream(self.call(**arguments))

    def with_options(self, **options: Any) -> Prompt:
        """Return the same query with other options: model, decoder, seed, healing, trace."""
        return Prompt(self.lines, replace(self.settings, **options))

    def call(self, *args: Any, **kwargs: Any) -> Call:
        """Return the query with its arguments, in the order in which the prompt names them."""
        given = dict(zip((p.name for p in self._built.parameters), args, strict=False))
        arguments = bind_arguments(self._built.parameters, {**given, **kwargs})
        blaming = partial(pointing_at, self._built.nodes.source, self._built.places)
        return Call(self.program, arguments, self.settings, self._built.scope, blaming)

    @cached_property
    def _built(self) -> _Built:
        return _build(self.lines)

    @property
    def text(self) -> str:
        """The query as a text; values that cannot be written out have names in it."""
        return self._built.nodes.source.text

    @property
    def nodes(self) -> Query:
        """The query as the parser would read it from its text."""
        return self._built.nodes

    @cached_property
    def program(self) -> Program:
        """What it does.

        Raises:
            QueryError, GrammarError: at the expression that is wrong.
        """
        built = self._built
        with pointing_at(built.nodes.source, built.places):
            return compile_nodes(built.nodes, built.parameters, built.scope)

    def __repr__(self) -> str:
        return f"<prompt {self.text}>"


@dataclass(frozen=True)
class _Built:
    """The nodes of a query, what its names stand for, and where its parts come from."""

    nodes: Query
    parameters: Sequence[Parameter]
    scope: Mapping[str, Any]
    places: Sequence[tuple[Span, Place]]


def _build(lines: Sequence[_Line]) -> _Built:
    """Return the nodes of some prompt strings, with the text that they stand in."""
    pieces = [piece for line in lines for piece in line.pieces]
    found = [piece for piece in pieces if isinstance(piece, Gen)]
    # Operands may name arguments that no prompt shows: a first writing finds them.
    arguments = _Arguments(pieces, found)
    names = Names({*TAKEN, *(piece.name for piece in found), *arguments.names})
    writer = Writer(names)
    prompts = []
    for i, line in enumerate(lines):
        if i:
            writer.put("\n")
        prompts.append(_LineWriter(writer, names, line).write())
    source = Source(writer.text, "<prompt>")
    nodes = Query(tuple(prompts), 0, None, None, (), source)
    return _Built(nodes, arguments.parameters, names.values, writer.places)


class _Arguments:
    """The arguments that parts and conditions name, in the order in which they do."""

    def __init__(self, pieces: Sequence[Piece], holes: Sequence[Gen]) -> None:
        found = {piece.name: piece for piece in pieces if isinstance(piece, Argument)}
        seen = _Seen()
        for piece in holes:
            if piece.where is not None:
                piece.where.node(piece.name, seen)
            for operand in (piece.distribution, *(piece.arguments or {}).values()):
                seen.operand(operand)
        for reference in seen.references:
            if isinstance(reference, Argument):
                found.setdefault(reference.name, reference)
        self.names = {*found, *(reference.name for reference in seen.references)}
        self.parameters = tuple(
            Parameter(name, argument.annotation, argument.default)
            for name, argument in found.items()
        )


class _Seen(Names):
    """Notes which values of the run are operands."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[Reference] = []

    def operand(self, value: Any) -> ast.expr:
        """Note a value and go on."""
        if isinstance(value, Reference):
            self.references.append(value)
        return super().operand(value)


class _LineWriter:
    """Writes one prompt string and the clauses behind it."""

    def __init__(self, writer: Writer, names: Names, line: _Line) -> None:
        self._writer = writer
        self._names = names
        self._line = line

    def write(self) -> PromptNode:
        """Write the line; return its node."""
        writer, start = self._writer, self._writer.at
        writer.put('"')
        parts = tuple(self._parts())
        writer.put('"')
        span = Span(start, writer.at)
        found = [piece for piece in self._line.pieces if isinstance(piece, Gen)]
        where = tuple(self._where(found))
        distributions = tuple(
            self._distribution(piece) for piece in found if piece.distribution is not None
        )
        writer.places.append((Span(start, writer.at), self._line.place))
        return PromptNode(parts, where, span, distributions)

    def _parts(self) -> Iterable[Part]:
        """Write the pieces; yield their nodes, texts beside each other as one."""
        text, start = "", self._writer.at
        for piece in self._line.pieces:
            if isinstance(piece, str):
                self._writer.put_text(piece)
                text += piece
                continue
            if text:
                yield Text(text, Span(start, self._writer.at))
            yield self._piece(piece)
            text, start = "", self._writer.at
        if text:
            yield Text(text, Span(start, self._writer.at))

    def _piece(self, piece: Reference | Gen | _Begun) -> Part:
        writer, start = self._writer, self._writer.at
        if isinstance(piece, Gen):
            return self._hole(piece)
        if isinstance(piece, _Begun):
            return Role(piece.role, writer.put(f"{{:{piece.role}}}"))
        writer.put("{")
        expression = self._names.operand(piece)
        writer.put_code(expression)
        writer.put("}")
        return Interpolation(expression, "", (), Span(start, writer.at))

    def _hole(self, piece: Gen) -> Hole:
        writer, start = self._writer, self._writer.at
        writer.put("[")
        decorators = []
        for decorator in piece.decorators:
            writer.put("@")
            name = self._names.capture(decorator, getattr(decorator, "__name__", ""))
            decorators.append(_placed(writer, ast.Name(name, ast.Load())))
            writer.put(" ")
        name_span = writer.put(piece.name)
        annotation = self._annotation(piece)
        writer.put("]")
        span = Span(start, writer.at)
        writer.places.append((span, piece.place))
        return Hole(piece.name, annotation, name_span, span, tuple(decorators))

    def _annotation(self, piece: Gen) -> Annotation | None:
        writer = self._writer
        if piece.query is not None:
            writer.put(": ")
            name = self._names.capture(piece.query, getattr(piece.query, "__name__", "query"))
            call: ast.expr = ast.Name(name, ast.Load())
            if piece.arguments is not None:
                operands = [
                    ast.keyword(key, self._value(value)) for key, value in piece.arguments.items()
                ]
                call = ast.Call(call, [], operands)
            kind = call if isinstance(call, ast.Name) else None  # the parser cannot tell
            return Annotation(None, None, writer.put_code(call), call, kind)
        if piece.type is None:
            return None
        writer.put(": ")
        name = self._names.name_of_type(piece.type)
        if name in HOLE_TYPES:
            return Annotation(name, None, writer.put(name))
        tree = ast.Name(name, ast.Load())
        return Annotation(None, None, writer.put_code(tree), tree, tree)

    def _value(self, value: Any) -> ast.expr:
        """Return the expression of a value inside a prompt string, where no quotes can be."""
        found = self._names.operand(value)
        is_short = isinstance(found, ast.Name | ast.Constant) and not isinstance(value, str)
        return found if is_short else ast.Name(self._names.capture(value), ast.Load())

    def _where(self, found: Sequence[Gen]) -> Iterable[WhereClause]:
        """Write the conditions of all holes of the line as one clause."""
        conditions = [
            (piece, piece.where.node(piece.name, self._names))
            for piece in found
            if piece.where is not None
        ]
        if not conditions:
            return
        parts = [part for _, node in conditions for part in conjuncts(node)]
        whole = parts[0] if len(parts) == 1 else ast.BoolOp(ast.And(), parts)
        writer = self._writer
        writer.put(" ")
        start = writer.put("where ").start
        writer.put_code(whole)
        yield WhereClause(whole, Span(start, writer.at))

    def _distribution(self, piece: Gen) -> DistributionClause:
        writer = self._writer
        writer.put(" ")
        start = writer.put("distribution ").start
        writer.put("TOKENIZATIONS(" if piece.all_tokenizations else "")
        hole_span = writer.put(piece.name)
        writer.put(")" if piece.all_tokenizations else "")
        writer.put(" in ")
        values = self._names.operand(piece.distribution)
        writer.put_code(values)
        span = Span(start, writer.at)
        writer.places.append((span, piece.place))
        return DistributionClause(piece.name, values, piece.all_tokenizations, hole_span, span)


def _placed(writer: Writer, node: ast.expr) -> ast.expr:
    writer.put_code(node)
    return node
