"""How many requests one caller may make in a while, and how many without a valid token one address may.

Counted in this process: of each replica a caller may ask as much.
"""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache

from aiohttp import web

from service.errors import (
    AddressRateLimitExceeded,
    RateLimitExceeded,
)
from service.http.proxies import client_address

CAPACITY = 50_000
"""Callers, and addresses, that are counted at a time: some 10 MB of each. Beyond, the oldest start anew."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where someone stands in their window."""

    remaining: int
    ends_in_s: float
    exceeded: bool
    """There was nothing left for this request."""


@dataclass(slots=True)
class _Window:
    ends_at: float
    requests: int = 0


class Windows:
    """Requests by who makes them, in windows of one length; each begins with its first request."""

    def __init__(self, most: int, length_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._length_s = length_s
        self._clock = clock
        # Of one length, they end in the order in which they began.
        self._windows: OrderedDict[Hashable, _Window] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    def take(self, key: Hashable) -> Standing:
        """Count a request, if one is left."""
        now = self._end_old()
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) >= CAPACITY:
                self._windows.popitem(last=False)
            window = self._windows[key] = _Window(now + self._length_s)
        exceeded = window.requests >= self._most
        window.requests += not exceeded
        return Standing(self._most - window.requests, window.ends_at - now, exceeded)

    def exhausted(self, key: Hashable) -> Standing | None:
        """Where someone stands who has nothing left."""
        now = self._end_old()
        window = self._windows.get(key)
        if window is None or window.requests < self._most:
            return None
        return Standing(0, window.ends_at - now, exceeded=True)

    def _end_old(self) -> float:
        now = self._clock()
        while self._windows and next(iter(self._windows.values())).ends_at <= now:
            self._windows.popitem(last=False)
        return now


STANDING = web.RequestKey("standing", Standing)


class RateLimits:
    """Admits callers, and tells them how much is left to them."""

    def __init__(self, requests: int, window_s: float, *, trusted_proxies: tuple[str, ...]) -> None:
        self._requests = requests
        self._trusted_proxies = trusted_proxies
        self._callers = Windows(requests, window_s)
        self._addresses = Windows(requests, window_s)

    def require_room(self, request: web.Request, is_known: Callable[[], bool]) -> None:
        """Raises AddressRateLimitExceeded where the address has sent too much without a valid token.

        Whoever was let in before (`is_known`) is not shut out by what others try from behind the same address.
        """
        exhausted = self._addresses.exhausted(self._address(request))
        if exhausted and not is_known():
            request[STANDING] = exhausted
            raise AddressRateLimitExceeded(retry_after_s=_retry_after_s(exhausted))

    def count_refusal(self, request: web.Request) -> None:
        """Count a request without a valid token against its address."""
        request[STANDING] = self._addresses.take(self._address(request))

    def count(self, request: web.Request, person: bytes) -> None:
        """Count a request of a caller (Caller.person). Raises RateLimitExceeded where none was left."""
        standing = request[STANDING] = self._callers.take(person)
        if standing.exceeded:
            raise RateLimitExceeded(retry_after_s=_retry_after_s(standing))

    def has_room(self, person: bytes) -> bool:
        """Whether `count` would not raise. It counts nothing."""
        return self._callers.exhausted(person) is None

    def take(self, person: bytes) -> Standing | None:
        """Count a request of a caller who has one left; None: they have not."""
        standing = self._callers.take(person)
        return None if standing.exceeded else standing

    def _address(self, request: web.Request) -> str:
        return _counted(client_address(request, self._trusted_proxies))

    async def tell(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the headers of whoever was counted; to be called when a reply is about to be sent."""
        if standing := request.get(STANDING):
            response.headers.update(self.headers(standing))

    def headers(self, standing: Standing) -> dict[str, str]:
        """What tells somebody how much is left to them."""
        return {
            "X-RateLimit-Limit": str(self._requests),
            "X-RateLimit-Remaining": str(standing.remaining),
            "X-RateLimit-Reset": str(math.ceil(time.time() + standing.ends_in_s)),
        }


def _retry_after_s(standing: Standing) -> int:
    return math.ceil(standing.ends_in_s)


@lru_cache(maxsize=1024)
def _counted(address: str) -> str:
    """What is counted as one address: of IPv6 a /64, which is the least that anyone is given, and so as good as one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:45]
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(parsed.ipv4_mapped or ipaddress.IPv6Network((parsed, 64), strict=False))
