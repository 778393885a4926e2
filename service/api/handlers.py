"""One handler an operation: locate, authorize, parse, operate, present."""

import orjson
from aiohttp import hdrs, web

from service.api.keys import ACCESS, HEALTH, PROCESSES, ROWS
from service.api.presenters import present_list, present_process, present_root
from service.api.responses import answer, base_url
from service.api.schemas import check_single, parse_list
from service.cluster.access import Caller
from service.model.index import Selection
from service.operations import Freshness, ListRequest


async def list_processes(request: web.Request) -> web.Response:
    """GET /v3/processes"""
    caller = await _authenticate(request)
    parsed = parse_list(_query(request), "processes")
    selection, freshness = await request.app[PROCESSES].list(caller, parsed.request)
    return await _present_list(request, parsed.request, parsed.kept, selection, freshness)


async def list_app_processes(request: web.Request) -> web.Response:
    """GET /v3/apps/{guid}/processes"""
    caller = await _authenticate(request)
    parsed = parse_list(_query(request), "app")
    selection, freshness = await request.app[PROCESSES].list_of_app(caller, request.match_info["guid"], parsed.request)
    return await _present_list(request, parsed.request, parsed.kept, selection, freshness)


async def get_process(request: web.Request) -> web.Response:
    """GET /v3/processes/{guid} and /v3/apps/{guid}/processes/{type}"""
    caller = await _authenticate(request)
    processes, names = request.app[PROCESSES], request.match_info
    if "type" in names:
        process, freshness = await processes.get_of_app(caller, names["guid"], names["type"])
    else:
        process, freshness = await processes.get(caller, names["guid"])
    check_single(_query(request))
    body = present_process(process, base_url(request), command=process.workload.command)
    return answer(request, orjson.dumps(body), freshness)


async def root(request: web.Request) -> web.Response:
    """GET /"""
    return answer(request, orjson.dumps(present_root(base_url(request))), Freshness())


async def livez(request: web.Request) -> web.Response:
    """GET /livez: the process runs and its event loop turns."""
    return web.json_response({"status": "alive"})


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz: 200 when lists are complete and the service is not about to stop; what is missing, otherwise."""
    health = request.app[HEALTH]
    return web.json_response(health.report(), status=200 if health.ready else 503)


async def _authenticate(request: web.Request) -> Caller:
    return await request.app[ACCESS].authenticate(request.headers.get(hdrs.AUTHORIZATION))


async def _present_list(
    request: web.Request,
    asked: ListRequest,
    kept: tuple[tuple[str, str], ...],
    selection: Selection,
    freshness: Freshness,
) -> web.Response:
    base = base_url(request)
    rows = await request.app[ROWS].encode(selection.processes, base)
    path = request.raw_path.partition("?")[0]
    body, etag = present_list(rows, selection, asked.page, base + path, kept)
    return answer(request, body, freshness, etag=etag)


def _query(request: web.Request) -> str:
    return request.raw_path.partition("?")[2]
