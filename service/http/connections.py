"""The connections of a server, as far as clients keep us waiting: how many, how long, and what they hold meanwhile.

Whoever is waited for uses up patience: the part that has passed of the time they are given. When there is no room left,
be it for a connection or for bytes, those go who have used up most of theirs. So a client that goes on always gets on,
however many others stand still.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from service.errors import CloudFoundryError, RequestTimeout, ServiceUnavailable
from service.http.throttle import UNWANTED_PER_S, WANTED_PER_S, Throttle
from service.settings import Settings
from service.telemetry import get_logger

log = get_logger(__name__)

LOOK_S = 1.0
"""Between looks at all connections: one timer for them all, so that a request costs none."""
_BATCH = 32
"""Connections chosen at a time to make room for others: to look through all for each new one would cost too much."""
_CALM_S = 0.1
"""Between looks for those who stand still, so that many bytes do not mean many looks."""
_GLANCES = 50
"""How often it is looked whether clients may be about to send."""
MANAGEMENT_CONNECTIONS = 64
IN_USE_S = 1.0
"""A client that was answered no longer ago may be about to send its next request."""
REASONS = ("refused", "for others", "for bytes", "too slow")
"""Why clients are given up: there is no room for one more, others need the room or the bytes, or it takes too long."""


@dataclass(frozen=True)
class Limits:
    """What the connections of one server may take, in number, bytes and time."""

    connections: int
    bytes_in_flight: int
    head_s: float
    body_s: float
    send_s: float
    idle_s: float

    @classmethod
    def of(cls, settings: Settings, *, connections: int | None = None) -> "Limits":
        """As settings have them; with another number of connections, where one is given."""
        return cls(
            connections=connections or settings.max_connections,
            bytes_in_flight=settings.max_bytes_in_flight,
            head_s=settings.head_timeout_s,
            body_s=settings.body_timeout_s,
            send_s=settings.send_timeout_s,
            idle_s=settings.idle_timeout_s,
        )


class Waiting(Protocol):
    """A connection, as its client may keep us waiting."""

    @property
    def in_flight(self) -> int:
        """Bytes held for it: of what it has begun to send, and of a reply it has not taken."""

    def look(self, now: float) -> None:
        """Note what has been sent and taken since the last look, and drop what is not held any more."""

    def patience_used(self, now: float) -> float | None:
        """The part used up of the time the client is given; None while it is not the client who is waited for."""

    def is_taking(self, now: float) -> bool:
        """Whether the client is taking a reply, and has not long stood still: however large it is, it soon is gone."""

    def expects_more(self, now: float) -> bool:
        """Whether a request is likely to come on it: the last was answered a moment ago."""

    def give_up(self, error: CloudFoundryError) -> None:
        """Wait no longer; where a request has come in part, it is answered with the error."""


class Connections:
    """All that are open."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        """`clock` is the event loop's."""
        self.limits = limits
        self._clock = clock
        self.wanted = Throttle(WANTED_PER_S, clock)
        """Large bodies, by the person who sends them."""
        self.unwanted = Throttle(UNWANTED_PER_S, clock)
        """What comes of bodies after the reply, of all clients together: it is thrown away."""
        self.draining = False
        """Whether each connection is to be closed with its next reply, which says so."""
        self._open: set[Waiting] = set()
        self._in_flight = 0
        self._relieved_at = float("-inf")
        self._to_close: list[Waiting] = []
        self._given_up: Counter[str] = Counter()
        """Since the last line in the log."""
        self.given_up: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        """Clients that were not waited for any longer, by why."""

    def __len__(self) -> int:
        return len(self._open)

    @property
    def in_flight(self) -> int:
        """Bytes held for all clients: of what they have begun to send, and of replies they have not taken."""
        return self._in_flight

    @property
    def full(self) -> bool:
        """Whether as many bytes are held as may be."""
        return self._in_flight > self.limits.bytes_in_flight

    @property
    def crowded(self) -> bool:
        """Whether half as many are, so that nobody can be waited for who stands still."""
        return self._in_flight > self.limits.bytes_in_flight // 2

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Keep to the deadlines for the length of a block."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(LOOK_S, lambda: look())

        def look() -> None:
            nonlocal timer
            self._look()
            timer = loop.call_later(LOOK_S, look)

        try:
            yield
        finally:
            timer.cancel()

    async def drain(self) -> None:
        """Have each closed with its next reply, and wait for that while clients may be about to send."""
        self.draining = True
        for _ in range(_GLANCES):
            now = self._clock()
            if not any(each.expects_more(now) for each in self._open):
                return
            await asyncio.sleep(IN_USE_S / _GLANCES)

    def add(self, connection: Waiting) -> bool:
        """Take in a new connection; False where there is no room and nobody to close for it."""
        if len(self._open) >= self.limits.connections and not self._close_one():
            self._count_given_up("refused")
            return False
        self._open.add(connection)
        return True

    def remove(self, connection: Waiting) -> None:
        """Forget a connection that is closed, or as good as."""
        self._open.discard(connection)

    def moved(self, change: int) -> None:
        """Count so many bytes more, or less, that a connection holds."""
        self._in_flight += change

    def relieve(self) -> None:
        """Give up who stands still, where it is crowded; and whom we have waited for longest, where it is full."""
        if not self.crowded:
            return
        now = self._clock()
        if self.full or now >= self._relieved_at + _CALM_S:
            self._relieved_at = now
            self._make_room(now)

    def _close_one(self) -> bool:
        now = self._clock()
        if not self._to_close:
            self._to_close = self._by_patience(now)[-_BATCH:]
        while self._to_close:
            chosen = self._to_close.pop()
            # It may have gone on, or have been closed, since it was chosen.
            if chosen in self._open and chosen.patience_used(now) is not None:
                self._give_up(chosen, "for others", _too_much())
                self.remove(chosen)
                return True
        return False

    def _make_room(self, now: float) -> None:
        for connection in self._open:
            connection.look(now)
        for connection in reversed(self._by_patience(now)):
            if not self.crowded:
                break
            if connection.in_flight and (self.full or not connection.is_taking(now)):
                self._give_up(connection, "for bytes", _too_much())

    def _by_patience(self, now: float) -> list[Waiting]:
        """Those that are waited for, the most patience used last."""
        used = [(part, each) for each in self._open if (part := each.patience_used(now)) is not None]
        return [each for _, each in sorted(used, key=lambda entry: entry[0])]

    def _look(self) -> None:
        self.relieve()
        now = self._clock()
        for connection in list(self._open):
            connection.look(now)
            used = connection.patience_used(now)
            if used is not None and used > 1:
                self._give_up(connection, "too slow", RequestTimeout())
        if self._given_up:
            log.info("clients given up", **{why.replace(" ", "_"): count for why, count in self._given_up.items()})
            self._given_up.clear()

    def _count_given_up(self, why: str) -> None:
        self._given_up[why] += 1
        self.given_up[why] += 1

    def _give_up(self, connection: Waiting, why: str, error: CloudFoundryError) -> None:
        self._count_given_up(why)
        connection.give_up(error)


def _too_much() -> ServiceUnavailable:
    return ServiceUnavailable("Too many clients are sending or receiving at the moment", retry_after_s=1)


class Traffic:
    """The connections of the API's server, for whoever wants to know of them while it serves."""

    def __init__(self) -> None:
        self._connections: Connections | None = None

    def follow(self, connections: Connections) -> None:
        """Tell of these from now on."""
        self._connections = connections

    def drain(self) -> None:
        """Have each connection closed with its next reply, from now on."""
        if self._connections is not None:
            self._connections.draining = True

    @property
    def open(self) -> int:
        return 0 if self._connections is None else len(self._connections)

    @property
    def in_flight(self) -> int:
        """Bytes."""
        return 0 if self._connections is None else self._connections.in_flight

    @property
    def given_up(self) -> Mapping[str, int]:
        """Clients that were not waited for any longer, by why."""
        return {} if self._connections is None else self._connections.given_up
