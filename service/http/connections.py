"""The connections of a server, as far as clients keep us waiting: how many, how long, and what they hold meanwhile.

Whoever is waited for uses up patience: the part that has passed of the time they are given. When there is no room left,
be it for a connection or for bytes, those go who have used up most of theirs. So a client that goes on always gets on,
however many others stand still.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from service.errors import CloudFoundryError, RequestTimeout, ServiceUnavailable
from service.settings import Settings
from service.telemetry import get_logger

log = get_logger(__name__)

LOOK_S = 1.0
"""Between looks at all connections: one timer for them all, so that a request costs none."""
_BATCH = 32
"""Connections chosen at a time to make room for others: to look through all for each new one would cost too much."""
_ROOM = 0.9
"""Of the bytes there may be, this part is left when room is made: the same goes for them."""
_GOING_ON = 1 / 30
"""Who has used up less of their patience goes on taking a reply, and loses it only where there is no other way: several
dashboards that ask for a page of all processes at once are no harm."""
_UTMOST = 2
"""So many times the bytes there may be are held for those who go on."""
MANAGEMENT_CONNECTIONS = 64


@dataclass(frozen=True)
class Limits:
    """Of the connections of one server."""

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

    @property
    def taking(self) -> bool:
        """Whether it is a reply that is held for it."""

    def look(self, now: float) -> None:
        """Note what has been sent and taken since the last look, and drop what is not held any more."""

    def patience_used(self, now: float) -> float | None:
        """The part used up of the time the client is given; None while it is not the client who is waited for."""

    def give_up(self, error: CloudFoundryError) -> None:
        """Wait no longer; where a request has come in part, it is answered with the error."""


class Connections:
    """All that are open."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        """`clock` is the event loop's."""
        self.limits = limits
        self._clock = clock
        self._open: set[Waiting] = set()
        self._in_flight = 0
        self._to_close: list[Waiting] = []
        self._given_up: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def full(self) -> bool:
        """Whether more bytes are held than may be, none of which anybody can be asked to give up."""
        return self._in_flight > self.limits.bytes_in_flight

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

    def add(self, connection: Waiting) -> bool:
        """Take in a new connection; False where there is no room and nobody to close for it."""
        if len(self._open) >= self.limits.connections and not self._close_one():
            self._given_up["refused"] += 1
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
        """Give up whom we have waited for longest, where more bytes are held than may be.

        Replies that clients go on taking may be twice as many.
        """
        if self.full:
            self._make_room()

    def _close_one(self) -> bool:
        now = self._clock()
        if not self._to_close:
            self._to_close = [connection for _, connection in self._by_patience(now)[-_BATCH:]]
        while self._to_close:
            chosen = self._to_close.pop()
            # It may have gone on, or have been closed, since it was chosen.
            if chosen in self._open and chosen.patience_used(now) is not None:
                self._give_up(chosen, "for others", _too_much())
                self.remove(chosen)
                return True
        return False

    def _make_room(self) -> None:
        now, most = self._clock(), self.limits.bytes_in_flight * _ROOM
        for connection in self._open:
            connection.look(now)
        going_on: list[Waiting] = []
        for used, connection in reversed(self._by_patience(now)):
            if connection.taking and used < _GOING_ON:
                going_on.append(connection)
            else:
                self._give_up_for_bytes(connection, most)
        for connection in going_on:
            self._give_up_for_bytes(connection, most * _UTMOST)

    def _give_up_for_bytes(self, connection: Waiting, most: float) -> None:
        if self._in_flight > most and connection.in_flight:
            self._give_up(connection, "for bytes", _too_much())

    def _by_patience(self, now: float) -> list[tuple[float, Waiting]]:
        """Those that are waited for and the part of their patience they have used, the most last."""
        used = [(part, each) for each in self._open if (part := each.patience_used(now)) is not None]
        return sorted(used, key=lambda entry: entry[0])

    def _look(self) -> None:
        now = self._clock()
        for connection in list(self._open):
            connection.look(now)
            used = connection.patience_used(now)
            if used is not None and used > 1:
                self._give_up(connection, "too slow", RequestTimeout())
        self.relieve()
        if self._given_up:
            log.info("clients given up", **{why.replace(" ", "_"): count for why, count in self._given_up.items()})
            self._given_up.clear()

    def _give_up(self, connection: Waiting, why: str, error: CloudFoundryError) -> None:
        self._given_up[why] += 1
        connection.give_up(error)


def _too_much() -> ServiceUnavailable:
    return ServiceUnavailable("Too many clients are sending or receiving at the moment", retry_after_s=1)
