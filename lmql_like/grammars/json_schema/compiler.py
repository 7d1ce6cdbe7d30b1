"""JSON Schema -> one byte automaton.

schema text or value -> `Documents` (identifiers, references)
                     -> `Evaluator` (conditions over subschemas -> domains of JSON values)
                     -> `Lowering` (domains -> rules over bytes)
                     -> `compile_formula`, as for any grammar.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from lmql_like.errors import GrammarError, SchemaError, did_you_mean
from lmql_like.grammars.automaton import Automaton
from lmql_like.grammars.cfg.network import references
from lmql_like.grammars.cfg.rules import RuleSet
from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.formulas import Derives, Formula
from lmql_like.grammars.json_schema import layout
from lmql_like.grammars.json_schema.documents import Documents
from lmql_like.grammars.json_schema.evaluation import Evaluator, Unenforced
from lmql_like.grammars.json_schema.lowering import Lowering, Options, too_large
from lmql_like.grammars.json_schema.sharing import Shared
from lmql_like.grammars.limits import DEFAULT_LIMITS, Limits
from lmql_like.grammars.regex.nodes import Node
from lmql_like.source import Source, is_unicode

__all__ = [
    "Schema",
    "SchemaRules",
    "UnenforcedWarning",
    "compile_json",
    "compile_json_schema",
    "read_json_schema",
]

Schema: TypeAlias = "str | bool | Mapping[str, Any]"

_KEY_ORDERS = ("auto", "declared", "any")
_ADDITIONAL = ("schema", "forbid")
_MODES = ("refuse", "warn")
_FORMATS = ("assert", "annotate")


class UnenforcedWarning(UserWarning):
    """A keyword is not enforced, as the caller allowed."""


@dataclass(frozen=True)
class SchemaRules:
    """A schema as rules over bytes.

    Attributes:
        rules: the grammar of the texts that satisfy it.
        unenforced: the keywords that the grammar leaves out; empty unless the caller
            asked for `unenforced="warn"`.
    """

    rules: RuleSet
    unenforced: tuple[Unenforced, ...]

    @property
    def formula(self) -> Formula:
        """Return the condition on a hole's text."""
        return Derives(self.rules)


def compile_json_schema(
    schema: Schema,
    *,
    whitespace: str = "flexible",
    key_order: str = "auto",
    additional: str = "schema",
    formats: str = "assert",
    unenforced: str = "refuse",
    limits: Limits = DEFAULT_LIMITS,
) -> Automaton:
    """Return the automaton of the JSON texts that satisfy a schema.

    Args:
        schema: a schema as JSON text, or as the value that `json.loads` makes of it.
        whitespace: "flexible", any between any two symbols; "compact", none; "line", at most
            one blank behind commas and colons; "pretty", a line for each member and item,
            indented at will.
        key_order: "auto", any order while at most six members are required, and the
            required ones in the schema's order in larger objects; "any", any order or an
            error; "declared", the schema's order, additional members last.
        additional: "schema", members that are not declared are what the schema says; "forbid",
            an object that declares members has no others of which it says nothing.
        formats: "assert" or "annotate", whether `format` is enforced.
        unenforced: "refuse" what cannot be enforced, or "warn" and leave it out.
        limits: bounds, see `Limits`.

    Raises:
        SchemaError: S1 for what the schema says wrong, S2 for its patterns, S3 for what
            cannot be enforced or goes over a limit.
    """
    found = read_json_schema(
        schema,
        whitespace=whitespace,
        key_order=key_order,
        additional=additional,
        formats=formats,
        unenforced=unenforced,
    )
    for one in found.unenforced:
        warnings.warn(
            f"{one.keyword} at #{one.pointer} is not enforced: {one.reason}",
            UnenforcedWarning,
            stacklevel=2,
        )
    try:
        return compile_formula(found.formula, limits=limits)
    except GrammarError as error:
        raise too_large(error, None) from error


def read_json_schema(
    schema: Schema,
    *,
    whitespace: str = "flexible",
    key_order: str = "auto",
    additional: str = "schema",
    formats: str = "assert",
    unenforced: str = "refuse",
) -> SchemaRules:
    """Return the rules of a schema; arguments and errors as of `compile_json_schema`."""
    where = layout.layout(whitespace)
    _check("key_order", key_order, _KEY_ORDERS)
    _check("additional", additional, _ADDITIONAL)
    _check("formats", formats, _FORMATS)
    _check("unenforced", unenforced, _MODES)
    try:
        return _read(
            _parse(schema),
            Options(where, key_order, closed=additional == "forbid"),
            formats == "assert",
            unenforced == "warn",
        )
    except GrammarError as error:
        raise too_large(error, None) from error
    except RecursionError as error:
        raise SchemaError(
            "S303",
            "the schema nests too deep",
            help="move inner schemas into $defs and refer to them",
        ) from error


def compile_json(*, whitespace: str = "flexible", limits: Limits = DEFAULT_LIMITS) -> Automaton:
    """Return the automaton of all JSON texts.

    Raises:
        SchemaError: S106 for the white space.
    """
    return compile_json_schema(True, whitespace=whitespace, limits=limits)


def _read(schema: Any, options: Options, assert_formats: bool, warn: bool) -> SchemaRules:
    documents = Documents(schema)
    evaluator = Evaluator(documents, assert_formats=assert_formats, warn=warn)
    lowering = Lowering(evaluator, options)
    start = lowering.value(evaluator.at(documents.start()))
    rules = _reached(lowering, start)
    source = Source("", "<json schema>")
    return SchemaRules(RuleSet(rules, "start", source, inlined=True), tuple(evaluator.unenforced))


def _reached(lowering: Lowering, start: Node) -> dict[str, Node]:
    """Return the rules that a node needs, lowered one after the other."""
    rules: dict[str, Node] = {"start": start}
    stack = [start]
    while stack:
        for reference in references(stack.pop()):
            name = reference.name
            if name not in rules:
                own = reference.node if isinstance(reference, Shared) else None
                rules[name] = lowering.rules[name] if own is None else own
                stack.append(rules[name])
    return rules


def _parse(schema: Schema) -> Any:
    """Return the schema with numbers as they were written.

    Raises:
        SchemaError: S101.
    """
    try:
        text = schema if isinstance(schema, str) else json.dumps(schema, allow_nan=False)
        parsed = json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
    except RecursionError as error:
        raise SchemaError("S303", "the schema nests too deep to be read") from error
    except (TypeError, ValueError) as error:
        raise SchemaError("S101", f"the schema is not JSON: {error}") from error
    if not is_unicode(text) or ("\\ud" in text.lower() and not _is_text(parsed)):
        raise SchemaError("S101", "the schema holds half of a surrogate pair, which is no text")
    if not isinstance(parsed, (dict, bool)):
        raise SchemaError("S101", "found neither an object nor a boolean, expected a schema")
    return parsed


def _is_text(parsed: Any) -> bool:
    """Tell whether all strings of a value can be written as UTF-8."""
    return is_unicode(json.dumps(parsed, ensure_ascii=False, default=str))


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _check(argument: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        names = ", ".join(f'"{name}"' for name in known)
        raise SchemaError(
            "S106",
            f'found {argument}="{value}", expected one of {names}',
            help=did_you_mean(str(value), known),
        )
