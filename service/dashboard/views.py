"""Pages that show something and change nothing."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from aiohttp import hdrs, web

from service.api.resources import root
from service.api.resources.processes.resource import READABLE as PROCESSES
from service.dashboard import text
from service.dashboard.contents import list_content, process_content
from service.dashboard.frame import User, page, render, see
from service.dashboard.offers import Offers
from service.dashboard.places import choices
from service.dashboard.query import PROCESS_LIST, parse_address, tidied
from service.errors import BadQueryParameter, ResourceNotFound
from service.http.routing import Handler
from service.model.paging import PageRequest
from service.model.process import Process
from service.operations.processes import of_app
from service.operations.questions import ListRequest

MOST_TYPES = 50
"""Types offered in a form."""

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
    if (shorter := tidied(PROCESS_LIST, query)) is not None:
        return see("/" + (f"?{shorter}" if shorter else ""))
    everything, _ = await PROCESSES.reads(request.app).page(user.caller, ListRequest(page=PageRequest(per_page=1)))
    known = {"everything": everything.total_results, "spaces": await choices(request.app, user.caller)}
    try:
        address = parse_address(PROCESS_LIST, query)
    except BadQueryParameter as error:
        context = {**known, "address": parse_address(PROCESS_LIST, ""), "error": error, "types": []}
        return await render(request, "processes.html", context, user=user, status=error.status)
    content = await list_content(request.app, user.caller, address)
    types = Counter(process.workload.type for process, _, _ in content.context["rows"])
    context = {**known, **content.context, "types": [name for name, _ in types.most_common(MOST_TYPES)]}
    return await render(request, "processes.html", context, user=user)


_processes = page(list_processes)


async def get_process(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/processes/{guid}"""
    guid = request.match_info["guid"]
    content = await process_content(request.app, user.caller, guid, Offers(request.app, user.caller))
    process = content.context["process"]
    siblings: Sequence[Process] = ()
    # Kubernetes lets some people get the Deployments of a namespace, one by one, and not list them.
    with suppress(ResourceNotFound):
        app = of_app(process.workload.app_guid)
        selection, _, _ = await PROCESSES.reads(request.app).page_of(user.caller, app, ListRequest())
        siblings = selection.items
    context = {**content.context, "siblings": siblings, "done": request.query.get("done", "")}
    return await render(request, "process.html", context, user=user)


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
