"""What becomes of each keyword of a schema: enforced, refused, or no condition at all.

All that cannot be enforced is found, not only the first: a keyword that is refused is taken
out, and the rest is read again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lmql_like.errors import GrammarError, SchemaError
from lmql_like.grammars.compiler import compile_formula
from lmql_like.grammars.json_schema.applicators import APPLICATORS
from lmql_like.grammars.json_schema.compiler import read_json_schema
from lmql_like.grammars.json_schema.documents import subschemas
from lmql_like.grammars.json_schema.drafts import Draft, draft_of
from lmql_like.grammars.json_schema.formats import FORMATS, UNENFORCEABLE
from lmql_like.grammars.json_schema.keywords import ASSERTIONS

__all__ = ["Note", "Survey", "survey_schema"]

_MOST_REFUSALS = 100
# Read together with another keyword, or where they are referred to.
_STRUCTURE = {
    *("$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary"),
    *("$defs", "definitions", "minContains", "maxContains"),
}
_NEEDS = {"then": "if", "else": "if", "minContains": "contains", "maxContains": "contains"}
_ANNOTATIONS = {
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
    *("$comment", "contentMediaType", "contentEncoding", "contentSchema"),
}


@dataclass(frozen=True)
class Note:
    """A keyword that is refused or ignored.

    Attributes:
        kind: "refused", "ignored" or "annotation".
        pointer: where it stands, a JSON pointer.
        keyword: its name.
        reason: why.
        code: of the error, where it is refused.
        help: a way out, where one is known.
    """

    kind: str
    pointer: str
    keyword: str
    reason: str
    code: str = ""
    help: str = ""


@dataclass(frozen=True)
class Survey:
    """What becomes of a schema.

    Attributes:
        enforced: how often each keyword that is enforced stands in it.
        notes: the other keywords, refused ones first, each in the order of the text.
        is_empty: no value is valid; None where something is refused.
    """

    enforced: Mapping[str, int]
    notes: tuple[Note, ...]
    is_empty: bool | None

    def of(self, kind: str) -> list[Note]:
        """Return the notes of a kind."""
        return [note for note in self.notes if note.kind == kind]


def survey_schema(text: str, **options: str) -> Survey:
    """Return what becomes of each keyword of a schema.

    Args:
        text: the schema, JSON.
        **options: those of `read_json_schema` but for `unenforced`.

    Raises:
        SchemaError: S1, it is no schema.
    """
    refused = list(_refusals(text, options))
    where = {note.pointer for note in refused}
    enforced: Counter[str] = Counter()
    others: list[Note] = []
    for pointer, keyword, reason in _keywords(json.loads(text), "", Draft.UNSTATED):
        if pointer in where:
            continue
        if not reason:
            enforced[keyword] += 1
        elif keyword in _ANNOTATIONS:
            others.append(Note("annotation", pointer, keyword, reason))
        else:
            others.append(Note("ignored", pointer, keyword, reason))
    is_empty = None
    if not refused:
        formula = read_json_schema(text, **options).formula
        is_empty = compile_formula(formula).is_empty()
    return Survey(dict(enforced), (*refused, *others), is_empty)


def _refusals(text: str, options: Mapping[str, str]) -> Iterator[Note]:
    """Yield what is refused: read, take it out, read again."""
    schema = json.loads(text) if _is_json(text) else None
    for _ in range(_MOST_REFUSALS):
        try:
            rules = read_json_schema(text, unenforced="warn", **options)
            compile_formula(rules.formula)
        except (SchemaError, GrammarError) as error:
            pointer = getattr(error, "pointer", None)
            if error.code.startswith("S1"):
                raise
            keyword = (pointer or "").rpartition("/")[2]
            yield Note("refused", pointer or "", keyword, error.message, error.code, error.help)
            if pointer is None or not _take_out(schema, pointer):
                return
            text = json.dumps(schema)
            continue
        for one in rules.unenforced:
            yield Note("refused", one.pointer, one.keyword, one.reason, "S301")
        return


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _take_out(schema: Any, pointer: str) -> bool:
    """Take the keyword at a pointer out of a schema; False where there is none."""
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for part in parents:
        schema = schema[int(part)] if isinstance(schema, list) else schema.get(part)
    if not isinstance(schema, dict) or last not in schema:
        return False
    del schema[last]
    return True


def _keywords(schema: Any, pointer: str, draft: Draft) -> Iterator[tuple[str, str, str]]:
    """Yield the keywords of a schema and those inside it: pointer, name, why it is ignored."""
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("$schema"), str):
        draft = draft_of(schema["$schema"]) or draft
    for keyword, value in schema.items():
        escaped = keyword.replace("~", "~0").replace("/", "~1")
        yield f"{pointer}/{escaped}", keyword, _reason(schema, keyword, value, draft)
    for at, inner in subschemas(schema):
        yield from _keywords(inner, pointer + at, draft)


def _reason(schema: Mapping[str, Any], keyword: str, value: Any, draft: Draft) -> str:
    """Return why a keyword is no condition; nothing where it is one."""
    if draft <= Draft.DRAFT_7 and "$ref" in schema and keyword not in ("$ref", *_STRUCTURE):
        return "stands beside $ref, where this draft ignores it"
    if keyword in _ANNOTATIONS:
        return "an annotation"
    if keyword in _NEEDS and _NEEDS[keyword] not in schema:
        return f"means nothing without '{_NEEDS[keyword]}'"
    if keyword == "format" and value not in FORMATS and value not in UNENFORCEABLE:
        return f"{value!r} is no format of the specification"
    if keyword in _STRUCTURE or keyword in ("then", "else", "additionalItems"):
        return ""
    entry = ASSERTIONS.get(keyword) or APPLICATORS.get(keyword)
    if entry is None:
        return "an unknown keyword"
    return "" if entry[1] <= draft <= entry[2] else "a keyword of another draft"
