"""Rows of processes that are gone, in a real Postgres: what is marked, cleared and removed, and what must not be."""

import asyncio
from collections.abc import AsyncIterator, Callable, Set
from typing import Any

import msgspec
import pytest

from service.model.process import Key, Metadata
from service.operations.pruning import Survey, chunks, plan, prune, survey
from service.store import records
from service.store.database import Connection, Pool, connected, migrate
from service.store.orphans import PRUNE_LOCK, Orphans
from service.store.records import Records
from service.store.statements import CHUNK
from tests.store.test_mirror import mirrored

GONE: Key = ("n", "gone", "web")
THERE: Key = ("n", "there", "web")
DAYS = 30.0


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    async with connected(database_url, 10) as opened:
        await migrate(opened)
        await opened.execute("TRUNCATE process_metadata")
        yield opened


@pytest.fixture
async def pool(database_url: str, connection: Connection) -> AsyncIterator[Pool]:
    opened = await Pool.open(database_url, size=4, timeout_s=10)
    yield opened
    await opened.close()


@pytest.fixture
async def rows(pool: Pool, connection: Connection) -> Orphans:
    await records.load(connection, [row(GONE), row(THERE)])
    return Orphans(pool)


def row(key: Key) -> Metadata:
    namespace, app_guid, process_type = key
    return Metadata(namespace=namespace, app_guid=app_guid, type=process_type, labels={"a": "b"})


def only(*keys: Key) -> Callable[[Key], bool]:
    return lambda key: key in keys


async def run(rows: Orphans, present: Callable[[Key], bool]) -> None:
    async def still() -> Callable[[Key], bool]:
        return present

    assert await prune(rows, DAYS, still) is not None


async def age(connection: Connection, days: int, column: str = "absent_since") -> None:
    """Make it look as if what was noticed had been so for longer."""
    statement = f"UPDATE process_metadata SET {column} = {column} - $1 * interval '1 day'"  # noqa: S608 - ours
    await connection.execute(statement, days)


async def stored(connection: Connection) -> dict[Key, dict[str, Any]]:
    found = await connection.fetch("SELECT * FROM process_metadata")
    return {(each["namespace"], each["app_guid"], each["type"]): dict(each) for each in found}


async def test_a_row_is_marked_first_then_cleared_for_all_replicas_and_then_removed(
    connection: Connection, rows: Orphans, database_url: str
) -> None:
    async with mirrored(database_url) as (mirror, seen):
        await run(rows, only(THERE))
        before = await stored(connection)
        assert before[GONE]["absent_since"] is not None
        assert before[THERE]["absent_since"] is None
        await age(connection, 31)
        await run(rows, only(THERE))
        cleared = (await stored(connection))[GONE]
        assert (cleared["labels"], cleared["updated_at"].year) == ({}, 1970)
        assert cleared["stamp"] > before[GONE]["stamp"]
        assert await mirror.catch_up()
        assert seen.by_key[GONE] == Metadata(namespace="n", app_guid="gone", type="web")
        await run(rows, only(THERE))
        assert GONE in await stored(connection), "no replica can be sure to have noticed yet"
        await age(connection, 2, "cleared_at")
        await run(rows, only(THERE))
        assert set(await stored(connection)) == {THERE}


async def test_one_that_has_not_been_away_for_long_stays(connection: Connection, rows: Orphans) -> None:
    await run(rows, only(THERE))
    await age(connection, 29)
    await run(rows, only(THERE))
    assert (await stored(connection))[GONE]["labels"] == {"a": "b"}


async def test_one_that_comes_back_is_marked_no_more(connection: Connection, rows: Orphans) -> None:
    await run(rows, only(THERE))
    await age(connection, 31)
    await run(rows, only(THERE, GONE))
    await run(rows, only(THERE))
    assert (await stored(connection))[GONE]["labels"] == {"a": "b"}


async def test_marking_and_unmarking_are_no_news_for_replicas(connection: Connection, rows: Orphans) -> None:
    before = (await stored(connection))[GONE]["stamp"]
    await run(rows, only(THERE))
    await run(rows, only(THERE, GONE))
    assert (await stored(connection))[GONE]["stamp"] == before


@pytest.mark.parametrize("write", ["change", "note", "load"])
async def test_whatever_is_written_meanwhile_is_neither_cleared_nor_removed(
    connection: Connection, pool: Pool, rows: Orphans, write: str
) -> None:
    await run(rows, only(THERE))
    await age(connection, 31)
    (found,) = [chunk async for chunk in chunks(rows, DAYS)]
    planned = plan(found, only(THERE))
    assert [each.key for each in planned.clear] == [GONE]
    match write:
        case "change":
            await Records(pool).change(GONE, lambda record, _: replaced(record, 9))
        case "note":
            await Records(pool).note(GONE, deployment_version=9)
        case _:
            await records.load(connection, [row(GONE)])
    done = await rows.carry_out(planned)
    assert done is not None
    assert done.cleared == []
    after = (await stored(connection))[GONE]
    assert (after["labels"], after["absent_since"]) == ({"a": "b"}, None)


def replaced(record: Any, version: int) -> Any:
    return msgspec.structs.replace(record, deployment_version=version)


async def test_a_row_that_was_cleared_can_be_written_to_again(
    connection: Connection, pool: Pool, rows: Orphans
) -> None:
    await run(rows, only(THERE))
    await age(connection, 31)
    await run(rows, only(THERE))
    await Records(pool).note(GONE, pod_version=3)
    await age(connection, 2, "cleared_at")
    await run(rows, only(THERE, GONE))
    assert (await stored(connection))[GONE]["pod_version"] == 3


async def test_one_replica_prunes_at_a_time(connection: Connection, rows: Orphans) -> None:
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", PRUNE_LOCK)

        async def present() -> Callable[[Key], bool]:
            return only(THERE)

        assert await prune(rows, DAYS, present) is None
    assert (await stored(connection))[GONE]["absent_since"] is None


async def test_nothing_is_pruned_while_it_is_not_certain_what_there_is(connection: Connection, rows: Orphans) -> None:
    async def uncertain() -> None:
        return None

    assert await prune(rows, DAYS, uncertain) is None
    assert (await stored(connection))[GONE]["absent_since"] is None


async def test_a_survey_of_many_rows_changes_nothing(connection: Connection, pool: Pool) -> None:
    keys: Set[Key] = {("n", f"app-{n:04}", "web") for n in range(2 * CHUNK + 3)}
    await records.load(connection, [row(key) for key in keys])
    before = await stored(connection)
    found = await survey(Orphans(pool), DAYS, only(*sorted(keys)[:10]))
    assert (found.rows, len(found.due), len(found.waiting)) == (len(keys), 0, len(keys) - 10)
    assert isinstance(found, Survey)
    assert await stored(connection) == before


async def test_pruning_and_writing_at_once_wait_in_no_circle(connection: Connection, pool: Pool) -> None:
    keys: list[Key] = [("n", f"app-{n:02}", "web") for n in range(40)]
    await records.load(connection, [row(key) for key in keys])

    async def write() -> None:
        for turn in range(10):
            await Records(pool).change_all(keys[::-1], lambda record, _, turn=turn: replaced(record, turn + 1))  # type: ignore[misc]

    async def prune_again() -> None:
        for turn in range(20):
            await run(Orphans(pool), only(*keys[turn % 2 :: 2]))

    await asyncio.gather(write(), write(), prune_again())
