"""How much of the official JSON-Schema-Test-Suite is right, keyword by keyword?

    python benchmarks/schema_suite.py json-schema-test-suite.tar.xz

A table for each draft: required tests in all, those that are right, those whose schema is refused,
by code, and those that are wrong. `format` is an annotation in these tests.
"""

from __future__ import annotations

import json
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmql_like.errors import SchemaError
from lmql_like.grammars.json_schema import compile_json_schema

DRAFTS = {
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
    "draft7": "http://json-schema.org/draft-07/schema#",
}


def _files(archive: str, draft: str) -> Iterator[tuple[str, Any]]:
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            path = Path(member.name)
            content = tar.extractfile(member)
            if content and path.suffix == ".json" and path.parts[-3:-1] == ("tests", draft):
                yield path.stem, json.load(content)


def _outcomes(groups: Any, dialect: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for group in groups:
        schema = group["schema"]
        if isinstance(schema, dict):
            schema = {"$schema": dialect, **schema}
        try:
            automaton = compile_json_schema(schema, formats="annotate")
        except SchemaError as error:
            found[error.code] += len(group["tests"])
            continue
        for test in group["tests"]:
            right = automaton.matches(json.dumps(test["data"])) == test["valid"]
            found["right" if right else "wrong"] += 1
    return found


def main(archive: str) -> None:
    """Print the tables of an archive of the suite."""
    for draft, dialect in DRAFTS.items():
        print(f"\n{draft}\n\n| keyword | tests | right | refused | wrong |\n|---|---|---|---|---|")
        total: Counter[str] = Counter()
        for keyword, groups in sorted(_files(archive, draft)):
            found = _outcomes(groups, dialect)
            total += found
            _print(keyword, found)
        _print("all", total)


def _print(keyword: str, found: Counter[str]) -> None:
    refused = ", ".join(f"{n} {code}" for code, n in sorted(found.items()) if code[0] == "S")
    print(
        f"| {keyword} | {found.total()} | {found['right']} ({found['right'] / found.total():.0%}) "
        f"| {refused} | {found['wrong'] or ''} |"
    )


if __name__ == "__main__":
    main(sys.argv[1])
