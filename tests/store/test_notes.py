"""Versions that writes leave in Postgres, many at a time and beside other changes of the same rows."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from service.model.process import MetadataChange
from service.model.record import Record, changed
from service.store.database import Pool, connected, migrate
from service.store.records import START, Known, Records, fetch_after

KEYS = [("n", "app", "web"), ("n", "app", "worker")]


@pytest.fixture
async def rows(database_url: str) -> AsyncIterator[Records]:
    async with connected(database_url, 10) as connection:
        await migrate(connection)
        await connection.execute("TRUNCATE process_metadata")
    pool = await Pool.open(database_url, size=8, timeout_s=10)
    yield Records(pool)
    await pool.close()


async def stored(database_url: str) -> list[Record]:
    async with connected(database_url, 10) as connection:
        return (await fetch_after(connection, START))[0]


async def test_note_makes_a_row_and_then_raises_its_versions(rows: Records, database_url: str) -> None:
    first = await rows.note(KEYS[0], deployment_version=7)
    second = await rows.note(KEYS[0], pod_version=5)
    assert (second.deployment_version, second.pod_version) == (7, 5)
    assert first.stamp < second.stamp
    assert await stored(database_url) == [second]


async def test_earlier_version_does_not_take_back_a_later_one(rows: Records) -> None:
    await rows.note(KEYS[0], deployment_version=7, pod_version=7)
    noted = await rows.note(KEYS[0], deployment_version=6, pod_version=0)
    assert (noted.deployment_version, noted.pod_version) == (7, 7)


async def test_what_others_change_while_a_change_is_thought_out_is_in_it(rows: Records, database_url: str) -> None:
    await rows.note(KEYS[0], deployment_version=7)
    asked: list[Record] = []

    async def meanwhile() -> None:
        pool = await Pool.open(database_url, size=1, timeout_s=10)
        await Records(pool).note(KEYS[0], pod_version=9)
        await pool.close()

    def think(record: Record, now: int) -> Record:
        if not asked:
            # In a thread of its own: this function cannot wait.
            with ThreadPoolExecutor(1) as pool:
                pool.submit(asyncio.run, meanwhile()).result()
        asked.append(record)
        return changed(record, MetadataChange(labels={"a": "b"}), now)

    done = await rows.change(KEYS[0], think)
    assert [record.pod_version for record in asked] == [0, 9]
    assert (done.deployment_version, done.pod_version, done.metadata.labels) == (7, 9, {"a": "b"})
    assert await stored(database_url) == [done]


async def test_what_others_change_after_a_row_was_known_is_in_it(rows: Records, database_url: str) -> None:
    known = Known(await rows.note(KEYS[0], deployment_version=7), 1)
    await rows.note(KEYS[0], pod_version=9)
    done = await rows.change(KEYS[0], lambda row, now: changed(row, MetadataChange(labels={"a": "b"}), now), known)
    assert (done.deployment_version, done.pod_version, done.metadata.labels) == (7, 9, {"a": "b"})
    assert await stored(database_url) == [done]


async def test_row_that_is_as_it_was_known_is_changed_without_being_read(rows: Records, database_url: str) -> None:
    known = Known(await rows.note(KEYS[0], deployment_version=7), 1)
    times: list[int] = []

    def change(record: Record, now: int) -> Record:
        times.append(now)
        return changed(record, MetadataChange(labels={"a": "b"}), now)

    done = await rows.change(KEYS[0], change, known)
    # Had it been read, the time would be Postgres'.
    assert times == [1]
    assert await stored(database_url) == [done]


async def test_row_that_is_gone_since_it_was_known_is_made_again(rows: Records, database_url: str) -> None:
    known = Known(await rows.note(KEYS[0], deployment_version=7), 1)
    async with connected(database_url, 10) as connection:
        await connection.execute("DELETE FROM process_metadata")
    done = await rows.change(KEYS[0], lambda row, now: changed(row, MetadataChange(labels={"a": "b"}), now), known)
    assert (done.deployment_version, done.metadata.labels) == (0, {"a": "b"})
    assert await stored(database_url) == [done]


async def test_notes_and_changes_at_once_lose_nothing_and_wait_in_no_circle(rows: Records, database_url: str) -> None:
    def labelled(n: int, record: Record, now: int) -> Record:
        return changed(record, MetadataChange(labels={f"label-{n % 40}": "x"}), now)

    async def write(n: int) -> list[Record]:
        key = KEYS[n % 2]
        match n % 3:
            case 0:
                return [await rows.note(key, deployment_version=n)]
            case 1:
                return [await rows.change(key, lambda record, now: labelled(n, record, now))]
            case _:
                return await rows.change_all(KEYS, lambda record, now: numbered(record, n))

    def numbered(record: Record, n: int) -> Record:
        return msgspec.structs.replace(record, slots=(*record.slots, f"pod-{n}"))

    written = [record for records in await asyncio.gather(*(write(n) for n in range(120))) for record in records]
    for key, last in zip(KEYS, (114, 117), strict=True):
        (found,) = [record for record in await stored(database_url) if record.key == key]
        assert found.deployment_version == last
        assert len(found.slots) == 40
        assert len(found.metadata.labels) == 20
        assert found.stamp == max(record.stamp for record in written if record.key == key)
