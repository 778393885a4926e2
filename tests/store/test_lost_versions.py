"""Rows that name versions which a cluster restored from a backup has not come to."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from service.model.process import Key, MetadataChange
from service.model.record import changed, folded, prepared
from service.store.database import Pool, connected, migrate
from service.store.records import START, Records, fetch_after

LOST, OTHER = ("n", "lost", "web"), ("n", "other", "web")


@pytest.fixture
async def rows(database_url: str) -> AsyncIterator[Records]:
    async with connected(database_url, 10) as connection:
        await migrate(connection)
        await connection.execute("TRUNCATE process_metadata")
    pool = await Pool.open(database_url, size=4, timeout_s=10)
    yield Records(pool)
    await pool.close()


def answers(*versions: int) -> Callable[[], Awaitable[int]]:
    """Asked for the cluster's version, each of these in turn, and then the last again and again."""
    left = list(versions)

    async def latest() -> int:
        return left.pop(0) if len(left) > 1 else left[0]

    return latest


async def versions_of(database_url: str) -> dict[Key, tuple[int, int, int]]:
    async with connected(database_url, 10) as connection:
        found, _ = await fetch_after(connection, START)
    return {row.key: (row.folded_version, row.deployment_version, row.pod_version) for row in found}


async def test_versions_that_the_cluster_has_not_come_to_are_lowered_and_nothing_else(
    rows: Records, database_url: str
) -> None:
    change = MetadataChange(labels={"kept": "yes"})
    await rows.change(LOST, lambda row, now: folded(prepared(row, "id", change, 890), "id", 900, now))
    await rows.note(LOST, pod_version=40)
    before = await rows.note(OTHER, deployment_version=50)
    assert await rows.lower_versions(answers(50)) == 1
    assert await versions_of(database_url) == {LOST: (50, 50, 40), OTHER: (0, 50, 0)}
    async with connected(database_url, 10) as connection:
        found, _ = await fetch_after(connection, START)
    by_key = {row.key: row for row in found}
    assert by_key[LOST].metadata.labels == {"kept": "yes"}
    # Every replica hears of it.
    assert by_key[LOST].stamp > before.stamp
    assert by_key[OTHER] == before
    assert await rows.lower_versions(answers(50)) == 0


async def test_version_written_while_the_cluster_was_asked_is_left_alone(rows: Records, database_url: str) -> None:
    await rows.note(LOST, deployment_version=900)
    await rows.note(OTHER, deployment_version=60)
    # At first it was at 50; by the time the rows had been read, it had come to 60.
    assert await rows.lower_versions(answers(50, 60)) == 1
    assert await versions_of(database_url) == {LOST: (0, 60, 0), OTHER: (0, 60, 0)}


async def test_row_written_since_it_was_read_is_left_alone(rows: Records, database_url: str) -> None:
    await rows.note(LOST, deployment_version=900)
    asked = 0

    async def latest() -> int:
        nonlocal asked
        asked += 1
        if asked == 2:
            # Another replica writes, at a version that this answer is too early for.
            await rows.change(LOST, lambda row, now: changed(row, MetadataChange(labels={"a": "b"}), now))
            assert await versions_of(database_url) == {LOST: (0, 900, 0)}
        return 50 if asked < 3 else 900

    assert await rows.lower_versions(latest) == 0
    assert await versions_of(database_url) == {LOST: (0, 900, 0)}


async def test_more_rows_than_are_changed_at_a_time_are_all_lowered(rows: Records, database_url: str) -> None:
    for number in range(7):
        await rows.note(("n", f"app-{number}", "web"), deployment_version=900 + number)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("service.store.statements.BEYOND", BEYOND_TWO)
        assert await rows.lower_versions(answers(50)) == 7
    assert {each[1] for each in (await versions_of(database_url)).values()} == {50}


BEYOND_TWO = """SELECT namespace, app_guid, type, stamp FROM process_metadata
                WHERE deployment_version > $1 ORDER BY namespace, app_guid, type LIMIT 2"""
