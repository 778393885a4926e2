"""The mirror: all rows in memory, provably as new as Postgres at the moment a read asks.

Every write stamps its rows with a counter whose order is the order of commits (migration 0001). So "which rows are
above the highest stamp I know?" has the answer "none" exactly when the mirror is up to date, and otherwise the answer
is what is missing: one indexed probe both asks and repairs. A read needs a probe that *began* after the read did; all
reads that arrive while one is under way share the next (etcd's ReadIndex, for Postgres).

When Postgres is away, reads are told so at once and go on with what is known, while the mirror reconnects by itself.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Protocol

from service.model.process import Key
from service.model.record import Record
from service.model.texts import LONGEST_NAME, shortened
from service.pacing import Pace
from service.store import records, statements
from service.store.counter import ensure_counter
from service.store.database import (
    Connection,
    DatabaseUnavailable,
    SchemaMismatch,
    close,
    connect,
    migrate,
    translated,
)
from service.telemetry import get_logger

log = get_logger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 2.0
"""Between attempts to connect. The goal is to be in step two seconds after Postgres answers again."""
FLOCK_TURNS = 6
"""Turns of the event loop for which a question waits for readers to share it: of eight nearly all do."""
IDLE_PROBE_S = 5.0
"""How often to look for rows, and for Postgres, while nobody reads."""


class Consumer(Protocol):
    """Where rows go. What returns an iterable has begun its work when it returns; the steps are what is left of it."""

    def ask(self) -> None:
        """Postgres is about to be asked for what is new."""

    def put(self, record: Record) -> None:
        """The row is new or may have changed."""

    def retain(self, keys: Set[Key]) -> Iterable[None]:
        """All rows have been put: forget, step by step, those of other processes."""

    def answer(self) -> Iterable[None]:
        """All rows of the answer have been put: who asked before it may look."""

    def lose(self) -> Iterable[None]:
        """Postgres is away."""


@dataclass
class MirrorState:
    synced: bool = False
    """All rows have been read, once."""
    connected: bool = False
    failure: str = "not started"
    """Why it is not connected now; empty while it is."""
    unreadable: Mapping[Key, str] = field(default_factory=dict)
    """Why rows are skipped that cannot be understood, by the process they are of. Each is as good as none."""
    breaks: int = 0
    """How often it has ceased to be connected."""
    probes: int = 0
    """Questions for what has been written since, as opposed to reading everything."""


class Mirror:
    def __init__(
        self,
        database_url: str,
        consumer: Consumer,
        *,
        timeout_s: float,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._database_url = database_url
        self._consumer = consumer
        self._timeout_s = timeout_s
        self._on_change = on_change
        self._under_way: list[asyncio.Future[bool]] = []
        """The futures of those who wait for the probe that is under way."""
        self._next: list[asyncio.Future[bool]] = []
        self._wanted = asyncio.Event()
        self._cursor = records.START
        self._pace = Pace()
        self._unreadable: dict[Key, str] = {}
        self.state = MirrorState(unreadable=self._unreadable)

    @property
    def reached(self) -> int:
        """The stamp up to which all rows have been put."""
        return self._cursor[0]

    async def catch_up(self) -> bool:
        """True: the consumer now has every row committed before this call. False: Postgres is away, and it may not."""
        if not self.state.connected:
            return False
        # Each has a future of its own: one reader who goes away must not cancel it for the others.
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._next.append(answer)
        self._wanted.set()
        return await answer

    async def run(self) -> None:
        """Stay connected and answer `catch_up` until cancelled."""
        pause = FIRST_PAUSE_S
        try:
            while True:
                try:
                    connection = await connect(self._database_url, self._timeout_s)
                    try:
                        await migrate(connection)
                        await self._read_all(connection)
                        pause = FIRST_PAUSE_S
                        self._connected()
                        await self._serve(connection)
                    finally:
                        # First of all let go those who wait: closing may take its time.
                        self._disconnected()
                        await close(connection)
                except DatabaseUnavailable as error:
                    self.state.failure = error.reason
                except SchemaMismatch as error:
                    self.state.failure = str(error)
                except records.CounterDamaged:
                    self.state.failure = "the counter of writes was removed or turned back"
                except Exception as error:
                    # A defect of ours must not end the mirror in silence.
                    self.state.failure = f"{type(error).__name__} in the service"
                    log.exception("metadata mirror failed")
                await self._pace.run(self._consumer.lose())
                log.warning("metadata store away", reason=self.state.failure, pause_s=round(pause, 2))
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, LONGEST_PAUSE_S)
        finally:
            self._disconnected()

    async def _serve(self, connection: Connection) -> None:
        """Probe when somebody waits, and now and then. Ends by raising."""
        loop = asyncio.get_running_loop()
        shared = False
        while True:
            idle = loop.call_later(IDLE_PROBE_S, self._wanted.set)
            try:
                await self._wanted.wait()
            finally:
                idle.cancel()
            if shared:
                # Requests come in flocks: those that the loop is reading now may still join this probe.
                for _ in range(FLOCK_TURNS):
                    await asyncio.sleep(0)
            # Whoever comes from here on joins the next probe: this one may have looked before their write.
            self._wanted.clear()
            self._under_way, self._next = self._next, []
            shared = len(self._under_way) > 1
            self.state.probes += 1
            await self._fetch(connection)
            await self._pace.run(self._consumer.answer())
            _answer(self._under_way, True)

    async def _read_all(self, connection: Connection) -> None:
        # From the start, also after a short absence: what comes back may be another database, or an older backup.
        self._cursor = records.START
        with translated():
            await ensure_counter(connection)
        keys: set[Key] = set()
        await self._fetch(connection, keys)
        for key in self._unreadable.keys() - keys:
            del self._unreadable[key]
        await self._pace.run(self._consumer.retain(keys))
        await self._pace.run(self._consumer.answer())

    async def _fetch(self, connection: Connection, keys: set[Key] | None = None) -> None:
        """Put every row behind the cursor, and note whose they were in `keys`."""
        self._consumer.ask()
        while True:
            rows, self._cursor = await records.fetch_after(connection, self._cursor)
            for row in rows:
                self._note(row)
                self._consumer.put(row)
                if keys is not None:
                    keys.add(row.key)
                await self._pace.breathe()
            if len(rows) < statements.CHUNK:
                return

    def _note(self, row: Record) -> None:
        """Keep in mind whether the row can be understood, and say so once."""
        reason = row.metadata.unreadable
        if reason is None:
            self._unreadable.pop(row.key, None)
        elif self._unreadable.get(row.key) != reason:
            self._unreadable[row.key] = reason
            namespace, app_guid, process_type = (shortened(each, LONGEST_NAME) for each in row.key)
            log.warning(
                "row of metadata skipped",
                namespace=namespace,
                app_guid=app_guid,
                process_type=process_type,
                reason=reason,
            )

    def _connected(self) -> None:
        self.state.connected = True
        self.state.failure = ""
        if not self.state.synced:
            self.state.synced = True
            log.info("metadata read", stamp=self._cursor[0])
        self._on_change()

    def _disconnected(self) -> None:
        if self.state.connected:
            self.state.connected = False
            self.state.breaks += 1
            self._on_change()
        _answer(self._under_way, False)
        _answer(self._next, False)
        self._wanted.clear()


def _answer(waiting: list[asyncio.Future[bool]], answer: bool) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(answer)
    waiting.clear()
