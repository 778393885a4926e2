"""Writes of apps: of each Deployment of an app, or of what Postgres keeps of the app itself.

An app may have several Deployments, and no transaction spans them. So everything that can be checked is checked before
the first of them is patched; they are patched one after the other, in the same order each time; and where that fails on
the way, the answer says which were and which were not. What a change asks for does not depend on how far an earlier
attempt came, so that the same request made again completes it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from service.access import PATCH_DEPLOYMENTS, Access
from service.cluster.workloads import Workloads
from service.errors import CloudFoundryError, NotAuthorized, ServiceUnavailable, UnprocessableEntity
from service.freshness import Freshness, ReadBarrier
from service.model import record as rules
from service.model.apps import APP_TYPE, App, made_of, with_revision
from service.model.changes import Change
from service.model.process import MetadataChange, Process
from service.model.snapshots import Snapshot
from service.operations import ambiguity
from service.operations.audit import Entry, audited
from service.operations.authority import AT_A_TIME, Actor, Authority
from service.operations.one_store import OneStore
from service.operations.outcomes import Written
from service.operations.questions import Address, Meaning
from service.operations.reads import Reads
from service.pacing import in_batches
from service.store.records import Records

WRITE_S = 60.0
"""Time for all that one write does."""
MOST_DEPLOYMENTS = 50
"""Deployments of an app that can be changed: more are a mistake in labels, or somebody else's doing."""
ROLLOUT_S, POLL_S, SETTLED_S = 3.0, 0.02, 0.25
NAMED = 10
"""Deployments that are named in one text."""

Planned = Sequence[tuple[Process, Snapshot, Change]]
"""Which processes to change, how their Deployments are now, and what is to change of them."""


class AppWrites:
    def __init__(
        self,
        *,
        access: Access,
        reads: Reads[App],
        workloads: Workloads,
        one_store: OneStore,
        records: Records,
        barrier: ReadBarrier,
    ) -> None:
        self._authority = Authority(access)
        self._reads = reads
        self._workloads = workloads
        self._one_store = one_store
        self._records = records
        self._barrier = barrier

    @asynccontextmanager
    async def begin(
        self, actor: Actor, address: Address, action: str, *, lead_only: bool = False
    ) -> AsyncIterator["AppWrite"]:
        """Begin a write of the app at an address. The audit log shows it as `action`, with what becomes of it.

        The caller must be one who may patch each Deployment of the app; with `lead_only`, the one that stands for it.
        The body is to be parsed inside of the block, so that a caller who may not write learns that first.
        Raises ResourceNotFound, NotAuthorized, UnprocessableEntity, ServiceUnavailable.
        """
        with audited(action, actor.caller.name) as entry:
            meaning, _ = await self._reads.get(actor.caller, address)
            app = meaning.item
            entry.of_app = app.processes
            await self._require_one(actor, meaning)
            concerned = [app.lead] if lead_only else app.processes[:MOST_DEPLOYMENTS]
            await self._authority.authorize_all(actor, concerned)
            if not lead_only and len(app.processes) > MOST_DEPLOYMENTS:
                raise UnprocessableEntity(
                    f"This app has more than {MOST_DEPLOYMENTS} Deployments, which is how many can be changed at once: "
                    "nothing was changed"
                )
            try:
                async with asyncio.timeout(WRITE_S):
                    yield AppWrite(self, actor, app, entry)
            except TimeoutError as error:
                raise ServiceUnavailable("The change took too long; some of it may have been made") from error

    async def look(self, actor: Actor, address: Address, action: str) -> tuple[Meaning[App], Snapshot, Freshness]:
        """What an address means, and the Deployment that stands for that app, for who may change it, and nobody else.

        Raises as `begin` does; an address that means several apps is of the oldest.
        """
        with audited(action, actor.caller.name) as entry:
            meaning, freshness = await self._reads.get(actor.caller, address)
            lead = meaning.item.lead
            entry.of_app = [lead]
            await self._authority.authorize_all(actor, [lead])
            (found,) = await self.read(actor, [lead])
            return meaning, found, freshness

    async def read(self, actor: Actor, processes: Sequence[Process]) -> list[Snapshot]:
        """Their Deployments as they are now, read with the caller's token. Raises as Workloads.read does."""
        token, found = actor.require_token(), {}

        async def read_one(process: Process) -> None:
            found[process.key] = await self._workloads.read(token, process.workload)

        await in_batches((read_one(each) for each in processes), AT_A_TIME)
        return [found[each.key] for each in processes]

    async def replica_sets(self, actor: Actor, snapshot: Snapshot) -> list[dict[str, Any]]:
        """Raises as Workloads.replica_sets does."""
        return await self._workloads.replica_sets(actor.require_token(), snapshot)

    async def carry_out(self, actor: Actor, planned: Planned) -> list[Written]:
        """Change one Deployment after the other, in the order given. Raises as `begin` does."""
        for _, snapshot, change in planned:
            # Whatever cannot be done is to be found before anything is.
            change.patch(snapshot)
        done: list[Written] = []
        for process, snapshot, change in planned:
            try:
                done.append(await self._carry_out_one(actor, process, snapshot, change))
            except CloudFoundryError as error:
                if len(planned) == 1:
                    raise
                names = [each.workload.name for _, each, _ in planned]
                raise error.saying_more(_how_far(names, len(done), error)) from error
        return done

    async def _carry_out_one(self, actor: Actor, process: Process, snapshot: Snapshot, change: Change) -> Written:
        async with self._authority.answering(actor, process, PATCH_DEPLOYMENTS, process.workload.name):
            return await self._one_store.change_deployment(actor.require_token(), process, change, snapshot)

    async def rolled_out(self, actor: Actor, app: App) -> App:
        """The app once Kubernetes has begun the rollout that was asked for just now, and so given it a revision.

        A revision is what the rollout is found by: reads through any replica wait for it. That takes milliseconds; if
        it takes longer than ROLLOUT_S, the app with the revision that is to come, unless there is another rollout.
        Somebody may have cancelled it already.
        """
        lead, until = app.lead, time.monotonic() + ROLLOUT_S
        former, since = lead.workload.rollout, time.monotonic()
        revision = former
        with suppress(CloudFoundryError):
            while time.monotonic() < until:
                (now,) = await self.read(actor, [lead])
                # Of one that has just been changed before, Kubernetes may see to that first, in a rollout of its own.
                if now.workload.rollout != revision:
                    revision, since = now.workload.rollout, time.monotonic()
                if now.is_observed and revision > former and time.monotonic() - since > SETTLED_S:
                    written = await self._one_store.noted(lead, now)
                    made = made_of([written.process if each is lead else each for each in app.processes], app.stored)
                    if now.workload.cancelled_rollout > former:
                        return made
                    # As it begins: a small one is over by now.
                    return with_revision(made, revision)
                await asyncio.sleep(POLL_S)
        return with_revision(app, former + 1)

    async def change_metadata(self, app: App, change: MetadataChange) -> App:
        """Change what is kept of the app itself. Returns the app as that has left it.

        Raises LabelLimitExceeded, AnnotationLimitExceeded, ServiceUnavailable.
        """
        key = app.namespace, app.guid, APP_TYPE
        record = await self._records.change(key, lambda row, now: rules.changed(row, change, now))
        self._barrier.accept_row(record)
        return msgspec.structs.replace(app, stored=record.metadata)

    async def _require_one(self, actor: Actor, meaning: Meaning[App]) -> None:
        """Raises UnprocessableEntity where an address means several apps, to whoever may change any of them."""
        if (reason := ambiguity.of_write(meaning)) is None:
            return
        for app in meaning.items:
            if await self._authority.may(actor, app.lead, PATCH_DEPLOYMENTS, app.lead.workload.name):
                raise UnprocessableEntity(reason)
        raise NotAuthorized


@dataclass(frozen=True)
class AppWrite:
    """One write of an app under way."""

    _writes: AppWrites
    _actor: Actor
    app: App
    """As it was when the write began."""
    _entry: Entry

    async def read(self) -> Snapshot:
        """The Deployment that stands for the app."""
        (found,) = await self._writes.read(self._actor, [self.app.lead])
        return found

    async def read_all(self) -> list[tuple[Process, Snapshot]]:
        """Each process with its Deployment: those first that are not to run, and by name."""
        found = await self.read_of(self.app.processes)
        return sorted(found, key=lambda each: (each[1].workload.started, each[1].workload.name))

    async def read_of(self, processes: Sequence[Process]) -> list[tuple[Process, Snapshot]]:
        """Some processes of the app, each with its Deployment."""
        return list(zip(processes, await self._writes.read(self._actor, processes), strict=True))

    async def replica_sets(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """The ReplicaSets that the Deployment's selector finds."""
        return await self._writes.replica_sets(self._actor, snapshot)

    async def apply(self, change_of: Callable[[Sequence[Snapshot]], Change]) -> list[Written]:
        """Change each Deployment of the app, in the same way."""
        found = await self.read_all()
        change = change_of([snapshot for _, snapshot in found])
        return await self.carry_out([(process, snapshot, change) for process, snapshot in found])

    async def carry_out(self, planned: Planned) -> list[Written]:
        """Change some Deployments of the app, each in its own way."""
        names = dict.fromkeys(name for _, _, change in planned for name in change.names())
        self._entry.changes.extend(names)
        return await self._writes.carry_out(self._actor, planned)

    async def rolled_out(self, done: Sequence[Written]) -> App:
        """The app once the rollout that these changes ask for has begun."""
        return await self._writes.rolled_out(self._actor, self.after(done))

    async def change_metadata(self, change: MetadataChange) -> App:
        """Change the app's own metadata, wholly or not at all."""
        self._entry.changes.extend(change.names())
        return await self._writes.change_metadata(self.app, change)

    def after(self, done: Sequence[Written]) -> App:
        """The app as these changes have left it."""
        changed = {each.process.workload.uid: each.process for each in done}
        return made_of([changed.get(each.workload.uid, each) for each in self.app.processes], self.app.stored)


def _how_far(names: Sequence[str], done: int, error: CloudFoundryError) -> str:
    """What has become of the Deployments, of which so many were changed before the error."""
    in_doubt = isinstance(error, ServiceUnavailable)
    parts = {
        "Changed": names[:done],
        "Maybe changed": names[done : done + 1] if in_doubt else (),
        "Not changed": names[done + in_doubt :],
    }
    said = [f"{what}: {_listed(which)}" for what, which in parts.items() if which]
    return f"{'. '.join(said)}. The same request again completes it"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
