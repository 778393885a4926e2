"""The environment variables of an app. They may be passwords: only who may change them may read them, and nothing here
keeps them or writes them to a log."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import orjson
from aiohttp import hdrs, web
from marshmallow import Schema

from service.api import patterns
from service.api.bodies import BodySchema, Pairs, load, read_document
from service.api.jsonschema import TEXT, JSONSchema, links, obj
from service.api.keys import APP_WRITES
from service.api.operation import Documented, Operation
from service.api.pages import link
from service.api.requests import actor_of
from service.api.resources.apps.resource import READABLE as APPS
from service.api.resources.processes.addresses import APP_GUID
from service.api.warnings import of_writes
from service.errors import (
    BodyTooLarge,
    MessageParseError,
    RequestTimeout,
    ResourceNotFound,
    UnprocessableEntity,
)
from service.http.replies import answer, base_url, written
from service.model.environment import EnvironmentChange, variables
from service.model.selectors import Malformed
from service.operations.ambiguity import of_read

LONGEST_VARIABLE = 128 * 1024 - 1
"""Bytes of `NAME=value`: Linux starts no program with a longer one (MAX_ARG_STRLEN)."""


async def get_variables(request: web.Request) -> web.Response:
    """GET /v3/apps/{guid}/environment_variables"""
    base, guid = base_url(request), request.match_info["guid"]
    return await _show(request, lambda found: _present(found, guid, base))


async def get_environment(request: web.Request) -> web.Response:
    """GET /v3/apps/{guid}/env"""
    return await _show(request, lambda found: {"environment_variables": found, **{name: {} for name in _OTHERS}})


async def _show(request: web.Request, present: Callable[[dict[str, str]], dict[str, Any]]) -> web.Response:
    """The variables of the app that the path means."""
    actor, address = await actor_of(request), APPS.by_guid(request.match_info["guid"])
    meaning, found, freshness = await request.app[APP_WRITES].look(actor, address, "read environment")
    body = orjson.dumps(present(variables(found)))
    return _secret(await answer(request, body, freshness, warnings=[of_read(meaning)]))


async def update_variables(request: web.Request) -> web.Response:
    """PATCH /v3/apps/{guid}/environment_variables"""
    actor, base, app_guid = await actor_of(request), base_url(request), request.match_info["guid"]
    document = await read_document(request)
    async with request.app[APP_WRITES].begin(actor, APPS.by_guid(app_guid), "update environment") as app:
        change = parse_environment(document)
        done = await app.apply(lambda _: change)
        after = variables(await app.read())
    return _secret(written(orjson.dumps(_present(after, app_guid, base)), 200, warnings=of_writes(done)))


def parse_environment(document: object) -> EnvironmentChange:
    """Raises UnprocessableEntity with every complaint."""
    return EnvironmentChange(load(_BODY, document).get("var", {}))


def _check_name(name: str) -> None:
    # What Kubernetes takes. Nothing here gives an app variables of its own, so that no names are reserved.
    if not re.fullmatch(r"[ -<>-~]{1,253}", name):
        raise Malformed(f"'{name[:80]}' must be a name of 1 to 253 printable ASCII characters other than '='")


def _check_value(value: Any) -> None:
    if not isinstance(value, str) or "\0" in value or len(value.encode(errors="replace")) > LONGEST_VARIABLE:
        raise Malformed(f"its value must be a text of at most {LONGEST_VARIABLE} bytes, none of them NUL")


class EnvironmentBody(BodySchema):
    var = Pairs(
        _check_value,
        {"maxLength": LONGEST_VARIABLE, "pattern": patterns.NO_NUL},
        check_key=_check_name,
        keys=patterns.VARIABLE,
    )


_BODY = EnvironmentBody()


def environment_body(_user_ids: Mapping[str, int]) -> Schema:
    """What an update of variables may say."""
    return _BODY


def _present(values: Mapping[str, str], app_guid: str, base: str) -> dict[str, Any]:
    app = f"{base}/v3/apps/{quote(app_guid, safe='')}"
    return {"var": values, "links": {"self": link(f"{app}/environment_variables"), "app": link(app)}}


def _secret(response: web.Response) -> web.Response:
    """The response, as one that nobody on the way is to keep."""
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    return response


_OTHERS = ("staging_env_json", "running_env_json", "system_env_json", "application_env_json")
"""What Cloud Foundry itself gives an app; here there is nothing of the kind."""
_EXAMPLE = {"LOG_LEVEL": "debug", "PORT": "8080"}
_VALUES: JSONSchema = {"type": "object", "additionalProperties": TEXT}


def _operation(method: str, path: str, handler: Any, **more: Any) -> Operation:
    path = f"/v3/apps/{{guid}}/{path}"
    return Operation(method, path, handler, tag="apps", example={"guid": APP_GUID}, **more)


RESOURCE = Documented(
    operations=(
        _operation(
            "GET",
            "environment_variables",
            get_variables,
            id="getAppEnvironmentVariables",
            summary="Get the environment variables of an app",
            answer="EnvironmentVariables",
            errors=(ResourceNotFound,),
        ),
        _operation(
            "PATCH",
            "environment_variables",
            update_variables,
            id="updateAppEnvironmentVariables",
            summary="Set and remove environment variables of an app, which rolls it out anew",
            answer="EnvironmentVariables",
            body=environment_body,
            errors=(MessageParseError, ResourceNotFound, RequestTimeout, BodyTooLarge, UnprocessableEntity),
        ),
        _operation(
            "GET",
            "env",
            get_environment,
            id="getAppEnvironment",
            summary="Get all that makes the environment of an app",
            answer="Environment",
            errors=(ResourceNotFound,),
        ),
    ),
    schemas={
        "EnvironmentVariables": obj({"var": _VALUES, "links": links("self", "app")}),
        "Environment": obj({"environment_variables": _VALUES, **{name: {"type": "object"} for name in _OTHERS}}),
    },
    answers={
        "EnvironmentVariables": _present(_EXAMPLE, APP_GUID, "https://api.example.org"),
        "Environment": {"environment_variables": _EXAMPLE, **{name: {} for name in _OTHERS}},
    },
    bodies={"EnvironmentBody": {"set and remove": {"var": {"LOG_LEVEL": "debug", "OLD": None}}}},
)
