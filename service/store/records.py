"""Rows of what Postgres keeps of processes: reading what changed, changing it, and loading metadata from elsewhere.

Every transaction locks its rows first, in the order of their keys, and increments the counter last: nobody waits in a
circle, and the counter's lock, which everyone who writes needs, is held for the length of a commit.

A row alone is read, and then changed if it still has the stamp it was read with: two statements, each a transaction of
its own, where locking it first takes four. Only who comes second locks.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from asyncpg import Record as Row

from service.model.process import SECOND, Metadata, Pending, microseconds
from service.model.record import Record
from service.store.database import Connection, Pool, translated

CHUNK = 200
"""Rows fetched or changed at a time, so that decoding many does not hold up the event loop."""

Key = tuple[str, str]
"""(app GUID, type)."""

_COLUMNS = """app_guid, type, labels, annotations, log_rate_limit_in_bytes_per_second,
              revision_guid, registry_credential_guid, registry_credential_last_synced_at, updated_at,
              pending, deployment_version, pod_version, slots, stamp"""

Cursor = tuple[int, str, str]
"""How far rows have been read: the (stamp, app_guid, type) of the last one. Later writes have a higher stamp."""

START: Cursor = (0, "", "")

_AFTER = f"""SELECT {_COLUMNS} FROM process_metadata
             WHERE (stamp, app_guid, type) > ($1, $2, $3)
             ORDER BY stamp, app_guid, type LIMIT {CHUNK}"""  # noqa: S608 - constants

_READ = f"""SELECT {_COLUMNS}, clock_timestamp() AS now FROM process_metadata
            WHERE app_guid = $1 AND type = $2"""  # noqa: S608 - constants

_LOCK = f"""SELECT {_COLUMNS}, clock_timestamp() AS now FROM process_metadata
            WHERE (app_guid, type) IN (SELECT * FROM unnest($1::text[], $2::text[]))
            ORDER BY app_guid, type FOR UPDATE"""  # noqa: S608 - constants

_CREATE = """INSERT INTO process_metadata (app_guid, type)
             SELECT app_guid, type FROM unnest($1::text[], $2::text[]) AS missing (app_guid, type)
             ORDER BY app_guid, type ON CONFLICT DO NOTHING"""

_COUNT = "UPDATE metadata_counter SET value = value + 1 RETURNING value"

# Within one statement, too, the counter waits for the lock of the row.
_COUNT_LOCKED = "UPDATE metadata_counter SET value = value + 1 WHERE EXISTS (SELECT FROM locked) RETURNING value"

_CHANGE = f"""WITH new AS MATERIALIZED (
                  SELECT * FROM jsonb_to_recordset($1) AS new (
                      app_guid text, type text, labels jsonb, annotations jsonb,
                      log_rate_limit_in_bytes_per_second bigint, updated_at timestamptz, pending jsonb,
                      deployment_version bigint, pod_version bigint, slots text[], stamp bigint)
              ), locked AS MATERIALIZED (
                  SELECT app_guid, type FROM process_metadata AS row JOIN new USING (app_guid, type)
                  WHERE row.stamp = new.stamp ORDER BY app_guid, type FOR UPDATE OF row
              ), counted AS ({_COUNT_LOCKED})
              UPDATE process_metadata AS row
              SET labels = new.labels, annotations = new.annotations,
                  log_rate_limit_in_bytes_per_second = new.log_rate_limit_in_bytes_per_second,
                  updated_at = new.updated_at, pending = new.pending, deployment_version = new.deployment_version,
                  pod_version = new.pod_version, slots = new.slots, stamp = counted.value
              FROM counted, new JOIN locked USING (app_guid, type)
              WHERE row.app_guid = new.app_guid AND row.type = new.type
              RETURNING row.stamp"""  # noqa: S608 - constants

_NOTE = f"""WITH locked AS MATERIALIZED (
                SELECT FROM process_metadata WHERE app_guid = $1 AND type = $2 FOR UPDATE
            ), counted AS ({_COUNT_LOCKED})
            UPDATE process_metadata AS row
            SET deployment_version = greatest(row.deployment_version, $3),
                pod_version = greatest(row.pod_version, $4), stamp = counted.value
            FROM counted WHERE row.app_guid = $1 AND row.type = $2
            RETURNING {_COLUMNS}"""  # noqa: S608 - constants

_LOAD = """
INSERT INTO process_metadata AS row (app_guid, type, labels, annotations, log_rate_limit_in_bytes_per_second,
    revision_guid, registry_credential_guid, registry_credential_last_synced_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp())
ON CONFLICT (app_guid, type) DO UPDATE SET
    labels = EXCLUDED.labels,
    annotations = EXCLUDED.annotations,
    log_rate_limit_in_bytes_per_second = EXCLUDED.log_rate_limit_in_bytes_per_second,
    revision_guid = EXCLUDED.revision_guid,
    registry_credential_guid = EXCLUDED.registry_credential_guid,
    registry_credential_last_synced_at = EXCLUDED.registry_credential_last_synced_at,
    updated_at = greatest(EXCLUDED.updated_at, row.updated_at)
"""

_STAMP = "UPDATE process_metadata SET stamp = $3 WHERE app_guid = $1 AND type = $2"


async def fetch_after(connection: Connection, cursor: Cursor) -> tuple[list[Record], Cursor]:
    """The next rows written, oldest first and CHUNK at most, and the cursor behind them.

    Fewer than CHUNK: these are all there were when the question was answered.
    """
    with translated():
        rows = await connection.fetch(_AFTER, *cursor)
    if rows:
        cursor = (rows[-1]["stamp"], rows[-1]["app_guid"], rows[-1]["type"])
    return [_record(row) for row in rows], cursor


async def load(connection: Connection, rows: Iterable[Metadata]) -> int:
    """Store metadata that comes from elsewhere, in one transaction; `updated_at` becomes now. Returns the stamp."""
    ordered = sorted(rows, key=lambda row: (row.app_guid, row.type))
    with translated():
        async with connection.transaction():
            for row in ordered:
                synced_at = row.registry_credential_last_synced_at
                await connection.execute(
                    _LOAD,
                    row.app_guid,
                    row.type,
                    dict(row.labels),
                    dict(row.annotations),
                    row.log_rate_limit_in_bytes_per_second,
                    row.revision_guid,
                    row.registry_credential_guid,
                    None if synced_at is None else _moment(synced_at),
                )
            stamp: int = await connection.fetchval(_COUNT)
            await connection.executemany(_STAMP, [(row.app_guid, row.type, stamp) for row in ordered])
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
                row = await connection.fetchrow(_READ, *key)
                if row is not None and (changed := await _change_read(connection, [row], change)):
                    return changed[0]
        (record,) = await self.change_all([key], change)
        return record

    async def note(self, key: Key, *, deployment_version: int = 0, pod_version: int = 0) -> Record:
        """The row with versions as late as these at least: `change` in one step. Raises DatabaseUnavailable."""
        with translated():
            async with self._pool.connection() as connection:
                row = await connection.fetchrow(_NOTE, *key, deployment_version, pod_version)
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
        """The same for many rows, CHUNK of them in a transaction; in the order of their keys."""
        ordered = sorted(set(keys))
        changed: list[Record] = []
        for first in range(0, len(ordered), CHUNK):
            changed += await self._change(ordered[first : first + CHUNK], change)
        return changed

    async def _change(self, keys: Sequence[Key], change: Callable[[Record, int], Record]) -> list[Record]:
        with translated():
            async with self._pool.connection() as connection:
                while True:
                    async with connection.transaction():
                        rows = await connection.fetch(_LOCK, *_unzipped(keys))
                        if len(rows) == len(keys) and (changed := await _change_read(connection, rows, change)):
                            return changed
                    # Not while holding locks: others may lock what we make here, and wait for what we have.
                    there = {(row["app_guid"], row["type"]) for row in rows}
                    await connection.execute(_CREATE, *_unzipped([key for key in keys if key not in there]))


async def _change_read(
    connection: Connection, rows: Sequence[Row], change: Callable[[Record, int], Record]
) -> list[Record] | None:
    """The rows changed; None where one is not any more what was read."""
    before = [_record(row) for row in rows]
    after = [change(record, microseconds(row["now"])) for record, row in zip(before, rows, strict=True)]
    changed = [_values(new) for old, new in zip(before, after, strict=True) if new != old]
    if not changed:
        return after
    stamps = await connection.fetch(_CHANGE, changed)
    if len(stamps) < len(changed):
        return None
    (stamp,) = stamps[0]
    return [
        new if new == old else msgspec.structs.replace(new, stamp=stamp) for old, new in zip(before, after, strict=True)
    ]


def _unzipped(keys: Sequence[Key]) -> tuple[list[str], list[str]]:
    return [app_guid for app_guid, _ in keys], [process_type for _, process_type in keys]


def _values(record: Record) -> dict[str, Any]:
    metadata = record.metadata
    return {
        "app_guid": metadata.app_guid,
        "type": metadata.type,
        "labels": metadata.labels,
        "annotations": metadata.annotations,
        "log_rate_limit_in_bytes_per_second": metadata.log_rate_limit_in_bytes_per_second,
        "updated_at": _moment(metadata.updated_at),
        "pending": msgspec.to_builtins(metadata.pending),
        "deployment_version": record.deployment_version,
        "pod_version": record.pod_version,
        "slots": record.slots,
        "stamp": record.stamp,
    }


def _record(row: Row) -> Record:
    synced_at = row["registry_credential_last_synced_at"]
    return Record(
        metadata=Metadata(
            app_guid=row["app_guid"],
            type=row["type"],
            labels=row["labels"],
            annotations=row["annotations"],
            log_rate_limit_in_bytes_per_second=row["log_rate_limit_in_bytes_per_second"],
            revision_guid=row["revision_guid"],
            registry_credential_guid=row["registry_credential_guid"],
            registry_credential_last_synced_at=None if synced_at is None else microseconds(synced_at),
            updated_at=microseconds(row["updated_at"]),
            pending=msgspec.convert(row["pending"], dict[str, Pending]) if row["pending"] else {},
        ),
        deployment_version=row["deployment_version"],
        pod_version=row["pod_version"],
        slots=tuple(row["slots"]),
        stamp=row["stamp"],
    )


def _moment(time: int) -> datetime:
    return datetime.fromtimestamp(time // SECOND, UTC).replace(microsecond=time % SECOND)
