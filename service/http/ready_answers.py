"""Answers that are ready to be sent again: dashboards and portals ask the same all day, and mostly nothing has changed.

Whoever works out an answer may leave with it what it rests on. A request of the very same bytes is then answered with
the same bytes, if all of that still holds: the token and its rights, what is held, and that nothing was written
meanwhile. Everything else of a request goes through the middlewares and handlers, and so does whatever is in doubt.

Entries are found by a hash of the whole head of the request, which has the token in it: no token is kept. A head that
comes as it came before is not even parsed (service.http.repeats).
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, Protocol, cast

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11

from service.cache import RecencyCache, takes_a_place
from service.errors import ServiceUnavailable
from service.http.middlewares import REQUEST_ID, SERVER, given_id
from service.http.rate_limits import RateLimits
from service.http.work import Work
from service.metrics.numbers import Requests, Series
from service.telemetry import new_request_id

READY_BYTES = 5 << 20
"""What is kept of answers, and of the requests that they answer."""
LARGEST = 256 * 1024
"""Bytes of a body, beyond which an answer is not kept: it would push out many, and takes long to send anyway."""
ENTRY_BYTES = 1600
"""What an answer takes beside its head, its body and the items that it shows: what it rests on."""
HEADS_BYTES = 512 * 1024
"""The part of it for requests that need not be parsed: some 1,500."""

_EACH_TIME = frozenset((b"x-vcap-request-id", b"x-request-id", b"traceparent", b"tracestate"))
"""Headers that proxies give each request a new value of. They change nothing of an answer but its own id."""
READY_ANSWERS: "web.AppKey[ReadyAnswers]" = web.AppKey("ready_answers")
"""Absent where each request is to be logged."""
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Standing(Protocol):
    """What an answer rests on."""

    @property
    def person(self) -> bytes:
        """Whoever it was answered to."""

    @property
    def held_bytes(self) -> int:
        """What it holds beside itself."""

    async def holds(self) -> bool:
        """Whether they would get the same answer now. Raises nothing."""


RESTS_ON: web.RequestKey[Standing] = web.RequestKey("rests_on", Standing)
"""Left with a request by whoever has answered it."""


class Asked(NamedTuple):
    """How the request came that is next on a connection, or is being answered."""

    head: bytes | None = None
    """The hash of its bytes, where they came all at once with nothing else."""
    in_doubt: bool = False
    """Whether the answer that was ready has just been looked at, and is another by now, or a refusal."""


class Asking(Protocol):
    """A connection that knows how its requests come."""

    @property
    def asked(self) -> Asked: ...


@dataclass(frozen=True, slots=True)
class Ready:
    standing: Standing
    status: int
    head: bytes
    """All lines of it that are the same each time, the first included."""
    body: bytes
    series: Series


class Again(NamedTuple):
    """An answer that is to be sent once more, to a request that is counted."""

    ready: Ready
    headers: Mapping[str, str]
    """Of this time alone."""

    def parts(self, given: str | None = None, *, closing: bool = False) -> list[bytes]:
        """What is to be sent, none of it empty: to a request of the id `given`, `closing` the connection with it."""
        lines = f"{REQUEST_ID}: {new_request_id(given)}\r\n{hdrs.DATE}: {rfc822_formatted_time()}\r\n"
        if self.headers:
            lines += "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()])
        if closing:
            lines += f"{hdrs.CONNECTION}: close\r\n"
        head = b"%b%b\r\n" % (self.ready.head, lines.encode())
        # Each as it is: a copy of them would be held until the client has taken it. NB: no empty part, which asyncio's
        # own transports never get rid of from Python 3.12 on.
        return [head, self.ready.body] if self.ready.body else [head]


class ReadyAnswers:
    def __init__(
        self,
        *,
        work: Work,
        requests: Requests,
        limits: RateLimits | None = None,
        by_address: bool = False,
    ) -> None:
        """Requests are counted with `work`, `requests` and `limits`, as all others are.

        `by_address`: the same from another address may have another answer, as some are those of trusted proxies.
        """
        self._work = work
        self._requests = requests
        self._limits = limits
        self.by_address = by_address
        self._ready: RecencyCache[bytes, Ready] = RecencyCache(READY_BYTES - HEADS_BYTES)
        self._heads: RecencyCache[bytes, bytes] = RecencyCache(HEADS_BYTES)
        """Keys of answers, by hashes of the heads they were asked for with, each as it came."""
        self.sent = 0
        """Answers that were ready and have been sent."""

    @property
    def size(self) -> int:
        """Bytes of all that is kept."""
        return self._ready.size + self._heads.size

    def around(self, handler: Handler) -> Handler:
        """A handler that answers what is ready, and has this one answer everything else.

        Its requests come on connections that are Asking.
        """

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            if not isinstance(request, web.Request) or not _may_be_ready(request):
                return await handler(request)
            asked = cast(Asking, request.protocol).asked
            headers = [pair for pair in request.raw_headers if pair[0].lower() not in _EACH_TIME]
            key = _hash(request, headers, (request.remote or "") if self.by_address else "")
            known = self._ready.get(key)
            ready = None if asked.in_doubt else known
            again = None if ready is None else await self.once_more(ready)
            if again is not None:
                response: web.StreamResponse = _Again(again)
            else:
                response = await handler(request)
                standing = request.get(RESTS_ON)
                if standing is None or not self.keep(key, request, response, standing, in_place=known is not None):
                    return response
            if asked.head is not None and len(headers) == len(request.raw_headers):
                self.remember(asked.head, key)
            return response

        return handle

    def find(self, head: bytes) -> Ready | None:
        """The answer to a request whose head has this hash."""
        key = self._heads.get(head)
        return None if key is None else self._ready.get(key)

    def remember(self, head: bytes, key: bytes) -> None:
        """Have requests whose heads have this hash find the answer of this key."""
        self._heads.put(head, key, len(key))

    async def once_more(self, ready: Ready) -> Again | None:
        """The answer for one more request, which is counted; None: it may be another one by now, or a refusal.

        Raises nothing.
        """
        started = time.perf_counter()
        # Whoever is to be refused is so before Postgres is asked anything.
        if self._limits is not None and not self._limits.has_room(ready.standing.person):
            return None
        try:
            self._work.begin()
        except ServiceUnavailable:
            return None
        self._requests.in_flight += 1
        try:
            if not await ready.standing.holds():
                return None
        finally:
            self._requests.in_flight -= 1
            self._work.end()
        headers: Mapping[str, str] = {}
        if self._limits is not None:
            left = self._limits.take(ready.standing.person)
            if left is None:
                return None
            headers = self._limits.headers(left)
        self.sent += 1
        ready.series.observe(ready.status, time.perf_counter() - started)
        return Again(ready, headers)

    def keep(
        self, key: bytes, request: web.Request, response: web.StreamResponse, standing: Standing, *, in_place: bool
    ) -> bool:
        """Have an answer ready for requests of this hash, if it is one that can be sent again as it is; whether it is.

        `in_place`: there is a former one, and this one takes its place.
        """
        resource = request.match_info.route.resource
        if resource is None or not isinstance(response, web.Response):
            return False
        body = response.body or b""
        if response.status not in (200, 304) or not isinstance(body, bytes) or len(body) > LARGEST:
            return False
        head = _head(response, body)
        series = self._requests.series(request.method, resource.canonical)
        ready = Ready(standing, response.status, head, body, series)
        size = ENTRY_BYTES + standing.held_bytes + len(head) + len(body)
        return self._ready.put(key, ready, size, evict=in_place or takes_a_place())


class _Again(web.StreamResponse):
    """A reply whose head is put together already: aiohttp makes each one of a dozen parts."""

    def __init__(self, again: Again) -> None:
        super().__init__(status=again.ready.status)
        self._again = again
        self._closing = False

    @property
    def keep_alive(self) -> bool:
        return not self._closing

    def force_close(self) -> None:
        self._closing = True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        transport.writelines(self._again.parts(given_id(request), closing=self._closing))
        self._writer = request.writer
        return self._writer

    async def write_eof(self, data: bytes = b"") -> None:
        await self._writer.drain()


def _may_be_ready(request: web.Request) -> bool:
    """Whether nothing is special about a request, be it in its message or in its connection."""
    return (
        request.method == hdrs.METH_GET
        and request.keep_alive
        and request.version == HttpVersion11
        and not request.body_exists
    )


def _hash(request: web.Request, headers: list[tuple[bytes, bytes]], address: str) -> bytes:
    """What stands for a request with these headers, and for the address it is from."""
    # None of the parts has a line break in it.
    parts = [f"{address}\n{request.raw_path}".encode(errors="surrogateescape"), *chain(*headers)]
    return hashlib.sha256(b"\n".join(parts)).digest()


def _head(response: web.Response, body: bytes) -> bytes:
    headers = response.headers.copy()
    for name in (REQUEST_ID, hdrs.DATE, hdrs.SERVER, hdrs.CONTENT_LENGTH):
        headers.popall(name, None)
    lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{name}: {value}" for name, value in headers.items())]
    if response.status != 304:
        lines.append(f"{hdrs.CONTENT_LENGTH}: {len(body)}")
    lines.append(f"{hdrs.SERVER}: {SERVER}\r\n")
    return "\r\n".join(lines).encode()
