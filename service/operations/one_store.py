"""How to carry out a change of one store only: of the Deployment in Kubernetes, or of the row in Postgres."""

from contextlib import suppress

from service.cluster.workloads import Changed, Conflict, Workloads
from service.model import record as rules
from service.model.changes import Change
from service.model.process import MetadataChange, Process
from service.model.record import Record
from service.model.snapshots import Snapshot
from service.operations.outcomes import Outcomes, Written
from service.operations.plans import REFUSALS, Plan, Plans
from service.store.records import Records


class OneStore:
    def __init__(self, workloads: Workloads, records: Records, outcomes: Outcomes) -> None:
        self._workloads = workloads
        self._records = records
        self._outcomes = outcomes

    async def change_deployment(
        self, token: str, process: Process, change: Change, read: Snapshot | None = None
    ) -> Written:
        """Change the Deployment, unless it is as asked for already. `read` is how it was a moment ago, if it was read.

        Raises Denied, WebhookFailed, UnprocessableEntity, ResourceNotFound, ServiceUnavailable.
        """
        plans = Plans(self._workloads, token, process, change)
        done = await self._without_reading(token, process, change, plans.cached() if read is None else plans.of(read))
        while done is None:
            plan = await plans.read()
            if not plan.patch:
                return await self._outcomes.unchanged(process, plan.snapshot)
            with suppress(Conflict):
                done = await self._apply(token, plan)
        return await self._outcomes.deployment_changed(process, done)

    async def noted(self, process: Process, read: Snapshot) -> Written:
        """What Kubernetes has made of a change, as it was just read: other replicas are to look for it too."""
        return await self._outcomes.deployment_changed(process, Changed(read.workload, read.version))

    async def _without_reading(self, token: str, process: Process, change: Change, plan: Plan | None) -> Changed | None:
        """Make the change in one request. None, and nothing is changed: the Deployment has to be read for it."""
        with suppress(*REFUSALS):
            if plan is not None:
                return await self._apply(token, plan)
        return await self._workloads.scale_blind(token, process.workload, change)

    async def _apply(self, token: str, plan: Plan) -> Changed:
        return await self._workloads.patch(token, plan.snapshot, plan.snapshot.guarded(plan.patch, None))

    async def change_row(self, process: Process, plan: Plan, change: MetadataChange, recorded: int) -> Written | None:
        """Change the row. The plan has the Deployment as it was just read, of which nothing is to be changed.

        `recorded` is a version that the row had before that. None, and nothing is changed: writes of both stores are
        under way, and this one has to be ordered among them. Raises PlanOutdated, LabelLimitExceeded,
        AnnotationLimitExceeded, DatabaseUnavailable.
        """
        snapshot = plan.snapshot

        def decide(row: Record, now: int) -> Record:
            # After a restore of etcd, versions that the row has may never come: one read must be enough.
            if row.deployment_version > max(snapshot.version, recorded):
                raise PlanOutdated(row.deployment_version)
            row = rules.reconciled(row, snapshot.workload.write_id, snapshot.version, now)
            if row.metadata.pending:
                raise _UnderWay
            return rules.changed(row, change, now)

        try:
            row = await self._records.change(process.key, decide)
        except _UnderWay:
            return None
        return self._outcomes.row_changed(snapshot.workload, row)


class PlanOutdated(Exception):
    """The Deployment has been changed since it was read, and the row knows of that."""

    def __init__(self, recorded: int) -> None:
        super().__init__()
        self.recorded = recorded
        """The version that the row has."""


class _UnderWay(Exception):
    """The row has changes of others that are prepared, and maybe committed since the Deployment was read."""
