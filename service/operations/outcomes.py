"""What a write leaves behind: the process as the caller is shown it, and what other replicas are told."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from service.cluster.feeds import DeploymentFeed
from service.cluster.workloads import Changed
from service.freshness import ReadBarrier
from service.model import record as rules
from service.model.derive import merge
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
    """Other replicas could not be told: they show it when their watches do."""
    is_change: bool = True
    """False: nothing was left to be changed, and neither store was asked to."""


class Outcomes:
    def __init__(self, index: Index, records: Records, deployments: DeploymentFeed, barrier: ReadBarrier) -> None:
        self._index = index
        self._records = records
        self._deployments = deployments
        self._barrier = barrier

    async def unchanged(self, process: Process, workload: Workload) -> Written:
        """Of a request that changes nothing: the process as all writes before it have left it."""
        await self._barrier.catch_up()
        return Written(self._merged(workload, (self._index.find(process.key) or process).metadata), is_change=False)

    def row_changed(self, workload: Workload, row: Record) -> Written:
        """Postgres has taken the change, and is all that had to."""
        self._barrier.take(row)
        return Written(self._merged(workload, row.metadata))

    async def deployment_changed(self, process: Process, done: Changed) -> Written:
        """Kubernetes has taken the change, and is all that had to: tell the other replicas."""
        self._deployments.accept_workload(done.workload, done.version)
        try:
            row = await self._records.note(process.key, deployment_version=done.version)
        except DatabaseUnavailable as error:
            return self._untold(process, done, lambda metadata: metadata, error)
        return self.row_changed(done.workload, row)

    async def both_changed(self, process: Process, done: Changed, change: MetadataChange) -> Written:
        """Kubernetes has taken its half of the change: make the other one lasting, and tell the other replicas."""
        self._deployments.accept_workload(done.workload, done.version)

        def fold(row: Record, now: int) -> Record:
            row = rules.seen(row, done.workload.write_id, done.version, now)
            return msgspec.structs.replace(row, deployment_version=max(row.deployment_version, done.version))

        try:
            row = await self._records.change(process.key, fold)
        except DatabaseUnavailable as error:
            # It is prepared and committed, so it counts; whoever writes next folds it.
            return self._untold(process, done, lambda metadata: metadata.changed(change), error)
        return self.row_changed(done.workload, row)

    def _untold(
        self,
        process: Process,
        done: Changed,
        changed: Callable[[Metadata], Metadata],
        error: DatabaseUnavailable,
    ) -> Written:
        log.warning("other replicas not told", reason=error.reason)
        known = self._index.find(process.key) or process
        return Written(self._merged(done.workload, changed(known.metadata)), lagging=True)

    def _merged(self, workload: Workload, metadata: Metadata) -> Process:
        return merge(workload, metadata, self._index.space(workload.namespace))
