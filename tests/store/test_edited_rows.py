"""Rows and a counter that somebody has edited: they are skipped or put right, and no other row is the worse for it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import msgspec
import pytest

from service.errors import MetadataUnreadable
from service.model.process import Key, Metadata
from service.model.record import Record
from service.store import records
from service.store.database import Connection, Pool, connected, migrate
from service.store.mirror import Mirror
from service.store.records import Records
from tests.store.test_mirror import Rows
from tests.support.edits import COUNTER_EDITS, ROW_EDITS, allow_everything
from tests.support.kube import eventually

EDITED: Key = ("n", "edited", "web")
OTHER: Key = ("n", "other", "web")


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    async with connected(database_url, 10) as opened:
        await opened.execute("DROP TABLE IF EXISTS process_metadata, metadata_counter, schema_migration")
        await migrate(opened)
        await records.load(opened, [_row(EDITED, "before"), _row(OTHER, "before")])
        yield opened


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    opened = await Pool.open(database_url, size=4, timeout_s=5)
    yield opened
    await opened.close()


def _row(key: Key, turn: str) -> Metadata:
    return Metadata(namespace=key[0], app_guid=key[1], type=key[2], labels={"turn": turn})


def _turn(turn: str) -> Callable[[Record, int], Record]:
    def change(record: Record, _now: int) -> Record:
        return msgspec.structs.replace(record, metadata=msgspec.structs.replace(record.metadata, labels={"turn": turn}))

    return change


async def _edit(connection: Connection, assignment: str) -> None:
    """As a script does that changes a row and means replicas to notice."""
    await allow_everything(connection)
    async with connection.transaction():
        stamp = await connection.fetchval("UPDATE metadata_counter SET value = value + 1 RETURNING value")
        statement = f"UPDATE process_metadata SET {assignment}, stamp = {stamp} WHERE app_guid = 'edited'"  # noqa: S608
        assert await connection.execute(statement) == "UPDATE 1"


@asynccontextmanager
async def _replica(url: str) -> AsyncIterator[tuple[Mirror, Rows]]:
    rows = Rows()
    mirror = Mirror(url, rows, timeout_s=5)
    task = asyncio.create_task(mirror.run())

    async def is_synced() -> bool:
        return mirror.state.synced

    try:
        await eventually(is_synced)
        yield mirror, rows
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


edits = pytest.mark.parametrize("assignment", ROW_EDITS.values(), ids=ROW_EDITS.keys())


@edits
async def test_a_row_that_cannot_be_understood_is_skipped_and_named(
    database_url: str, connection: Connection, pool: Pool, assignment: str
) -> None:
    async with _replica(database_url) as (mirror, rows):
        await _edit(connection, assignment)
        assert await mirror.catch_up()
        async with _replica(database_url) as (new, new_rows):
            for each, seen in ((mirror, rows), (new, new_rows)):
                assert list(each.state.unreadable) == [EDITED]
                assert seen.by_key[EDITED] == msgspec.structs.replace(
                    _row(EDITED, ""), labels={}, unreadable=each.state.unreadable[EDITED]
                )
            # What others write is seen as if nothing had happened.
            await Records(pool).change(OTHER, _turn("after"))
            for each, seen in ((mirror, rows), (new, new_rows)):
                assert await each.catch_up()
                assert seen.by_key[OTHER].labels == {"turn": "after"}
                assert each.state.connected


@edits
async def test_it_is_not_overwritten_and_not_in_the_way_of_others(
    connection: Connection, pool: Pool, assignment: str
) -> None:
    await _edit(connection, assignment)
    before = await connection.fetchrow("SELECT md5(row::text) FROM process_metadata AS row WHERE app_guid = 'edited'")
    with pytest.raises(MetadataUnreadable):
        await Records(pool).change(EDITED, _turn("lost"))
    changed = await Records(pool).change_all([EDITED, OTHER], _turn("after"))
    assert [(each.key, each.metadata.labels) for each in changed] == [(OTHER, {"turn": "after"})]
    after = await connection.fetchrow("SELECT md5(row::text) FROM process_metadata AS row WHERE app_guid = 'edited'")
    assert after == before


@edits
async def test_what_kubernetes_was_asked_to_do_is_noted_all_the_same(
    connection: Connection, pool: Pool, assignment: str
) -> None:
    await _edit(connection, assignment)
    noted = await Records(pool).note(EDITED, deployment_version=77)
    assert (noted.key, noted.deployment_version) == (EDITED, 77)
    # A version is replaced, be it wrong or not; nothing else is touched.
    assert noted.metadata.labels == (
        {"turn": "before"} if assignment.startswith(("deployment_version", "pod_version")) else {}
    )


async def test_a_row_that_was_mended_is_read_again(database_url: str, connection: Connection, pool: Pool) -> None:
    async with _replica(database_url) as (mirror, rows):
        await _edit(connection, "labels = '[]'")
        assert await mirror.catch_up()
        assert list(mirror.state.unreadable) == [EDITED]
        await _edit(connection, """labels = '{"turn": "mended"}'""")
        assert await mirror.catch_up()
        assert not mirror.state.unreadable
        assert rows.by_key[EDITED].labels == {"turn": "mended"}
        await Records(pool).change(EDITED, _turn("changed"))


@pytest.mark.parametrize("statement", COUNTER_EDITS.values(), ids=COUNTER_EDITS.keys())
@pytest.mark.parametrize("first", ["a write", "a read"])
async def test_a_counter_that_was_edited_is_put_right(
    database_url: str, connection: Connection, pool: Pool, statement: str, first: str
) -> None:
    async with _replica(database_url) as (mirror, rows), _replica(database_url) as (second, second_rows):
        await allow_everything(connection)
        await connection.execute(statement)
        if first == "a read":
            await mirror.catch_up()
            await second.catch_up()
        for turn in range(3):
            key = (OTHER, EDITED)[turn % 2]

            await Records(pool).change(key, _turn(str(turn)))
            for each, seen in ((mirror, rows), (second, second_rows)):

                async def is_current(each: Mirror = each) -> bool:
                    return await each.catch_up()

                await eventually(is_current)
                assert seen.by_key[key].labels == {"turn": str(turn)}


@pytest.mark.parametrize("assignment", ROW_EDITS.values(), ids=ROW_EDITS.keys())
async def test_the_schema_refuses_what_it_can(connection: Connection, assignment: str) -> None:
    """What is in the JSON, and how large it is, is not looked at there."""
    unchecked = ("labels = '{", "annotations = '{", "pending = '{", "labels = jsonb", "slots = ARRAY")
    if assignment.startswith(unchecked):
        return
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await connection.execute(f"UPDATE process_metadata SET {assignment} WHERE app_guid = 'edited'")  # noqa: S608
