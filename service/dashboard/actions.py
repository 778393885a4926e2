"""What the dashboard changes, each in two steps: a page that says what will be, and a form that does it."""

import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from service.api.keys import INSTANCES, WRITES
from service.api.resources.processes.bodies import parse_scale
from service.api.resources.processes.resource import READABLE as PROCESSES
from service.dashboard import text
from service.dashboard.frame import User, render, see
from service.errors import CloudFoundryError, InvalidAuthToken, ResourceNotFound, StatsUnavailable
from service.http.receiving import read_form
from service.model.instances import Instance
from service.model.process import Process
from service.operations.processes import by_guid

AMOUNTS = ("instances", "memory_in_mb", "disk_in_mb", "log_rate_limit_in_bytes_per_second")


async def ask_scale(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/processes/{guid}/scale: what the form of the process's page asks for, to be confirmed."""
    process = await _process(request, user)
    asked = _asked(request.query, process)
    try:
        parse_scale(asked).changed_limits(process.workload)
    except CloudFoundryError as error:
        return await _confirm_scale(request, user, process, asked, error)
    return await _confirm_scale(request, user, process, asked)


async def scale(request: web.Request, user: User) -> web.StreamResponse:
    """POST /ui/processes/{guid}/scale"""
    process = await _process(request, user)
    asked = _asked(await read_form(request), process)
    try:
        async with request.app[WRITES].begin(user.actor, by_guid(process.guid), "scale") as write:
            result = await write.apply(parse_scale(asked))
    except InvalidAuthToken:
        raise
    except CloudFoundryError as error:
        return await _confirm_scale(request, user, process, asked, error)
    return see(f"{_page_of(process)}?done={'scaled-lagging' if result.lagging else 'scaled'}")


async def ask_terminate(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/processes/{guid}/instances/{index}/terminate"""
    return await _confirm_terminate(request, user, await _process(request, user))


async def terminate(request: web.Request, user: User) -> web.StreamResponse:
    """POST /ui/processes/{guid}/instances/{index}/terminate"""
    process = await _process(request, user)
    try:
        told = await request.app[WRITES].terminate(user.actor, by_guid(process.guid), request.match_info["index"])
    except InvalidAuthToken:
        raise
    except CloudFoundryError as error:
        return await _confirm_terminate(request, user, process, error)
    return see(f"{_page_of(process)}?done={'terminated' if told else 'terminated-lagging'}")


async def _process(request: web.Request, user: User) -> Process:
    meaning, _ = await PROCESSES.reads(request.app).get(user.caller, by_guid(request.match_info["guid"]))
    return meaning.item


async def _confirm_scale(
    request: web.Request, user: User, process: Process, asked: Mapping[str, Any], error: CloudFoundryError | None = None
) -> web.StreamResponse:
    changes = [(name, _present(process)[name], asked[name]) for name in AMOUNTS if name in asked]
    context = {"process": process, "changes": changes, "error": error}
    return await render(request, "scale.html", context, user=user, status=error.status if error else 200)


async def _confirm_terminate(
    request: web.Request, user: User, process: Process, error: CloudFoundryError | None = None
) -> web.StreamResponse:
    index, found = request.match_info["index"], None
    try:
        _, instances, _ = await request.app[INSTANCES].get(user.caller, by_guid(process.guid))
        found = _at(instances, index)
    except StatsUnavailable as unavailable:
        error = error or unavailable
    if found is None and error is None:
        error = ResourceNotFound("Instance not found")
    context = {"process": process, "index": index, "instance": found, "error": error, "now": text.now()}
    return await render(request, "terminate.html", context, user=user, status=error.status if error else 200)


def _at(instances: "list[Instance] | Any", index: str) -> Instance | None:
    return next((instance for instance in instances if str(instance.index) == index), None)


def _present(process: Process) -> dict[str, int]:
    return {
        "instances": process.workload.instances,
        "memory_in_mb": process.workload.memory_in_mb,
        "disk_in_mb": process.workload.disk_in_mb,
        "log_rate_limit_in_bytes_per_second": process.metadata.log_rate_limit_in_bytes_per_second,
    }


def _asked(fields: Mapping[str, str], process: Process) -> dict[str, Any]:
    """A body of the API's: what differs from what is. What is no number stays as written, to be complained of."""
    present = _present(process)
    written = {name: fields[name].strip() for name in AMOUNTS if fields.get(name, "").strip()}
    asked: dict[str, Any] = {
        name: int(value) if re.fullmatch(r"-?[0-9]{1,19}", value) else value[:40] for name, value in written.items()
    }
    return {name: value for name, value in asked.items() if value != present[name]}


def _page_of(process: Process) -> str:
    return f"/ui/processes/{process.guid}"
