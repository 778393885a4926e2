"""Bringing a real Postgres's schema up to date."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from deploy.local.stack import Stack
from service.store import database
from service.store.database import (
    DatabaseUnavailable,
    Migration,
    Pool,
    SchemaMismatch,
    connect,
    connected,
    migrate,
)
from service.store.records import Records
from tests.conftest import new_database


@pytest.fixture
async def empty_url(stack: Stack) -> AsyncIterator[str]:
    async with new_database(stack.database_url) as url:
        yield url


async def test_is_done_once(empty_url: str) -> None:
    async with connected(empty_url, 5) as connection:
        first = await migrate(connection)
        assert [migration.number for migration in first] == [migration.number for migration in database.migrations()]
        assert await migrate(connection) == []


async def test_many_replicas_at_once_migrate_once(empty_url: str) -> None:
    connections = [await connect(empty_url, 30) for _ in range(6)]
    applied = await asyncio.gather(*(migrate(connection) for connection in connections))
    for connection in connections:
        await database.close(connection)
    assert sum(map(len, applied)) == len(database.migrations())


async def test_changed_migration_is_refused(empty_url: str) -> None:
    async with connected(empty_url, 5) as connection:
        await migrate(connection)
        await connection.execute("UPDATE schema_migration SET checksum = 'other' WHERE number = 1")
        with pytest.raises(SchemaMismatch, match="0001"):
            await migrate(connection)


async def test_schema_of_a_newer_version_is_left_alone(empty_url: str) -> None:
    async with connected(empty_url, 5) as connection:
        await migrate(connection)
        await connection.execute("INSERT INTO schema_migration (number, name, checksum) VALUES (9999, 'later', 'x')")
        assert await migrate(connection) == []


WIDER = Migration(9000, "wider", "ALTER TABLE process_metadata ADD COLUMN note text NOT NULL DEFAULT ''")
"""As the next version might have one."""


async def test_a_table_that_is_read_for_long_is_changed_later_and_nobody_waits_behind_the_change(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_PAUSE_S", 0.1)
    async with connected(empty_url, 5) as owner, connected(empty_url, 5) as dump:
        await migrate(owner)
        next_version = [*database.migrations(), WIDER]
        monkeypatch.setattr(database, "migrations", lambda: next_version)
        async with AsyncExitStack() as stack:
            pool = await Pool.open(empty_url, size=2, timeout_s=5)
            stack.push_async_callback(pool.close)
            async with dump.transaction():
                await dump.fetch("SELECT * FROM process_metadata")
                migrating = asyncio.create_task(migrate(owner))
                for _ in range(10):
                    await Records(pool).note(("space", "app", "web"), deployment_version=1)
                    await asyncio.sleep(0.2)
                assert not migrating.done()
            assert await migrating == [WIDER]
            assert await migrate(owner) == []


async def test_failing_migration_leaves_nothing_behind(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [*database.migrations(), Migration(9000, "broken", "CREATE TABLE half (a int); SELECT 1/0")]
    monkeypatch.setattr(database, "migrations", lambda: broken)
    async with connected(empty_url, 5) as connection:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await migrate(connection)
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


async def test_role_without_the_right_to_create_can_use_an_up_to_date_schema(stack: Stack, empty_url: str) -> None:
    async with connected(empty_url, 5) as owner:
        await migrate(owner)
        await owner.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        await owner.execute("CREATE ROLE reader; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        try:
            await owner.execute("SET ROLE reader")
            assert await migrate(owner) == []
        finally:
            await owner.execute("RESET ROLE")
            await owner.execute("DROP OWNED BY reader; DROP ROLE reader")


@pytest.mark.parametrize("wrong", ["port", "user", "database"])
async def test_database_that_cannot_be_used_says_so_and_no_secret(empty_url: str, wrong: str) -> None:
    parts = urlsplit(empty_url)
    assert parts.password
    url = {
        "port": urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:1")),
        "user": empty_url.replace(f"//{parts.username}:", "//nobody-known:"),
        "database": f"{empty_url}_that_does_not_exist",
    }[wrong]
    with pytest.raises(DatabaseUnavailable) as caught:
        await connect(url, 5)
    assert caught.value.reason
    assert parts.password not in f"{caught.value!r} {caught.value.reason} {caught.value.detail}"
