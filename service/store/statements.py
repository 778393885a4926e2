"""The SQL by which rows are read and changed. It is put together from constants of this module alone.

Where a statement asks for a key, its first three arguments are namespace, app_guid and type.
"""

from service.store.rows import SELECTED

CHUNK = 200
"""Rows fetched or changed at a time, so that decoding many does not hold up the event loop."""

KEY = "namespace, app_guid, type"
IS_ROW = "namespace = $1 AND app_guid = $2 AND type = $3"
KEYS = "unnest($1::text[], $2::text[], $3::text[])"

# Always with the counter, be there rows or not. A stamp above it is none that it gave: who took such a one for how far
# they have read would miss what comes.
# LIMIT: of a table without statistics Postgres expects 2,200 rows. For as many it would compile code, each time.
AFTER = f"""SELECT value AS counter, found.*
            FROM (SELECT value FROM metadata_counter LIMIT 1) AS one LEFT JOIN LATERAL (
                SELECT {SELECTED} FROM process_metadata
                WHERE (stamp, {KEY}) > ($1, $2, $3, $4) AND stamp <= value
                ORDER BY stamp, {KEY} LIMIT {CHUNK}
            ) AS found ON true ORDER BY stamp, {KEY}"""

READ = f"SELECT {SELECTED}, clock_timestamp() AS now FROM process_metadata WHERE {IS_ROW}"

LOCK = f"""SELECT {SELECTED}, clock_timestamp() AS now FROM process_metadata
            WHERE ({KEY}) IN (SELECT * FROM {KEYS})
            ORDER BY {KEY} FOR UPDATE"""

CREATE = f"""INSERT INTO process_metadata ({KEY})
             SELECT {KEY} FROM {KEYS} AS missing ({KEY})
             ORDER BY {KEY} ON CONFLICT DO NOTHING"""

HIGHEST_STAMP = 1 << 62
"""Counting on from here, no number of writes comes to the end of a bigint."""

COUNTER_IS_RIGHT = f"""
SELECT coalesce(value BETWEEN 0 AND {HIGHEST_STAMP}
                AND NOT EXISTS (SELECT FROM process_metadata WHERE stamp IS NULL OR stamp < 0 OR stamp > value), false)
FROM (SELECT (SELECT value FROM metadata_counter) AS value) AS counter"""

RESTORE_COUNTER = f"""INSERT INTO metadata_counter AS counter (value)
    SELECT 1 + greatest(
        0, (SELECT value FROM metadata_counter WHERE value BETWEEN 0 AND {HIGHEST_STAMP}),
        (SELECT max(stamp) FROM process_metadata WHERE stamp BETWEEN 0 AND {HIGHEST_STAMP}))
    ON CONFLICT (only_row) DO UPDATE SET value = EXCLUDED.value
    RETURNING value"""

STAMP_ALL = "UPDATE process_metadata SET stamp = $1"

# Somebody may have turned the counter back: stamps that rows have were seen. Only the end of an index is looked at.
_COUNT = f"""UPDATE metadata_counter SET value = 1 + greatest(
    least(value, {HIGHEST_STAMP}), (SELECT max(stamp) FROM process_metadata WHERE stamp < {HIGHEST_STAMP}))"""

COUNT = f"{_COUNT} RETURNING value"

# Within one statement, too, the counter waits for the lock of the row.
COUNT_LOCKED = f"{_COUNT} WHERE EXISTS (SELECT FROM locked) RETURNING value"

# Whatever changes a row shows that somebody has a use for it: the time to remove it begins anew.
IN_USE = "absent_since = NULL, cleared_at = NULL"

CHANGE = f"""WITH new AS MATERIALIZED (
                  SELECT * FROM jsonb_to_recordset($1) AS new (
                      namespace text, app_guid text, type text, labels jsonb, annotations jsonb,
                      log_rate_limit_in_bytes_per_second bigint, updated_at timestamptz, pending jsonb,
                      folded_version bigint, deployment_version bigint, pod_version bigint, slots text[],
                      stamp bigint)
              ), locked AS MATERIALIZED (
                  SELECT {KEY} FROM process_metadata AS row JOIN new USING ({KEY})
                  WHERE row.stamp = new.stamp ORDER BY {KEY} FOR UPDATE OF row
              ), counted AS ({COUNT_LOCKED})
              UPDATE process_metadata AS row
              SET labels = new.labels, annotations = new.annotations,
                  log_rate_limit_in_bytes_per_second = new.log_rate_limit_in_bytes_per_second,
                  updated_at = new.updated_at, pending = new.pending, folded_version = new.folded_version,
                  deployment_version = new.deployment_version, pod_version = new.pod_version, slots = new.slots,
                  stamp = counted.value, {IN_USE}
              FROM counted, new JOIN locked USING ({KEY})
              WHERE row.namespace = new.namespace AND row.app_guid = new.app_guid AND row.type = new.type
              RETURNING row.stamp"""

NOTE = f"""WITH locked AS MATERIALIZED (
                SELECT FROM process_metadata WHERE {IS_ROW} FOR UPDATE
            ), counted AS ({COUNT_LOCKED})
            UPDATE process_metadata AS row
            SET deployment_version = greatest(row.deployment_version, $4),
                pod_version = greatest(row.pod_version, $5), stamp = counted.value, {IN_USE}
            FROM counted WHERE {IS_ROW}
            RETURNING {SELECTED}"""

LOAD = f"""
INSERT INTO process_metadata AS row ({KEY}, labels, annotations, log_rate_limit_in_bytes_per_second,
    revision_guid, registry_credential_guid, registry_credential_last_synced_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp())
ON CONFLICT ({KEY}) DO UPDATE SET
    labels = EXCLUDED.labels,
    annotations = EXCLUDED.annotations,
    log_rate_limit_in_bytes_per_second = EXCLUDED.log_rate_limit_in_bytes_per_second,
    revision_guid = EXCLUDED.revision_guid,
    registry_credential_guid = EXCLUDED.registry_credential_guid,
    registry_credential_last_synced_at = EXCLUDED.registry_credential_last_synced_at,
    updated_at = greatest(EXCLUDED.updated_at, row.updated_at), {IN_USE}
"""

STAMP = f"UPDATE process_metadata SET stamp = $4 WHERE {IS_ROW}"

# Of rows that name resourceVersions which the cluster has not come to.

_LATEST_NAMED = "greatest(folded_version, deployment_version, pod_version)"

BEYOND = f"""SELECT {KEY}, stamp FROM process_metadata WHERE {_LATEST_NAMED} > $1 ORDER BY {KEY} LIMIT {CHUNK}"""

# Of rows that are gone. Times are compared here, by the clock that wrote them.

ORPHANS = f"""SELECT {KEY}, stamp, absent_since IS NOT NULL AS is_marked, cleared_at IS NOT NULL AS is_cleared,
                     coalesce(absent_since < clock_timestamp() - make_interval(secs => $4 * 86400.0), false) AS is_due,
                     coalesce(cleared_at < clock_timestamp() - interval '1 day', false) AS is_removable,
                     coalesce(to_char(absent_since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), '')
                         AS absent_since
              FROM process_metadata WHERE ({KEY}) > ($1, $2, $3) ORDER BY {KEY} LIMIT {CHUNK}"""

MARK = f"""UPDATE process_metadata SET absent_since = clock_timestamp()
           WHERE ({KEY}) IN (SELECT * FROM {KEYS}) AND absent_since IS NULL AND cleared_at IS NULL
           RETURNING stamp"""

UNMARK = f"UPDATE process_metadata SET absent_since = NULL WHERE ({KEY}) IN (SELECT * FROM {KEYS})"

GUARDED = f"""SELECT {KEY} FROM process_metadata AS row
              JOIN unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS planned ({KEY}, stamp)
              USING ({KEY}, stamp)"""

LOWER = f"""WITH locked AS MATERIALIZED (
                {GUARDED} WHERE {_LATEST_NAMED} > $5 ORDER BY {KEY} FOR UPDATE OF row
            ), counted AS ({COUNT_LOCKED})
            UPDATE process_metadata AS row
            SET folded_version = least(row.folded_version, $5), deployment_version = least(row.deployment_version, $5),
                pod_version = least(row.pod_version, $5), stamp = counted.value
            FROM counted, locked
            WHERE row.namespace = locked.namespace AND row.app_guid = locked.app_guid AND row.type = locked.type
            RETURNING row.stamp"""

CLEAR = f"""WITH locked AS MATERIALIZED (
                {GUARDED} WHERE row.absent_since IS NOT NULL AND row.cleared_at IS NULL
                ORDER BY {KEY} FOR UPDATE OF row
            ), counted AS ({COUNT_LOCKED})
            UPDATE process_metadata AS row
            SET labels = DEFAULT, annotations = DEFAULT, log_rate_limit_in_bytes_per_second = DEFAULT,
                revision_guid = DEFAULT, registry_credential_guid = DEFAULT,
                registry_credential_last_synced_at = DEFAULT, updated_at = DEFAULT, pending = DEFAULT,
                folded_version = DEFAULT, deployment_version = DEFAULT, pod_version = DEFAULT, slots = DEFAULT,
                stamp = counted.value, cleared_at = clock_timestamp()
            FROM counted, locked
            WHERE row.namespace = locked.namespace AND row.app_guid = locked.app_guid AND row.type = locked.type
            RETURNING row.namespace, row.app_guid, row.type"""

REMOVE = f"""DELETE FROM process_metadata
             WHERE ({KEY}) IN ({GUARDED} WHERE row.cleared_at IS NOT NULL FOR UPDATE OF row)
             RETURNING stamp"""
