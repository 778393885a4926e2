"""Streams of server-sent events: how many there may be, and how each runs and ends."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from aiohttp import ClientConnectionResetError, hdrs, web
from aiohttp_sse import EventSourceResponse

from service.errors import ServiceUnavailable
from service.telemetry import get_logger

log = get_logger(__name__)

MOST, MOST_EACH = 200, 20
"""Streams of a replica, and of one user."""
STALLED_S = 30.0
"""After so long without taking what is sent, a browser has gone."""
REFUSED_RETRY_S = 30

Work = Callable[["Live"], Awaitable[None]]


class Streams:
    """Those that are open."""

    def __init__(self, most: int = MOST, most_each: int = MOST_EACH) -> None:
        self._most = most
        self._most_each = most_each
        self._open: Counter[bytes] = Counter()
        self._closing = asyncio.Event()

    def __len__(self) -> int:
        return self._open.total()

    def require_room(self, user: bytes) -> None:
        """Raises ServiceUnavailable where there is none for a stream more of this user."""
        if len(self) >= self._most or self._open[user] >= self._most_each or self._closing.is_set():
            raise ServiceUnavailable("There are too many live pages open at the moment", retry_after_s=REFUSED_RETRY_S)

    def enter(self, user: bytes) -> None:
        self.require_room(user)
        self._open[user] += 1

    def leave(self, user: bytes) -> None:
        self._open[user] -= 1
        self._open += Counter()

    async def close(self, _app: web.Application) -> None:
        """Have all end by themselves, now: to be called when the service stops."""
        self._closing.set()

    async def pause(self, seconds: float) -> bool:
        """Wait so long; False if the streams are to end."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return True
        return False


class Live(EventSourceResponse):
    """A reply that goes on.

    It runs as its body is written, when its handler has returned: so it has the headers that surround every reply, and
    is neither counted as work under way nor as an answer that took an hour.
    """

    def __init__(self, streams: Streams, user: bytes, work: Work) -> None:
        """Raises ServiceUnavailable."""
        super().__init__(send_timeout=STALLED_S)
        self.headers[hdrs.CACHE_CONTROL] = "no-store"
        streams.require_room(user)
        self._streams = streams
        self._user = user
        self._work = work

    @property
    def connected(self) -> bool:
        """Whether there is still somebody at the other end."""
        transport = self._req.transport if self._req is not None else None
        return transport is not None and not transport.is_closing() and self.is_connected()

    async def write_eof(self, data: bytes = b"") -> None:
        try:
            self._streams.enter(self._user)
        except ServiceUnavailable:
            log.info("stream refused: others were faster")
        else:
            try:
                await self._work(self)
            except (ClientConnectionResetError, ConnectionResetError, TimeoutError):
                log.debug("stream ended by its reader")
            finally:
                self._streams.leave(self._user)
        self.stop_streaming()
        await self.wait()
        await super().write_eof(data)
