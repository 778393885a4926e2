"""Pages that show something and change nothing."""

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from aiohttp import hdrs, web

from service.api import handlers
from service.api.keys import PROCESSES
from service.dashboard import text
from service.dashboard.contents import list_content, process_content
from service.dashboard.frame import User, page, render, see
from service.dashboard.keys import OVERVIEW
from service.dashboard.query import parse_address, tidied
from service.errors import BadQueryParameter, ResourceNotFound
from service.http.replies import warnings_of
from service.model.process import Process
from service.operations.overview import App, Space, Sums

MOST_CHOICES = 500
"""Spaces offered in a form."""
MOST_TYPES = 50

_QUALITY = re.compile(r"q=([01](?:\.\d{0,3})?)$", re.ASCII)


async def front(request: web.Request) -> web.StreamResponse:
    """GET /: the list for browsers; for whoever does not ask for HTML, what the API says of itself."""
    if prefers_html(request.headers.get(hdrs.ACCEPT, "")):
        return await _processes(request)
    response = await handlers.root(request)
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
        selection, _ = await request.app[PROCESSES].list_of_app(
            user.caller, process.workload.app_guid, parse_address("per_page=50").parsed.request
        )
        siblings = selection.processes
    context = {**content.context, "siblings": siblings, "done": request.query.get("done", "")}
    return await render(request, "process.html", context, user=user)


async def list_spaces(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/spaces"""
    return await _summed(request, user, "spaces", lambda sums: [(_of_space(space), space) for space in sums.spaces])


async def list_apps(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/apps"""
    return await _summed(request, user, "apps", lambda sums: [(_of_app(app), app) for app in sums.apps])


def _of_space(space: Space) -> str:
    return "\n".join((space.guid, space.organization_guid or "", *space.namespaces)).lower()


def _of_app(app: App) -> str:
    return "\n".join((app.guid, app.namespace, *(each.workload.name for each, _ in app.processes))).lower()


async def _summed(
    request: web.Request, user: User, name: str, texts: Callable[[Sums], Sequence[tuple[str, Space | App]]]
) -> web.StreamResponse:
    """A page of what is summed up, of which `q` and `space_guids` may leave a part."""
    query = request.raw_path.partition("?")[2]
    if (shorter := tidied(query)) is not None:
        return see(request.path + (f"?{shorter}" if shorter else ""))
    address = replace(parse_address(query), path=request.path)
    filters, page_request = address.parsed.request.filters, address.page
    sums, freshness = await request.app[OVERVIEW].get(user.caller)
    of_spaces = filters.space_guids
    found = [
        each
        for words, each in texts(sums)
        if all(word in words for word in filters.words)
        and (of_spaces is None or (each.guid if isinstance(each, Space) else each.space_guid) in of_spaces)
    ]
    context = {
        "address": address,
        "numbers": address.numbers(len(found)),
        "total": len(found),
        name: found[page_request.offset : page_request.offset + page_request.per_page],
        "warnings": warnings_of(freshness),
    }
    return await render(request, f"{name}.html", context, user=user)


async def list_problems(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/problems"""
    return await render(request, "problems.html", {"now": text.now()}, user=user)


def as_json(handler: Callable[[web.Request], Awaitable[web.Response]]) -> Callable[..., Awaitable[web.StreamResponse]]:
    """What the API answers to the user of the session, for a browser to show: it cannot send the token itself."""

    async def view(request: web.Request, user: User) -> web.StreamResponse:
        own = {name: value for name, value in request.headers.items() if name != hdrs.AUTHORIZATION}
        if user.session.authorization is not None:
            own[hdrs.AUTHORIZATION] = user.session.authorization
        response = await handler(request.clone(headers=own))
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
        return response

    return view
