"""What a person can do to rows of Postgres with psql, constraints and all."""

from collections.abc import Mapping

import asyncpg

DEEP = "[" * 3000 + "]" * 3000

ROW_EDITS: Mapping[str, str] = {
    "a label that is a list": """labels = '{"a": ["b"]}'""",
    "a label that is a number": """labels = '{"a": 1}'""",
    "a label that is null": """labels = '{"a": null}'""",
    "labels that are a list": "labels = '[]'",
    "labels that are a text": """labels = '"a"'""",
    "labels that are JSON's null": "labels = 'null'",
    "no labels": "labels = NULL",
    "labels nested deeply": f"""labels = '{{"a": {DEEP}}}'""",
    "labels of 9 MB": "labels = jsonb_build_object('a', repeat('x', 9000000))",
    "annotations that are a list": "annotations = '[1]'",
    "an annotation that is an object": """annotations = '{"a": {"b": "c"}}'""",
    "no annotations": "annotations = NULL",
    "pending that is a list": "pending = '[]'",
    "pending of another shape": """pending = '{"w": {"labels": {}}}'""",
    "pending of a version that is a text": """pending = '{"w": {"change": {}, "version": "1"}}'""",
    "pending of a version beyond 64 bits": """pending = '{"w": {"change": {}, "version": 1e30}}'""",
    "pending of a log rate beyond 64 bits": (
        """pending = '{"w": {"change": {"log_rate_limit_in_bytes_per_second": 1e30}, "version": 1}}'"""
    ),
    "pending of a label that is a list": """pending = '{"w": {"change": {"labels": {"a": []}}, "version": 1}}'""",
    "no pending": "pending = NULL",
    "a log rate below -1": "log_rate_limit_in_bytes_per_second = -2",
    "no log rate": "log_rate_limit_in_bytes_per_second = NULL",
    "a GUID of a megabyte": "revision_guid = repeat('x', 1000000)",
    "a credential of a megabyte": "registry_credential_guid = repeat('x', 1000000)",
    "a credential synced for ever": "registry_credential_last_synced_at = 'infinity'",
    "a credential synced before Christ": "registry_credential_last_synced_at = '4713-01-01 BC'",
    "changed for ever": "updated_at = 'infinity'",
    "changed since ever": "updated_at = '-infinity'",
    "changed in the year 200000": "updated_at = '200000-01-01'",
    "changed before Christ": "updated_at = '0001-01-01 BC'",
    "never changed": "updated_at = NULL",
    "a negative version of its Deployment": "deployment_version = -1",
    "no version of its Deployment": "deployment_version = NULL",
    "a negative version of its Pods": "pod_version = -5",
    "a negative version of its fold": "folded_version = -1",
    "no version of its fold": "folded_version = NULL",
    "slots of two dimensions": "slots = '{{a,b},{c,d}}'",
    "slots with a null": "slots = '{a,NULL}'",
    "slots of 9 MB": "slots = ARRAY[repeat('x', 9000000)]",
    "no slots": "slots = NULL",
}
"""Assignments after which a row cannot be understood."""

COUNTER_EDITS: Mapping[str, str] = {
    "removed": "DELETE FROM metadata_counter",
    "turned back": "UPDATE metadata_counter SET value = 0",
    "negative": "UPDATE metadata_counter SET value = -7",
    "null": "UPDATE metadata_counter SET value = NULL",
    "at its end": "UPDATE metadata_counter SET value = 9223372036854775807",
    "behind a row": "UPDATE process_metadata SET stamp = stamp + 1000 WHERE app_guid = 'edited'",
    "behind a row at its end": "UPDATE process_metadata SET stamp = 9223372036854775807 WHERE app_guid = 'edited'",
    "of no row": "UPDATE process_metadata SET stamp = NULL WHERE app_guid = 'edited'",
    "not yet at a negative row": "UPDATE process_metadata SET stamp = -1 WHERE app_guid = 'edited'",
}
"""Statements after which the counter is not what it has to be."""

_UNCONSTRAINED = """
DO $$
DECLARE each record;
BEGIN
    FOR each IN SELECT conrelid::regclass AS place, conname AS name FROM pg_constraint
                WHERE contype = 'c' AND conrelid IN ('process_metadata'::regclass, 'metadata_counter'::regclass)
    LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', each.place, each.name); END LOOP;
    FOR each IN SELECT attrelid::regclass AS place, attname AS name FROM pg_attribute
                WHERE attrelid IN ('process_metadata'::regclass, 'metadata_counter'::regclass)
                  AND attnum > 0 AND attnotnull AND attname NOT IN ('namespace', 'app_guid', 'type', 'only_row')
    LOOP EXECUTE format('ALTER TABLE %s ALTER %I DROP NOT NULL', each.place, each.name); END LOOP;
END $$
"""


async def allow_everything(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Drop all that keeps a row in shape, but its key."""
    await connection.execute(_UNCONSTRAINED)
