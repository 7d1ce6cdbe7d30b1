"""The official JSON-Schema-Test-Suite: every required test is right, or refused with a reason."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from lmql_like.errors import SchemaError
from lmql_like.grammars.json_schema import compile_json_schema

ARCHIVE = Path(__file__).parents[2].parent / "shared/bench/cases/json-schema-test-suite.tar.xz"
DRAFTS = {
    "draft4": "http://json-schema.org/draft-04/schema#",
    "draft6": "http://json-schema.org/draft-06/schema#",
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}
# Keywords of which some tests are refused: references out of the document (S103), dialects
# of somebody's own (S105), equality of items (S301; the meta-schemas ask for it), a step of
# 123456789 (S304).
REFUSED = {
    "refRemote": {"S103"},
    "dynamicRef": {"S103"},
    "recursiveRef": {"S103"},
    "ref": {"S103", "S301"},
    "defs": {"S103", "S301"},
    "definitions": {"S103", "S301"},
    "vocabulary": {"S105"},
    "uniqueItems": {"S301"},
    "multipleOf": {"S304"},
}


@pytest.fixture(scope="module")
def suite():
    if not ARCHIVE.exists():
        pytest.skip("the suite is not here")
    with tarfile.open(ARCHIVE) as archive:
        return {
            (member.name.split("/")[-2], Path(member.name).stem): json.load(
                archive.extractfile(member)
            )
            for member in archive.getmembers()
            if member.name.endswith(".json")
            and member.name.split("/")[-2] in DRAFTS
            and "/tests/" in member.name
        }


def results(draft, groups):
    """Yield (refused with this code or None, description, verdict, expected)."""
    for group in groups:
        schema = group["schema"]
        if isinstance(schema, dict):
            schema = {"$schema": DRAFTS[draft], **schema}
        try:
            automaton = compile_json_schema(schema, formats="annotate")
        except SchemaError as error:
            yield error.code, group["description"], None, None
            continue
        for test in group["tests"]:
            verdict = automaton.matches(json.dumps(test["data"]))
            yield None, f"{group['description']}: {test['description']}", verdict, test["valid"]


@pytest.mark.parametrize("draft", ["draft2020-12", "draft7"])
def test_every_required_test_is_right_or_refused(suite, draft):
    keywords = [keyword for at, keyword in suite if at == draft]
    assert len(keywords) > 30
    for keyword in keywords:
        for code, description, verdict, expected in results(draft, suite[draft, keyword]):
            if code is not None:
                assert code in REFUSED.get(keyword, set()), (keyword, description)
            else:
                assert verdict == expected, (keyword, description)


@pytest.mark.parametrize("draft", ["draft2019-09", "draft6", "draft4"])
def test_older_drafts_are_right_where_they_differ(suite, draft):
    for keyword in (
        "ref",
        "items",
        "additionalItems",
        "dependencies",
        "maximum",
        "recursiveRef",
        "type",
        "unevaluatedItems",
        "anchor",
        "id",
        "const",
        "if-then-else",
    ):
        for code, description, verdict, expected in results(draft, suite.get((draft, keyword), [])):
            if code is None:
                assert verdict == expected, (keyword, description)
