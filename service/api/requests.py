"""What handlers of any resource ask of a request."""

from datetime import UTC, datetime

from aiohttp import hdrs, web

from service.access import Caller
from service.http.callers import authenticate, shown_token
from service.http.keys import ACCESS
from service.model.times import microseconds
from service.operations.authority import Actor


async def caller_of(request: web.Request) -> Caller:
    """Whoever sent it. Raises as service.http.callers.authenticate does."""
    return await authenticate(request, request.headers.get(hdrs.AUTHORIZATION))


async def actor_of(request: web.Request) -> Actor:
    """Whoever sent it, with the very token they have shown: writes are made with that."""
    caller = await caller_of(request)
    return Actor(caller, shown_token(request.app[ACCESS], request.headers.get(hdrs.AUTHORIZATION)))


def raw_query(request: web.Request) -> str:
    """The query as sent, not decoded."""
    return request.raw_path.partition("?")[2]


def now() -> int:
    """The time, in the model's unit."""
    return microseconds(datetime.now(UTC))
