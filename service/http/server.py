"""aiohttp's server with its own refusals (a request line too long, no HTTP at all) in the API's error shape."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from service.errors import InvalidRequest, UnknownError
from service.http.middlewares import REQUEST_ID, SERVER
from service.http.replies import error_response
from service.telemetry import get_logger, new_request_id

log = get_logger(__name__)

MAXIMUM_LINE = 64 * 1024
"""Bytes of the request line: room for the longest lists of GUIDs clients send."""
MAXIMUM_FIELD = 32 * 1024
"""Bytes of one header: room for a token with many groups."""


BACKLOG = 1024
"""Connections that wait to be taken."""


class _Protocol(RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer is not None and request.writer.output_size > 0:
            raise ConnectionError("the reply was cut off: its beginning is sent already")
        if status >= 500:
            log.error("request failed", exc_info=exc)
            error = UnknownError()
            response = error_response(error)
        else:
            response = error_response(InvalidRequest(_complaint(exc)))
        response.headers[REQUEST_ID] = new_request_id(None)
        response.headers[hdrs.SERVER] = SERVER
        response.force_close()
        return response


def _complaint(error: BaseException | None) -> str:
    if isinstance(error, LineTooLong):
        return f"The request line is longer than {MAXIMUM_LINE} bytes, or a header longer than {MAXIMUM_FIELD}"
    return "The request is not valid HTTP"


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """web.AppRunner whose connections speak the error shape."""

    def __init__(self, app: web.Application, **kwargs: Any) -> None:
        super().__init__(app, access_log=None, max_line_size=MAXIMUM_LINE, max_field_size=MAXIMUM_FIELD, **kwargs)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        loop = asyncio.get_running_loop()
        return _Server(made.request_handler, request_factory=made.request_factory, loop=loop, **made._kwargs)


@asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, *, shutdown_timeout_s: float
) -> AsyncIterator[list[tuple[str, int]]]:
    """Serve for the length of a block, and then until requests under way are done, for `shutdown_timeout_s` at most.

    Yields the addresses, more than one where a name has several; port 0 has become a free one. Raises OSError where
    one cannot be had.
    """
    # Before the application starts: connections it has begun to make would have to be broken off again.
    sockets = await _bind(host, port)
    try:
        runner = Runner(app, shutdown_timeout=shutdown_timeout_s)
        await runner.setup()
        try:
            for bound in sockets:
                await web.SockSite(runner, bound, backlog=BACKLOG).start()
            yield [address[:2] for address in runner.addresses]
        finally:
            await runner.cleanup()
    finally:
        for bound in sockets:
            bound.close()


async def _bind(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of the host. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with ExitStack() as opened:
        sockets = [
            opened.enter_context(socket.create_server(address, family=family, backlog=BACKLOG))
            for family, _, _, _, address in dict.fromkeys(found)
        ]
        opened.pop_all()
    return sockets
