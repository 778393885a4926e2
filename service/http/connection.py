"""One connection: aiohttp's protocol, that knows how long its client keeps us waiting and what is held for it."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from aiohttp import web
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import _ErrInfo

from service.errors import CloudFoundryError, InvalidRequest, ServiceUnavailable
from service.http.connections import IN_USE_S, Connections
from service.http.protocol import Protocol

MAXIMUM_HEAD = 128 * 1024
"""Bytes of the request line and all headers."""
READ_AHEAD = 16 * 1024
"""Bytes of a body that are read before anybody has asked for it; twice as much, and what comes with it, at most."""
LINGER_S = 1.0
"""For so long what comes of a body nobody wanted is thrown away: to close at once might lose the client its reply.

Not faster than service.http.throttle has it; a client that sends more than there is time for may lose it.
"""
_LONGEST_WAIT_S = 5.0
"""For which somebody is made to wait who sends large bodies faster than they are taken. They are refused, beyond."""
_LONGEST_PAUSE_S = 0.25
"""Between two pieces of it. Where so many send such bodies that it would be longer, they are not listened to at all."""
LEAST_TAKEN = 256 * 1024
"""Bytes of a reply that a client takes within the time it is given, if there are as many."""
_STANDS_STILL_S = 0.5
"""After so long without having taken as much, a client may have to make room for others."""
_SMALL = 4096
"""Bytes that come at once with a whole request and are not worth counting."""


class Connection(Protocol):
    """A connection. Who is waited for is read off aiohttp's own state, so that a request costs next to nothing more."""

    __slots__ = (
        "_began_at",
        "_body",
        "_collected",
        "_connections",
        "_head",
        "_is_answered",
        "_link",
        "_received",
        "_receiving",
        "_refusal",
        "_taken",
        "_unread",
        "_unread_since",
    )

    def __init__(self, manager: web.Server, connections: Connections, **kwargs: Any) -> None:
        """`kwargs` are aiohttp's."""
        super().__init__(manager, **kwargs)
        self._connections = connections
        # aiohttp forgets the transport as soon as it is to be closed, which it is not before all has been taken.
        self._link: asyncio.Transport | None = None
        self._head = 0
        """Bytes of a head that is not complete."""
        self._body: StreamReader | None = None
        """The body of the last request, while it is not complete."""
        self._collected = 0
        """Bytes of it that somebody has read and keeps."""
        self._is_answered = False
        """Whether its request has its reply, so that what still comes of it is thrown away."""
        self._began_at = 0.0
        """When the client began to be waited for: for the rest of a head, or for a body."""
        self._receiving: asyncio.Timeout | None = None
        self._refusal: CloudFoundryError | None = None
        self._received = 0
        self._unread = 0
        self._unread_since: float | None = None
        self._taken = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._link = cast(asyncio.Transport, transport)
        if not self._connections.add(self):
            self._link.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self.writing_paused:
            # Whoever waits to write finds out. Told by an exception, they would keep it, and it them with the reply.
            self.resume_writing()
        super().connection_lost(exc)
        self._stop_lingering()
        self._connections.remove(self)
        # A body knows its connection: what each holds would stay until somebody looks for cycles.
        self._link = self._body = None
        self._count(0, 0)

    def data_received(self, data: bytes) -> None:
        requests, body = self._request_count, self._body
        super().data_received(data)
        if self._request_count == requests:
            if data and not (self._close or self._force_close):
                self._go_on(len(data), body)
            return
        if body is not None and not body.is_eof():
            self._break_off(body)
            return
        last = self._messages[-1][1]
        self._body = None if last.is_eof() else last
        self._head = 0
        if self._received or len(data) > _SMALL:
            self._count(len(data) if len(data) > _SMALL else 0, self._unread)
            self._connections.relieve()

    def _go_on(self, size: int, body: StreamReader | None) -> None:
        """Note that so many bytes more have come, of a body or of a head, which still is not complete."""
        if body is not None:
            if self._is_answered:
                self._discard(size)
            self._count(self._collected + body._size, self._unread)
            if body.is_eof():
                self._body = None
        else:
            if not self._head:
                self._began_at = self._loop.time()
            self._head += size
            self._count(self._head, self._unread)
            if self._head > MAXIMUM_HEAD:
                self.give_up(InvalidRequest(f"The request line and the headers are longer than {MAXIMUM_HEAD} bytes"))
        self._connections.relieve()

    def _discard(self, size: int) -> None:
        """Take no more for a while, after so many bytes that nobody wanted, or at all."""
        pause_s = self._connections.unwanted.took(None, size)
        if pause_s > _LONGEST_PAUSE_S:
            self._stop_lingering()
            return
        self._pause_reading_for_buffer()
        self._loop.call_later(pause_s, self._resume_reading_for_buffer)

    def _stop_lingering(self) -> None:
        """Have aiohttp close the connection now: left alone it waits for a body that nobody wants, and keeps it."""
        if self._is_answered and self._body is not None:
            self._close = True
            self._body.feed_eof()

    def _break_off(self, body: StreamReader) -> None:
        """End a body in the midst of which there is no valid HTTP any more: aiohttp leaves its reader waiting."""
        body.set_exception(web.RequestPayloadError())
        body.feed_eof()
        self._body = None
        # What comes after it nobody can make sense of.
        self._close = True

    def pause_writing(self) -> None:
        super().pause_writing()
        # What is not taken at once counts at once; all else of a reply is seen at the next look.
        self._look_at_unread(self._loop.time())
        self._connections.relieve()

    @asynccontextmanager
    async def receiving(self) -> AsyncIterator[None]:
        """For as long as a body is waited for. Raises RequestTimeout or ServiceUnavailable where it was given up."""
        self._began_at = self._loop.time()
        self._receiving = asyncio.timeout(None)
        try:
            async with self._receiving:
                yield
        except TimeoutError:
            if self._refusal is None:
                raise
            raise self._refusal from None
        finally:
            self._receiving = self._refusal = None

    def collected(self, size: int) -> None:
        """Note that somebody keeps so many bytes of the request's body, which are held until the request is over."""
        self._collected = size

    async def hold_back(self, person: bytes, size: int) -> None:
        """Take no more for a while, after so many bytes of a large body of this person, if it has not all come.

        Raises ServiceUnavailable where they send so many that it would be long.
        """
        pause_s = self._connections.wanted.took(person, size)
        if self._body is None or self._body.is_eof():
            return
        if pause_s > _LONGEST_WAIT_S:
            raise ServiceUnavailable("Too much is being received from you", retry_after_s=math.ceil(pause_s))
        await asyncio.sleep(pause_s)

    @property
    def full(self) -> bool:
        """Whether no more bytes are to be received from anybody."""
        return self._connections.full

    @property
    def in_flight(self) -> int:
        """Bytes."""
        return self._received + self._unread

    def look(self, now: float) -> None:
        """See what the client has taken of a reply, and whether what it sent is done with."""
        self._look_at_unread(now)
        if self._received and self._is_idle and not self._head:
            self._collected = 0
            self._count(0, self._unread)

    def patience_used(self, now: float) -> float | None:
        """The part used up of the time the client is given; None while it is not waited for."""
        limits = self._connections.limits
        if self._unread_since is not None:
            return (now - self._unread_since) / limits.send_s
        if self._receiving is not None:
            return None if self._refusal is not None else (now - self._began_at) / limits.body_s
        if self._request_in_progress:
            return None
        if not self._is_idle:
            # It has its reply, and is only let finish a body that nobody wants.
            return None if self._body is None else 1.0
        if self._head:
            return (now - self._began_at) / limits.head_s
        return (now - self._answered_at) / (limits.idle_s if self._request_count else limits.head_s)

    def is_taking(self, now: float) -> bool:
        """Whether the client is taking a reply, and has not long stood still."""
        return self._unread_since is not None and now - self._unread_since < _STANDS_STILL_S

    def give_up(self, error: CloudFoundryError) -> None:
        """Wait no longer: answer with the error where a request has come in part, and close."""
        if self._link is None:
            return
        if self._unread_since is not None:
            self._link.abort()
            self._link = None
        elif self._receiving is not None:
            if self._refusal is None:
                self._refusal = error
                self._receiving.reschedule(self._loop.time())
        elif self._head and self._waiter is not None and not self._waiter.done():
            # As aiohttp itself answers what is no HTTP.
            self._messages.append((_ErrInfo(error.status, error, error.detail), EMPTY_PAYLOAD))
            self._waiter.set_result(None)
            self._close = True
        else:
            self.force_close()
        self._collected = self._head = 0
        self._count(0, 0)

    def expects_more(self, now: float) -> bool:
        """Whether the last request was answered so lately that the client may be about to send another."""
        is_open = self._link is not None and self._request_count > 0
        return is_open and self._is_idle and now - self._answered_at < IN_USE_S

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if self._connections.draining:
            # The client sends its next request to somebody else, instead of on a connection that is being closed.
            resp.force_close()
        finished = await super().finish_response(request, resp, start_time)
        # Of requests that were sent at once, this may not be the last.
        self._is_answered = self._body is request.content and not request.content.is_eof()
        if self._is_answered:
            self._discard(self._received)
        return finished

    @property
    def _answered_at(self) -> float:
        # NB: aiohttp notes for itself when the last request was over, if only as the time at which it would close.
        return self._next_keepalive_close_time - self._keepalive_timeout

    @property
    def _is_idle(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _look_at_unread(self, now: float) -> None:
        unread = self._link.get_write_buffer_size() if self._link is not None else 0
        if not unread:
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since, self._taken = now, 0
        else:
            self._taken += max(0, self._unread - unread)
            if self._taken >= LEAST_TAKEN:
                self._unread_since, self._taken = now, 0
        self._count(self._received, unread)

    def _count(self, received: int, unread: int) -> None:
        before = self.in_flight
        self._received, self._unread = received, unread
        if self.in_flight != before:
            self._connections.moved(self.in_flight - before)
