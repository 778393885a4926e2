"""A link between a replica and what it needs, as the network has it: it passes bytes on, unless a fault is upon it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_PIECE = 1 << 16
_TRICKLE_BYTES, _TRICKLE_S = 700, 0.05


@dataclass(eq=False)
class _Connection:
    writers: tuple[asyncio.StreamWriter, ...]
    lost: bool = False
    """Half open: nothing gets through any more, and nobody is told."""

    def abort(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


@dataclass
class Link:
    host: str
    port: int
    """Where it leads."""
    at: int = 0
    """The port at which it is entered."""
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: what is sent waits, and new connections are taken and wait as well."""
    refusing: bool = False
    trickling: bool = False
    bytes_left: int | None = None
    """After so many bytes more from the other end, all connections are cut off: in the middle of a line."""
    _open: set[_Connection] = field(default_factory=set)

    def cut(self) -> None:
        """Break all connections off."""
        for connection in tuple(self._open):
            connection.abort()

    def lose(self) -> None:
        """Leave all connections half open, for ever. New ones work."""
        for connection in self._open:
            connection.lost = True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection((writer, far_writer))
        self._open.add(connection)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(connection, reader, far_writer, counted=False))
                both.create_task(self._pass(connection, far_reader, writer, counted=True))
        finally:
            connection.abort()
            self._open.discard(connection)

    async def _pass(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool
    ) -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(_TRICKLE_BYTES if self.trickling else _PIECE):
                if self.trickling:
                    await asyncio.sleep(_TRICKLE_S)
                await self.flowing.wait()
                if connection.lost:
                    continue
                if counted and self.bytes_left is not None:
                    piece, self.bytes_left = piece[: self.bytes_left], self.bytes_left - len(piece)
                writer.write(piece)
                await writer.drain()
                if counted and self.bytes_left is not None and self.bytes_left <= 0:
                    self.bytes_left = None
                    self.cut()
        connection.abort()


@asynccontextmanager
async def linked(host: str, port: int) -> AsyncIterator[Link]:
    link = Link(host, port)
    link.flowing.set()
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(link._accept(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    link.at = server.sockets[0].getsockname()[1]
    try:
        yield link
    finally:
        server.close()
        link.cut()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
