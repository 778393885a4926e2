"""Pages that stay up to date: what their streams send, and when."""

import time
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from service.access import Caller
from service.dashboard.app_contents import app_content, app_state, apps_content
from service.dashboard.contents import LIVE_ROWS, Content, list_content, process_content, process_state
from service.dashboard.frame import User, fragment
from service.dashboard.keys import STREAMS
from service.dashboard.offers import Offers
from service.dashboard.query import APP_LIST, PROCESS_LIST, ListAddress, Listing, apps_of_space, parse_address
from service.dashboard.streams import Live
from service.errors import BadQueryParameter, CloudFoundryError, InvalidAuthToken, NotAuthorized, ResourceNotFound
from service.http.callers import shown_token
from service.http.keys import ACCESS
from service.telemetry import get_logger

log = get_logger(__name__)

TICK_S = 1.0
"""Between looks at what has changed, in memory."""
USAGE_S = 15.0
"""Between looks at what instances use, for which the metrics API is asked; it samples four times a minute."""
AGES_S = 60.0
"""After so long a page is sent anyway."""

State = tuple[object, ...]


async def list_events(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/events"""
    return _list(request, user, PROCESS_LIST, "_processes.html", list_content)


async def app_list_events(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/lists/apps/events"""
    return _list(request, user, APP_LIST, "_apps.html", apps_content)


async def space_events(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/spaces/{guid}/events"""
    return _list(request, user, apps_of_space(request.match_info["guid"]), "_apps.html", apps_content)


def _list(
    request: web.Request,
    user: User,
    listing: Listing,
    template: str,
    content_of: Callable[[web.Application, Caller, ListAddress], Awaitable[Content]],
) -> web.StreamResponse:
    address = parse_address(listing, request.raw_path.partition("?")[2])
    if address.page.per_page > LIVE_ROWS:
        raise BadQueryParameter(f"'per_page' must be {LIVE_ROWS} at most for a list that is kept up to date")

    async def content(caller: Caller) -> Content:
        return await content_of(request.app, caller, address)

    async def state(caller: Caller) -> State:
        return (await content(caller)).state

    return _stream(request, user, template, content, state, AGES_S)


async def process_events(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/processes/{guid}/events"""
    guid, offers = request.match_info["guid"], Offers(request.app, user.caller)

    async def content(caller: Caller) -> Content:
        return await process_content(request.app, caller, guid, offers)

    async def state(caller: Caller) -> State:
        return await process_state(request.app, caller, guid)

    return _stream(request, user, "_process.html", content, state, USAGE_S)


async def app_events(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/apps/{guid}/events"""
    guid, offers = request.match_info["guid"], Offers(request.app, user.caller)

    async def content(caller: Caller) -> Content:
        return await app_content(request.app, caller, guid, offers)

    async def state(caller: Caller) -> State:
        return await app_state(request.app, caller, guid)

    return _stream(request, user, "_app.html", content, state, AGES_S)


def _stream(
    request: web.Request,
    user: User,
    template: str,
    content: Callable[[Caller], Awaitable[Content]],
    state: Callable[[Caller], Awaitable[State]],
    at_least_every_s: float,
) -> web.StreamResponse:
    app = request.app

    async def send(live: Live) -> None:
        """Until the page is closed, the service stops, or the user may not see it any more."""
        known: State | None = None
        due = 0.0
        while live.connected:
            try:
                # Who they are now: groups are left, too, while a page is open.
                caller = await _check(app, user)
                current = await state(caller)
                if current != known or time.monotonic() >= due:
                    found = await content(caller)
                    context = {**found.context, "form_token": user.session.form_token}
                    await live.send(await fragment(app, template, context), event="update")
                    known, due = current, time.monotonic() + at_least_every_s
            except (InvalidAuthToken, NotAuthorized):
                return await live.send("", event="signed-out")
            except ResourceNotFound as error:
                return await live.send(error.detail, event="gone")
            except CloudFoundryError as error:
                # Away for now: what the page shows is still the last that was known.
                await live.send(error.detail, event="trouble")
                known = None
            if not await app[STREAMS].pause(TICK_S):
                return None
        return None

    if request.method == hdrs.METH_HEAD:
        return web.Response(content_type="text/event-stream")
    return Live(app[STREAMS], user.caller.person, send)


async def _check(app: web.Application, user: User) -> Caller:
    """The user, who may still look. Raises InvalidAuthToken, NotAuthorized, ServiceUnavailable."""
    if user.session.expires_at <= time.time():
        raise InvalidAuthToken
    access = app[ACCESS]
    return await access.authenticate(shown_token(access, user.session.authorization))
