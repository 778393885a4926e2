"""The end of a write: other replicas are told of it, and the caller is shown the process as it has become."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from service.cluster.feeds import DeploymentFeed
from service.cluster.workloads import Changed
from service.freshness import ReadBarrier
from service.model import record as rules
from service.model.index import Index
from service.model.process import Metadata, MetadataChange, Process, Workload
from service.model.record import Record
from service.store.database import DatabaseUnavailable
from service.store.records import Records
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

    async def unchanged(self, process: Process, workload: Workload) -> Written:
        """The end of a request that changes nothing: the process as all writes before it have left it."""
        await self._barrier.catch_up()
        return Written(
            self._index.merged(workload, (self._index.find(process.key) or process).metadata), is_change=False
        )

    def row_changed(self, workload: Workload, row: Record, warnings: tuple[str, ...] = ()) -> Written:
        """The end of a change whose row is saved; `workload` is the Deployment's part of the process."""
        self._barrier.accept_row(row)
        return Written(self._index.merged(workload, row.metadata), warnings=warnings)

    async def deployment_changed(self, process: Process, done: Changed) -> Written:
        """The end of a change of the Deployment alone: save its version in the row, for other replicas to look for."""
        self._deployments.accept_workload(done.workload, done.version)
        try:
            row = await self._records.note(process.key, deployment_version=done.version)
        except DatabaseUnavailable as error:
            return self._untold(process, done, lambda metadata: metadata, error)
        return self.row_changed(done.workload, row, done.warnings)

    async def both_changed(self, process: Process, done: Changed, change: MetadataChange) -> Written:
        """The end of a change that Kubernetes has committed: fold the row's half, and save the Deployment's version."""
        self._deployments.accept_workload(done.workload, done.version)

        def fold(row: Record, now: int) -> Record:
            row = rules.reconciled(row, done.workload.write_id, done.version, now)
            return msgspec.structs.replace(row, deployment_version=max(row.deployment_version, done.version))

        try:
            row = await self._records.change(process.key, fold)
        except DatabaseUnavailable as error:
            # It is prepared and committed, and so it shows. The next writer folds it.
            return self._untold(process, done, lambda metadata: metadata.changed(change), error)
        return self.row_changed(done.workload, row, done.warnings)

    def _untold(
        self,
        process: Process,
        done: Changed,
        changed: Callable[[Metadata], Metadata],
        error: DatabaseUnavailable,
    ) -> Written:
        log.warning("other replicas not told", reason=error.reason)
        known = self._index.find(process.key) or process
        return Written(self._index.merged(done.workload, changed(known.metadata)), lagging=True, warnings=done.warnings)
