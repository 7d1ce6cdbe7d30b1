"""Where schemas stand: identifiers, anchors and references.

A `Resource` is a schema with a base URI of its own; a `Place` is a subschema together with
all that decides what it means: its resource, and, where `$dynamicRef` occurs, the resources
it was reached through. Nothing is ever fetched: a reference that leads out of the document
is an error, but for the drafts' own meta-schemas.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from lmql_like.errors import SchemaError, did_you_mean
from lmql_like.grammars.json_schema.drafts import Draft, draft_of

__all__ = ["Documents", "Place", "Resource", "escaped", "subschemas"]

_MAPS = (
    "properties",
    "patternProperties",
    "$defs",
    "definitions",
    "dependentSchemas",
    "dependencies",
)
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_SINGLES = (
    "not", "if", "then", "else", "items", "additionalItems", "contains", "additionalProperties",
    "propertyNames", "unevaluatedItems", "unevaluatedProperties", "contentSchema",
)  # fmt: skip
_REMARKS = ("title", "description", "$comment")
_ANCHOR = re.compile(r"[A-Za-z_][-A-Za-z0-9._:]*")


@dataclass(frozen=True, eq=False)
class Resource:
    """A schema with a base URI.

    Attributes:
        uri: the base, without fragment; "" for a document that has none.
        schema: its root.
        draft: the specification it is written in.
        pointer: where it stands in the document.
        anchors: name -> (subschema, pointer) of its plain-name fragments.
        dynamic: names of those that `$dynamicRef` may find.
    """

    uri: str
    schema: Any
    draft: Draft
    pointer: str = ""
    anchors: dict[str, tuple[Any, str]] = field(default_factory=dict)
    dynamic: set[str] = field(default_factory=set)


class Place:
    """A subschema and what decides its meaning; equal where they mean the same."""

    __slots__ = ("_key", "pointer", "resource", "schema", "scope")

    def __init__(
        self,
        schema: Any,
        resource: Resource,
        pointer: str,
        scope: tuple[Resource, ...],
        content: object,
    ) -> None:
        self.schema = schema
        self.resource = resource
        self.pointer = pointer
        self.scope = scope
        self._key = (content, id(resource), scope)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self._key == other._key


class Documents:
    """One document and its parts.

    Args:
        schema: a parsed document; it stays alive as long as the places in it.

    Raises:
        SchemaError: S105 for an unknown dialect.
    """

    def __init__(self, schema: Any) -> None:
        draft = _draft(schema, Draft.UNSTATED, "")
        uri = _identifier(schema, draft) if isinstance(schema, dict) else ""
        self.root = Resource(urldefrag(uri).url, schema, draft)
        self._indexed = False
        self._resources: dict[str, Resource] = {self.root.uri: self.root}
        self._embedded: dict[int, Resource] = {id(schema): self.root}
        self._used_scopes = False
        self._contents = _Contents()

    def start(self) -> Place:
        """Return the place of the whole schema."""
        self._used_scopes = _has_dynamic_references(self.root.schema)
        return self._place(self.root.schema, self.root, "", ())

    def child(self, place: Place, schema: Any, *path: str) -> Place:
        """Return the place of a subschema below a place."""
        pointer = place.pointer + "".join(f"/{escaped(part)}" for part in path)
        resource = place.resource
        if isinstance(schema, dict) and ("$id" in schema or "id" in schema):
            resource = self._resource(schema, resource, pointer)
        return self._place(schema, resource, pointer, place.scope)

    def resolve(self, place: Place, reference: str) -> Place:
        """Return the place that `$ref` leads to.

        Raises:
            SchemaError: S103.
        """
        uri, fragment = urldefrag(urljoin(place.resource.uri, reference))
        if reference.startswith("#"):
            resource: Resource | None = place.resource
        else:
            self._index()
            resource = self._resources.get(uri) or self._meta_schema(uri)
        if resource is None:
            raise SchemaError(
                "S103",
                f"found the reference '{reference}' to another document",
                pointer=place.pointer,
                help=did_you_mean(uri, [u for u in self._resources if u])
                or "references are never fetched: copy the other schema into $defs",
            )
        return self._inside(place, resource, unquote(fragment), reference)

    def resolve_dynamic(self, place: Place, reference: str) -> Place:
        """Return the place that `$dynamicRef` leads to from here."""
        found = self.resolve(place, reference)
        name = unquote(urldefrag(reference).fragment)
        if name not in found.resource.dynamic:
            return found
        for resource in place.scope:
            if name in resource.dynamic:
                return self._inside(place, resource, name, reference)
        return found

    def resolve_recursive(self, place: Place) -> Place:
        """Return the place that `$recursiveRef` leads to from here."""
        resource = place.resource
        if _is_recursive(resource):
            for outer in place.scope:
                if _is_recursive(outer):
                    resource = outer
                    break
        return self._inside(place, resource, "", "#")

    def _place(
        self, schema: Any, resource: Resource, pointer: str, scope: tuple[Resource, ...]
    ) -> Place:
        content = self._contents.of(schema)
        return Place(schema, resource, pointer, self._scope(scope, resource), content)

    # -- resources -------------------------------------------------------------------

    def _scope(self, scope: tuple[Resource, ...], resource: Resource) -> tuple[Resource, ...]:
        """Return the dynamic scope inside a resource; always empty where nothing asks for it."""
        if not self._used_scopes:
            return ()
        return scope if resource in scope else (*scope, resource)

    def _resource(self, schema: dict[str, Any], base: Resource, pointer: str) -> Resource:
        """Return the resource of a subschema, a new one where it has an identifier."""
        known = self._embedded.get(id(schema))
        if known is not None:
            return known
        draft = _draft(schema, base.draft, pointer)
        uri, fragment = urldefrag(_identifier(schema, draft))
        if not uri or (fragment and not uri):
            return base
        resource = Resource(urljoin(base.uri, uri), schema, draft, pointer)
        self._embedded[id(schema)] = resource
        return resource

    def _index(self) -> None:
        """Find all resources and anchors of the document, once."""
        if self._indexed:
            return
        self._indexed = True
        self._used_scopes = self._used_scopes or _has_dynamic_references(self.root.schema)
        self._index_from(self.root)

    def _index_from(self, root: Resource) -> None:
        stack: list[tuple[Any, Resource, str]] = [(root.schema, root, root.pointer)]
        while stack:
            schema, resource, pointer = stack.pop()
            if not isinstance(schema, dict):
                continue
            resource = self._resource(schema, resource, pointer)
            self._resources.setdefault(resource.uri, resource)
            for name, dynamic in _anchors(schema, resource.draft):
                resource.anchors.setdefault(name, (schema, pointer))
                if dynamic:
                    resource.dynamic.add(name)
            stack += [(sub, resource, pointer + at) for at, sub in subschemas(schema)]

    def _meta_schema(self, uri: str) -> Resource | None:
        schema = _meta_schemas().get(uri)
        if schema is None:
            return None
        resource = Resource(uri, schema, _draft(schema, Draft.DRAFT_2020_12, ""), uri)
        self._embedded[id(schema)] = self._resources[uri] = resource
        self._index_from(resource)
        self._used_scopes = True
        return resource

    def _inside(self, place: Place, resource: Resource, fragment: str, reference: str) -> Place:
        if not fragment:
            return self._place(resource.schema, resource, resource.pointer, place.scope)
        if fragment.startswith("/"):
            return self._along(place, resource, fragment, reference)
        self._index()
        if fragment not in resource.anchors:
            raise _nowhere(place, reference, did_you_mean(fragment, resource.anchors))
        schema, pointer = resource.anchors[fragment]
        return self._place(schema, resource, pointer, place.scope)

    def _along(self, place: Place, resource: Resource, fragment: str, reference: str) -> Place:
        """Follow a JSON pointer."""
        at: Any = resource.schema
        pointer = resource.pointer
        for part in fragment[1:].split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            pointer += f"/{part}"
            if isinstance(at, Mapping) and name in at:
                at = at[name]
            elif isinstance(at, list) and name.isdigit() and int(name) < len(at):
                at = at[int(name)]
            else:
                known = list(at) if isinstance(at, Mapping) else []
                raise _nowhere(place, reference, did_you_mean(name, known))
            if isinstance(at, dict) and ("$id" in at or "id" in at):
                resource = self._resource(at, resource, pointer)
        return self._place(at, resource, pointer, place.scope)


class _Contents:
    """Numbers for JSON values: the same for values that mean the same as schemas.

    Schemas that hold definitions are told apart by identity, so that asking for one does
    not read the whole document.
    """

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self._known: dict[int, int] = {}

    def of(self, value: Any) -> int:
        if not isinstance(value, (dict, list)):
            return self._number((type(value), value))
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = self._number(self._parts(value))
        return known

    def _parts(self, value: dict[str, Any] | list[Any]) -> object:
        if isinstance(value, list):
            return tuple(map(self.of, value))
        if "$defs" in value or "definitions" in value:
            return ("identity", id(value))
        return (
            "object",
            *(
                (name, self.of(part))
                for name, part in value.items()
                if not (name in _REMARKS and isinstance(part, str))
            ),
        )

    def _number(self, key: object) -> int:
        return self._numbers.setdefault(key, len(self._numbers))


def escaped(part: str) -> str:
    """Return a name as a part of a JSON pointer."""
    return part.replace("~", "~0").replace("/", "~1")


def _nowhere(place: Place, reference: str, help_: str) -> SchemaError:
    return SchemaError(
        "S103",
        f"found the reference '{reference}', which leads nowhere",
        pointer=place.pointer,
        help=help_,
    )


def _draft(schema: Any, inherited: Draft, pointer: str) -> Draft:
    uri = schema.get("$schema") if isinstance(schema, dict) else None
    if not isinstance(uri, str):
        return inherited
    draft = draft_of(uri)
    if draft is None:
        raise SchemaError(
            "S105",
            f"found the dialect '{uri}', expected a draft of JSON Schema",
            pointer=f"{pointer}/$schema",
            help='such as "$schema": "https://json-schema.org/draft/2020-12/schema"',
        )
    return draft


def _identifier(schema: dict[str, Any], draft: Draft) -> str:
    if draft <= Draft.DRAFT_7 and "$ref" in schema:
        return ""  # siblings of $ref mean nothing there
    names = ("id",) if draft <= Draft.DRAFT_4 else ("$id",)
    found = next((schema[name] for name in names if isinstance(schema.get(name), str)), "")
    return str(found)


def _anchors(schema: dict[str, Any], draft: Draft) -> Iterator[tuple[str, bool]]:
    """Yield a subschema's plain-name fragments, and whether they are dynamic."""
    identifier = _identifier(schema, draft)
    if draft <= Draft.DRAFT_7 or draft == Draft.UNSTATED:
        fragment = urldefrag(identifier).fragment
        if fragment and not fragment.startswith("/"):
            yield fragment, False
    for keyword, dynamic in (("$anchor", False), ("$dynamicAnchor", True)):
        name = schema.get(keyword)
        if isinstance(name, str) and _ANCHOR.fullmatch(name) and draft > Draft.DRAFT_7:
            yield name, dynamic


def subschemas(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the schemas right inside one, each with its pointer from there."""
    for keyword in _MAPS:
        value = schema.get(keyword)
        if isinstance(value, dict):
            yield from ((f"/{keyword}/{escaped(name)}", sub) for name, sub in value.items())
    for keyword in _LISTS:
        value = schema.get(keyword)
        if isinstance(value, list):
            yield from ((f"/{keyword}/{index}", sub) for index, sub in enumerate(value))
    for keyword in _SINGLES:
        if isinstance(schema.get(keyword), dict):
            yield f"/{keyword}", schema[keyword]


def _is_recursive(resource: Resource) -> bool:
    return isinstance(resource.schema, dict) and resource.schema.get("$recursiveAnchor") is True


def _has_dynamic_references(schema: Any) -> bool:
    stack = [schema]
    while stack:
        current = stack.pop()
        if isinstance(current, dict):
            if "$dynamicRef" in current or "$recursiveRef" in current:
                return True
            stack += current.values()
        elif isinstance(current, list):
            stack += current
    return False


def _meta_schemas() -> Mapping[str, Any]:
    """Return the drafts' own schemas by URI, if the package that holds them is there."""
    try:
        from jsonschema_specifications import REGISTRY
    except ImportError:
        return {}
    return {uri.rstrip("#"): REGISTRY.contents(uri) for uri in REGISTRY}
