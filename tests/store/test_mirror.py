"""The mirror against a real Postgres: as new as asked for, and honest about when it is not."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Set
from contextlib import asynccontextmanager

from service.model.process import Key, Metadata
from service.model.record import Record
from service.store import records
from service.store.database import connect, connected
from service.store.mirror import Mirror
from tests.support.kube import eventually


class Rows:
    """What a mirror has been told."""

    def __init__(self) -> None:
        self.by_key: dict[Key, Metadata] = {}

    def put(self, record: Record) -> None:
        self.by_key[record.key] = record.metadata

    def retain(self, keys: Set[Key]) -> Iterable[None]:
        self.by_key = {key: row for key, row in self.by_key.items() if key in keys}
        return ()

    def ask(self) -> None:
        pass

    def answer(self) -> Iterable[None]:
        return ()

    def lose(self) -> Iterable[None]:
        return ()


@asynccontextmanager
async def mirrored(url: str) -> AsyncIterator[tuple[Mirror, Rows]]:
    rows = Rows()
    mirror = Mirror(url, rows, timeout_s=2)
    task = asyncio.create_task(mirror.run())

    async def connected_now() -> bool:
        return mirror.state.connected

    try:
        await eventually(connected_now)
        yield mirror, rows
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_catching_up_shows_every_write_committed_before(database_url: str) -> None:
    async with mirrored(database_url) as (mirror, rows), connected(database_url, 5) as connection:
        for turn in range(50):
            await records.load(
                connection, [Metadata(namespace="n", app_guid="a", type="web", labels={"turn": str(turn)})]
            )
            assert await mirror.catch_up()
            assert rows.by_key["n", "a", "web"].labels == {"turn": str(turn)}


async def test_holds_under_many_writers_and_readers_at_once(database_url: str) -> None:
    """Each writer reads its own write through the mirror at once; all share probes; none may miss its own."""
    async with mirrored(database_url) as (mirror, rows):

        async def write_and_read(writer: int) -> None:
            connection = await connect(database_url, 5)
            for turn in range(25):
                row = Metadata(namespace="n", app_guid=f"w{writer}", type="web", labels={"turn": str(turn)})
                await records.load(connection, [row])
                assert await mirror.catch_up()
                assert rows.by_key["n", f"w{writer}", "web"].labels == {"turn": str(turn)}
            await connection.close()

        await asyncio.gather(*map(write_and_read, range(10)))


async def test_a_reader_who_goes_away_takes_nobody_along(database_url: str) -> None:
    async with mirrored(database_url) as (mirror, _):
        leaver = asyncio.create_task(mirror.catch_up())
        stayers = [asyncio.create_task(mirror.catch_up()) for _ in range(5)]
        await asyncio.sleep(0)
        leaver.cancel()
        assert await asyncio.gather(*stayers) == [True] * 5


async def test_connection_ended_by_the_server_is_made_anew(database_url: str) -> None:
    async with mirrored(database_url) as (mirror, rows), connected(database_url, 5) as connection:
        for turn in range(3):
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await records.load(
                connection, [Metadata(namespace="n", app_guid="t", type="web", labels={"turn": str(turn)})]
            )

            async def current() -> bool:
                return await mirror.catch_up()

            await eventually(current)
            assert rows.by_key["n", "t", "web"].labels == {"turn": str(turn)}


async def test_readers_under_way_are_told_when_the_connection_goes(database_url: str) -> None:
    async with mirrored(database_url) as (mirror, _), connected(database_url, 5) as connection:
        await connection.execute("BEGIN; LOCK TABLE process_metadata IN ACCESS EXCLUSIVE MODE")
        # The probe now hangs on the lock, until its timeout: readers must not hang with it for ever.
        assert await asyncio.wait_for(mirror.catch_up(), 10) is False
        await connection.execute("ROLLBACK")


async def test_stopping_is_not_held_up_by_a_connection_that_will_not_close(database_url: str) -> None:
    """The end may come while the mirror is busy closing: it must not take the cancellation for a closing error."""
    for delay_s in (0.0, 0.3, 0.6, 0.9, 1.2):
        async with connected(database_url, 5) as connection:
            mirror = Mirror(database_url, Rows(), timeout_s=0.5)
            task = asyncio.create_task(mirror.run())

            async def connected_now(mirror: Mirror = mirror) -> bool:
                return mirror.state.connected

            await eventually(connected_now)
            await connection.execute("BEGIN; LOCK TABLE process_metadata IN ACCESS EXCLUSIVE MODE")
            waiting = asyncio.create_task(mirror.catch_up())
            await asyncio.sleep(delay_s)
            task.cancel()
            done, _ = await asyncio.wait({task}, timeout=3)
            assert done
            assert await waiting in (True, False)
            await connection.execute("ROLLBACK")


async def test_older_backup_put_in_place_is_read_as_what_it_is(database_url: str) -> None:
    async with mirrored(database_url) as (mirror, rows), connected(database_url, 5) as connection:
        await records.load(
            connection,
            [
                Metadata(namespace="n", app_guid="gone", type="web"),
                Metadata(namespace="n", app_guid="kept", type="web"),
            ],
        )
        assert await mirror.catch_up()
        await connection.execute("DELETE FROM process_metadata WHERE app_guid = 'gone'")
        await connection.execute("UPDATE metadata_counter SET value = 1; UPDATE process_metadata SET stamp = 1")
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

        async def reread() -> bool:
            return await mirror.catch_up() and ("n", "gone", "web") not in rows.by_key

        await eventually(reread)
        await records.load(
            connection, [Metadata(namespace="n", app_guid="kept", type="web", labels={"after": "restore"})]
        )
        assert await mirror.catch_up()
        assert rows.by_key["n", "kept", "web"].labels == {"after": "restore"}
