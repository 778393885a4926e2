"""Clients that are slow, silent, or send what no well-behaved client would: connections without a library between."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from tests.support.api import Api, Reply

PATIENCE_S = 10.0


@dataclass
class Raw:
    """A connection to the API; nothing is read from it until that is asked for."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *parts: bytes) -> None:
        """Raises ConnectionError where the other end has closed."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def reply(self) -> Reply:
        """The next reply. Raises asyncio.IncompleteReadError where there is none."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status, *lines = head.decode().rstrip("\r\n").split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            body = await self.reader.readexactly(int(headers.get("Content-Length", "0")))
        return Reply(int(status.split()[1]), headers, body)

    async def rest(self) -> bytes:
        """All that comes until the other end closes, which it must."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    @property
    def closed(self) -> bool:
        """Whether the other end has closed and nothing is left to read."""
        return self.reader.at_eof() or self.reader.exception() is not None


@asynccontextmanager
async def connected(api: Api, *, receive_buffer: int | None = None, local_address: str = "") -> AsyncIterator[Raw]:
    """A connection; one that takes little before it is read, where the system's buffer is given."""
    host, port = api.url.removeprefix("http://").split(":")
    bare = socket.socket()
    bare.setblocking(False)
    if receive_buffer is not None:
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    bare.bind((local_address, 0))
    await asyncio.get_running_loop().sock_connect(bare, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=bare, limit=1 << 16)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def many(api: Api, count: int, *sent: bytes) -> AsyncIterator[list[Raw]]:
    """So many connections, on each of which this has been sent."""
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(connected(api)) for _ in range(count)]
        for each in found:
            await each.send(*sent)
        yield found


def head(method: str, path: str, token: str | None = None, **headers: str) -> bytes:
    """A request without its body; of headers, underscores stand for hyphens."""
    named = {"Host": "localhost", **({"Authorization": f"Bearer {token}"} if token else {}), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()
