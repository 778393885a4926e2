"""Pages that show something and change nothing."""

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from aiohttp import hdrs, web

from service.api.resources import root
from service.api.resources.processes.resource import READABLE as PROCESSES
from service.dashboard import text
from service.dashboard.contents import list_content, process_content
from service.dashboard.frame import User, page, render, see
from service.dashboard.keys import OVERVIEW
from service.dashboard.query import parse_address, tidied
from service.errors import BadQueryParameter, ResourceNotFound
from service.http.routing import Handler
from service.model.process import Process
from service.operations.overview import App, Space, Sums
from service.operations.processes import of_app
from service.operations.reads import ListRequest

MOST_CHOICES = 500
"""Spaces offered in a form."""
MOST_TYPES = 50

_QUALITY = re.compile(r"q=([01](?:\.\d{0,3})?)$", re.ASCII)


async def front(request: web.Request) -> web.StreamResponse:
    """GET /: the list for browsers; for whoever does not ask for HTML, what the API says of itself."""
    if prefers_html(request.headers.get(hdrs.ACCEPT, "")):
        return await _processes(request)
    response = await root.get_root(request)
    response.headers[hdrs.VARY] = f"Accept, {response.headers[hdrs.VARY]}"
    return response


def prefers_html(accept: str) -> bool:
    """Whether HTML is named, and no less wanted than JSON; `*/*` names nothing."""
    html, plain = (_quality(accept, kind) for kind in ("text/html", "application/json"))
    return html > 0 and html >= plain


def _quality(accept: str, kind: str) -> float:
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        if name == kind:
            found = (_QUALITY.match(parameter) for parameter in parameters)
            return next((float(match[1]) for match in found if match), 1.0)
    return 0.0


async def list_processes(request: web.Request, user: User) -> web.StreamResponse:
    """GET / for browsers"""
    query = request.raw_path.partition("?")[2]
    if (shorter := tidied(query)) is not None:
        return see("/" + (f"?{shorter}" if shorter else ""))
    sums, _ = await request.app[OVERVIEW].get(user.caller)
    context = {"spaces": sums.spaces[:MOST_CHOICES], "types": sums.types[:MOST_TYPES]}
    try:
        address = parse_address(query)
    except BadQueryParameter as error:
        everything = {"address": parse_address(""), "error": error, "everything": sums.processes}
        return await render(request, "processes.html", {**context, **everything}, user=user, status=error.status)
    content = await list_content(request.app, user.caller, address)
    return await render(
        request, "processes.html", {**context, **content.context, "everything": sums.processes}, user=user
    )


_processes = page(list_processes)


async def get_process(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/processes/{guid}"""
    guid = request.match_info["guid"]
    content = await process_content(request.app, user.caller, guid)
    process = content.context["process"]
    siblings: Sequence[Process] = ()
    # Kubernetes lets some people get the Deployments of a namespace, one by one, and not list them.
    with suppress(ResourceNotFound):
        app = of_app(process.workload.app_guid)
        selection, _, _ = await PROCESSES.reads(request.app).page_of(user.caller, app, ListRequest())
        siblings = selection.items
    context = {**content.context, "siblings": siblings, "done": request.query.get("done", "")}
    return await render(request, "process.html", context, user=user)


async def list_spaces(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/spaces"""
    return await _summed(request, user, "spaces", lambda sums: sums.spaces)


async def list_apps(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/apps"""
    return await _summed(request, user, "apps", lambda sums: sums.apps)


async def _summed(
    request: web.Request, user: User, name: str, rows: Callable[[Sums], Sequence[Space | App]]
) -> web.StreamResponse:
    """A page of sums over the processes that match. Raises BadQueryParameter for what sums cannot honour."""
    query = request.raw_path.partition("?")[2]
    if (shorter := tidied(query)) is not None:
        return see(request.path + (f"?{shorter}" if shorter else ""))
    address = replace(parse_address(query), path=request.path)
    for parameter in ("order_by", "embed"):
        if address.value(parameter):
            raise BadQueryParameter(f"'{parameter}' is for lists of processes, not for their sums")
    sums, freshness = await request.app[OVERVIEW].get(user.caller, address.parsed.request.filters)
    found, page_request = rows(sums), address.page
    context = {
        "address": address,
        "numbers": address.numbers(len(found)),
        "total": len(found),
        name: found[page_request.offset : page_request.offset + page_request.per_page],
        "warnings": freshness.warnings(),
    }
    return await render(request, f"{name}.html", context, user=user)


async def list_problems(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/problems"""
    return await render(request, "problems.html", {"now": text.now()}, user=user)


def as_json(handler: Handler) -> Callable[..., Awaitable[web.StreamResponse]]:
    """What the API answers to the user of the session, for a browser to show: it cannot send the token itself."""

    async def view(request: web.Request, user: User) -> web.StreamResponse:
        # What is not ASCII says nothing to the API, and where it is not UTF-8 either it could not be passed on.
        own = {name: value for name, value in request.headers.items() if value.isascii()}
        own.pop(hdrs.AUTHORIZATION, None)
        if user.session.authorization is not None:
            own[hdrs.AUTHORIZATION] = user.session.authorization
        response = await handler(request.clone(headers=own))
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
        return response

    return view
