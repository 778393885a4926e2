"""Errors in the API's document: their schema, and an example of each."""

from collections.abc import Iterable, Mapping
from typing import Any

from service.api.jsonschema import GUID, JSONSchema, array, obj
from service.errors import (
    AnnotationLimitExceeded,
    BadQueryParameter,
    CloudFoundryError,
    InvalidRequest,
    LabelLimitExceeded,
    ResourceNotFound,
    ServiceUnavailable,
    StatsUnavailable,
    UnprocessableEntity,
)

_DETAILS: Mapping[type[CloudFoundryError], str] = {
    InvalidRequest: "A '%' in the path or query must be followed by two hexadecimal digits",
    BadQueryParameter: "'per_page' must be a whole number from 1 to 5000",
    ResourceNotFound: "Process not found",
    UnprocessableEntity: "'instances' must be a whole number from 0 to 2147483647",
    LabelLimitExceeded: "a process can have 50 labels, and this would make 51",
    AnnotationLimitExceeded: "a process can have 200 annotations, and this would make 201",
    ServiceUnavailable: "The metadata store cannot be reached",
    StatsUnavailable: "The service has not finished loading Pods yet",
}


def example(kind: type[CloudFoundryError]) -> dict[str, Any]:
    """The body of one error of the kind."""
    return (kind(_DETAILS[kind]) if kind in _DETAILS else kind()).body()


def errors_schema(kinds: Iterable[type[CloudFoundryError]]) -> JSONSchema:
    """The error envelope of exactly one error, of one of the kinds."""
    each = [
        obj({"code": {"const": kind.code}, "title": {"const": kind.title}, "detail": _detail(kind)}) for kind in kinds
    ]
    return obj({"errors": {**array(each[0] if len(each) == 1 else {"oneOf": each}), "minItems": 1, "maxItems": 1}})


def _detail(kind: type[CloudFoundryError]) -> JSONSchema:
    return {"const": kind.default_detail} if kind.default_detail else GUID
