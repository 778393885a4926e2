"""How a rollout of an app that is under way is undone."""

import asyncio
import time

from service.errors import ServiceUnavailable, UnprocessableEntity
from service.model.apps import newest_rollout
from service.model.process import Process
from service.model.rollback import Rollback, former_template, has_gone_back, is_under_way
from service.model.snapshots import Snapshot
from service.operations.app_writes import AppWrite, Planned

NOTICED_S, PAUSE_S = 3.0, 0.05


async def planned(write: AppWrite, guid: str) -> Planned:
    """What takes every Deployment of the app that is being rolled out back to its template before that.

    `guid` is of the rollout to be undone. The lead, whose rollout that is, comes last: until then this can be asked for
    again, and leaves alone what has gone back already.

    Nothing is left to be done where that is on its way back already. Raises UnprocessableEntity where it is not under
    way, or what was before is not known any more; NotAuthorized where the caller may not read ReplicaSets.
    """
    found = await _noticed(write)
    by_uid = {snapshot.workload.uid: snapshot.workload for _, snapshot in found}
    lead = by_uid[write.app.lead.workload.uid]
    rolling = [(process, snapshot) for process, snapshot in found if is_under_way(snapshot)]
    if newest_rollout(lead) != guid or lead.uid not in {each.workload.uid for _, each in rolling}:
        raise UnprocessableEntity("This deployment is not under way any more, and cannot be cancelled")
    if lead.cancelled_rollout:
        return []
    left = [each for each in rolling if each[1].workload.uid == lead.uid or not has_gone_back(each[1], guid)]
    left.sort(key=lambda each: each[1].workload.uid == lead.uid)
    return [(process, snapshot, await _rollback(write, snapshot, guid)) for process, snapshot in left]


async def _noticed(write: AppWrite) -> list[tuple[Process, Snapshot]]:
    """Each process with its Deployment, once Kubernetes has looked at the last change of each, which takes a moment.

    Those that it has looked at are not read again: whatever changes them from here on, the patch of them is for this
    version.
    """
    until = time.monotonic() + NOTICED_S
    found = await write.read_all()
    while waiting := [number for number, (_, snapshot) in enumerate(found) if not snapshot.is_observed]:
        if time.monotonic() > until:
            raise ServiceUnavailable("Kubernetes has not looked at the last change of this app yet", retry_after_s=1)
        await asyncio.sleep(PAUSE_S)
        for number, now in zip(waiting, await write.read_of([found[number][0] for number in waiting]), strict=True):
            found[number] = now
    return found


async def _rollback(write: AppWrite, snapshot: Snapshot, guid: str) -> Rollback:
    template = former_template(snapshot, await write.replica_sets(snapshot))
    if template is None:
        raise UnprocessableEntity(
            f"There is nothing to go back to: Deployment {snapshot.workload.name} has kept no ReplicaSet of an earlier "
            "revision"
        )
    return Rollback(snapshot.template, template, guid)
