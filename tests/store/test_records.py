"""Rows of metadata in a real Postgres."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from service.model.process import Metadata
from service.model.times import SECOND
from service.store import records
from service.store.database import Connection, close, connect, connected, migrate
from service.store.statements import CHUNK

FULL = Metadata(
    namespace="n",
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
    stamp = await records.load(connection, [FULL])
    rows, cursor = await records.fetch_after(connection, (stamp - 1, "", "", ""))
    assert cursor == (stamp, "n", "app", "web")
    assert [msgspec.structs.replace(row.metadata, updated_at=0) for row in rows] == [FULL]
    assert rows[0].metadata.updated_at > 1_700_000_000 * SECOND


async def test_nothing_new_is_nothing(connection: Connection) -> None:
    stamp = await records.load(connection, [FULL])
    behind = (stamp, "n", "app", "web")
    assert await records.fetch_after(connection, behind) == ([], behind)


async def test_writing_again_replaces_and_never_turns_updated_at_back(connection: Connection) -> None:
    await records.load(connection, [FULL])
    await connection.execute("UPDATE process_metadata SET updated_at = now() + interval '1 hour'")
    before = (await records.fetch_after(connection, records.START))[0][0].metadata.updated_at
    await records.load(connection, [Metadata(namespace="n", app_guid="app", type="web")])
    (row,), _ = await records.fetch_after(connection, records.START)
    metadata = row.metadata
    assert (metadata.labels, metadata.revision_guid, metadata.log_rate_limit_in_bytes_per_second) == ({}, None, -1)
    assert metadata.updated_at == before


@pytest.mark.parametrize("at_a_time", [1, 50, 10_000], ids="{} rows a transaction".format)
async def test_all_rows_arrive_once_whatever_their_number(connection: Connection, at_a_time: int) -> None:
    many = [Metadata(namespace="n", app_guid=f"app-{n}", type="web") for n in range(2 * CHUNK + 7)]
    for part in range(0, len(many), at_a_time):
        await records.load(connection, many[part : part + at_a_time])
    found: list[str] = []
    cursor = records.START
    while True:
        rows, cursor = await records.fetch_after(connection, cursor)
        assert len(rows) <= CHUNK
        if not rows:
            break
        found += [row.metadata.app_guid for row in rows]
    assert sorted(found) == sorted(row.app_guid for row in many)


async def test_a_stamp_seen_means_every_lower_one_is_visible(database_url: str, connection: Connection) -> None:
    """The promise reads rest on: the counter's order is the order of commits, with any number of writers."""
    writers = [await connect(database_url, 10) for _ in range(8)]
    done = asyncio.Event()

    async def write(number: int) -> None:
        for turn in range(30):
            await records.load(writers[number], [Metadata(namespace="n", app_guid=f"w{number}", type=f"t{turn}")])

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
