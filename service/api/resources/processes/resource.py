"""The processes: how they are read, and how they are changed."""

import orjson
from aiohttp import web

from service.api.bodies import LARGEST_SCALE, read_document
from service.api.keys import WRITES
from service.api.operation import Documented, Errors, Operation
from service.api.readable import At, Parent, Readable
from service.api.requests import actor_of
from service.api.resources.instances.embedded import INSTANCES_OF_PROCESSES
from service.api.resources.processes.addresses import ADDRESSES, APP_GUID, PROCESS_GUID, address_of
from service.api.resources.processes.bodies import parse_scale, parse_update, scale_body, update_body
from service.api.resources.processes.encoder import encode_listed
from service.api.resources.processes.presenter import omissions, present_listed, present_single, reservations, unshown
from service.api.resources.processes.schema import (
    EXAMPLE,
    HEALTH_CHECK,
    PROCESS,
    SPACE_GUID,
)
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
from service.http.keys import SETTINGS
from service.http.replies import base_url, written
from service.model.index import APP_GUIDS, ORGANIZATION_GUIDS, PROCESSES, SPACE_GUIDS
from service.operations.outcomes import Written
from service.operations.processes import of_app

READABLE = Readable(
    plural="processes",
    singular="process",
    shape=PROCESSES,
    collection=lambda index: index.processes,
    present=present_listed,
    encode=encode_listed,
    present_single=present_single,
    schema=PROCESS,
    example=EXAMPLE,
    at=ADDRESSES,
    parents=(
        Parent(
            "/v3/apps/{guid}/processes",
            lambda match: of_app(match["guid"]),
            of="an app",
            id="listAppProcesses",
            without=(APP_GUIDS, SPACE_GUIDS, ORGANIZATION_GUIDS),
            example={"guid": APP_GUID},
        ),
    ),
    embed=INSTANCES_OF_PROCESSES,
    unshown=unshown,
    warn=reservations,
)


async def update(request: web.Request) -> web.Response:
    """PATCH, at both addresses"""
    actor, base = await actor_of(request), base_url(request)
    document = await read_document(request)
    async with request.app[WRITES].begin(actor, address_of(request.match_info), "update") as write:
        result = await write.apply(parse_update(document, request.app[SETTINGS].uids))
    return _present_written(base, result, 200)


async def scale(request: web.Request) -> web.Response:
    """POST …/actions/scale, at both addresses"""
    actor, base = await actor_of(request), base_url(request)
    document = await read_document(request, LARGEST_SCALE)
    async with request.app[WRITES].begin(actor, address_of(request.match_info), "scale") as write:
        result = await write.apply(parse_scale(document))
    return _present_written(base, result, 202)


def _present_written(base: str, result: Written, status: int) -> web.Response:
    body = orjson.dumps(present_single(result.process, base))
    return written(body, status, warnings=[*of_writes([result]), *omissions(result.process)])


_WRITE_ERRORS: Errors = (MessageParseError, ResourceNotFound, RequestTimeout, BodyTooLarge, UnprocessableEntity)


def _operations(at: At) -> tuple[Operation, ...]:
    """What changes a process, at one of its addresses."""
    return (
        Operation(
            "PATCH",
            at.path,
            update,
            id=f"updateProcess{at.suffix}",
            summary=f"Update a process{at.words}",
            tag="processes",
            answer="Process",
            body=update_body,
            example=at.example,
            errors=(*_WRITE_ERRORS, LabelLimitExceeded, AnnotationLimitExceeded),
        ),
        Operation(
            "POST",
            f"{at.path}/actions/scale",
            scale,
            id=f"scaleProcess{at.suffix}",
            summary=f"Scale a process{at.words}",
            tag="processes",
            answer="Process",
            status=202,
            body=scale_body,
            example=at.example,
            errors=_WRITE_ERRORS,
        ),
    )


RESOURCE = Documented(
    operations=tuple(operation for at in ADDRESSES for operation in _operations(at)),
    schemas={"HealthCheck": HEALTH_CHECK},
    bodies={
        "ScaleBody": {
            "instances": {"instances": 3},
            "all": {
                "instances": 5,
                "memory_in_mb": 512,
                "disk_in_mb": 1024,
                "log_rate_limit_in_bytes_per_second": 1 << 20,
            },
        },
        "UpdateBody": {
            "command": {"command": "exec server --port $PORT", "user": "2000"},
            "health check": {"health_check": {"type": "http", "data": {"endpoint": "/healthz", "timeout": 60}}},
            "metadata": {
                "metadata": {"labels": {"tier": "frontend", "old": None}, "annotations": {"example.org/on": "1"}}
            },
        },
    },
    parameters={
        "guids": [PROCESS_GUID],
        "app_guids": [APP_GUID],
        "space_guids": [SPACE_GUID],
        "types": ["web", "worker"],
    },
)
