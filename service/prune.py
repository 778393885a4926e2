"""`python -m service prune`: removes, or only names, the rows of processes that have been gone for long."""

from collections.abc import Callable

from service.cluster.client import Client
from service.cluster.inspection import Survey as Cluster
from service.cluster.inspection import Unanswered
from service.model.process import Key
from service.operations import pruning
from service.settings import Settings
from service.store.database import Pool
from service.store.orphans import Orphans, StoredRow

LISTING_S = 300.0
"""How long the cluster's Deployments may take to be listed."""


class PruneFailed(Exception):
    """Nothing was pruned, and why: for the operator to read."""


async def prune(settings: Settings, tell: Callable[[str], None], *, dry_run: bool) -> int:
    """The exit status. Raises PruneFailed, DatabaseUnavailable, NoCluster."""
    days = settings.orphaned_metadata_days
    if not days:
        tell("ORPHANED_METADATA_DAYS is 0: rows are kept for ever")
        return 0
    present = await _present(settings)
    pool = await Pool.open(settings.database_url, size=1, timeout_s=settings.database_timeout_s)
    try:
        rows = Orphans(pool)
        found = await pruning.survey(rows, days, present)
        _tell(found, days, tell, dry_run=dry_run)
        if not dry_run:
            await _prune(rows, days, present, tell)
        return 0
    finally:
        await pool.close()


async def _present(settings: Settings) -> Callable[[Key], bool]:
    """Which processes the cluster has, listed now. Raises PruneFailed."""
    client = await Client.connect(settings.kubeconfig, settings.kube_context, timeout_s=settings.kube_timeout_s)
    try:
        cluster = Cluster(client, settings.keys, LISTING_S)
        await cluster.list_deployments()
    except Unanswered as error:
        raise PruneFailed(f"The cluster's Deployments cannot be listed: {error}") from error
    finally:
        await client.close()
    return pruning.is_present(cluster.index, cluster.deployments)


def _tell(found: pruning.Survey, days: int, tell: Callable[[str], None], *, dry_run: bool) -> None:
    for row in found.due:
        tell(f"{_named(row)}: gone since {row.absent_since}" + (", would be cleared" if dry_run else ""))
    for row in found.waiting:
        tell(f"{_named(row)}: " + (f"gone since {row.absent_since}, kept" if row.is_marked else "gone, noticed now"))
    tell(f"{found.rows} rows: {len(found.due)} of processes gone for {days} days, {len(found.waiting)} for less")


async def _prune(rows: Orphans, days: int, present: Callable[[Key], bool], tell: Callable[[str], None]) -> None:
    async def still_present() -> Callable[[Key], bool]:
        return present

    result = await pruning.prune(rows, days, still_present)
    if result is None:
        raise PruneFailed("A replica of the service is pruning at this moment: try again")
    tell(f"{result.cleared} rows cleared, {result.removed} removed that had been cleared before")


def _named(row: StoredRow) -> str:
    return " ".join(row.key)
