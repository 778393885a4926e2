"""What changes an app: start, stop, restart, and an update of its metadata."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import orjson
from aiohttp import web
from marshmallow import Schema, fields

from service.api.bodies import NOTHING, BodySchema, MetadataBody, load, nested, read_document
from service.api.keys import APP_WRITES
from service.api.operation import Documented, Operation
from service.api.requests import actor_of
from service.api.resources.apps.resource import READABLE as APPS
from service.api.resources.processes.addresses import APP_GUID
from service.api.warnings import of_writes
from service.errors import (
    AnnotationLimitExceeded,
    BodyTooLarge,
    LabelLimitExceeded,
    MessageParseError,
    RequestTimeout,
    ResourceNotFound,
    UnprocessableEntity,
)
from service.http.replies import base_url, written
from service.http.routing import Handler
from service.model.actions import Restart, Start, Stop
from service.model.apps import LIFECYCLE, App
from service.model.changes import Change
from service.model.process import MetadataChange
from service.model.snapshots import Snapshot


def _now() -> str:
    """The time, so exactly that two restarts within a second are two."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def is_started(snapshots: Sequence[Snapshot]) -> bool:
    """Whether anything of an app is to run."""
    return any(each.workload.started for each in snapshots)


def rollout_of(snapshots: Sequence[Snapshot]) -> Restart:
    """What begins a rollout of an app; one that is stopped is started by it."""
    return Restart(_now(), starts=not is_started(snapshots))


def _restart_of(snapshots: Sequence[Snapshot]) -> Restart | Start:
    """What restarts an app: nothing runs of a stopped one, and so it is started."""
    return Restart(_now()) if is_started(snapshots) else Start(_now())


ACTIONS: Mapping[str, Callable[[Sequence[Snapshot]], Change]] = {
    "start": lambda _: Start(_now()),
    "stop": lambda snapshots: Stop(is_started(snapshots)),
    "restart": _restart_of,
}


def _action(name: str) -> Handler:
    async def act(request: web.Request) -> web.Response:
        actor, base = await actor_of(request), base_url(request)
        document = await read_document(request)
        async with request.app[APP_WRITES].begin(actor, APPS.by_guid(request.match_info["guid"]), name) as write:
            load(NOTHING, document)
            done = await write.apply(ACTIONS[name])
            return _shown(write.after(done), base, of_writes(done))

    return act


async def update(request: web.Request) -> web.Response:
    """PATCH /v3/apps/{guid}"""
    actor, base, address = await actor_of(request), base_url(request), APPS.by_guid(request.match_info["guid"])
    document = await read_document(request)
    async with request.app[APP_WRITES].begin(actor, address, "update app", lead_only=True) as write:
        change = parse_app_update(document, write.app)
        return _shown(await write.change_metadata(change), base, ())


def _shown(app: App, base: str, warnings: Sequence[str | None]) -> web.Response:
    return written(orjson.dumps(APPS.present(app, base)), 200, warnings=warnings)


def parse_app_update(document: object, app: App) -> MetadataChange:
    """What is to change of an app. Raises UnprocessableEntity with every complaint."""
    values = load(_UPDATE, document)
    complaints = []
    if values.get("name", app.name) != app.name:
        complaints.append(f"'name' is changed at Deployment {app.lead.workload.name}, by the label of the app's name")
    lifecycle = values.get("lifecycle", {})
    if lifecycle.get("type", LIFECYCLE) != LIFECYCLE or lifecycle.get("data"):
        complaints.append(f"'lifecycle' is {LIFECYCLE}: what an app runs is changed in its Deployments")
    if complaints:
        raise UnprocessableEntity(", ".join(complaints))
    metadata = values.get("metadata", {})
    return MetadataChange(labels=metadata.get("labels") or {}, annotations=metadata.get("annotations") or {})


_LIFECYCLE = "must be an object of 'type' and 'data'"


class LifecycleBody(BodySchema):
    type = fields.String(error_messages={"null": "must be a text", "invalid": "must be a text"})
    data = fields.Dict(
        allow_none=True,
        error_messages={"invalid": "must be an object"},
        metadata={"json_schema": {"type": ["object", "null"]}},
    )


class AppBody(BodySchema):
    name = fields.String(error_messages={"null": "must be a text", "invalid": "must be a text"})
    lifecycle = nested(LifecycleBody)
    metadata = nested(MetadataBody)


_UPDATE = AppBody()


def app_body(_user_ids: Mapping[str, int]) -> Schema:
    """What an update of an app may say."""
    return _UPDATE


def nothing_body(_user_ids: Mapping[str, int]) -> Schema:
    """What an action takes."""
    return NOTHING


_ERRORS = (MessageParseError, ResourceNotFound, RequestTimeout, BodyTooLarge, UnprocessableEntity)
_EXAMPLE = {"guid": APP_GUID}
_SUMMARIES = {
    "start": "Start an app, with as many instances as it had",
    "stop": "Stop an app, which keeps in mind how many instances it had",
    "restart": "Restart a started app without interruption, and start a stopped one",
}


def _operation(name: str, summary: str) -> Operation:
    return Operation(
        "POST",
        f"/v3/apps/{{guid}}/actions/{name}",
        _action(name),
        id=f"{name}App",
        summary=summary,
        tag="apps",
        answer="App",
        body=nothing_body,
        example=_EXAMPLE,
        errors=_ERRORS,
    )


RESOURCE = Documented(
    operations=(
        Operation(
            "PATCH",
            "/v3/apps/{guid}",
            update,
            id="updateApp",
            summary="Update the metadata of an app",
            tag="apps",
            answer="App",
            body=app_body,
            example=_EXAMPLE,
            errors=(*_ERRORS, LabelLimitExceeded, AnnotationLimitExceeded),
        ),
        *(_operation(name, summary) for name, summary in _SUMMARIES.items()),
    ),
    bodies={
        "AppBody": {"metadata": {"metadata": {"labels": {"tier": "frontend", "old": None}}}},
        "NothingBody": {"nothing": {}},
    },
)
