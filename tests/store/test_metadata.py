"""Rows of metadata in a real Postgres."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from service.model.process import SECOND, Metadata
from service.store import metadata
from service.store.database import Connection, close, connect, connected, migrate

FULL = Metadata(
    app_guid="app",
    type="web",
    labels={"a": "b", "ключ": "значение"},
    annotations={"note": 'quotes " and \\ and \n'},
    log_rate_limit_in_bytes_per_second=2**63 - 1,
    revision_guid="r",
    registry_credential_guid="c",
    registry_credential_last_synced_at=1_700_000_000 * SECOND,
)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    async with connected(database_url, 10) as opened:
        await migrate(opened)
        await opened.execute("TRUNCATE process_metadata")
        yield opened


async def test_row_comes_back_as_written(connection: Connection) -> None:
    stamp = await metadata.write(connection, [FULL])
    rows, known = await metadata.fetch_since(connection, stamp - 1)
    assert known == stamp
    assert [msgspec.structs.replace(row, updated_at=0) for row in rows] == [FULL]
    assert rows[0].updated_at > 1_700_000_000 * SECOND


async def test_nothing_new_is_nothing(connection: Connection) -> None:
    stamp = await metadata.write(connection, [FULL])
    assert await metadata.fetch_since(connection, stamp) == ([], stamp)


async def test_writing_again_replaces_and_never_turns_updated_at_back(connection: Connection) -> None:
    await metadata.write(connection, [FULL])
    await connection.execute("UPDATE process_metadata SET updated_at = now() + interval '1 hour'")
    before = (await metadata.fetch_since(connection, 0))[0][0].updated_at
    await metadata.write(connection, [Metadata(app_guid="app", type="web")])
    (row,), _ = await metadata.fetch_since(connection, 0)
    assert (row.labels, row.revision_guid, row.log_rate_limit_in_bytes_per_second) == ({}, None, -1)
    assert row.updated_at == before


async def test_all_rows_arrive_whatever_their_number(connection: Connection) -> None:
    many = [Metadata(app_guid=f"app-{n}", type="web") for n in range(3 * metadata.CHUNK + 7)]
    for part in range(0, len(many), 50):
        await metadata.write(connection, many[part : part + 50])
    found: list[str] = []
    stamp = 0
    while True:
        rows, stamp = await metadata.fetch_since(connection, stamp)
        if not rows:
            break
        found += [row.app_guid for row in rows]
    assert sorted(found) == sorted(row.app_guid for row in many)


async def test_rows_of_one_transaction_are_never_torn_apart(connection: Connection) -> None:
    many = [Metadata(app_guid=f"app-{n}", type="web") for n in range(2 * metadata.CHUNK)]
    stamp = await metadata.write(connection, many)
    rows, _ = await metadata.fetch_since(connection, stamp - 1)
    assert len(rows) == len(many)


async def test_a_stamp_seen_means_every_lower_one_is_visible(database_url: str, connection: Connection) -> None:
    """The promise reads rest on: the counter's order is the order of commits, with any number of writers."""
    writers = [await connect(database_url, 10) for _ in range(8)]
    done = asyncio.Event()

    async def write(number: int) -> None:
        for turn in range(30):
            await metadata.write(writers[number], [Metadata(app_guid=f"w{number}", type=f"t{turn}")])

    async def watch() -> None:
        start = await connection.fetchval("SELECT value FROM metadata_counter")
        while not done.is_set():
            seen = await connection.fetchval("SELECT max(stamp) FROM process_metadata")
            if seen is not None and seen > start:
                count = await connection.fetchval(
                    "SELECT count(*) FROM process_metadata WHERE stamp > $1 AND stamp <= $2", start, seen
                )
                assert count == seen - start

    watching = asyncio.create_task(watch())
    await asyncio.gather(*map(write, range(8)))
    done.set()
    await watching
    for writer in writers:
        await close(writer)
    assert await connection.fetchval("SELECT count(*) FROM process_metadata") == 240
