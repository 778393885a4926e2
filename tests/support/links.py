"""A link to Postgres that takes its time: what the server says arrives later, in order and whole.

It is made of callbacks, not of tasks: tests look for tasks that a service has left behind.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit


class _End(asyncio.Protocol):
    """One end of a connection through the link: what it receives goes to the other end."""

    def __init__(self, late_s: float, made: Callable[["_End"], None]) -> None:
        self._late_s = late_s
        self._made = made
        self._received: list[bytes] = []
        """While there is no other end yet."""
        self._other: _End | None = None
        self._transport: asyncio.WriteTransport | None = None

    def join(self, other: "_End") -> None:
        self._other = other
        for data in self._received:
            self.data_received(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._made(self)

    def data_received(self, data: bytes) -> None:
        if self._other is None:
            self._received.append(data)
        else:
            asyncio.get_running_loop().call_later(self._late_s, self._other.send, data)

    def send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._other is not None:
            self._other.close()


@asynccontextmanager
async def slow_link(database_url: str, *, late_s: float) -> AsyncIterator[str]:
    """The URL of the same database, through a link by which what the server says is late."""
    parts, loop = urlsplit(database_url), asyncio.get_running_loop()
    ends: list[_End] = []

    def accept(client: _End) -> None:
        def join(server: _End) -> None:
            ends.extend((client, server))
            server.join(client)
            client.join(server)

        connecting = loop.create_connection(lambda: _End(late_s, join), parts.hostname or "", parts.port or 5432)
        connections.add(loop.create_task(connecting))

    connections: set[asyncio.Task[object]] = set()
    server = await loop.create_server(lambda: _End(0, accept), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    credentials, at, _ = parts.netloc.rpartition("@")
    try:
        yield urlunsplit(parts._replace(netloc=f"{credentials}{at}{host}:{port}"))
    finally:
        server.close()
        await asyncio.gather(*connections, return_exceptions=True)
        for end in ends:
            end.close()
        await server.wait_closed()
