"""A piece of the query's Python, ready to run, with its place in the file."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from functools import cached_property
from types import CodeType
from typing import Any, TypeVar

from lmql_like.language.embedded import span_of, syntax_error
from lmql_like.source import Source, Span

__all__ = ["AWAITED", "NESTED", "QUERY_MODULE", "SENTENCES", "Code", "copied", "invocation"]

NESTED = ".nested"
"""The name of the function that makes an `Invocation` of a query and its arguments."""

QUERY_MODULE = "__query__"
"""The name of the module that a program's classes and functions are in."""

SENTENCES = ".sentences"
"""The name of the function that splits the text of a filled hole into sentences."""

Tree = TypeVar("Tree", bound=ast.AST)

AWAITED = ".awaited"
"""The name under which the interpreter offers the function that awaits coroutines."""


@dataclass(frozen=True, eq=False)
class Code:
    """An expression or statement of Python.

    Calls of `async` functions are awaited: every call hands its value to the function
    `.awaited` first, except inside an `await` of the author's own.
    """

    tree: ast.expr | ast.stmt
    text: str
    span: Span
    file_name: str

    @classmethod
    def of(cls, source: Source, tree: ast.expr | ast.stmt, span: Span | None = None) -> Code:
        """Return the code of a tree that was parsed at its place in a source.

        Raises:
            QueryError: Q005 for what Python's parser reads and its compiler does not.
        """
        place = span or span_of(source, tree)
        code = cls(tree, source.slice(place), place, source.name)
        try:
            code.compiled  # noqa: B018 - kept, and read when the code runs
        except SyntaxError as error:
            raise syntax_error(source, _place_of(source, error) or place, error.msg) from None
        return code

    @property
    def is_literal(self) -> bool:
        """Whether the value is written out, so that no program has to run for it."""
        try:
            ast.literal_eval(self.tree)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return False
        return True

    @property
    def literal(self) -> Any:
        """The value that is written out."""
        return ast.literal_eval(self.tree)

    @cached_property
    def compiled(self) -> CodeType:
        """The code object; an expression's gives its value when it is evaluated."""
        tree = _AwaitCalls().visit(copied(self.tree))
        is_value = isinstance(tree, ast.expr)
        module = ast.Expression(tree) if is_value else ast.Module([tree], [])
        mode = "eval" if is_value else "exec"
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code: CodeType = compile(
            ast.fix_missing_locations(module), self.file_name, mode, flags, dont_inherit=True
        )
        return code

    @property
    def is_coroutine(self) -> bool:
        """Whether running the code gives a coroutine, since it awaits something itself."""
        return bool(self.compiled.co_flags & inspect.CO_COROUTINE)


def invocation(source: Source, call: ast.expr) -> Code:
    """Return code for the `Invocation` of a query: `f` or `f(x)` -> `.nested(f, x)`."""
    function, args, keywords = call, [], []
    if isinstance(call, ast.Call):
        function, args, keywords = call.func, call.args, call.keywords
    name = ast.copy_location(ast.Name(NESTED, ast.Load()), call)
    tree = ast.copy_location(ast.Call(name, [function, *args], keywords), call)
    return Code.of(source, tree)


def _place_of(source: Source, error: SyntaxError) -> Span | None:
    """Return where Python's compiler found an error, if it says so."""
    if error.lineno is None or not error.offset:
        return None
    start = source.offset(error.lineno, error.offset)
    width = (error.end_offset or 0) - error.offset if error.end_lineno == error.lineno else 1
    return Span(start, start + max(width, 1))


def copied(tree: Tree) -> Tree:
    """Return a tree of the same nodes that can be changed without changing the original."""
    fields = {name: _copied_field(value) for name, value in ast.iter_fields(tree)}
    return ast.copy_location(type(tree)(**fields), tree)


def _copied_field(value: Any) -> Any:
    if isinstance(value, list):
        return [_copied_field(item) for item in value]
    return copied(value) if isinstance(value, ast.AST) else value


class _AwaitCalls(ast.NodeTransformer):
    """f(x) -> .awaited(f(x)), outside functions and outside `await`."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        name = ast.Name(AWAITED, ast.Load())
        return ast.copy_location(ast.Call(name, [node], []), node)

    def _leave_alone(self, node: ast.AST) -> ast.AST:
        return node

    visit_Await = _leave_alone  # noqa: N815 - named after Python's node
    visit_Lambda = _leave_alone  # noqa: N815 - named after Python's node
    visit_FunctionDef = _leave_alone  # noqa: N815 - named after Python's node
    visit_AsyncFunctionDef = _leave_alone  # noqa: N815 - named after Python's node
    visit_ClassDef = _leave_alone  # noqa: N815 - named after Python's node
    visit_GeneratorExp = _leave_alone  # noqa: N815 - named after Python's node
