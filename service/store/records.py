"""Rows of what Postgres keeps of processes: reading what changed, changing it, and loading metadata from elsewhere.

Every transaction locks its rows first, in the order of their keys, and increments the counter last: nobody waits in a
circle, and the counter's lock, which everyone who writes needs, is held for the length of a commit.

A row alone is read, and then changed if it still has the stamp it was read with: two statements, each a transaction of
its own, where locking it first takes four. Only who comes second locks.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from asyncpg import Record as Row

from service.model.process import SECOND, Key, Metadata, Pending, microseconds
from service.model.record import Record
from service.store import statements
from service.store.database import Connection, Pool, translated

Cursor = tuple[int, str, str, str]
"""How far rows have been read: (stamp, namespace, app_guid, type) of the last one. Later writes have a higher stamp."""

START: Cursor = (0, "", "", "")


async def fetch_after(connection: Connection, cursor: Cursor) -> tuple[list[Record], Cursor]:
    """The next rows written, oldest first and statements.CHUNK at most, and the cursor behind them.

    Fewer than statements.CHUNK: these are all there were when the question was answered.
    """
    with translated():
        rows = await connection.fetch(statements.AFTER, *cursor)
    if rows:
        cursor = (rows[-1]["stamp"], *_key(rows[-1]))
    return [_record(row) for row in rows], cursor


async def load(connection: Connection, rows: Iterable[Metadata]) -> int:
    """Store metadata that comes from elsewhere, in one transaction; `updated_at` becomes now. Returns the stamp."""
    ordered = sorted(rows, key=lambda row: row.key)
    with translated():
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


class Records:
    """Changes of rows, each in a transaction of its own.

    What is changed in a row is what nobody else changes meanwhile: where somebody has, it is read anew, and `change`
    is called again.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def change(self, key: Key, change: Callable[[Record, int], Record]) -> Record:
        """The row as `change` makes it of what it is now (and of the time).

        What `change` raises ends it without effect. Raises DatabaseUnavailable: then only Postgres knows.
        """
        with translated():
            async with self._pool.connection() as connection:
                row = await connection.fetchrow(statements.READ, *key)
                if row is not None and (changed := await _change_read(connection, [row], change)):
                    return changed[0]
        (record,) = await self.change_all([key], change)
        return record

    async def note(self, key: Key, *, deployment_version: int = 0, pod_version: int = 0) -> Record:
        """The row with versions as late as these at least: `change` in one step. Raises DatabaseUnavailable."""
        with translated():
            async with self._pool.connection() as connection:
                row = await connection.fetchrow(statements.NOTE, *key, deployment_version, pod_version)
        if row is not None:
            return _record(row)
        return await self.change(
            key,
            lambda record, _now: msgspec.structs.replace(
                record,
                deployment_version=max(record.deployment_version, deployment_version),
                pod_version=max(record.pod_version, pod_version),
            ),
        )

    async def change_all(self, keys: Collection[Key], change: Callable[[Record, int], Record]) -> list[Record]:
        """The same for many rows, statements.CHUNK of them in a transaction; in the order of their keys."""
        ordered = sorted(set(keys))
        changed: list[Record] = []
        for first in range(0, len(ordered), statements.CHUNK):
            changed += await self._change(ordered[first : first + statements.CHUNK], change)
        return changed

    async def _change(self, keys: Sequence[Key], change: Callable[[Record, int], Record]) -> list[Record]:
        with translated():
            async with self._pool.connection() as connection:
                while True:
                    async with connection.transaction():
                        rows = await connection.fetch(statements.LOCK, *_unzipped(keys))
                        if len(rows) == len(keys) and (changed := await _change_read(connection, rows, change)):
                            return changed
                    # Not while holding locks: others may lock what we make here, and wait for what we have.
                    there = {_key(row) for row in rows}
                    await connection.execute(statements.CREATE, *_unzipped([key for key in keys if key not in there]))


async def _change_read(
    connection: Connection, rows: Sequence[Row], change: Callable[[Record, int], Record]
) -> list[Record] | None:
    """The rows changed; None where one is not any more what was read."""
    before = [_record(row) for row in rows]
    after = [change(record, microseconds(row["now"])) for record, row in zip(before, rows, strict=True)]
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


def _key(row: Row) -> Key:
    return row["namespace"], row["app_guid"], row["type"]


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


def _record(row: Row) -> Record:
    synced_at = row["registry_credential_last_synced_at"]
    return Record(
        metadata=Metadata(
            namespace=sys.intern(row["namespace"]),
            app_guid=row["app_guid"],
            type=sys.intern(row["type"]),
            labels=row["labels"],
            annotations=row["annotations"],
            log_rate_limit_in_bytes_per_second=row["log_rate_limit_in_bytes_per_second"],
            revision_guid=row["revision_guid"],
            registry_credential_guid=row["registry_credential_guid"],
            registry_credential_last_synced_at=None if synced_at is None else microseconds(synced_at),
            updated_at=microseconds(row["updated_at"]),
            pending=msgspec.convert(row["pending"], dict[str, Pending]) if row["pending"] else {},
        ),
        folded_version=row["folded_version"],
        deployment_version=row["deployment_version"],
        pod_version=row["pod_version"],
        slots=tuple(row["slots"]),
        stamp=row["stamp"],
    )


def _moment(time: int) -> datetime:
    return datetime.fromtimestamp(time // SECOND, UTC).replace(microsecond=time % SECOND)
