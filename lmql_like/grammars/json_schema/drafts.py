"""The drafts of JSON Schema: which keywords each one has, and how `$schema` names it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

__all__ = ["Draft", "draft_of"]


class Draft(IntEnum):
    """A version of the specification; later ones are greater."""

    DRAFT_4 = 4
    DRAFT_6 = 6
    DRAFT_7 = 7
    DRAFT_2019_09 = 2019
    DRAFT_2020_12 = 2020
    UNSTATED = 9999
    """No `$schema`: 2020-12, and keywords of older drafts keep what they meant there."""


_DIALECTS: Mapping[str, Draft] = {
    "http://json-schema.org/schema": Draft.UNSTATED,
    "http://json-schema.org/draft-04/schema": Draft.DRAFT_4,
    "http://json-schema.org/draft-06/schema": Draft.DRAFT_6,
    "http://json-schema.org/draft-07/schema": Draft.DRAFT_7,
    "http://json-schema.org/draft/2019-09/schema": Draft.DRAFT_2019_09,
    "http://json-schema.org/draft/2020-12/schema": Draft.DRAFT_2020_12,
    # Snowplow's self-describing schemas: draft 4 with an annotation.
    "http://iglucentral.com/schemas/com.snowplowanalytics.self-desc/schema/jsonschema/1-0-0": (
        Draft.DRAFT_4
    ),
}


def draft_of(uri: str) -> Draft | None:
    """Return the draft that `$schema` names, None for one we do not know."""
    key = uri.strip().rstrip("#").rstrip("/").replace("https://", "http://", 1)
    return _DIALECTS.get(key)
