"""How to carry out a change of both stores, wholly or not at all: the three steps of service.model.record."""

import secrets

from service.cluster.workloads import Conflict, Denied, WebhookFailed, Workloads
from service.errors import CloudFoundryError, MetadataUnreadable, ServiceUnavailable
from service.model import record as rules
from service.model.changes import ProcessChange
from service.model.process import MetadataChange, Process
from service.model.record import Record
from service.operations.authority import Leave
from service.operations.one_store import OneStore, PlanOutdated
from service.operations.outcomes import Outcomes, Written
from service.operations.plans import REFUSALS, Overtaken, Plan, Plans
from service.store.database import DatabaseUnavailable
from service.store.records import Known, Records
from service.telemetry import get_logger

log = get_logger(__name__)


class TwoStores:
    def __init__(self, workloads: Workloads, records: Records, outcomes: Outcomes, one_store: OneStore) -> None:
        self._workloads = workloads
        self._records = records
        self._outcomes = outcomes
        self._one_store = one_store

    async def change(self, token: str, process: Process, change: ProcessChange, leave: Leave) -> Written:
        """Change the row, and the Deployment unless it is as asked for already.

        Raises NotAuthorized, Denied, WebhookFailed, UnprocessableEntity, ResourceNotFound, ServiceUnavailable.
        """
        pending = _Pending(self._records, self._outcomes, process, change.metadata)
        try:
            return await self._change(token, process, change, pending, leave)
        except (Denied, WebhookFailed, Overtaken):
            await pending.discard()
            raise
        except ServiceUnavailable:
            # Kubernetes may yet apply the patch. What is pending then shows; if not, the next writer drops it.
            raise
        except CloudFoundryError:
            await pending.discard()
            raise

    async def _change(
        self, token: str, process: Process, change: ProcessChange, pending: "_Pending", leave: Leave
    ) -> Written:
        plans = Plans(self._workloads, token, process, change)
        cached = plans.cached()
        recorded = 0
        while True:
            plan, cached = cached or await plans.read(), None
            try:
                if not plan.patch:
                    await leave.now()
                    if written := await self._one_store.change_row(process, plan, change.metadata, recorded):
                        return written
                # Kubernetes would refuse its half, but then the other would have been prepared already.
                await leave.lately()
                prepared = await pending.prepare(plan)
                body = plan.snapshot.guarded(plan.patch, pending.write_id)
                done = await self._workloads.patch(token, plan.snapshot, body)
            except PlanOutdated as error:
                recorded = error.recorded
                continue
            except REFUSALS as error:
                if plan.is_read and not isinstance(error, Conflict):
                    raise
                continue
            return await self._outcomes.both_changed(process, done, prepared, change.metadata)


class _Pending:
    """The row's half of a change, which is stored as pending under the id of the write."""

    def __init__(self, records: Records, outcomes: Outcomes, process: Process, change: MetadataChange) -> None:
        self._records = records
        self._outcomes = outcomes
        self._process = process
        self._change = change
        self._is_stored = False
        self.write_id = ""
        """As it was stored last."""

    async def prepare(self, plan: Plan) -> Known:
        """Store it, to be committed on the version that the plan is for. Returns the row, and when it was read.

        Raises LabelLimitExceeded, AnnotationLimitExceeded, DatabaseUnavailable.
        """
        snapshot = plan.snapshot
        reconcile = rules.reconciled if plan.is_read else rules.folded
        at = 0

        def decide(row: Record, now: int) -> Record:
            nonlocal at
            at = now
            row = reconcile(row, snapshot.workload.write_id, snapshot.version, now)
            return rules.prepared(rules.discarded(row, self.write_id), write_id, self._change, snapshot.version)

        # Another id each time: a row that has heard of one refused has not heard of what came before the next.
        write_id = secrets.token_urlsafe(8)
        row = await self._records.change(self._process.key, decide)
        self._is_stored, self.write_id = True, write_id
        # The watch may bring the commit before the mirror brings this.
        self._outcomes.accept_row(row)
        return Known(row, at)

    async def discard(self) -> None:
        """Remove it, if it was stored: it will not be committed."""
        if not self._is_stored:
            return
        try:
            await self._records.change(self._process.key, lambda row, _now: rules.discarded(row, self.write_id))
        except (DatabaseUnavailable, MetadataUnreadable) as error:
            # It does not show, and the next writer drops it.
            log.warning("prepared change left behind", reason=error.detail)
