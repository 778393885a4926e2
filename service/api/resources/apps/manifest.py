"""The manifest of an app: what `cf push` would be told to make the like of it, as YAML."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import yaml
from aiohttp import web

from service.access import Caller
from service.api.jsonschema import TEXT, array, obj
from service.api.operation import Documented, Operation
from service.api.requests import caller_of
from service.api.resources.apps.resource import READABLE
from service.api.resources.routes.resource import READABLE as ROUTES
from service.errors import ResourceNotFound
from service.http.replies import answer
from service.model.apps import App
from service.model.index import APP_GUIDS
from service.model.paging import MAXIMUM_PER_PAGE
from service.model.process import HealthCheck, Process
from service.model.routes import HTTP1, HTTP2, Route
from service.operations.ambiguity import of_read
from service.operations.processes import APP_NOT_FOUND
from service.operations.questions import Step

YAML = "application/x-yaml"


async def get_manifest(request: web.Request) -> web.Response:
    """GET /v3/apps/{guid}/manifest"""
    caller = await caller_of(request)
    meaning, freshness = await READABLE.reads(request.app).get(caller, READABLE.by_guid(request.match_info["guid"]))
    app = meaning.item
    shown = manifest(app, await _routes_to(app, request, caller))
    # Of thousands of routes it takes a tenth of a second.
    body = await asyncio.to_thread(encode, shown)
    warnings = [of_read(meaning), ROUTES.incomplete(request.app)]
    return await answer(request, body, freshness, warnings=warnings, content_type=f"{YAML}; charset=utf-8")


async def _routes_to(app: App, request: web.Request, caller: Caller) -> list[Route]:
    """Those that lead to the app, the oldest first; no more than a page of a list can hold.

    They are looked up as single items are: who may get the app and list nothing is to miss none.
    """
    try:
        found = await ROUTES.reads(request.app).find(caller, (Step(APP_GUIDS, app.guid, APP_NOT_FOUND),))
    except ResourceNotFound:
        return []
    return [each for each in found.items if each.namespace == app.namespace][:MAXIMUM_PER_PAGE]


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes texts so that they are read as texts."""


_NO_TEXT = re.compile(r"[-+]?\.?[0-9][0-9a-fA-FoxX_.:+-]*|[yYnN]")
"""What some readers take for a number or a truth value: YAML 1.1, which PyYAML writes, does not know all of 1.2's."""


def _represent_text(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if _NO_TEXT.fullmatch(text) else None)


_Dumper.add_representer(str, _represent_text)


def encode(document: dict[str, Any]) -> bytes:
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text.encode()


def manifest(app: App, routes: Sequence[Route]) -> dict[str, Any]:
    """`routes` are those that lead to the app."""
    # One without a host leads from any, which a manifest cannot say.
    addresses = [_address(each, app) for each in routes if each.host]
    metadata = {"labels": dict(app.metadata.labels), "annotations": dict(app.metadata.annotations)}
    shown = {kind: pairs for kind, pairs in metadata.items() if pairs}
    return {
        "applications": [
            {
                "name": app.name,
                **({"metadata": shown} if shown else {}),
                "docker": {"image": app.lead.workload.image},
                **({"routes": addresses} if addresses else {}),
                "processes": [_process(each) for each in app.processes],
            }
        ]
    }


def _address(route: Route, app: App) -> dict[str, Any]:
    protocols = (each.protocol for each in route.destinations if each.app_guid == app.guid)
    return {"route": route.rule.host + route.rule.path, "protocol": next(protocols, HTTP1)}


def _process(process: Process) -> dict[str, Any]:
    """What is not set is left out: a manifest has no word for it."""
    workload = process.workload
    rate = process.metadata.log_rate_limit_in_bytes_per_second
    fields = {
        "type": workload.type,
        "instances": workload.instances,
        "memory": f"{workload.memory_in_mb}M" if workload.memory_in_mb else None,
        "disk_quota": f"{workload.disk_in_mb}M" if workload.disk_in_mb else None,
        "log-rate-limit-per-second": f"{rate}B" if rate >= 0 else "-1",
        "command": workload.command or None,
        **_health_check("", workload.health_check),
        "timeout": workload.health_check.timeout,
        **_health_check("readiness-", workload.readiness_health_check),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _health_check(prefix: str, check: HealthCheck) -> dict[str, Any]:
    return {
        f"{prefix}health-check-type": check.type,
        f"{prefix}health-check-http-endpoint": check.endpoint,
        f"{prefix}health-check-invocation-timeout": check.invocation_timeout,
        f"{prefix}health-check-interval": check.interval,
    }


_SCHEMA = obj(
    {
        "applications": array(
            obj(
                {
                    "name": TEXT,
                    "metadata": {"type": "object", "additionalProperties": {"type": "object"}},
                    "docker": obj({"image": TEXT}),
                    "routes": array(obj({"route": TEXT, "protocol": {"enum": [HTTP1, HTTP2]}})),
                    "processes": array({**obj({"type": TEXT}), "additionalProperties": True}),
                },
                optional=["metadata", "routes"],
            )
        )
    }
)

RESOURCE = Documented(
    operations=(
        Operation(
            "GET",
            "/v3/apps/{guid}/manifest",
            get_manifest,
            id="getAppManifest",
            summary="Get the manifest of an app",
            tag="apps",
            answer="Manifest",
            media=YAML,
            errors=(ResourceNotFound,),
            example={"guid": READABLE.example.guid},
        ),
    ),
    schemas={"Manifest": _SCHEMA},
    answers={"Manifest": manifest(READABLE.example, [ROUTES.example])},
)
