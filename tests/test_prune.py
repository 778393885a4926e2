"""`python -m service prune`, with a real cluster and a real Postgres: what it says, does, and does not do."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest

from deploy.local.stack import Stack
from service.model.process import Metadata
from service.prune import PruneFailed, prune
from service.settings import Settings
from service.store import records
from service.store.database import Connection, connected, migrate
from service.store.orphans import PRUNE_LOCK
from tests.conftest import new_database
from tests.support.kube import Kube, deployment

AGED = "UPDATE process_metadata SET absent_since = absent_since - interval '31 days'"


@pytest.fixture
async def connection(stack: Stack) -> AsyncIterator[Connection]:
    """To a database of the test's own."""
    async with new_database(stack.database_url) as url, connected(url, 10) as opened:
        await migrate(opened)
        yield opened


@pytest.fixture
async def settings(connection: Connection, stack: Stack) -> Settings:
    name = await connection.fetchval("SELECT current_database()")
    url = stack.database_url.rpartition("/")[0] + f"/{name}"
    return Settings(database_url=url, kubeconfig=str(stack.service_kubeconfig))


@pytest.fixture
async def apps(connection: Connection, kube: Kube, space: str) -> tuple[str, str]:
    """The GUIDs of one app that runs and one that is gone, both with a row; the rows' processes are of type web."""
    there, gone = str(uuid4()), str(uuid4())
    await kube.create(deployment("there", space, there))
    rows = [Metadata(namespace=space, app_guid=app, type="web", labels={"a": "b"}) for app in (there, gone)]
    await records.load(connection, rows)
    return there, gone


async def told(settings: Settings, *, dry_run: bool = False) -> list[str]:
    lines: list[str] = []
    assert await prune(settings, lines.append, dry_run=dry_run) == 0
    return lines


async def rows(connection: Connection) -> dict[str, dict[str, object]]:
    """By app GUID."""
    return {row["app_guid"]: dict(row) for row in await connection.fetch("SELECT * FROM process_metadata")}


async def test_a_row_is_kept_while_its_process_is_there_and_for_days_after(
    settings: Settings, connection: Connection, apps: tuple[str, str], space: str
) -> None:
    there, gone = apps
    assert await told(settings) == [
        f"{space} {gone} web: gone, noticed now",
        "2 rows: 0 of processes gone for 30 days, 1 for less",
        "0 rows cleared, 0 removed that had been cleared before",
    ]
    found = await rows(connection)
    assert found[there]["absent_since"] is None
    assert found[gone]["absent_since"] is not None
    assert found[gone]["labels"] == {"a": "b"}


async def test_a_dry_run_says_what_would_go_and_changes_nothing(
    settings: Settings, connection: Connection, apps: tuple[str, str], space: str
) -> None:
    _, gone = apps
    await told(settings)
    await connection.execute(AGED)
    before = await rows(connection)
    lines = await told(settings, dry_run=True)
    assert len(lines) == 2
    assert lines[0].startswith(f"{space} {gone} web: gone since ")
    assert lines[0].endswith(", would be cleared")
    assert lines[1] == "2 rows: 1 of processes gone for 30 days, 0 for less"
    assert await rows(connection) == before


async def test_what_a_row_of_a_process_long_gone_says_is_cleared_and_no_other(
    settings: Settings, connection: Connection, apps: tuple[str, str]
) -> None:
    there, gone = apps
    await told(settings)
    await connection.execute(AGED)
    assert (await told(settings))[-1] == "1 rows cleared, 0 removed that had been cleared before"
    found = await rows(connection)
    assert (found[gone]["labels"], found[there]["labels"]) == ({}, {"a": "b"})
    # The row itself stays until every replica must have noticed.
    await connection.execute("UPDATE process_metadata SET cleared_at = cleared_at - interval '2 days'")
    assert (await told(settings))[-1] == "0 rows cleared, 1 removed that had been cleared before"
    assert (await rows(connection)).keys() == {there}


async def test_rows_are_kept_for_ever_where_that_is_set(
    settings: Settings, connection: Connection, apps: tuple[str, str]
) -> None:
    lines = await told(replace(settings, orphaned_metadata_days=0))
    assert lines == ["ORPHANED_METADATA_DAYS is 0: rows are kept for ever"]
    assert len(await rows(connection)) == 2


async def test_nothing_is_pruned_of_what_cannot_be_compared_with_the_cluster(
    settings: Settings, connection: Connection, apps: tuple[str, str], stack: Stack, kube: Kube, tmp_path: object
) -> None:
    await told(settings)
    await connection.execute(AGED)
    before = await rows(connection)
    nobody = f"{tmp_path}/kubeconfig"
    with open(nobody, "w") as file:  # noqa: ASYNC230 - a line
        file.write(stack.control_plane.kubeconfig_for(await kube.token_of_new_user()))
    with pytest.raises(PruneFailed, match="The cluster's Deployments cannot be listed"):
        await told(replace(settings, kubeconfig=nobody))
    assert await rows(connection) == before


@pytest.mark.usefixtures("apps")
async def test_it_does_not_meet_a_replica_that_is_pruning(settings: Settings, connection: Connection) -> None:
    await told(settings)
    await connection.execute(AGED)
    before = await rows(connection)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", PRUNE_LOCK)
        with pytest.raises(PruneFailed, match="try again"):
            await told(settings)
    assert await rows(connection) == before
