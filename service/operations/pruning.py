"""Removing the rows of processes that have been gone for long, so that they do not grow for ever.

A process is gone while no Deployment of its namespace claims its app and type, and an app while none claims the app.
What cannot be understood may be such a Deployment: in a namespace that has one, nothing is taken for gone.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from service.cluster.feeds import DeploymentFeed
from service.health import Health
from service.model.apps import APP_TYPE
from service.model.index import Index
from service.model.process import Key
from service.store import statements
from service.store.database import DatabaseUnavailable
from service.store.orphans import FIRST, Orphans, Plan, Pruned, StoredRow
from service.telemetry import get_logger

log = get_logger(__name__)

EVERY_S = 3600.0
"""How often a replica looks; at random up to half as much earlier or later, so that replicas spread out."""
FIRST_AFTER_S = 300.0
"""How long a replica has been running before it first looks."""


@dataclass
class Survey:
    """What is to be done with all rows there are, without doing it."""

    rows: int = 0
    due: list[StoredRow] = field(default_factory=list)
    """To be cleared."""
    waiting: list[StoredRow] = field(default_factory=list)
    """Gone, but not for long enough, or noticed only now."""


def is_present(index: Index, deployments: DeploymentFeed) -> Callable[[Key], bool]:
    """Whether a process has a Deployment, or may have one, as of now."""
    doubtful = {skipped.namespace for skipped in deployments.skipped.values()}
    # An app may have no Deployment but some that are no process because of older ones.
    unserved = {(workload.namespace, workload.app_guid) for workload in index.conflicts.values()}

    def is_there(key: Key) -> bool:
        if index.is_claimed(key) or deployments.joins.holds(key) or key[0] in doubtful:
            return True
        return key[2] == APP_TYPE and key[:2] in unserved

    return is_there


async def chunks(rows: Orphans, days: float) -> AsyncIterator[list[StoredRow]]:
    """All rows, some at a time, in the order of their keys. Raises DatabaseUnavailable."""
    after = FIRST
    while True:
        found = await rows.stored_rows(after, days)
        if found:
            after = found[-1].key
            yield found
        if len(found) < statements.CHUNK:
            return


def plan(found: list[StoredRow], present: Callable[[Key], bool]) -> Plan:
    """What is to be done with some rows."""
    gone = [row for row in found if not present(row.key)]
    return Plan(
        mark=[row.key for row in gone if not row.is_marked and not row.is_cleared],
        unmark=[row.key for row in found if row.is_marked and not row.is_cleared and present(row.key)],
        clear=[row for row in gone if row.is_due and not row.is_cleared],
        remove=[row for row in found if row.is_removable],
    )


async def survey(rows: Orphans, days: float, present: Callable[[Key], bool]) -> Survey:
    """What pruning would do now. Raises DatabaseUnavailable."""
    found = Survey()
    async for chunk in chunks(rows, days):
        found.rows += len(chunk)
        for row in chunk:
            if not row.is_cleared and not present(row.key):
                (found.due if row.is_due else found.waiting).append(row)
    return found


async def prune(
    rows: Orphans, days: float, present: Callable[[], Awaitable[Callable[[Key], bool] | None]]
) -> Pruned | None:
    """Prune all rows. `present` is asked anew for each chunk; None of it, or another replica at work, ends it.

    None: nothing was pruned, or not everything looked at. Raises DatabaseUnavailable.
    """
    result = Pruned()
    async for chunk in chunks(rows, days):
        is_there = await present()
        if is_there is None or (done := await rows.carry_out(plan(chunk, is_there))) is None:
            return None
        result.absent += sum(not row.is_cleared and not is_there(row.key) for row in chunk)
        result.cleared += len(done.cleared)
        result.removed += done.removed
        for namespace, app_guid, process_type in done.cleared:
            log.info("metadata cleared", namespace=namespace, app_guid=app_guid, process_type=process_type)
    return result


class Pruning:
    """Prunes now and then, for as long as the service runs."""

    def __init__(
        self, *, index: Index, deployments: DeploymentFeed, orphans: Orphans, health: Health, days: float
    ) -> None:
        self._index = index
        self._deployments = deployments
        self._orphans = orphans
        self._health = health
        self._days = days
        self.done = Pruned()

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.sleep(FIRST_AFTER_S * random.uniform(0.5, 1.5))
        while True:
            try:
                await self.look()
            except DatabaseUnavailable as error:
                log.info("metadata not pruned", reason=error.reason)
            except Exception:
                # A defect of ours must not end the service: rows may stay for longer.
                log.exception("metadata not pruned")
            await asyncio.sleep(EVERY_S * random.uniform(0.5, 1.5))

    async def look(self) -> None:
        """Prune once, if it is certain which processes there are. Raises DatabaseUnavailable."""
        if not self._days:
            return
        result = await prune(self._orphans, self._days, self._present)
        if result is None:
            return
        self.done.absent = result.absent
        self.done.cleared += result.cleared
        self.done.removed += result.removed
        log.info("metadata pruned", absent=result.absent, cleared=result.cleared, removed=result.removed)

    async def _present(self) -> Callable[[Key], bool] | None:
        """None: not everything that there is may be known here now."""
        if not self._health.current:
            return None
        return is_present(self._index, self._deployments)
