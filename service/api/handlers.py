"""One handler an operation: locate, authorize, parse, operate, present."""

from urllib.parse import quote

import orjson
from aiohttp import hdrs, web

from service.api.keys import ACCESS, PAGES, PROCESSES, RATE_LIMITS
from service.api.presenters import present_process, present_root
from service.api.responses import answer, base_url
from service.api.schemas import ParsedList, check_single, parse_list
from service.cluster.access import Caller
from service.model.index import Selection
from service.operations import Freshness


async def list_processes(request: web.Request) -> web.Response:
    """GET /v3/processes"""
    caller = await _authenticate(request)
    parsed = parse_list(_query(request), "processes")
    selection, freshness = await request.app[PROCESSES].list(caller, parsed.request)
    return await _present_list(request, "/v3/processes", parsed, selection, freshness)


async def list_app_processes(request: web.Request) -> web.Response:
    """GET /v3/apps/{guid}/processes"""
    caller = await _authenticate(request)
    parsed = parse_list(_query(request), "app")
    app_guid = request.match_info["guid"]
    selection, freshness = await request.app[PROCESSES].list_of_app(caller, app_guid, parsed.request)
    path = f"/v3/apps/{quote(app_guid, safe='')}/processes"
    return await _present_list(request, path, parsed, selection, freshness)


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


async def _authenticate(request: web.Request) -> Caller:
    access, limits = request.app[ACCESS], request.app.get(RATE_LIMITS)
    if limits is not None:
        return await limits.admit(request, access)
    return await access.authenticate(request.headers.get(hdrs.AUTHORIZATION))


async def _present_list(
    request: web.Request,
    path: str,
    parsed: ParsedList,
    selection: Selection,
    freshness: Freshness,
) -> web.Response:
    base = base_url(request)
    body = await request.app[PAGES].encode(selection, parsed.request.page, base, path, parsed.kept)
    return answer(request, body.encoded, freshness, etag=body.etag)


def _query(request: web.Request) -> str:
    return request.raw_path.partition("?")[2]
