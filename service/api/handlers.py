"""One handler an operation: locate, authorize, parse, operate, present."""

from datetime import UTC, datetime
from urllib.parse import quote

import orjson
from aiohttp import hdrs, web

from service.access import Caller
from service.api.bodies import parse_scale, parse_update, read_document
from service.api.keys import DOCUMENT, INSTANCES, PAGES, PROCESSES, WRITING
from service.api.presenters import (
    present_instances,
    present_process,
    present_process_instances,
    present_root,
    present_stats,
    replica_failure,
)
from service.api.queries import ParsedList, check_instances, parse_list, parse_single
from service.freshness import Freshness
from service.http.callers import authenticate, bearer_token
from service.http.keys import SETTINGS
from service.http.replies import LAGGING, STATS_UNAVAILABLE, answer, base_url, written
from service.model.index import Selection
from service.model.process import microseconds
from service.operations.reads import Address, ByApp, ByGuid
from service.operations.writes import Actor, Written


async def list_processes(request: web.Request) -> web.Response:
    """GET /v3/processes"""
    caller = await _authenticate(request)
    parsed = parse_list(_query(request), "processes")
    selection, freshness = await request.app[PROCESSES].list(caller, parsed.request, pods=parsed.embed)
    return await _present_list(request, "/v3/processes", parsed, selection, freshness)


async def list_app_processes(request: web.Request) -> web.Response:
    """GET /v3/apps/{guid}/processes"""
    caller = await _authenticate(request)
    parsed = parse_list(_query(request), "app")
    app_guid = request.match_info["guid"]
    selection, freshness = await request.app[PROCESSES].list_of_app(caller, app_guid, parsed.request, pods=parsed.embed)
    path = f"/v3/apps/{quote(app_guid, safe='')}/processes"
    return await _present_list(request, path, parsed, selection, freshness)


async def get_process(request: web.Request) -> web.Response:
    """GET /v3/processes/{guid} and /v3/apps/{guid}/processes/{type}"""
    caller = await _authenticate(request)
    query = _query(request)
    process, freshness = await request.app[PROCESSES].get(caller, _address(request), pods=bool(query))
    embedded = None
    if parse_single(query):
        found, freshness = await request.app[INSTANCES].of([process], freshness)
        embedded = present_instances(found[process.guid], _now())
    body = present_process(process, base_url(request), command=process.workload.command, embedded=embedded)
    return answer(request, orjson.dumps(body), freshness, warnings=[replica_failure(process)])


async def get_stats(request: web.Request) -> web.Response:
    """GET …/stats, at both addresses"""
    caller = await _authenticate(request)
    stats, freshness = await request.app[INSTANCES].stats(caller, _address(request))
    warnings = [replica_failure(stats.process), STATS_UNAVAILABLE if stats.usage is None else None]
    return answer(request, orjson.dumps(present_stats(stats, _now())), freshness, warnings=warnings)


async def list_instances(request: web.Request) -> web.Response:
    """GET /v3/processes/{guid}/process_instances"""
    caller = await _authenticate(request)
    process, freshness = await request.app[PROCESSES].get(caller, _address(request), pods=True)
    check_instances(_query(request))
    found, freshness = await request.app[INSTANCES].of_one(process, freshness)
    body = present_process_instances(process, found, base_url(request), _now())
    return answer(request, orjson.dumps(body), freshness)


async def update_process(request: web.Request) -> web.Response:
    """PATCH, at both addresses"""
    actor, base = await _authenticate_actor(request), base_url(request)
    document = await read_document(request)
    async with request.app[WRITING].begin(actor, _address(request), "update") as write:
        result = await write.apply(parse_update(document, request.app[SETTINGS].uids))
    return _present_written(base, result, 200)


async def scale_process(request: web.Request) -> web.Response:
    """POST …/actions/scale, at both addresses"""
    actor, base = await _authenticate_actor(request), base_url(request)
    document = await read_document(request)
    async with request.app[WRITING].begin(actor, _address(request), "scale") as write:
        result = await write.apply(parse_scale(document))
    return _present_written(base, result, 202)


async def terminate_instance(request: web.Request) -> web.Response:
    """DELETE …/instances/{index}, at both addresses"""
    actor = await _authenticate_actor(request)
    await request.app[WRITING].terminate(actor, _address(request), request.match_info["index"])
    return web.Response(status=204)


async def openapi(request: web.Request) -> web.Response:
    """GET /v3/openapi.json"""
    return answer(request, request.app[DOCUMENT].encode(base_url(request)), Freshness())


async def root(request: web.Request) -> web.Response:
    """GET /"""
    return answer(request, orjson.dumps(present_root(base_url(request))), Freshness())


async def _authenticate(request: web.Request) -> Caller:
    return await authenticate(request, request.headers.get(hdrs.AUTHORIZATION))


async def _authenticate_actor(request: web.Request) -> Actor:
    """Whoever may write does so with the very token they have shown."""
    caller = await _authenticate(request)
    given = request.headers.get(hdrs.AUTHORIZATION)
    return Actor(caller, None if request.app[SETTINGS].authentication == "none" else bearer_token(given))


def _address(request: web.Request) -> Address:
    names = request.match_info
    return ByApp(names["guid"], names["type"]) if "type" in names else ByGuid(names["guid"])


async def _present_list(
    request: web.Request,
    path: str,
    parsed: ParsedList,
    selection: Selection,
    freshness: Freshness,
) -> web.Response:
    base, embedded = base_url(request), None
    if parsed.embed:
        embedded, freshness = await request.app[INSTANCES].of(selection.processes, freshness)
    body = await request.app[PAGES].encode(selection, parsed.request.page, base, path, parsed.kept, embedded)
    return answer(request, body.encoded, freshness, etag=body.etag)


def _present_written(base: str, result: Written, status: int) -> web.Response:
    process = result.process
    body = orjson.dumps(present_process(process, base, command=process.workload.command))
    return written(body, status, warnings=[LAGGING if result.lagging else None])


def _now() -> int:
    return microseconds(datetime.now(UTC))


def _query(request: web.Request) -> str:
    return request.raw_path.partition("?")[2]
