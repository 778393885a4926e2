"""The manifest of an app: what `cf push` would be told to make the like of it, as YAML."""

from collections.abc import Sequence
from typing import Any

import yaml
from aiohttp import web

from service.api.jsonschema import TEXT, array, obj
from service.api.operation import Documented, Operation
from service.api.requests import caller_of
from service.api.resources.apps.resource import READABLE
from service.api.resources.routes.resource import READABLE as ROUTES
from service.errors import ResourceNotFound
from service.http.replies import answer
from service.model.apps import App
from service.model.index import APP_GUIDS
from service.model.paging import MAXIMUM_PER_PAGE, PageRequest
from service.model.process import HealthCheck, Process
from service.model.routes import Route
from service.model.selection import Filters
from service.operations.ambiguity import of_read
from service.operations.reads import ListRequest

YAML = "application/x-yaml"
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


async def get_manifest(request: web.Request) -> web.Response:
    """GET /v3/apps/{guid}/manifest"""
    caller = await caller_of(request)
    meaning, freshness = await READABLE.reads(request.app).get(caller, READABLE.by_guid(request.match_info["guid"]))
    app = meaning.item
    of_app = ListRequest(Filters(((APP_GUIDS, frozenset((app.guid,))),)), page=PageRequest(per_page=MAXIMUM_PER_PAGE))
    routes, _ = await ROUTES.reads(request.app).page(caller, of_app)
    body = encode(manifest(app, [each for each in routes.items if each.namespace == app.namespace]))
    return answer(request, body, freshness, warnings=[of_read(meaning)], content_type=f"{YAML}; charset=utf-8")


def encode(document: dict[str, Any]) -> bytes:
    text: str = yaml.dump(document, Dumper=_DUMPER, sort_keys=False, allow_unicode=True)
    return text.encode()


def manifest(app: App, routes: Sequence[Route]) -> dict[str, Any]:
    """`routes` are those that lead to the app."""
    # One without a host leads from any, which a manifest cannot say.
    addresses = [{"route": each.rule.host + each.rule.path, "protocol": "http1"} for each in routes if each.host]
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
                    "routes": array(obj({"route": TEXT, "protocol": {"const": "http1"}})),
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
