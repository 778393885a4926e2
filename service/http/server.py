"""aiohttp's server, of connections that keep to our limits and speak the API's error shape."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from service.errors import UnknownRequest
from service.http.connection import LINGER_S, READ_AHEAD, Connection
from service.http.connections import MANAGEMENT_CONNECTIONS, Connections, Limits
from service.http.keys import TRAFFIC
from service.http.protocol import MAXIMUM_FIELD, MAXIMUM_LINE
from service.http.ready_answers import READY_ANSWERS, Handler, ReadyAnswers
from service.http.repeats import RepeatingConnection
from service.telemetry import get_logger

log = get_logger(__name__)

MOST_PARTS = 32
"""Of a path: none that leads anywhere has a third as many."""
BACKLOG = 1024
"""Connections that wait to be taken."""
_RECEIVE_BUFFER, _SEND_BUFFER = 64 * 1024, 128 * 1024
"""Bytes the system keeps for a connection, until we take them and until the client does; Linux doubles them.

Its own choice grows to megabytes, of which nobody would know, and by which a client that is slow seems to stand still.
"""
_OTHER_FILES = 64 + MANAGEMENT_CONNECTIONS
"""Files the process needs beside callers' connections: to Postgres and Kubernetes, of the management port."""


class _Server(web.Server):
    def __init__(self, connections: Connections, answers: ReadyAnswers | None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._counted = connections
        self._answers = answers

    def __call__(self) -> RequestHandler:
        if self._answers is None:
            return Connection(self, self._counted, loop=self._loop, **self._kwargs)
        return RepeatingConnection(self, self._counted, self._answers, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """web.AppRunner whose connections are ours."""

    def __init__(self, app: web.Application, connections: Connections, **kwargs: Any) -> None:
        super().__init__(
            app,
            access_log=None,
            max_line_size=MAXIMUM_LINE,
            max_field_size=MAXIMUM_FIELD,
            read_bufsize=READ_AHEAD,
            lingering_time=LINGER_S,
            keepalive_timeout=connections.limits.idle_s,
            # Bodies are decompressed when it is known who sends them, and only as far as they are wanted.
            auto_decompress=False,
            **kwargs,
        )
        self._connections = connections

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        ready = self.app.get(READY_ANSWERS)
        handler = _of_few_parts(ready.around(made.request_handler) if ready is not None else made.request_handler)
        kwargs = {"request_factory": made.request_factory, "loop": asyncio.get_running_loop(), **made._kwargs}
        return _Server(self._connections, ready, handler, **kwargs)


def _of_few_parts(handler: Handler) -> Handler:
    """A handler of those paths alone that may lead anywhere.

    aiohttp looks for the beginning of a path by cutting off one part after the other, each time of all that is left: of
    60,000 slashes that takes half a second, before any middleware could say no.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.rel_url.raw_path.count("/") > MOST_PARTS:
            raise UnknownRequest
        return await handler(request)

    return handle


@asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, *, limits: Limits, shutdown_timeout_s: float
) -> AsyncIterator[list[tuple[str, int]]]:
    """Serve for the length of a block, and then until requests under way are done, for `shutdown_timeout_s` at most.

    Yields the addresses, more than one where a name has several; port 0 has become a free one. Raises OSError where
    one cannot be had.
    """
    # Before the application starts: connections it has begun to make would have to be broken off again.
    sockets = await _bind(host, port)
    try:
        connections = Connections(_as_many_as_files(limits), asyncio.get_running_loop().time)
        if TRAFFIC in app:
            app[TRAFFIC].follow(connections)
        runner = Runner(app, connections, shutdown_timeout=shutdown_timeout_s)
        await runner.setup()
        with connections.watched():
            try:
                for bound in sockets:
                    await web.SockSite(runner, bound, backlog=BACKLOG).start()
                yield [address[:2] for address in runner.addresses]
            finally:
                await connections.drain()
                await runner.cleanup()
    finally:
        for bound in sockets:
            bound.close()


def _as_many_as_files(limits: Limits) -> Limits:
    """No more connections than the process may open files: one that cannot be taken waits, and all behind it."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY or files - _OTHER_FILES >= limits.connections:
        return limits
    fewer = max(1, files - _OTHER_FILES)
    log.warning("fewer connections than set: the process may not open more files", files=files, connections=fewer)
    return replace(limits, connections=fewer)


async def _bind(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of the host. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with ExitStack() as opened:
        sockets = [
            opened.enter_context(socket.create_server(address, family=family, backlog=BACKLOG))
            for family, _, _, _, address in dict.fromkeys(found)
        ]
        for each in sockets:
            # Connections take it over from the socket they come in at.
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        opened.pop_all()
    return sockets
