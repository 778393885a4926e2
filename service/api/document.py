"""The API's own document, OpenAPI 3.1: from the table of routes, the schemas of what is asked and what is answered."""

from collections import ChainMap, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import orjson
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import resolve_schema_cls
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields

from service.api import failures, patterns
from service.api.jsonschema import SHARED, ref
from service.api.operation import JSON, Documented, Operation
from service.api.version import API_VERSION
from service.cache import BoundedCache
from service.errors import (
    AddressRateLimitExceeded,
    CloudFoundryError,
    InvalidAuthToken,
    InvalidRequest,
    NotAuthenticated,
    NotAuthorized,
    RateLimitExceeded,
    ServiceUnavailable,
    UnknownError,
)

Object = dict[str, Any]

ANY_REQUEST = (InvalidRequest, UnknownError, ServiceUnavailable)
WITH_TOKEN = (NotAuthenticated, InvalidAuthToken, NotAuthorized, RateLimitExceeded, AddressRateLimitExceeded)
SECURITY = "kubernetes"

_DESCRIPTION = """\
The Processes API of Cloud Foundry's v3 API, over Deployments in a Kubernetes cluster.

HEAD is answered wherever GET is. Any other path or method is a 404 with code 10000, "Unknown request". Bodies are read
as JSON whatever type they are said to be of, but for forms; an empty one is `{}`. Whole numbers in bodies are written
without a fraction: `5.0` is none."""

_HEADERS: Mapping[str, Object] = {
    "X-Vcap-Request-Id": {
        "required": True,
        "description": "Names the request in logs; begins with the caller's own, where one was given.",
        "schema": {
            "type": "string",
            "pattern": "^(?:[A-Za-z0-9_-]{1,255}::)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        },
    },
    "ETag": {
        "required": True,
        "description": "Of these very bytes; sent back as If-None-Match, it is answered with 304 until they change.",
        "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}(?:-gzip)?"$'},
    },
    "Warning": {
        "description": "Kubernetes or Postgres is away, and what is shown may be old.",
        "schema": {"type": "string", "pattern": '^110 - "'},
    },
    "X-Cf-Warnings": {
        "description": "For people to read, form-encoded and joined by commas.",
        "schema": {"type": "string", "minLength": 1},
    },
    "Retry-After": {
        "required": True,
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}},
    "X-RateLimit-Limit": {
        "description": "Requests the caller has in a window; absent where they are not counted.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "X-RateLimit-Remaining": {
        "description": "Those left of them.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "X-RateLimit-Reset": {
        "description": "When the window ends, in seconds since the epoch.",
        "schema": {"type": "integer", "minimum": 0},
    },
}
_ALWAYS = ("X-Vcap-Request-Id", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_READ = ("ETag", "Warning", "X-Cf-Warnings")
_PATH_PARAMETERS: Mapping[str, Object] = {
    "guid": {"type": "string", "pattern": patterns.SEGMENT},
    "type": {"type": "string", "pattern": patterns.SEGMENT},
    "name": {"type": "string", "pattern": patterns.SEGMENT},
    "index": {"type": "integer", "minimum": 0},
}
_PARAMETERS: Mapping[str, Any] = {
    "order_by": "-updated_at",
    "label_selector": "tier in (frontend,backend),!experimental",
    "created_ats": ["2026-11-06T22:40:00Z"],
    "updated_ats[gt]": "2026-11-06T22:40:00Z",
}
"""Examples of what any list takes, by name."""
_REQUEST_HEADERS: Mapping[str, str] = {
    "X-Vcap-Request-Id": "The caller's own id of the request: its letters, digits, `_` and `-` are kept, 255 at most.",
    "If-None-Match": "The ETag of what the caller has already.",
}


class Document:
    """The document as bytes, made once for each base URL it is asked for at."""

    def __init__(self, resources: Iterable[Documented], user_ids: Mapping[str, int]) -> None:
        self._described = describe(resources, user_ids)
        self._encoded: BoundedCache[str, bytes] = BoundedCache(4 << 20)

    def encode(self, base: str) -> bytes:
        """The document for who reaches the API at `base`."""
        encoded = self._encoded.get(base)
        if encoded is None:
            encoded = orjson.dumps({**self._described, "servers": [{"url": base}]})
            self._encoded.put(base, encoded, len(encoded) + len(base))
        return encoded


def describe(resources: Iterable[Documented], user_ids: Mapping[str, int]) -> Object:
    """The document, but for where it is served. `user_ids` are the uids that stand for names of users."""
    plugin = _Plugin(schema_name_resolver=_schema_name)
    spec = APISpec(
        title="Cloud Foundry Processes over Kubernetes",
        version=API_VERSION,
        openapi_version="3.1.0",
        plugins=[plugin],
        info={"description": _DESCRIPTION},
        security=[{SECURITY: []}],
    )
    spec.components.security_scheme(
        SECURITY, {"type": "http", "scheme": "bearer", "description": "A token of the Kubernetes cluster."}
    )
    for name, header in _HEADERS.items():
        spec.components.header(name, header)
    for name, words in _REQUEST_HEADERS.items():
        parameter = {"name": name, "description": words, "schema": {"type": "string"}}
        spec.components.parameter(name, "header", parameter)
    resources = list(resources)
    for schemas in (SHARED, *(resource.schemas for resource in resources)):
        for name, schema in schemas.items():
            spec.components.schema(name, schema)
    writer = _Writer(spec, cast(_Converter, plugin.converter), _Examples.of(resources), user_ids)
    for resource in resources:
        for operation in resource.operations:
            spec.path(operation.path, operations={operation.method.lower(): writer.describe(operation)})
    return spec.to_dict()


@dataclass(frozen=True)
class _Examples:
    """Those of all resources, by name."""

    answers: Mapping[str, Any]
    bodies: Mapping[str, Mapping[str, Any]]
    parameters: Mapping[str, Any]

    @classmethod
    def of(cls, resources: Iterable[Documented]) -> "_Examples":
        resources = list(resources)
        return cls(
            dict(ChainMap(*(dict(each.answers) for each in resources))),
            dict(ChainMap(*(dict(each.bodies) for each in resources))),
            {**_PARAMETERS, **ChainMap(*(dict(each.parameters) for each in resources))},
        )


class _Converter(OpenAPIConverter):
    """From marshmallow's fields to JSON Schema; ours say themselves what they take."""

    def field2property(self, field: fields.Field[Any]) -> Object:
        shown: Object = super().field2property(field)
        if not shown.get("default"):
            # It stands for the absence of the parameter, and is not among the values that may be sent.
            shown.pop("default", None)
        return {**shown, **field.metadata.get("json_schema", {})}

    def query(self, schema: type[Schema]) -> list[Object]:
        """The parameters of a query."""
        parameters: list[Object] = self.schema2parameters(schema, location="query")
        for parameter in parameters:
            if parameter["schema"].get("type") == "array":
                parameter |= {"style": "form", "explode": False}
        return parameters


class _Plugin(MarshmallowPlugin):
    Converter = _Converter


def _schema_name(schema: Schema | type[Schema]) -> str:
    return cast(type[Schema], resolve_schema_cls(schema)).__name__


class _Writer:
    """Describes operations, one by one."""

    def __init__(self, spec: APISpec, converter: _Converter, examples: _Examples, user_ids: Mapping[str, int]) -> None:
        self._spec = spec
        self._converter = converter
        self._examples = examples
        self._user_ids = user_ids

    def describe(self, operation: Operation) -> Object:
        of_token = [kind for kind in WITH_TOKEN if operation.permission or kind is not NotAuthorized]
        kinds = (*ANY_REQUEST, *operation.errors, *(of_token if operation.token else ()))
        described: Object = {
            "operationId": operation.id,
            "summary": operation.summary,
            "tags": [operation.tag],
            "parameters": self._parameters(operation),
            "responses": {**self._successes(operation), **_failures(self._spec, kinds)},
        }
        if operation.body is not None:
            schema = operation.body(self._user_ids)
            examples = self._examples.bodies[type(schema).__name__]
            shown = {name: {"value": value} for name, value in examples.items()}
            content = {JSON: {"schema": schema, "examples": shown}}
            described["requestBody"] = {"required": False, "content": content}
        if not operation.token:
            described["security"] = []
        return described

    def _parameters(self, operation: Operation) -> list[Any]:
        in_path: list[Object] = [
            {"name": name, "in": "path", "required": True, "schema": schema}
            for name, schema in _PATH_PARAMETERS.items()
            if f"{{{name}}}" in operation.path
        ]
        in_query = self._converter.query(operation.query) if operation.query is not None else []
        for parameters, examples in ((in_path, operation.example), (in_query, self._examples.parameters)):
            for parameter in parameters:
                if parameter["name"] in examples:
                    parameter["example"] = examples[parameter["name"]]
        headers = [name for name in _REQUEST_HEADERS if operation.method == "GET" or name != "If-None-Match"]
        return [*in_path, *in_query, *headers]

    def _successes(self, operation: Operation) -> Object:
        of_reads = _READ if operation.method == "GET" else ()
        success: Object = {"description": operation.summary, "headers": _headers(*_ALWAYS, *of_reads)}
        if operation.answer is not None:
            content: Object = {"schema": ref(operation.answer)}
            if operation.answer in self._examples.answers:
                content["example"] = self._examples.answers[operation.answer]
            success["content"] = {operation.media: content}
            if operation.method != "GET":
                success["headers"] |= _headers("X-Cf-Warnings")
        successes = {str(operation.status): success}
        if operation.method == "GET":
            unchanged = "What If-None-Match names is what would be sent again."
            successes["304"] = {"description": unchanged, "headers": success["headers"]}
        return successes


def _failures(spec: APISpec, kinds: Iterable[type[CloudFoundryError]]) -> Object:
    by_status: dict[int, list[type[CloudFoundryError]]] = defaultdict(list)
    for kind in kinds:
        by_status[kind.status].append(kind)
    return {str(status): _failure(spec, status, by_status[status]) for status in sorted(by_status)}


def _failure(spec: APISpec, status: int, kinds: list[type[CloudFoundryError]]) -> str:
    """The name of the response, which operations that fail alike share."""
    name = "Or".join(kind.__name__ for kind in kinds)
    if name not in spec.components.responses:
        extra = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}.get(status, ())
        spec.components.response(
            name,
            {
                "description": " ".join(kind.__doc__ or HTTPStatus(status).phrase for kind in kinds),
                "headers": _headers(*_ALWAYS, *extra),
                "content": {
                    JSON: {
                        "schema": failures.errors_schema(kinds),
                        "examples": {kind.__name__: {"value": failures.example(kind)} for kind in kinds},
                    }
                },
            },
        )
    return name


def _headers(*names: str) -> Object:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
