"""A change that one store alone has a part in: Kubernetes, which decides by itself, or Postgres."""

from contextlib import suppress

from service.cluster.workloads import Changed, Conflict, Workloads
from service.model import record as rules
from service.model.changes import Change
from service.model.process import MetadataChange, Process
from service.model.record import Record
from service.operations.outcomes import Outcomes, Written
from service.operations.plans import REFUSALS, Plan, Plans
from service.store.records import Records


class OneStore:
    def __init__(self, workloads: Workloads, records: Records, outcomes: Outcomes) -> None:
        self._workloads = workloads
        self._records = records
        self._outcomes = outcomes

    async def change_deployment(self, token: str, process: Process, change: Change) -> Written:
        """Change the Deployment, unless nothing of it is to be changed.

        Raises Denied, UnprocessableEntity, ResourceNotFound, ServiceUnavailable.
        """
        plans = Plans(self._workloads, token, process, change)
        done = await self._without_reading(token, process, change, plans)
        while done is None:
            plan = await plans.read()
            if not plan.patch:
                return await self._outcomes.unchanged(process, plan.live.workload)
            with suppress(Conflict):
                done = await self._workloads.patch(token, plan.live, plan.live.guarded(plan.patch, None))
        return await self._outcomes.deployment_changed(process, done)

    async def _without_reading(self, token: str, process: Process, change: Change, plans: Plans) -> Changed | None:
        """The change made in one request; None, and nothing is changed, where the Deployment has to be read for it."""
        with suppress(*REFUSALS):
            if plan := plans.remembered():
                return await self._workloads.patch(token, plan.live, plan.live.guarded(plan.patch, None))
        return await self._workloads.scale_at_once(token, process.workload, change)

    async def change_row(self, process: Process, plan: Plan, change: MetadataChange) -> Written | None:
        """Change the row. The plan has the Deployment as it is, of which nothing is to be changed.

        None, and nothing is changed: others are between their two halves, and the change must have its place among
        them. Raises LabelLimitExceeded, AnnotationLimitExceeded, DatabaseUnavailable.
        """
        live = plan.live

        def decide(row: Record, now: int) -> Record:
            row = rules.seen(row, live.workload.write_id, live.version, now)
            if row.metadata.pending:
                raise _UnderWay
            return rules.changed(row, change, now)

        try:
            row = await self._records.change(process.key, decide)
        except _UnderWay:
            return None
        return self._outcomes.row_changed(live.workload, row)


class _UnderWay(Exception):
    """The row has changes of others that are prepared, and maybe committed since the Deployment was read."""
