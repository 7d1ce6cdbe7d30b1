"""Write lmql.tmLanguage.json, the TextMate grammar of queries, from the language's own tables.

python editors/generate_textmate.py            writes the file
python editors/generate_textmate.py --check    exits with 1 if the file is not up to date
"""

from __future__ import annotations

import json
import keyword as python
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lmql_like.language import lexer
from lmql_like.language.decoders import DECODERS
from lmql_like.language.holes import HOLE_TYPES
from lmql_like.language.lines import CLAUSE_WORDS
from lmql_like.language.operators import OPERATOR_NAMES, UNITS
from lmql_like.language.templates import ROLES

FILE = Path(__file__).with_name("lmql.tmLanguage.json")

Rule = dict[str, Any]

_CONSTANTS = ("True", "False", "None")
_WORD_OPERATORS = ("and", "or", "not", "in", "is", "if", "else", "lambda", "await")
_OTHER_KEYWORDS = [
    word for word in python.kwlist if word not in (*_CONSTANTS, *_WORD_OPERATORS, "def", "class")
]
_PREFIX = "(?i:[rbu]|br|rb|f|fr|rf)?"
_NAME = lexer.NAME.pattern


def main() -> None:
    """Write the file, or check it."""
    text = json.dumps(make_grammar(), indent=2, ensure_ascii=False) + "\n"
    if "--check" in sys.argv[1:]:
        sys.exit(FILE.read_text(encoding="utf-8") != text)
    FILE.write_text(text, encoding="utf-8")


def make_grammar() -> Rule:
    """Return the grammar as TextMate and its heirs read it."""
    return {
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "LMQL",
        "scopeName": "source.lmql",
        "fileTypes": ["lmql"],
        "patterns": [{"include": "#statement"}],
        "repository": {
            "statement": _include(
                "comment", "marker", "decoder", "decorator", "prompt-group", "prompt", "code"
            ),
            "code": _include(
                *("comment", "import", "clause", "definition", "keyword", "constant", "operator"),
                *("number", "call", "brackets", "string", "symbol"),
            ),
            "comment": {"match": "#.*$", "name": "comment.line.number-sign.lmql"},
            "marker": {"match": r"^lmql\s*$", "name": "keyword.other.marker.lmql"},
            "decoder": _decoder(),
            "decorator": {
                "match": rf"^\s*(@)\s*({_NAME}(?:\.{_NAME})*)",
                "captures": _captures("punctuation.definition.decorator", "entity.name.function"),
            },
            "import": {
                "match": r"^\s*(from)\b(?=.*\bimport\b)",
                "captures": _captures("keyword.control.import"),
            },
            "clause": {
                "match": _words(_both_cases(CLAUSE_WORDS)),
                "name": "keyword.control.clause.lmql",
            },
            "definition": {
                "match": rf"\b(def|class)\s+({_NAME})",
                "captures": _captures("keyword.declaration", "entity.name.function"),
            },
            "keyword": {
                "patterns": [
                    {
                        "match": _words(
                            _both_cases(_WORD_OPERATORS[:5]) + list(_WORD_OPERATORS[5:])
                        ),
                        "name": "keyword.operator.word.lmql",
                    },
                    {"match": _words(_OTHER_KEYWORDS), "name": "keyword.control.lmql"},
                    {
                        "match": r"^\s*(match|case|type)\b(?=.*:\s*(?:#.*)?$)",
                        "captures": _captures("keyword.control"),
                    },
                ]
            },
            "constant": {"match": _words(_CONSTANTS), "name": "constant.language.lmql"},
            "operator": {
                "match": _words((*sorted(OPERATOR_NAMES), *UNITS)) + r"(?=\s*\()",
                "name": "support.function.constraint.lmql",
            },
            "number": {
                "match": rf"(?<![\w.])(?=\.?\d){lexer.NUMBER.pattern}",
                "name": "constant.numeric.lmql",
            },
            "call": {"match": rf"({_NAME})(?=\s*\()", "name": "entity.name.function.call.lmql"},
            "brackets": {
                "begin": r"[(\[{]",
                "end": r"[)\]}]",
                "patterns": [{"include": "#code"}],
            },
            "symbol": {"match": lexer.OPERATOR.pattern, "name": "keyword.operator.lmql"},
            "string": {"patterns": [_string(quote, is_prompt=False) for quote in _QUOTES]},
            "prompt": {"patterns": [_string(quote, is_prompt=True) for quote in _QUOTES]},
            "prompt-group": {
                "begin": rf"^\s*(\()(?=\s*{_PREFIX}[\"'])",
                "end": r"\)",
                "patterns": [
                    {"include": "#comment"},
                    *(_string(quote, is_prompt=True, anywhere=True) for quote in _QUOTES),
                ],
            },
            "prompt-inside": _include("doubled", "hole", "role", "interpolation", "escape"),
            "escape": {
                "match": r"\\(?:[0-7]{1,3}|x\h{2}|u\h{4}|U\h{8}|N\{[^}]*\}|.|$)",
                "name": "constant.character.escape.lmql",
            },
            "doubled": {
                "match": r"\[\[|\]\]|\{\{|\}\}",
                "name": "constant.character.escape.bracket.lmql",
            },
            "hole": _hole(),
            "role": {
                "match": rf"\{{\s*:({'|'.join(ROLES)})\s*\}}",
                "name": "keyword.other.role.lmql",
            },
            "interpolation": {
                "begin": r"\{",
                "end": r"\}",
                "beginCaptures": {"0": {"name": "punctuation.section.interpolation.lmql"}},
                "endCaptures": {"0": {"name": "punctuation.section.interpolation.lmql"}},
                "name": "meta.interpolation.lmql",
                "patterns": [
                    {"match": "![rsa](?=[:}])", "name": "storage.type.format.lmql"},
                    {"include": "#inner-string"},
                    {"include": "#code"},
                ],
            },
            "inner-string": {
                "match": _PREFIX + r"""(?:\\(["']).*?\\\1|(["'])(?:\\.|(?!\2).)*\2)""",
                "name": "string.quoted.inner.lmql",
            },
        },
    }


_QUOTES = ('"""', "'''", '"', "'")


def _include(*names: str) -> Rule:
    return {"patterns": [{"include": f"#{name}"} for name in names]}


def _captures(*names: str) -> Rule:
    return {str(i): {"name": f"{name}.lmql"} for i, name in enumerate(names, start=1)}


def _words(words: Iterable[str]) -> str:
    return rf"\b(?:{'|'.join(sorted(words))})\b"


def _both_cases(words: Iterable[str]) -> list[str]:
    """Return words as the language takes them: in lower case or all in capitals."""
    return [form for word in words for form in (word, word.upper())]


def _decoder() -> Rule:
    words = "|".join(sorted(_both_cases(DECODERS)))
    return {
        "begin": rf"^\s*({words})\b(?=\s*(?:\(.*\)\s*)?(?:{_PREFIX}[\"'].*|#.*)?$)",
        "end": "$",
        "beginCaptures": _captures("keyword.control.decoder"),
        "patterns": [
            {"include": "#brackets"},
            *(_string(quote, is_prompt=True, anywhere=True) for quote in _QUOTES),
            {"include": "#code"},
        ],
    }


def _string(quote: str, *, is_prompt: bool, anywhere: bool = False) -> Rule:
    """Return the rule of strings with a quote.

    A prompt string begins a statement: a line, or what stands behind `;`, a block's colon,
    a decoder or another literal.
    """
    is_long = len(quote) == 3
    kind = "prompt" if is_prompt else "quoted"
    place = "" if anywhere or not is_prompt else r"(?:^\s*|(?<=[;:\"')])\s*)"
    scope = f"string.{kind}.{'triple' if is_long else 'single'}.lmql"
    return {
        "begin": f"{place}{_PREFIX}({re.escape(quote)})",
        "end": f"({re.escape(quote)})" if is_long else f"({quote})|$",
        "beginCaptures": _captures("punctuation.definition.string.begin"),
        "endCaptures": _captures("punctuation.definition.string.end"),
        "name": scope,
        "patterns": [{"include": "#prompt-inside" if is_prompt else "#escape"}],
    }


def _hole() -> Rule:
    types = "|".join(HOLE_TYPES)
    return {
        "begin": r"\[",
        "end": r"\]",
        "beginCaptures": {"0": {"name": "punctuation.section.hole.begin.lmql"}},
        "endCaptures": {"0": {"name": "punctuation.section.hole.end.lmql"}},
        "name": "meta.hole.lmql",
        "patterns": [
            {
                "match": rf"(@)\s*({_NAME}(?:\.{_NAME})*)",
                "captures": _captures("punctuation.definition.decorator", "entity.name.function"),
            },
            {
                "match": rf"({_NAME})\s*(?=[:\]])",
                "captures": _captures("variable.other.hole"),
            },
            {"match": rf"(?<=:)\s*({types})\b", "captures": _captures("support.type")},
            {"include": "#inner-string"},
            {"include": "#code"},
        ],
    }


if __name__ == "__main__":
    main()
