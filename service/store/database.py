"""The connection to Postgres, and its schema."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, cast

import asyncpg
import orjson

from service.errors import ServiceUnavailable
from service.telemetry import get_logger

log = get_logger(__name__)

MIGRATION_LOCK = 0x63_66_70_72_6F_63
"""The advisory lock that lets one process migrate at a time ("cfproc")."""
MIGRATION_TIMEOUT_S = 600
"""For all of them together."""
LOCK_TIMEOUT_S, LOCK_PAUSE_S = 0.5, 1.0
"""How long a migration waits for a table that somebody uses, and how long it leaves others alone then.

While it waits, all who come after it wait behind it: a dump that reads for an hour must not stop writes for an hour.
"""

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    # Generic for the type checker only.
    Connection = asyncpg.Connection

# Everything that means "Postgres cannot be asked now"; asyncpg raises its own errors, the socket's and plain timeouts.
_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TransactionRollbackError,
)


class DatabaseUnavailable(ServiceUnavailable):
    """Postgres cannot be reached, does not let us in, or does not answer in time."""

    def __init__(self, reason: str) -> None:
        super().__init__("The metadata store is not available")
        self.reason = reason
        """For the log; it holds no part of the connection string."""


class SchemaMismatch(Exception):
    """A migration that has been applied is not the one this version has under that number."""


@contextmanager
def translated() -> Iterator[None]:
    """Turns "Postgres is away" in all its forms into DatabaseUnavailable. Other errors are defects and pass."""
    try:
        yield
    except _AWAY as error:
        raise DatabaseUnavailable(type(error).__name__) from error


async def connect(database_url: str, timeout_s: float) -> Connection:
    """A connection of the caller's own. Raises DatabaseUnavailable."""
    with translated():
        connection: Connection = await asyncpg.connect(
            database_url, timeout=timeout_s, command_timeout=timeout_s, server_settings=_SERVER_SETTINGS
        )
        await _set_codecs(connection)
        return connection


_SERVER_SETTINGS = {"application_name": "cf-processes"}


async def _set_codecs(connection: Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=lambda value: orjson.dumps(value).decode(), decoder=orjson.loads
    )


async def _leave_as_it_is(_connection: Connection) -> None:
    """No user of the pool changes anything of a session; what is left of a transaction asyncpg itself rolls back."""


class Pool:
    """Connections for writes, made when they are needed and kept for a while. Close it."""

    @classmethod
    async def open(cls, database_url: str, *, size: int, timeout_s: float) -> "Pool":
        """A pool of at most `size` connections; Postgres need not be there yet."""
        pool = asyncpg.create_pool(
            database_url,
            min_size=0,
            max_size=size,
            timeout=timeout_s,
            command_timeout=timeout_s,
            init=_set_codecs,
            reset=_leave_as_it_is,
            server_settings=_SERVER_SETTINGS,
        )
        return cls(await pool, timeout_s)

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self.waiting = 0
        """How many wait for a connection, be it one that is being made."""

    @property
    def idle(self) -> int:
        """Connections that nobody uses."""
        return self._pool.get_idle_size()

    @property
    def busy(self) -> int:
        """Connections in use."""
        return self._pool.get_size() - self._pool.get_idle_size()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for the length of a block. Raises DatabaseUnavailable, also when none is free in time."""
        self.waiting += 1
        try:
            with translated():
                acquired = await self._pool.acquire(timeout=self._timeout_s)
        finally:
            self.waiting -= 1
        try:
            # A proxy, which is a connection in all but its type.
            yield cast(Connection, acquired)
        finally:
            await self._pool.release(acquired)

    async def close(self) -> None:
        """Close politely, but never wait long for a server that may not be there."""
        try:
            await asyncio.wait_for(self._pool.close(), 1)
        except asyncio.CancelledError:
            self._pool.terminate()
            raise
        except _AWAY:
            self._pool.terminate()


@dataclass(frozen=True)
class Migration:
    """One numbered SQL file; `checksum` is its SHA-256 in hexadecimal."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """The files of service/store/migrations, in order."""
    found = []
    for file in files("service.store").joinpath("migrations").iterdir():
        if match := re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name):
            found.append(Migration(int(match[1]), match[2], file.read_text()))
    return sorted(found, key=lambda migration: migration.number)


_CREATE_JOURNAL = """
CREATE TABLE IF NOT EXISTS schema_migration (
    number integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


async def migrate(connection: Connection) -> list[Migration]:
    """Bring the schema up to date; what was applied is returned. All or nothing, and one migrating process at a time.

    Raises SchemaMismatch when the schema was made by other files than ours; DatabaseUnavailable, also where it could
    not be done in MIGRATION_TIMEOUT_S. Migrations newer than this version are left alone: during a rolling update the
    old version runs beside the new one's schema. An up-to-date schema is only read, so that a role without the right to
    change it will do.
    """
    with translated():
        if not await pending(connection):
            return []
        async with asyncio.timeout(MIGRATION_TIMEOUT_S):
            while (applied := await _apply(connection)) is None:
                log.warning("migration waits: its tables are in use")
                await asyncio.sleep(LOCK_PAUSE_S)
    for migration in applied:
        log.info("migration applied", number=migration.number, name=migration.name)
    return applied


async def _apply(connection: Connection) -> list[Migration] | None:
    """Apply what is pending, and return it. None, and nothing is: somebody uses what is to be changed."""
    with suppress(asyncpg.LockNotAvailableError):
        async with connection.transaction():
            # Another replica may hold the lock for as long as its migration takes.
            await connection.execute("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK, timeout=MIGRATION_TIMEOUT_S)
            await connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_S * 1000:.0f}")
            await connection.execute(_CREATE_JOURNAL)
            applied = await pending(connection)
            for migration in applied:
                await connection.execute(migration.sql, timeout=MIGRATION_TIMEOUT_S)
                await connection.execute(
                    "INSERT INTO schema_migration (number, name, checksum) VALUES ($1, $2, $3)",
                    migration.number,
                    migration.name,
                    migration.checksum,
                )
            return applied
    return None


async def pending(connection: Connection) -> list[Migration]:
    """Migrations not applied yet; nothing is changed. Raises SchemaMismatch."""
    if await connection.fetchval("SELECT to_regclass('schema_migration')") is None:
        return migrations()
    rows = await connection.fetch("SELECT number, name, checksum FROM schema_migration")
    journal = {row["number"]: row for row in rows}
    for migration in migrations():
        row = journal.get(migration.number)
        if row is not None and row["checksum"] != migration.checksum:
            raise SchemaMismatch(f"migration {migration.number:04} was applied as {row['name']!r} with another content")
    return [migration for migration in migrations() if migration.number not in journal]


@asynccontextmanager
async def connected(database_url: str, timeout_s: float) -> AsyncIterator[Connection]:
    """`connect` for the length of a block."""
    connection = await connect(database_url, timeout_s)
    try:
        yield connection
    finally:
        await close(connection)


async def close(connection: Connection) -> None:
    """Close politely, but never wait long for a server that may not be there."""
    try:
        await connection.close(timeout=1)
    except asyncio.CancelledError:
        connection.terminate()
        raise
    except _AWAY:
        connection.terminate()
