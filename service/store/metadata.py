"""Rows of process metadata: reading what changed, writing what is new."""

from collections.abc import Iterable
from datetime import UTC, datetime

from asyncpg import Record

from service.model.process import SECOND, Metadata, microseconds
from service.store.database import Connection, translated

CHUNK = 200
"""Rows fetched at a time, so that decoding many does not hold up the event loop."""

_COLUMNS = """app_guid, type, labels, annotations, log_rate_limit_in_bytes_per_second,
              revision_guid, registry_credential_guid, registry_credential_last_synced_at, updated_at, stamp"""

Cursor = tuple[int, str, str]
"""How far rows have been read: the (stamp, app_guid, type) of the last one. Later writes have a higher stamp."""

START: Cursor = (0, "", "")

_AFTER = f"""SELECT {_COLUMNS} FROM process_metadata
             WHERE (stamp, app_guid, type) > ($1, $2, $3)
             ORDER BY stamp, app_guid, type LIMIT {CHUNK}"""  # noqa: S608 - constants

_UPSERT = """
INSERT INTO process_metadata AS row (app_guid, type, labels, annotations, log_rate_limit_in_bytes_per_second,
    revision_guid, registry_credential_guid, registry_credential_last_synced_at, updated_at, stamp)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp(), $9)
ON CONFLICT (app_guid, type) DO UPDATE SET
    labels = EXCLUDED.labels,
    annotations = EXCLUDED.annotations,
    log_rate_limit_in_bytes_per_second = EXCLUDED.log_rate_limit_in_bytes_per_second,
    revision_guid = EXCLUDED.revision_guid,
    registry_credential_guid = EXCLUDED.registry_credential_guid,
    registry_credential_last_synced_at = EXCLUDED.registry_credential_last_synced_at,
    updated_at = greatest(EXCLUDED.updated_at, row.updated_at),
    stamp = EXCLUDED.stamp
"""


async def fetch_after(connection: Connection, cursor: Cursor) -> tuple[list[Metadata], Cursor]:
    """The next rows written, oldest first and CHUNK at most, and the cursor behind them.

    Fewer than CHUNK: these are all there were when the question was answered.
    """
    with translated():
        rows = await connection.fetch(_AFTER, *cursor)
    if rows:
        cursor = (rows[-1]["stamp"], rows[-1]["app_guid"], rows[-1]["type"])
    return [_metadata(row) for row in rows], cursor


async def write(connection: Connection, rows: Iterable[Metadata]) -> int:
    """Store the rows as they are, in one transaction; `updated_at` becomes now. Returns their stamp."""
    with translated():
        async with connection.transaction():
            stamp: int = await connection.fetchval("UPDATE metadata_counter SET value = value + 1 RETURNING value")
            for row in rows:
                synced_at = row.registry_credential_last_synced_at
                await connection.execute(
                    _UPSERT,
                    row.app_guid,
                    row.type,
                    dict(row.labels),
                    dict(row.annotations),
                    row.log_rate_limit_in_bytes_per_second,
                    row.revision_guid,
                    row.registry_credential_guid,
                    None if synced_at is None else datetime.fromtimestamp(synced_at / SECOND, UTC),
                    stamp,
                )
            return stamp


def _metadata(row: Record) -> Metadata:
    synced_at = row["registry_credential_last_synced_at"]
    return Metadata(
        app_guid=row["app_guid"],
        type=row["type"],
        labels=row["labels"],
        annotations=row["annotations"],
        log_rate_limit_in_bytes_per_second=row["log_rate_limit_in_bytes_per_second"],
        revision_guid=row["revision_guid"],
        registry_credential_guid=row["registry_credential_guid"],
        registry_credential_last_synced_at=None if synced_at is None else microseconds(synced_at),
        updated_at=microseconds(row["updated_at"]),
    )
