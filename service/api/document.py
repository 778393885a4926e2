"""The API's own document, OpenAPI 3.1: from the table of routes, the schemas of what is asked and what is answered."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, cast

import orjson
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import resolve_schema_cls
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, fields

from service.api import examples, patterns
from service.api.answers import SCHEMAS, errors_schema, ref
from service.api.operation import Operation, Route
from service.api.presenters import API_VERSION
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

JSON = "application/json"
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
    "index": {"type": "integer", "minimum": 0},
}
_REQUEST_HEADERS: Mapping[str, str] = {
    "X-Vcap-Request-Id": "The caller's own id of the request: its letters, digits, `_` and `-` are kept, 255 at most.",
    "If-None-Match": "The ETag of what the caller has already.",
}


class Document:
    """The document as bytes, made once for each base URL it is asked for at."""

    def __init__(self, routes: Iterable[Route], user_ids: Mapping[str, int]) -> None:
        self._described = describe(routes, user_ids)
        self._encoded: BoundedCache[str, bytes] = BoundedCache(4 << 20)

    def encode(self, base: str) -> bytes:
        """The document for who reaches the API at `base`."""
        encoded = self._encoded.get(base)
        if encoded is None:
            encoded = orjson.dumps({**self._described, "servers": [{"url": base}]})
            self._encoded.put(base, encoded, len(encoded))
        return encoded


def describe(routes: Iterable[Route], user_ids: Mapping[str, int]) -> Object:
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
    converter = cast(_Converter, plugin.converter)
    spec.components.security_scheme(
        SECURITY, {"type": "http", "scheme": "bearer", "description": "A token of the Kubernetes cluster."}
    )
    for name, schema in SCHEMAS.items():
        spec.components.schema(name, schema)
    for name, header in _HEADERS.items():
        spec.components.header(name, header)
    for name, words in _REQUEST_HEADERS.items():
        parameter = {"name": name, "description": words, "schema": {"type": "string"}}
        spec.components.parameter(name, "header", parameter)
    for route in routes:
        if route.operation is not None:
            operation = _operation(spec, converter, route, route.operation, user_ids)
            spec.path(route.path, operations={route.method.lower(): operation})
    return spec.to_dict()


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


def _operation(
    spec: APISpec, converter: _Converter, route: Route, said: Operation, user_ids: Mapping[str, int]
) -> Object:
    kinds = (*ANY_REQUEST, *said.errors, *(WITH_TOKEN if said.token else ()))
    described: Object = {
        "operationId": said.id,
        "summary": said.summary,
        "tags": [said.tag],
        "parameters": _parameters(converter, route, said),
        "responses": {**_successes(route, said), **_failures(spec, kinds)},
    }
    if said.body is not None:
        schema = said.body(user_ids)
        shown = {name: {"value": value} for name, value in examples.BODIES[type(schema).__name__].items()}
        content = {JSON: {"schema": schema, "examples": shown}}
        described["requestBody"] = {"required": False, "content": content}
    if not said.token:
        described["security"] = []
    return described


def _parameters(converter: _Converter, route: Route, said: Operation) -> list[Any]:
    in_path: list[Object] = [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in _PATH_PARAMETERS.items()
        if f"{{{name}}}" in route.path
    ]
    in_query = converter.query(said.query) if said.query is not None else []
    for parameter in (*in_path, *in_query):
        if parameter["name"] in examples.PARAMETERS:
            parameter["example"] = examples.PARAMETERS[parameter["name"]]
    headers = [name for name in _REQUEST_HEADERS if route.method == "GET" or name != "If-None-Match"]
    return [*in_path, *in_query, *headers]


def _successes(route: Route, said: Operation) -> Object:
    of_reads = _READ if route.method == "GET" else ()
    success: Object = {"description": said.summary, "headers": _headers(*_ALWAYS, *of_reads)}
    if said.answer is not None:
        content: Object = {"schema": ref(said.answer)}
        if said.answer in examples.ANSWERS:
            content["example"] = examples.ANSWERS[said.answer]
        success["content"] = {JSON: content}
        if route.method != "GET":
            success["headers"] |= _headers("X-Cf-Warnings")
    successes = {str(said.status): success}
    if route.method == "GET":
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
                        "schema": errors_schema(kinds),
                        "examples": {kind.__name__: {"value": examples.error(kind)} for kind in kinds},
                    }
                },
            },
        )
    return name


def _headers(*names: str) -> Object:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
