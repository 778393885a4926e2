"""The plans that Postgres makes of our statements, in a database that it knows nothing of yet."""

import pytest

from deploy.local.stack import Stack
from service.store import statements
from service.store.counter import ensure_counter
from service.store.database import connected, migrate
from tests.conftest import new_database

ROWS = 10_000
SAMPLES = {"bigint": "5", "bigint[]": "'{5}'", "text": "'a'", "text[]": "'{a}'", "jsonb": "'[]'"}
EACH_READ_AND_WRITE = ("AFTER", "READ", "LOCK", "NOTE", "CHANGE", "COUNT")


@pytest.mark.parametrize("name", EACH_READ_AND_WRITE)
async def test_none_is_compiled_each_time_it_is_executed(stack: Stack, name: str) -> None:
    statement = getattr(statements, name)
    async with new_database(stack.database_url) as url, connected(url, 30) as connection:
        await migrate(connection)
        await ensure_counter(connection)
        await connection.execute(
            "INSERT INTO process_metadata (namespace, app_guid, type, stamp)"
            " SELECT 'n' || i % 100, 'a' || i, 'web', i FROM generate_series(1, $1::int) AS i",
            ROWS,
        )
        await connection.execute(f"PREPARE asked AS {statement}")
        types = await connection.fetchval(
            "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'asked'"
        )
        arguments = f"({', '.join(SAMPLES[each] for each in types)})" if types else ""
        plan = [line for (line,) in await connection.fetch(f"EXPLAIN EXECUTE asked{arguments}")]
    assert not [line for line in plan if "JIT" in line], plan
