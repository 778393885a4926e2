"""Rows of what Postgres keeps of processes: reading what changed, changing it, and loading metadata from elsewhere.

Every transaction locks its rows first, in the order of their keys, and increments the counter last: nobody waits in a
circle, and the counter's lock, which everyone who writes needs, is held for the length of a commit.

A row alone is read, and then changed if it still has the stamp it was read with: two statements, each a transaction of
its own, where locking it first takes four. A row that is not there yet is made first. Only who comes second locks, and
who has just written it need not read it.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from asyncpg import Record as Row

from service.errors import MetadataUnreadable
from service.model.process import Key, Metadata
from service.model.record import Record
from service.model.times import SECOND, microseconds
from service.store import statements
from service.store.counter import ensure_counter
from service.store.database import Connection, DatabaseUnavailable, Pool, translated
from service.store.rows import key_of, record_of

Cursor = tuple[int, str, str, str]
"""How far rows have been read: (stamp, namespace, app_guid, type) of the last one. Later writes have a higher stamp."""

ATTEMPTS = 10
"""How often rows are made and locked for one change. They are gone in between only where they were just pruned."""

START: Cursor = (0, "", "", "")


class CounterDamaged(Exception):
    """The counter is gone, or behind what it has counted: nobody can tell any more what they have not seen."""


async def fetch_after(connection: Connection, cursor: Cursor) -> tuple[list[Record], Cursor]:
    """The next rows written, oldest first and statements.CHUNK at most, and the cursor behind them.

    Fewer than statements.CHUNK: these are all there were when the question was answered. Raises CounterDamaged,
    DatabaseUnavailable.
    """
    with translated():
        rows = await connection.fetch(statements.AFTER, *cursor)
    counter = rows[0]["counter"] if rows else None
    if counter is None or not cursor[0] <= counter <= statements.HIGHEST_STAMP:
        raise CounterDamaged
    if rows[0]["stamp"] is None:
        return [], cursor
    return [record_of(row) for row in rows], (rows[-1]["stamp"], *key_of(rows[-1]))


async def load(connection: Connection, rows: Iterable[Metadata]) -> int:
    """Store metadata that comes from elsewhere, in one transaction; `updated_at` becomes now. Returns the stamp."""
    ordered = sorted(rows, key=lambda row: row.key)
    with translated():
        await ensure_counter(connection)
        async with connection.transaction():
            for row in ordered:
                synced_at = row.registry_credential_last_synced_at
                await connection.execute(
                    statements.LOAD,
                    *row.key,
                    dict(row.labels),
                    dict(row.annotations),
                    row.log_rate_limit_in_bytes_per_second,
                    row.revision_guid,
                    row.registry_credential_guid,
                    None if synced_at is None else _moment(synced_at),
                )
            stamp: int = await connection.fetchval(statements.COUNT)
            await connection.executemany(statements.STAMP, [(*row.key, stamp) for row in ordered])
            return stamp


class Known(NamedTuple):
    """A row as it was a moment ago, and when that was: by Postgres' clock, in the model's unit."""

    record: Record
    at: int


class Records:
    """Changes of rows, each in a transaction of its own.

    What is changed in a row is what nobody else changes meanwhile: where somebody has, it is read anew, and `change`
    is called again.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def change(self, key: Key, change: Callable[[Record, int], Record], known: Known | None = None) -> Record:
        """The row as `change` makes it of what it is now (and of the time).

        It is not read where what is `known` of it is still so. What `change` raises ends it without effect. Raises
        MetadataUnreadable, which does so too, and DatabaseUnavailable: then only Postgres knows.
        """
        with translated():
            async with self._pool.connection() as connection:
                if known is not None and (changed := await _save(connection, [known.record], known.at, change)):
                    return changed[0]
                row = await _found_or_made(connection, statements.READ, key)
                if row is not None and (changed := await _change_read(connection, [row], change)):
                    return changed[0]
        if changed := await self.change_all([key], change):
            return changed[0]
        raise MetadataUnreadable

    async def note(self, key: Key, *, deployment_version: int = 0, pod_version: int = 0) -> Record:
        """The row with versions as late as these at least, be it readable or not: `change` in one step.

        Raises DatabaseUnavailable.
        """
        with translated():
            async with self._pool.connection() as connection:
                row = await _found_or_made(connection, statements.NOTE, key, deployment_version, pod_version)
        if row is not None:
            return record_of(row)
        return await self.change(
            key,
            lambda record, _now: msgspec.structs.replace(
                record,
                deployment_version=max(record.deployment_version, deployment_version),
                pod_version=max(record.pod_version, pod_version),
            ),
        )

    async def lower_versions(self, latest: Callable[[], Awaitable[int]]) -> int:
        """Have no row name a version that the cluster has not come to; how many did.

        `latest` asks for the version that the cluster is at. Whoever names a later one has written in a history that
        has ended: it was asked after the row was read, and a row written since is left alone. Raises
        DatabaseUnavailable, and what `latest` raises.
        """
        lowered, version = 0, await latest()
        while True:
            with translated():
                async with self._pool.connection() as connection:
                    rows = await connection.fetch(statements.BEYOND, version)
            if not rows:
                return lowered
            version = await latest()
            stamps = [row["stamp"] for row in rows]
            with translated():
                async with self._pool.connection() as connection:
                    guarded = *_unzipped([key_of(row) for row in rows]), stamps
                    lowered += len(await connection.fetch(statements.LOWER, *guarded, version))

    async def change_all(self, keys: Collection[Key], change: Callable[[Record, int], Record]) -> list[Record]:
        """Change many rows as `change` does one, statements.CHUNK of them in a transaction; in the order of their keys.

        Rows that cannot be understood are left alone, and left out of what is returned.
        """
        ordered = sorted(set(keys))
        changed: list[Record] = []
        for first in range(0, len(ordered), statements.CHUNK):
            changed += await self._change(ordered[first : first + statements.CHUNK], change)
        return changed

    async def _change(self, keys: Sequence[Key], change: Callable[[Record, int], Record]) -> list[Record]:
        with translated():
            async with self._pool.connection() as connection:
                for _ in range(ATTEMPTS):
                    async with connection.transaction():
                        rows = await connection.fetch(statements.LOCK, *_unzipped(keys))
                        is_whole = len(rows) == len(keys)
                        if is_whole and (changed := await _change_read(connection, rows, change)) is not None:
                            return changed
                    # Not while holding locks: others may lock what we make here, and wait for what we have.
                    if missing := set(keys) - {key_of(row) for row in rows}:
                        await connection.execute(statements.CREATE, *_unzipped(sorted(missing)))
                    else:
                        # What is locked is changed by nobody else: it is the counter that did not count.
                        await ensure_counter(connection)
        raise DatabaseUnavailable("rows cannot be changed")


async def _found_or_made(connection: Connection, statement: str, key: Key, *arguments: int) -> Row | None:
    """What a statement about one row returns, which is made if there is none yet; None: it is gone again, say."""
    row = await connection.fetchrow(statement, *key, *arguments)
    if row is None:
        await connection.execute(statements.CREATE, *_unzipped([key]))
        row = await connection.fetchrow(statement, *key, *arguments)
    return row


async def _change_read(
    connection: Connection, rows: Sequence[Row], change: Callable[[Record, int], Record]
) -> list[Record] | None:
    """As `_save`, of those rows that can be understood."""
    before = [record for row in rows if (record := record_of(row)).metadata.unreadable is None]
    return await _save(connection, before, microseconds(rows[0]["now"]), change)


async def _save(
    connection: Connection, before: Sequence[Record], now: int, change: Callable[[Record, int], Record]
) -> list[Record] | None:
    """The rows changed; None, and nothing is, where one is not any more as it was before."""
    after = [change(record, now) for record in before]
    changed = [_values(new) for old, new in zip(before, after, strict=True) if new != old]
    if not changed:
        return after
    stamps = await connection.fetch(statements.CHANGE, changed)
    if len(stamps) < len(changed):
        return None
    (stamp,) = stamps[0]
    return [
        new if new == old else msgspec.structs.replace(new, stamp=stamp) for old, new in zip(before, after, strict=True)
    ]


def _unzipped(keys: Sequence[Key]) -> tuple[list[str], ...]:
    """The columns of the keys."""
    return tuple([key[column] for key in keys] for column in range(3))


def _values(record: Record) -> dict[str, Any]:
    metadata = record.metadata
    return {
        "namespace": metadata.namespace,
        "app_guid": metadata.app_guid,
        "type": metadata.type,
        "labels": metadata.labels,
        "annotations": metadata.annotations,
        "log_rate_limit_in_bytes_per_second": metadata.log_rate_limit_in_bytes_per_second,
        "updated_at": _moment(metadata.updated_at),
        "pending": msgspec.to_builtins(metadata.pending),
        "folded_version": record.folded_version,
        "deployment_version": record.deployment_version,
        "pod_version": record.pod_version,
        "slots": record.slots,
        "stamp": record.stamp,
    }


def _moment(time: int) -> datetime:
    return datetime.fromtimestamp(time // SECOND, UTC).replace(microsecond=time % SECOND)
