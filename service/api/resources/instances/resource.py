"""The instances: their statistics, their list, and how one is ended."""

import orjson
from aiohttp import web

from service.api.keys import INSTANCES, WRITES
from service.api.operation import Documented, Operation
from service.api.queries import SingleQuery
from service.api.readable import At
from service.api.requests import actor_of, caller_of, now, raw_query
from service.api.resources.instances.bodies import STATS_BODIES
from service.api.resources.instances.presenter import present_process_instances
from service.api.resources.instances.schema import ANSWERS, SCHEMAS
from service.api.resources.processes.addresses import ADDRESSES, BY_GUID, address_of
from service.api.resources.processes.presenter import replica_failure
from service.api.resources.processes.resource import READABLE as PROCESSES
from service.errors import BadQueryParameter, ResourceNotFound, StatsUnavailable, UnprocessableEntity
from service.http.replies import LAGGING, STATS_UNAVAILABLE, answer, base_url, nothing
from service.operations.ambiguity import of_read

INSTANCES_QUERY = SingleQuery("InstancesQuery")


async def get_stats(request: web.Request) -> web.Response:
    """GET …/stats, at both addresses"""
    caller = await caller_of(request)
    meaning, stats, freshness = await request.app[INSTANCES].stats(caller, address_of(request.match_info))
    unavailable = STATS_UNAVAILABLE if stats.usage is None else None
    warnings = [of_read(meaning), replica_failure(stats.process), unavailable]
    body, etag = request.app[STATS_BODIES].encode(stats, now())
    return await answer(request, body, freshness, etag=etag, warnings=warnings)


async def list_instances(request: web.Request) -> web.Response:
    """GET /v3/processes/{guid}/process_instances"""
    caller = await caller_of(request)
    reads, instances = PROCESSES.reads(request.app), request.app[INSTANCES]
    meaning, freshness = await reads.get(caller, address_of(request.match_info), pods=True)
    # What is wrong with the request itself is told before what is wrong with the Pods.
    INSTANCES_QUERY.parse(raw_query(request))
    found, freshness = await instances.of_one(meaning.item, freshness)
    body = present_process_instances(meaning.item, found, base_url(request), now())
    return await answer(request, orjson.dumps(body), freshness, warnings=[of_read(meaning)])


async def terminate(request: web.Request) -> web.Response:
    """DELETE …/instances/{index}, at both addresses"""
    actor = await actor_of(request)
    told = await request.app[WRITES].terminate(actor, address_of(request.match_info), request.match_info["index"])
    return nothing(warnings=[None if told else LAGGING])


def _operations(at: At) -> tuple[Operation, ...]:
    """What can be asked of the instances of a process, at one of its addresses."""
    return (
        Operation(
            "GET",
            f"{at.path}/stats",
            get_stats,
            id=f"getProcessStats{at.suffix}",
            summary=f"Get what the instances of a process use{at.words}",
            tag="instances",
            answer="Stats",
            example=at.example,
            errors=(ResourceNotFound, StatsUnavailable),
        ),
        Operation(
            "DELETE",
            f"{at.path}/instances/{{index}}",
            terminate,
            id=f"terminateProcessInstance{at.suffix}",
            summary=f"Terminate an instance, for another to take its place{at.words}",
            tag="instances",
            answer=None,
            example={**at.example, "index": 0},
            status=204,
            errors=(ResourceNotFound, UnprocessableEntity, StatsUnavailable),
        ),
    )


RESOURCE = Documented(
    operations=(
        Operation(
            "GET",
            f"{BY_GUID.path}/process_instances",
            list_instances,
            id="listProcessInstances",
            summary="List the instances of a process",
            tag="instances",
            answer="ProcessInstances",
            query=INSTANCES_QUERY.schema,
            example=BY_GUID.example,
            errors=(BadQueryParameter, StatsUnavailable, ResourceNotFound),
        ),
        *(operation for at in ADDRESSES for operation in _operations(at)),
    ),
    schemas=SCHEMAS,
    answers=ANSWERS,
)
