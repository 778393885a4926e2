"""The words in which resources describe their answers: JSON Schema, as OpenAPI 3.1 has it.

Schemas of answers are written by hand, since answers are made by plain functions; a test holds the answers to them.
Objects may gain fields in later versions, so that none is said to have no others.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from service.api import patterns

JSONSchema = dict[str, Any]


def ref(name: str) -> JSONSchema:
    return {"$ref": f"#/components/schemas/{name}"}


def obj(properties: Mapping[str, JSONSchema], *, optional: Iterable[str] = ()) -> JSONSchema:
    """An object whose properties are all there but for the optional ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required}


def array(items: JSONSchema) -> JSONSchema:
    return {"type": "array", "items": items}


def or_null(schema: JSONSchema) -> JSONSchema:
    if "type" in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def integer(least: int, **more: Any) -> JSONSchema:
    return {"type": "integer", "minimum": least, **more}


TEXT: JSONSchema = {"type": "string"}
GUID: JSONSchema = {"type": "string", "minLength": 1}
TIME: JSONSchema = {"type": "string", "format": "date-time", "pattern": patterns.TIMESTAMP}
BOOLEAN: JSONSchema = {"type": "boolean"}
NULL: JSONSchema = {"type": "null"}
RELATIONSHIP = obj({"data": obj({"guid": GUID})})
METADATA = obj({name: {"type": "object", "additionalProperties": TEXT} for name in ("labels", "annotations")})

_PAGE = {
    "total_results": integer(0),
    "total_pages": integer(1),
    "first": ref("Link"),
    "last": ref("Link"),
    "next": or_null(ref("Link")),
    "previous": or_null(ref("Link")),
}

SHARED: Mapping[str, JSONSchema] = {
    "Link": obj({"href": {"type": "string", "format": "uri"}, "method": {"enum": ["GET", "POST"]}}),
    "Reference": obj({"href": {"type": "string", "format": "uri"}, "method": {"const": "POST"}}, optional=["method"]),
}
"""Schemas that any resource may refer to, by name."""


def links(*names: str, optional: Iterable[str] = ()) -> JSONSchema:
    return obj({name: ref("Link") for name in (*names, *optional)}, optional=optional)


def references(*names: str, optional: Iterable[str] = ()) -> JSONSchema:
    """Links of a resource that names a method only where it is not GET."""
    return obj({name: ref("Reference") for name in (*names, *optional)}, optional=optional)


def page_of(name: str, included: Iterable[str] = ()) -> JSONSchema:
    """A list of what the schema of that name describes; `included` are the resources that may come along."""
    more = {plural: array({"type": "object"}) for plural in included}
    return obj(
        {
            **_PAGE,
            "resources": array(ref(name)),
            **({"included": obj(more, optional=more)} if more else {}),
            "pagination": {**obj(_PAGE), "description": "The same."},
        },
        optional=["included"] if more else [],
    )
