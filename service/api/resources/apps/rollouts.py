"""What begins a deployment, and what cancels one."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web
from marshmallow import Schema, fields, validate

from service.api.bodies import INT32, NOTHING, Amount, BodySchema, MetadataBody, Text, load, nested, read_document
from service.api.keys import APP_WRITES
from service.api.operation import Documented, Operation
from service.api.requests import actor_of
from service.api.resources.apps.actions import nothing_body, rollout_of
from service.api.resources.apps.deployments import READABLE as DEPLOYMENTS
from service.api.resources.apps.resource import READABLE as APPS
from service.api.resources.processes.addresses import APP_GUID
from service.api.warnings import of_writes
from service.errors import BodyTooLarge, MessageParseError, RequestTimeout, ResourceNotFound, UnprocessableEntity
from service.http.replies import base_url, written
from service.model.apps import App
from service.operations import rollbacks

ROLLING = "rolling"
NO_APP = "Unable to use app. Ensure that the app exists and you have access to it."
NO_DROPLET = (
    "Unable to use droplet: only the current one of the app can be rolled out, which is what its Deployments name"
)


async def create(request: web.Request) -> web.Response:
    """POST /v3/deployments"""
    actor, base = await actor_of(request), base_url(request)
    asked = parse_deployment(await read_document(request))
    address = APPS.by_guid(asked["relationships"]["app"]["data"]["guid"])
    try:
        async with request.app[APP_WRITES].begin(actor, address, "create deployment") as write:
            _require_current_droplet(asked, write.app)
            done = await write.apply(rollout_of)
            app = await write.rolled_out(done)
    except ResourceNotFound as error:
        raise UnprocessableEntity(NO_APP) from error
    return written(orjson.dumps(DEPLOYMENTS.present(app, base)), 201, warnings=of_writes(done))


async def cancel(request: web.Request) -> web.Response:
    """POST /v3/deployments/{guid}/actions/cancel"""
    actor, guid = await actor_of(request), request.match_info["guid"]
    document = await read_document(request)
    async with request.app[APP_WRITES].begin(actor, DEPLOYMENTS.by_guid(guid), "cancel deployment") as write:
        load(NOTHING, document)
        done = await write.carry_out(await rollbacks.planned(write, guid))
    return written(b"", 200, warnings=of_writes(done))


def parse_deployment(document: object) -> Mapping[str, Any]:
    """Raises UnprocessableEntity with every complaint."""
    values = load(_DEPLOYMENT, document)
    if any((values.get("metadata") or {}).values()):
        raise UnprocessableEntity("'metadata' of a deployment cannot be kept: put it on the app")
    return values


def _require_current_droplet(asked: Mapping[str, Any], app: App) -> None:
    droplet = asked.get("droplet")
    if droplet is not None and droplet["guid"] != app.droplet_guid:
        raise UnprocessableEntity(NO_DROPLET)


class _Guid(Text):
    """A GUID that must be given."""

    def __init__(self) -> None:
        super().__init__(1, 200, required=True, error_messages={"required": "must be given", "null": "must be a text"})
        self.allow_none = False
        self.metadata["json_schema"]["type"] = "string"


class ReferenceBody(BodySchema):
    guid = _Guid()


class ToOneBody(BodySchema):
    data = nested(ReferenceBody, required=True)


class RelationshipsBody(BodySchema):
    app = nested(ToOneBody, required=True)


class OptionsBody(BodySchema):
    """How fast a rollout goes is the Deployment's to say: what is asked for is accepted, and no more."""

    max_in_flight = Amount(1, INT32)


class DeploymentBody(BodySchema):
    relationships = nested(RelationshipsBody, required=True)
    strategy = fields.String(
        allow_none=True,
        validate=validate.OneOf([ROLLING], error=f"must be {ROLLING}: there is no other here"),
        error_messages={"invalid": f"must be {ROLLING}"},
    )
    droplet = nested(ReferenceBody, allow_none=True)
    options = nested(OptionsBody, allow_none=True)
    metadata = nested(MetadataBody, allow_none=True)


_DEPLOYMENT = DeploymentBody()


def deployment_body(_user_ids: Mapping[str, int]) -> Schema:
    """What a request for a deployment may say."""
    return _DEPLOYMENT


_EXAMPLE: Mapping[str, Any] = {"relationships": {"app": {"data": {"guid": APP_GUID}}}, "strategy": ROLLING}

RESOURCE = Documented(
    operations=(
        Operation(
            "POST",
            "/v3/deployments",
            create,
            id="createDeployment",
            summary="Roll out an app anew, without interruption",
            tag="deployments",
            answer="Deployment",
            status=201,
            body=deployment_body,
            errors=(MessageParseError, RequestTimeout, BodyTooLarge, UnprocessableEntity),
        ),
        Operation(
            "POST",
            "/v3/deployments/{guid}/actions/cancel",
            cancel,
            id="cancelDeployment",
            summary="Go back to what was before, while a deployment is under way",
            tag="deployments",
            answer=None,
            status=200,
            body=nothing_body,
            example={"guid": "5f0b3c1e-2d5c-5c0e-9a53-0f6b8d2a91c4"},
            errors=(MessageParseError, ResourceNotFound, RequestTimeout, BodyTooLarge, UnprocessableEntity),
        ),
    ),
    bodies={"DeploymentBody": {"rolling": _EXAMPLE}},
)
