"""What an operator wants to know of a database before the service runs on it. No question here changes anything."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg

from service.store.database import Connection, DatabaseUnavailable, Migration, pending, translated

PRIVILEGES = {
    "metadata_counter": ("SELECT", "INSERT", "UPDATE"),
    "process_metadata": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "schema_migration": ("SELECT",),
}
"""What the service's role needs on each table once it is there."""

_FACTS = """
SELECT current_setting('server_version') AS version, quote_ident(current_user) AS role,
       extract(epoch FROM clock_timestamp())::float8 AS clock,
       pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean AS read_only,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create
"""

_LACKING = """
SELECT privilege || ' ON ' || name AS lacking FROM unnest($1::text[], $2::text[]) AS needed (name, privilege)
WHERE NOT has_table_privilege(to_regclass(name), privilege) ORDER BY 1
"""


@dataclass(frozen=True)
class Database:
    """A Postgres that lets us in."""

    version: str
    role: str
    """Quoted as SQL wants it."""
    ahead_s: tuple[float, float]
    """Its clock is ahead of ours by a time between these, in seconds."""
    read_only: bool
    may_create: bool
    """Tables in the schema, so that the role can migrate."""
    lacking: tuple[str, ...]
    """Those of PRIVILEGES that the role has not, as `UPDATE ON metadata_counter`; on tables that are there."""


def address(database_url: str) -> str:
    """Hosts and database of the URL, for an operator to read; nothing where that could show part of the password."""
    url = urlsplit(database_url)
    # A password with a raw / ? or # ends the host part too early: its rest is then found in the path and behind.
    if "@" in f"{url.path}{url.query}{url.fragment}":
        return "the host of DATABASE_URL"
    return url.netloc.rpartition("@")[2] + url.path


async def inspect(connection: Connection, wall_clock: Callable[[], float] = time.time) -> Database:
    """Raises DatabaseUnavailable."""
    needed = [(table, privilege) for table, privileges in PRIVILEGES.items() for privilege in privileges]
    try:
        with translated():
            async with connection.transaction(readonly=True):
                asked_at = wall_clock()
                (facts,) = await connection.fetch(_FACTS)
                answered_at = wall_clock()
                lacking = await connection.fetch(_LACKING, *map(list, zip(*needed, strict=True)))
    except asyncpg.PostgresError as error:
        raise DatabaseUnavailable(type(error).__name__) from error
    return Database(
        version=facts["version"],
        role=facts["role"],
        ahead_s=(facts["clock"] - answered_at, facts["clock"] - asked_at),
        read_only=facts["read_only"],
        may_create=facts["may_create"],
        lacking=tuple(row["lacking"] for row in lacking),
    )


async def unapplied(connection: Connection) -> list[Migration]:
    """Migrations to be applied. Raises SchemaMismatch, DatabaseUnavailable."""
    try:
        with translated():
            async with connection.transaction(readonly=True):
                return await pending(connection)
    except asyncpg.PostgresError as error:
        raise DatabaseUnavailable(type(error).__name__) from error
