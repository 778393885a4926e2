"""The end of a write: other replicas are told of it, and the caller is shown the process as it has become."""

from dataclasses import dataclass

import msgspec

from service.cluster.feeds import DeploymentFeed
from service.cluster.workloads import Changed
from service.errors import MetadataUnreadable
from service.freshness import ReadBarrier, only
from service.model import record as rules
from service.model.index import Index
from service.model.process import Metadata, MetadataChange, Process, Workload
from service.model.record import Record
from service.model.snapshots import Snapshot
from service.store.database import DatabaseUnavailable
from service.store.records import Known, Records
from service.telemetry import get_logger

log = get_logger(__name__)


@dataclass(frozen=True)
class Written:
    """A process as a write has left it."""

    process: Process
    lagging: bool = False
    """Whether other replicas could not be told: they show it when their watches bring it."""
    is_change: bool = True
    """False: all was as asked for already, and neither store was asked to change anything."""
    warnings: tuple[str, ...] = ()
    """Kubernetes', of the change."""


class Outcomes:
    def __init__(self, index: Index, records: Records, deployments: DeploymentFeed, barrier: ReadBarrier) -> None:
        self._index = index
        self._records = records
        self._deployments = deployments
        self._barrier = barrier

    def accept_row(self, row: Record) -> None:
        """Take in a row that a write has saved, on its way or at its end."""
        self._barrier.accept_row(row)

    async def unchanged(self, process: Process, snapshot: Snapshot) -> Written:
        """The end of a request that changes nothing, as it was found when the Deployment was read: the process as all
        writes before it have left it.
        """
        self._deployments.accept_workload(snapshot.workload, snapshot.version)
        return Written(await self._caught_up(process, snapshot.workload), is_change=False)

    def row_changed(self, workload: Workload, row: Record, warnings: tuple[str, ...] = ()) -> Written:
        """The end of a change whose row is saved; `workload` is the Deployment's part of the process."""
        self.accept_row(row)
        return Written(self._index.merged(workload, row.metadata), warnings=warnings)

    async def deployment_changed(self, process: Process, done: Changed) -> Written:
        """The end of a change of the Deployment alone: save its version in the row, for other replicas to look for."""
        self._deployments.accept_workload(done.workload, done.version)
        try:
            row = await self._records.note(process.key, deployment_version=done.version)
        except DatabaseUnavailable as error:
            known = self._index.find(process.key) or process
            return self._untold(done, known.metadata, error)
        if row.folded_version > done.version:
            # The row has half of a write that came after ours: the process is shown as both have left it.
            self.accept_row(row)
            return Written(await self._caught_up(process, done.workload), warnings=done.warnings)
        return self.row_changed(done.workload, row, done.warnings)

    async def both_changed(self, process: Process, done: Changed, prepared: Known, change: MetadataChange) -> Written:
        """The end of a change that Kubernetes has committed: fold the row's half, and save the Deployment's version.

        `prepared` is the row with which it was prepared: read again only if somebody has changed it since.
        """
        self._deployments.accept_workload(done.workload, done.version)
        left = prepared.record.metadata.changed(change)

        def fold(row: Record, now: int) -> Record:
            nonlocal left
            after = rules.reconciled(row, done.workload.write_id, done.version, now)
            if done.workload.write_id in row.metadata.pending:
                # Else whoever came next has folded it, and the row may have a change of theirs by now.
                left = after.metadata
            return msgspec.structs.replace(after, deployment_version=max(row.deployment_version, done.version))

        try:
            row = await self._records.change(process.key, fold, prepared)
        except (DatabaseUnavailable, MetadataUnreadable) as error:
            # It is prepared and committed, and so it shows. The next writer folds it.
            return self._untold(done, left, error)
        self.accept_row(row)
        return Written(self._index.merged(done.workload, left), warnings=done.warnings)

    async def _caught_up(self, process: Process, workload: Workload) -> Process:
        """The process as it is known to all."""
        await self._barrier.catch_up(only(process.key))
        return self._index.find(process.key) or self._index.merged(workload, process.metadata)

    def _untold(self, done: Changed, metadata: Metadata, error: DatabaseUnavailable | MetadataUnreadable) -> Written:
        reason = error.reason if isinstance(error, DatabaseUnavailable) else error.detail
        log.warning("other replicas not told", reason=reason)
        return Written(self._index.merged(done.workload, metadata), lagging=True, warnings=done.warnings)
