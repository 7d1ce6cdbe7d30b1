"""Nodes to instructions.

if a: B else: C        Branch a -> C; B; Goto end; C; end
for t in i: B          Iterate i; next: Advance t -> end; B; Goto next; end
try: B except k: H     B [handler]; Goto end; handler: Catch k -> next; H; end
finally: F             a copy of F on every way out: normal, exception, jump, return
with m as t: B         Enter m; Assign t; B [handler]; Leave; handler: LeaveFailed
match s: case p: B     Select s -> each B
return v               Keep v; the `finally` and `with` blocks around it; Return
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import singledispatchmethod
from typing import Any

from lmql_like.language import nodes, program
from lmql_like.language.code import Code
from lmql_like.language.program import Handler, HoleCall, Inset, Instruction, Program, RoleTag
from lmql_like.source import Source, Span

__all__ = ["CASE", "ITEM", "lower"]

ITEM = ".item"
"""The name that holds the value which an assignment of the interpreter's own assigns."""
CASE = ".case"
"""The name that holds the number of the case that a `match` chose."""


@dataclass
class _Loop:
    """A loop around the statement that is lowered; jumps out of it are aimed later."""

    start: int
    exits: list[int]


@dataclass
class _Cleanup:
    """Something to do on the way out of a block, with the handler that holds outside it."""

    emit: Callable[[], None]
    handler: int | None
    handling: int | None


def lower(
    query: nodes.Query,
    hole_calls: Mapping[Span, HoleCall],
    definitions: Mapping[Span, Program],
) -> tuple[tuple[Instruction, ...], tuple[Handler, ...], int]:
    """Return the instructions of a program, their handlers, and how many are its prologue's.

    Args:
        query: the program.
        hole_calls: what each occurrence of a hole means, by its place.
        definitions: the queries that it defines or imports, by their places.
    """
    lowering = _Lowering(hole_calls, query.source, definitions)
    lowering.block(query.statements[: query.prologue])
    prologue = len(lowering.instructions)
    lowering.block(query.statements[query.prologue :])
    return tuple(lowering.instructions), tuple(lowering.handlers), prologue


class _Lowering:
    """Emits instructions; jumps forward are aimed when their target is known."""

    def __init__(
        self,
        hole_calls: Mapping[Span, HoleCall],
        source: Source,
        definitions: Mapping[Span, Program],
    ) -> None:
        self.hole_calls = hole_calls
        self.source = source
        self.definitions = definitions
        self.instructions: list[Instruction] = []
        self.handlers: list[Handler] = []
        self._slots = 0
        self._handler: int | None = None
        self._handling: int | None = None
        self._around: list[_Loop | _Cleanup] = []

    def block(self, statements: Sequence[nodes.Statement]) -> None:
        """Emit some statements."""
        for statement in statements:
            self._lower(statement)

    # Emitting and aiming

    @property
    def _here(self) -> int:
        return len(self.instructions)

    def _emit(self, instruction: Instruction) -> int:
        """Append an instruction; return its index."""
        placed = replace(instruction, handler=self._handler, handling=self._handling)
        self.instructions.append(placed)
        return self._here - 1

    def _aim(self, *indices: int) -> None:
        """Let jumps go to where the next instruction will be."""
        for index in indices:
            self.instructions[index] = replace(
                self.instructions[index],
                target=self._here,  # type: ignore[call-arg]
            )

    def _new_slot(self) -> int:
        self._slots += 1
        return self._slots - 1

    def _code(self, tree: ast.expr | ast.stmt, span: Span | None = None) -> Code:
        return Code.of(self.source, tree, span)

    def _assignment(self, target: ast.expr) -> Code:
        """Return code that assigns the name `.item` to a target."""
        value = ast.copy_location(ast.Name(ITEM, ast.Load()), target)
        tree = ast.copy_location(ast.Assign([target], value), target)
        return self._code(tree)

    @contextmanager
    def _handled(self, handler: int) -> Iterator[None]:
        """Let what is emitted inside be covered by a handler."""
        outer, self._handler = self._handler, handler
        yield
        self._handler = outer

    @contextmanager
    def _inside(self, around: _Loop | _Cleanup) -> Iterator[None]:
        """Let jumps that are emitted inside know what they leave."""
        self._around.append(around)
        yield
        self._around.pop()

    @contextmanager
    def _while_handling(self, slot: int) -> Iterator[None]:
        """Let what is emitted inside run while an exception is being handled."""
        outer, self._handling = self._handling, slot
        yield
        self._handling = outer

    def _new_handler(self) -> int:
        self.handlers.append(Handler(-1, self._new_slot()))
        return len(self.handlers) - 1

    def _begin_handler(self, handler: int) -> int:
        """Let a handler begin here; return the slot of its exception."""
        slot = self.handlers[handler].slot
        self.handlers[handler] = Handler(self._here, slot)
        return slot

    # Statements

    @singledispatchmethod
    def _lower(self, statement: Any) -> None:
        raise TypeError(statement)

    @_lower.register
    def _(self, statement: nodes.Python) -> None:
        self._emit(program.Run(statement.span, self._code(statement.tree, statement.span)))

    @_lower.register
    def _(self, statement: nodes.QueryDefinition) -> None:
        code = self._code(statement.signature, statement.span)
        inner = self.definitions[statement.span]
        define = program.Define(statement.span, statement.name, code, inner, statement.options)
        self._emit(define)

    @_lower.register
    def _(self, statement: nodes.LibraryImport) -> None:
        library = self.definitions[statement.span]
        self._emit(program.ImportQueries(statement.span, library, statement.names))

    @_lower.register
    def _(self, statement: nodes.Prompt) -> None:
        said: list[str | Inset | RoleTag] = []
        for part in statement.parts:
            if not isinstance(part, nodes.Hole):
                said.append(self._said(part))
                continue
            if said:
                self._emit(program.Say(statement.span, tuple(said)))
            said = []
            self._emit(program.Ask(part.span, self.hole_calls[part.span]))
        if said:
            self._emit(program.Say(statement.span, tuple(said)))

    def _said(self, part: nodes.Text | nodes.Interpolation | nodes.Role) -> str | Inset | RoleTag:
        return RoleTag(part.name, part.span) if isinstance(part, nodes.Role) else self._piece(part)

    def _piece(self, part: nodes.Text | nodes.Interpolation) -> str | Inset:
        if isinstance(part, nodes.Text):
            return part.text
        spec = tuple(self._piece(inner) for inner in part.format)
        return Inset(self._code(part.expression), part.conversion, spec)

    @_lower.register
    def _(self, statement: nodes.If) -> None:
        test = self._code(statement.test)
        branch = self._emit(program.Branch(statement.span, test, -1))
        self.block(statement.body)
        if not statement.orelse:
            self._aim(branch)
            return
        end = self._emit(program.Goto(statement.span, -1))
        self._aim(branch)
        self.block(statement.orelse)
        self._aim(end)

    @_lower.register
    def _(self, statement: nodes.While) -> None:
        start = self._here
        test = self._code(statement.test)
        branch = self._emit(program.Branch(statement.span, test, -1))
        self._loop(statement, start, branch)

    @_lower.register
    def _(self, statement: nodes.For) -> None:
        slot = self._new_slot()
        self._emit(program.Iterate(statement.span, self._code(statement.iterable), slot))
        start = self._here
        assign = self._assignment(statement.target)
        advance = self._emit(program.Advance(statement.span, assign, slot, -1))
        self._loop(statement, start, advance)

    def _loop(self, statement: nodes.For | nodes.While, start: int, test: int) -> None:
        """Emit the body of a loop and its `else`; `test` jumps where no round is left."""
        loop = _Loop(start, [])
        with self._inside(loop):
            self.block(statement.body)
        self._emit(program.Goto(statement.span, start))
        self._aim(test)
        self.block(statement.orelse)
        self._aim(*loop.exits)

    @_lower.register
    def _(self, statement: nodes.Jump) -> None:
        depth = max(i for i, around in enumerate(self._around) if isinstance(around, _Loop))
        loop = self._around[depth]
        self._unwind(depth + 1)
        if isinstance(loop, _Loop) and statement.word == "continue":
            self._emit(program.Goto(statement.span, loop.start))
        elif isinstance(loop, _Loop):
            loop.exits.append(self._emit(program.Goto(statement.span, -1)))

    @_lower.register
    def _(self, statement: nodes.Return) -> None:
        slot = None
        if statement.value is not None:
            slot = self._new_slot()
            self._emit(program.Keep(statement.span, self._code(statement.value), slot))
        self._unwind(0)
        self._emit(program.Return(statement.span, slot))

    def _unwind(self, depth: int) -> None:
        """Emit what has to be done on the way out to nesting depth `depth`."""
        saved = self._around, self._handler, self._handling
        for i in range(len(self._around) - 1, depth - 1, -1):
            around = saved[0][i]
            if isinstance(around, _Cleanup):
                self._around = saved[0][:i]
                self._handler, self._handling = around.handler, around.handling
                around.emit()
        self._around, self._handler, self._handling = saved

    @_lower.register
    def _(self, statement: nodes.Try) -> None:
        if not statement.final:
            self._try_except(statement)
            return
        self._with_cleanup(
            statement.span,
            body=lambda: self._try_except(statement),
            cleanup=lambda: self.block(statement.final),
        )

    def _with_cleanup(
        self, span: Span, *, body: Callable[[], None], cleanup: Callable[[], None]
    ) -> None:
        """Emit a body, and the same cleanup on every way out of it."""
        handler = self._new_handler()
        around = _Cleanup(cleanup, self._handler, self._handling)
        with self._inside(around), self._handled(handler):
            body()
        cleanup()
        end = self._emit(program.Goto(span, -1))
        slot = self._begin_handler(handler)
        with self._while_handling(slot):
            cleanup()
        self._emit(program.Reraise(span, slot))
        self._aim(end)

    def _try_except(self, statement: nodes.Try) -> None:
        """Emit a `try` without its `finally`."""
        if not statement.handlers:
            self.block(statement.body)
            return
        handler = self._new_handler()
        with self._handled(handler):
            self.block(statement.body)
        self.block(statement.orelse)
        ends = [self._emit(program.Goto(statement.span, -1))]
        slot = self._begin_handler(handler)
        for clause in statement.handlers:
            kind = None if clause.kind is None else self._code(clause.kind)
            catch = self._emit(program.Catch(clause.span, kind, slot, -1))
            with self._while_handling(slot):
                self._except(clause, slot)
            ends.append(self._emit(program.Goto(clause.span, -1)))
            self._aim(catch)
        self._emit(program.Reraise(statement.span, slot))
        self._aim(*ends)

    def _except(self, clause: nodes.Except, slot: int) -> None:
        """Emit the body of an `except` clause; its name is forgotten on every way out."""
        name = clause.name
        if name is None:
            self.block(clause.body)
            return
        self._emit(program.NameException(clause.span, name, slot))
        self._with_cleanup(
            clause.span,
            body=lambda: self.block(clause.body),
            cleanup=lambda: self._forget(clause.span, name),
        )

    def _forget(self, span: Span, name: str) -> None:
        self._emit(program.Unname(span, name))

    @_lower.register
    def _(self, statement: nodes.With) -> None:
        slot, value_slot = self._new_slot(), self._new_slot()
        span = statement.span
        self._emit(program.Enter(span, self._code(statement.manager), slot, value_slot))
        handler = self._new_handler()

        def leave() -> None:
            self._emit(program.Leave(span, slot))

        around = _Cleanup(leave, self._handler, self._handling)
        with self._inside(around), self._handled(handler):
            if statement.target is not None:
                assign = self._assignment(statement.target)
                self._emit(program.Assign(span, assign, value_slot))
            self.block(statement.body)
        leave()
        end = self._emit(program.Goto(span, -1))
        error_slot = self._begin_handler(handler)
        with self._while_handling(error_slot):
            self._emit(program.LeaveFailed(span, slot, error_slot))
        self._aim(end)

    @_lower.register
    def _(self, statement: nodes.Match) -> None:
        code = self._code(_numbered(statement.tree), statement.span)
        select = self._emit(program.Select(statement.span, code, ()))
        targets, ends = [], []
        for body in statement.bodies:
            targets.append(self._here)
            self.block(body)
            ends.append(self._emit(program.Goto(statement.span, -1)))
        self.instructions[select] = replace(
            self.instructions[select],
            targets=(*targets, self._here),  # type: ignore[call-arg]
        )
        self._aim(*ends)


def _numbered(tree: ast.Match) -> ast.Match:
    """Return a `match` whose cases do nothing but assign their number to `.case`."""
    cases = []
    for i, case in enumerate(tree.cases):
        number = ast.Assign([ast.Name(CASE, ast.Store())], ast.Constant(i))
        cases.append(ast.match_case(case.pattern, case.guard, [number]))
    return ast.copy_location(ast.Match(tree.subject, cases), tree)
