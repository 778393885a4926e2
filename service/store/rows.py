"""Rows of Postgres as records, whatever somebody has edited in them.

People open tables with psql, and scripts restore parts of backups. What a row holds is therefore checked as if a
stranger had sent it. A row that cannot be understood is a record that says so (`Metadata.unreadable`) and is otherwise
empty: it is skipped and reported, and disturbs no other row.

Some values would fail before they got here, as the client library cannot make objects of them. Postgres is therefore
asked for what can always be decoded: SELECTED.
"""

import sys
from collections.abc import Mapping
from typing import Any

import msgspec
from asyncpg import Record as Row

from service.model.process import Key, Metadata, Pending
from service.model.record import Record
from service.model.texts import LONGEST_NAME

LARGEST_COLUMN = 8 << 20
"""Bytes of JSON or of uids in one column: all that 200 annotations can hold, in any script, and more."""
EARLIEST, LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999
"""Times, in microseconds since the epoch, that have a year from 1 to 9999."""


def _json(column: str) -> str:
    return f"CASE WHEN octet_length({column}::text) <= {LARGEST_COLUMN} THEN {column}::text END AS {column}"


def _time(column: str) -> str:
    # An infinite time has no number, and one before the year 1 no datetime: both come as a number out of range.
    return f"""CASE WHEN {column} IS NULL THEN NULL
                    WHEN isfinite({column}) THEN (extract(epoch FROM {column}) * 1000000)::bigint
                    ELSE {LATEST + 1} END AS {column}"""


def _text(column: str) -> str:
    return f"left({column}, {LONGEST_NAME + 1}) AS {column}"


SELECTED = f"""namespace, app_guid, type, {_json("labels")}, {_json("annotations")}, {_json("pending")},
               log_rate_limit_in_bytes_per_second, {_text("revision_guid")}, {_text("registry_credential_guid")},
               {_time("registry_credential_last_synced_at")}, {_time("updated_at")},
               folded_version, deployment_version, pod_version,
               CASE WHEN coalesce(array_ndims(slots), 1) = 1 AND octet_length(slots::text) <= {LARGEST_COLUMN}
                    THEN slots END AS slots, stamp"""
"""The columns of a row of process_metadata, for `record_of`."""


def key_of(row: Row) -> Key:
    return row["namespace"], row["app_guid"], row["type"]


def record_of(row: Row) -> Record:
    """The record of a row that was asked for by SELECTED. It is unreadable if a column holds what it never should."""
    try:
        return _record(row)
    except _Unreadable as error:
        reason = str(error)
    versions = {name: row[name] for name in ("deployment_version", "pod_version") if _is_whole(row[name], 0)}
    namespace, app_guid, process_type = key_of(row)
    metadata = Metadata(namespace=namespace, app_guid=app_guid, type=process_type, unreadable=reason)
    return Record(metadata=metadata, stamp=row["stamp"], **versions)


class _Unreadable(ValueError):
    """Which column holds what it should not; in words of ours, as it is shown to callers."""


def _record(row: Row) -> Record:
    for column in ("namespace", "app_guid", "type"):
        if len(row[column]) > LONGEST_NAME:
            raise _Unreadable(f"{column} is too long")
    return Record(
        metadata=Metadata(
            namespace=sys.intern(row["namespace"]),
            app_guid=row["app_guid"],
            type=sys.intern(row["type"]),
            labels=_decoded(row, "labels", _PAIRS),
            annotations=_decoded(row, "annotations", _PAIRS),
            log_rate_limit_in_bytes_per_second=_number(row, "log_rate_limit_in_bytes_per_second", -1),
            revision_guid=_guid(row, "revision_guid"),
            registry_credential_guid=_guid(row, "registry_credential_guid"),
            registry_credential_last_synced_at=_moment(row, "registry_credential_last_synced_at", required=False),
            updated_at=_moment(row, "updated_at") or 0,
            pending=_pending(row),
        ),
        folded_version=_number(row, "folded_version", 0),
        deployment_version=_number(row, "deployment_version", 0),
        pod_version=_number(row, "pod_version", 0),
        slots=_slots(row),
        stamp=row["stamp"],
    )


_PAIRS = msgspec.json.Decoder(dict[str, str]).decode
_PENDING = msgspec.json.Decoder(dict[str, Pending]).decode


def _decoded(row: Row, column: str, decode: Any) -> dict[str, Any]:
    text = row[column]
    if text is None:
        raise _Unreadable(f"{column} is empty or too large")
    if text == "{}":
        return {}
    try:
        decoded: dict[str, Any] = decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _Unreadable(f"{column} is not of the shape that it has to be") from error
    return decoded


def _pending(row: Row) -> Mapping[str, Pending]:
    pending: Mapping[str, Pending] = _decoded(row, "pending", _PENDING)
    for each in pending.values():
        rate = each.change.log_rate_limit_in_bytes_per_second
        if not _is_whole(each.version, 0) or not (rate is None or _is_whole(rate, -1)):
            raise _Unreadable("pending has a number out of range")
    return pending


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and least <= value < 1 << 63


def _number(row: Row, column: str, least: int) -> int:
    value = row[column]
    if not _is_whole(value, least):
        raise _Unreadable(f"{column} is empty or less than {least}")
    return int(value)


def _guid(row: Row, column: str) -> str | None:
    text: str | None = row[column]
    if text is not None and len(text) > LONGEST_NAME:
        raise _Unreadable(f"{column} is too long")
    return text


def _moment(row: Row, column: str, *, required: bool = True) -> int | None:
    moment: int | None = row[column]
    if moment is None and not required:
        return None
    if moment is None or not EARLIEST <= moment <= LATEST:
        raise _Unreadable(f"{column} is not a time of the years 1 to 9999")
    return moment


def _slots(row: Row) -> tuple[str, ...]:
    slots = row["slots"]
    if slots is None or None in slots:
        raise _Unreadable("slots is not a list of texts, or is too large")
    return tuple(slots)
